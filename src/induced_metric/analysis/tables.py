"""Tables 1-4: the published numbers and ours, row by row beneath each other, in every format."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from induced_metric.analysis import published, statistics
from induced_metric.records import Records

if TYPE_CHECKING:
    from rich.table import Table

PUBLISHED = "published"


def compare(
    task: str, ours: Mapping[str, Records], *, n: int, paper: str | Path = "results/paper"
) -> pd.DataFrame:
    """The numbers of a task's table, one row for each optimizer and source.

    Args:
        task: name of the task; one that is not in the paper has no published rows.
        ours: our records, by sampler.
        n: how many of the best trials to summarise.
        paper: the directory of the published numbers.

    Returns:
        ``optimizer`` (in the published order, then ours by name), ``source`` (``published``, then the
        samplers), the columns of ``statistics.summary``, and ``objective``.
    """
    sources = [published.summary(task, paper).assign(source=PUBLISHED)]
    objectives: set[str] = set()
    for sampler, records in ours.items():
        sources.append(statistics.summary(records, n).assign(source=sampler))
        objectives |= set(records.trials["objective"])
    if len(objectives) != 1:
        raise ValueError(f"the studies of one table share an objective, got {', '.join(sorted(objectives))}")
    table = pd.concat([source.reset_index() for source in sources if not source.empty], ignore_index=True)
    order = published.optimizers(paper)
    order += sorted(set(table["optimizer"]) - set(order))
    rank = table["optimizer"].map({name: place for place, name in enumerate(order)})
    # Stable: within an optimizer the sources stay in their order.
    table = table.iloc[rank.argsort(kind="stable")].assign(objective=objectives.pop())
    # Nullable: the paper does not say how many of its trials were pruned or diverged.
    table = table.astype(dict.fromkeys(["best_epoch", *statistics.OUTCOMES], "Int64"))
    first = ["optimizer", "source", "n"]
    return table[[*first, *(name for name in table.columns if name not in first)]].reset_index(drop=True)


def caption(task: str, table: pd.DataFrame, *, paper: str | Path = "results/paper") -> str:
    """What the table is, in a sentence or two."""
    number = published.number(task, paper)
    return (
        f"Summary statistics for the n best runs with the {task} task"
        f"{f' (Table {number} of the paper)' if number else ''}: the best {_name(table)} of a run, the epoch "
        "(from 0) where it was reached, and the best run with its epoch and the seconds up to it. Sources: "
        "published, or the sampler of ours. Standard deviations are of the population. Bold: best of its "
        "source."
    )


def remarks(table: pd.DataFrame, ours: Mapping[str, Records]) -> list[str]:
    """What a reader of the table must know besides: trials left out, devices of the seconds."""
    lines = []
    for sampler, records in ours.items():
        counts = statistics.counts(records.trials)
        left_out = "; ".join(
            f"{kind}: {', '.join(f'{name} {count}' for name, count in column[column > 0].items())}"
            for kind, column in counts.drop(columns="complete").items()
            if column.any()
        )
        total = counts.sum(axis=1)
        trials = f"{total.min()}" if total.min() == total.max() else f"{total.min()} to {total.max()}"
        lines.append(
            f"{sampler}: {trials} trials an optimiser, on {_devices(records.trials)};"
            f" left out: {left_out or 'none'}."
        )
    rows = table[table["source"] != PUBLISHED]
    short = rows[rows["n"] < rows["n"].max()]
    if not short.empty:
        lines.append(
            "Rows of ours over fewer runs than the others: "
            + ", ".join(f"{row.optimizer} ({row.source}) {row.n}" for row in short.itertuples())
            + "."
        )
    if (table["source"] == PUBLISHED).any():
        lines.append("Seconds of different sources are of different hardware.")
    return lines


def formatted(table: pd.DataFrame, emphasis: str = "{}") -> pd.DataFrame:
    """The table as text, in the published columns; the best mean and the best run of a source stand out."""
    metric = f"{'Min' if (table['direction'] == 'minimize').all() else 'Max'} {_name(table)}"
    text = {
        "Optimiser": table["optimizer"].str.upper(),
        "Source": table["source"],
        "n": table["n"].astype(str),
        f"{metric} mean": _fixed(table["metric_mean"], 6),
        "Std": _fixed(table["metric_std"], 6),
        "Epoch mean": _fixed(table["epoch_mean"], 1),
        "Epoch std": _fixed(table["epoch_std"], 1),
        f"Best {metric.lower()}": _fixed(table["best_metric"], 6),
        "(epoch: s)": _at(table),
    }
    for name, column in (("metric_mean", f"{metric} mean"), ("best_metric", f"Best {metric.lower()}")):
        cost = table[name].where(table["direction"] == "minimize", -table[name])
        leads = cost == cost.groupby(table["source"]).transform("min")
        text[column] = text[column].mask(leads, text[column].map(emphasis.format))
    return pd.DataFrame(text)


def markdown(table: pd.DataFrame) -> str:
    """The table in GitHub's Markdown."""
    text = formatted(table, "**{}**")
    rule = ["---", "---", *["---:"] * (len(text.columns) - 2)]
    rows = [list(text.columns), rule, *text.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def latex(table: pd.DataFrame, title: str, notes: Sequence[str] = ()) -> str:
    r"""The table in LaTeX; needs ``\usepackage{booktabs}``."""
    text = formatted(table, r"\textbf{{{}}}")
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escaped(title)}}}",
        rf"\begin{{tabular}}{{ll{'r' * (len(text.columns) - 2)}}}",
        r"\toprule",
        " & ".join(text.columns) + r" \\",
    ]
    above = None
    for optimizer, *cells in text.to_numpy().tolist():
        if optimizer != above:
            lines.append(r"\midrule")
        # The name once, on the first of its rows.
        lines.append(" & ".join(["" if optimizer == above else _escaped(optimizer), *cells]) + r" \\")
        above = optimizer
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {_escaped(note)}" for note in notes]
    return "\n".join([*lines, r"\end{table}", ""])


def terminal(table: pd.DataFrame) -> "Table":
    """The table for ``rich.print``, within 80 columns for the paper's optimizers."""
    from rich import box
    from rich.table import Table

    text, plain = formatted(table, "[bold]{}[/bold]"), formatted(table)
    view = Table(box=box.SIMPLE, padding=0, pad_edge=False)
    for place, name in enumerate(text.columns):
        # Headers wrap between words, cells never.
        width = max(len(word) for word in [*name.split(), *plain[name]])
        view.add_column(name, justify="left" if place < 2 else "right", width=width)
    last = (table["optimizer"] != table["optimizer"].shift(-1)).tolist()
    above = None
    for (optimizer, *cells), ends in zip(text.to_numpy().tolist(), last, strict=True):
        view.add_row("" if optimizer == above else optimizer, *cells, end_section=ends)
        above = optimizer
    return view


def write(table: pd.DataFrame, stem: Path, title: str, notes: Sequence[str] = ()) -> list[Path]:
    """Writes ``<stem>.md``, ``.csv`` (full precision) and ``.tex``."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    contents = {
        ".md": f"{title}\n\n{markdown(table)}\n" + "".join(f"- {note}\n" for note in notes),
        ".csv": table.to_csv(index=False),
        ".tex": latex(table, title, notes),
    }
    # Not with_suffix: the name of a sampler or a task may hold a dot.
    paths = {suffix: stem.with_name(stem.name + suffix) for suffix in contents}
    for suffix, content in contents.items():
        paths[suffix].write_text(content, encoding="utf-8")
    return list(paths.values())


def _name(table: pd.DataFrame) -> str:
    return str(table["objective"].iloc[0]).replace("/", " ").replace("_", " ")


def _fixed(values: pd.Series, digits: int) -> pd.Series:
    return values.map(lambda value: "–" if pd.isna(value) else f"{value:.{digits}f}")


def _at(table: pd.DataFrame) -> pd.Series:
    seconds = table["best_seconds"].map(lambda value: f"{value:.{0 if value >= 100 else 2}f}")
    text = "(" + _fixed(table["best_epoch"], 0) + ": " + seconds + ")"
    return text.mask(table["best_metric"].isna(), "–")


def _escaped(text: str) -> str:
    return re.sub(r"([_%&#$])", r"\\\1", text)


def _devices(trials: pd.DataFrame) -> str:
    named = {json.loads(text).get("device") for text in trials["provenance"].unique()}
    return ", ".join(sorted(str(name) for name in named - {None})) or "an unrecorded device"
