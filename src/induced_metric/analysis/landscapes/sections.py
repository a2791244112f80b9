"""The ``README.md`` of the landscapes' results: every table and how to read it, written from the records."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from induced_metric.analysis.landscapes.success import standing
from induced_metric.analysis.rendering import markdown
from induced_metric.analysis.style import ordered, title

_SOURCES = """Sources: `published start` is the paper's grid from the paper's start points; its intervals show
what rounding alone changes. `tuned` and `shared` are the fair study. `1e-10` is the tolerance that the
paper's text states; the other columns have that of its notebook. An optimiser *finds* a minimum if it
reaches it from more than half of the starts. *Fastest* refers to the expected iterations (failures
included) and to that number times the measured cost of an iteration, whose quartiles the intervals of
seconds include. Where intervals overlap, a statement is unresolved."""


def grid_section(comparison: pd.DataFrame, counts: pd.DataFrame) -> str:
    """Published and re-run numbers side by side."""
    reproduced = int((comparison["explanation"] == "reproduced").sum())
    rounding = int(comparison["explanation"].str.startswith("chaotic").sum())
    best = pd.DataFrame(
        {
            "function": comparison["function"].map(title),
            "optimizer": comparison["optimizer"],
            "published": [_end(row, "_published") for row in comparison.to_dict("records")],
            "ours": [_end(row, "") for row in comparison.to_dict("records")],
            "converged, repeats included": comparison["converged_share"].map("{:.0%}".format),
            "difference": comparison["explanation"],
        }
    )
    columns = {
        "least": "lowest, repeats included",
        "most": "highest, repeats included",
        "explanation": "difference",
    }
    return f"""## The published grid, run again

Of {len(comparison)} best runs, {reproduced} agree with the published ones in iterations and final value,
and {rounding} are chaotic. A run is called chaotic if its outcome changes when the whole grid is repeated
from starts moved by a few units in the last place (x and y alike, so that a start on the diagonal stays
there). Two versions of JAX need not agree on such a run, and neither number is the right one. The grid has
duplicates, as published: one learning rate and one β of Muon occur twice. `distinct` counts each
configuration once. `best.csv` and `counts.csv` have both tolerances. MUON updates matrices only; on functions
of two variables it is Adam with Nesterov momentum.

### Best runs at the notebook's tolerance (iterations, or the final value where none converged)

{markdown(best)}

### Converged configurations

{markdown(counts.rename(columns=columns))}
"""


def _end(row: Mapping[Any, Any], suffix: str) -> str:
    if row[f"converged{suffix}"]:
        return f"{row[f'iterations{suffix}']}"
    return f"f = {row[f'final_value{suffix}']:.3g}"


def timing_section(timing: pd.DataFrame) -> str:
    """What an iteration costs, and where the published gap in run time comes from."""
    medians = 1e6 * timing.pivot_table(
        index="mode", columns="optimizer", values="seconds_per_iteration", aggfunc="median"
    )
    medians = medians[ordered(medians.columns)].loc[["compiled", "stepped", "eager"]]
    cells = medians.map("{:.3g} µs".format)
    brackets = ""
    if "adam" in medians:
        cells += medians.div(medians["adam"], axis=0).map(" ({:.2f})".format)
        brackets = ", in brackets its ratio to that of Adam"
    compiled = timing[timing["mode"] == "compiled"]["compile_seconds"].median()
    return f"""## Time

The median over functions of the time of one iteration, gradient included{brackets}.
`compiled`: the whole descent is one program. `stepped`: each update is one jitted call, and Python tests f.
`eager`: as `stepped`, but the optimiser's operations are dispatched one by one. Figures 4-8 use `compiled`.
These numbers exclude compilation (or loading from a warm cache), which took {compiled:.2f} s per program.

{markdown(cells.rename_axis("mode").reset_index())}

{_published_gap(medians)}"""


def _published_gap(medians: pd.DataFrame) -> str:
    if not {"muon", "sgd_log_metric"} <= set(medians):
        return ""
    log_form = float(medians["sgd_log_metric"]["stepped"])
    mixed, alike = (float(medians["muon"][mode]) / log_form for mode in ("eager", "stepped"))
    return f"""The published gap in run time is an artefact. The notebook jitted its own optimisers but ran
optax's eagerly. In addition, it reported converged runs as 2R + R/n. Mixing the two modes in that way makes
an iteration of Muon {mixed:.0f} times as expensive here as one of SGD_LOG_METRIC. With both stepped, the
ratio is {alike:.2f}.
"""


def fair_section(summary: pd.DataFrame, tolerance: str = "notebook") -> str:
    """Success and expected iterations from random starts."""
    at_tolerance = summary[summary["tolerance"] == tolerance]
    starts = int(at_tolerance["starts"].iloc[0])
    parts = [
        f"""## The fair study

Each function has {starts} random starts, uniform over its domain and the same for every optimiser. Every
optimiser tries the same number of settings, which are chosen on other starts than these. The tables show
the success probability with its 95% interval (Wilson), at the notebook's tolerance. `f + 1` is the control:
the same function raised by 1, which changes no other optimiser. The log form divides by the loss, so it
knows that the minimum is 0; the control takes that knowledge away. `fair.csv` has all measures, both
tolerances and the documented defaults.

The intervals do not include the luck of the settings: one draw of them was tried, and another might hold a
better one. A run that diverges ends early and costs only the iterations that it ran, so the expected
iterations to success flatter an optimiser that often diverges.
"""
    ]
    for arm, heading in (
        ("tuned", "Best setting of each function"),
        ("shared", "One setting for all functions"),
    ):
        chosen = at_tolerance[at_tolerance["arm"] == arm]
        cells = chosen.assign(
            cell=[
                f"{row.success:.3f} ({row.success_low:.3f}-{row.success_high:.3f})"
                for row in chosen.itertuples(index=False)
            ]
        )
        parts += [f"### {heading}: success", _wide(cells)]
    tuned = at_tolerance[at_tolerance["arm"] == "tuned"]
    cells = tuned.assign(
        cell=[
            f"{row.expected:.0f} ({row.expected_low:.0f}-{row.expected_high:.0f})"
            if row.converged
            else f"> {row.expected_low:.0f}"
            for row in tuned.itertuples(index=False)
        ]
    )
    parts += [
        "### Best setting of each function: expected iterations to success, failures included",
        _wide(cells),
    ]
    parts += ["### Does the log form win?", _answer(at_tolerance)]
    return "\n\n".join(parts) + "\n"


def _answer(own: pd.DataFrame) -> str:
    """Where the success interval of an optimiser lies above those of all others, leaving out the control."""
    rows = []
    for arm in ("tuned", "shared"):
        ranks = standing(own[own["arm"] == arm])
        for name in ordered(ranks["optimizer"]):
            row = ranks[ranks["optimizer"] == name]
            if name.startswith("sgd_log_metric") or row["alone"].any():
                better_on = ", ".join(title(function) for function in row.loc[row["alone"], "function"])
                worse_on = ", ".join(title(function) for function in row.loc[row["beaten"], "function"])
                rows.append((arm, name, better_on or "nowhere", worse_on or "nowhere"))
    table = pd.DataFrame(
        rows, columns=["arm", "optimizer", "better than all others on", "worse than some other on"]
    )
    return f"""{markdown(table)}

Better and worse mean that the 95% intervals of the success probabilities do not overlap. The
control is compared with the other optimisers, not with the log form itself."""


def _wide(cells: pd.DataFrame) -> str:
    wide = cells.pivot_table(
        index="function", columns="optimizer", values="cell", aggfunc="first", sort=False
    )
    wide.index = wide.index.map(title)
    return markdown(wide.rename_axis("function").reset_index())


def verdict_section(verdicts: pd.DataFrame) -> str:
    """The verdict on each claim by each source, and the numbers behind it."""
    wide = verdicts.pivot_table(
        index=["claim", "text"], columns="source", values="verdict", aggfunc="first", sort=False
    ).reset_index()
    numbers = "\n".join(
        f"- **{row.claim}, {row.source}: {row.verdict}.** {row.numbers}"
        for row in verdicts.itertuples(index=False)
    )
    return f"""## Verdicts on the paper's claims 1-7

{_SOURCES}

{markdown(wide)}

<details><summary>The numbers behind each verdict</summary>

{numbers}

</details>
"""
