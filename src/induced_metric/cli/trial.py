"""``induced-metric trial``: trains one recorded trial again, from its record alone."""

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from induced_metric.cli import arguments as common

if TYPE_CHECKING:
    from induced_metric.cli.again import Checked
    from induced_metric.studies.verify import Again

_SHOWN = 5  # last epochs of the two curves that are shown


def arguments(command: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    command.add_argument("--study", required=True, help="protocol/task/sampler/optimizer")
    command.add_argument("--trial", required=True, type=int, help="its number in the study")
    common.results(command)


def run(study: str, trial: int, results: Path) -> None:
    """Trains the trial, prints the end of its curve beside the record's, and says how well they agree.

    Raises:
        UserError: if there is no such trial, or it cannot be trained here.
        SystemExit: with code 1, if the trial is outside the tolerance, or nothing has changed and it is not
            identical.
    """
    from induced_metric.cli import app, recorded
    from induced_metric.cli.again import train_again
    from induced_metric.records import RecordStore

    key = recorded.study_key(study, results)
    stored = RecordStore(key.directory(results)).read()
    provenances = stored.trials.loc[stored.trials["trial"] == trial, "provenance"]
    exact = any(map(recorded.deterministic, provenances))
    flags = recorded.start_jax(deterministic=exact)  # before anything imports JAX
    from induced_metric.studies.verify import checked

    row, curve = checked(key, stored, trial)
    print(app.device(), flush=True)
    (found,) = train_again([(key, row, curve)], flags)
    again = found.again
    print(f"trial {trial} of {key.name}, seed {again.trial.seed}")
    print("  ".join(f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}"
                    for name, value in again.trial.hyperparameters.items()))  # fmt: skip
    print(end(again))
    print(sentence(found))
    if found.verdict == "outside":
        sys.exit(1)


def end(again: "Again") -> str:
    """The last epochs of the record and of the trial trained again, and the best value of each."""
    objective, curve = again.trial.goal.objective, again.trial.curve()
    recorded = again.recorded[objective]
    length = max(len(recorded), len(curve[objective]))
    rows: list[tuple[Any, ...]] = [("epoch", f"{objective}, recorded", "trained again")]
    for epoch in range(max(0, length - _SHOWN), length):
        both = (recorded, curve[objective])
        rows.append((epoch, *(f"{values[epoch]:.9g}" if epoch < len(values) else "-" for values in both)))
    outcome = again.trial.outcome()
    for name, text in (("value", ".9g"), ("best_epoch", "d")):
        rows.append((name, *(format(found[name], text) for found in (again.row, outcome))))
    return "\n".join(f"{first!s:>10}  {one:>26}  {other:>16}" for first, one, other in rows)


def sentence(checked: "Checked") -> str:
    """Says how well the trial agrees with its record."""
    found, changes, tolerance = checked.found, checked.changes, checked.tolerance
    epochs = len(checked.again.recorded["epoch"])
    if found.identical:
        message = f"bit-identical to the record in all {epochs} epochs"
        return message + (f" ({'; '.join(changes)})" if changes else "")
    value = (
        "only one of the two diverged"
        if math.isnan(found.value)
        else f"the best values differ by {found.value:.2g}"
    )
    message = (
        f"not bit-identical: only the first {found.same} of {epochs} epochs are; the first "
        f"{tolerance.epochs} differ by at most {found.early:.2g}, {value}"
    )
    if not changes:
        return f"{message}. OUTSIDE: nothing differs from what made the record, so it should be identical"
    place = checked.verdict.replace("outside", "OUTSIDE")
    return (
        f"{message}: {place} the tolerance ({tolerance}). What differs from the record: {'; '.join(changes)}"
    )
