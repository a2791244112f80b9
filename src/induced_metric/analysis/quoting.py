"""Documents that quote tables: the lines between two markers are the table they name, as last made.

``<!-- table: NAME -->`` quotes all rows, ``<!-- table: NAME: ADAMW, SGD -->`` the rows that begin so.
"""

import re
from pathlib import Path

_BLOCK = re.compile(
    r"(<!-- table: (?P<name>[^\s:]+)(: (?P<rows>[^>]+))? -->\n).*?(<!-- table end -->)", re.DOTALL
)


def quoted(text: str, tables: Path) -> str:
    """The text with every table between a marker and ``<!-- table end -->`` as it is now.

    Args:
        text: the text of a Markdown document.
        tables: the directory of the tables, each in a file ``NAME.md``.

    Raises:
        FileNotFoundError: if the text quotes a table that does not exist.
        ValueError: if it names a row that the table does not have.
    """

    def block(found: "re.Match[str]") -> str:
        path = tables / f"{found['name']}.md"
        if not path.exists():
            raise FileNotFoundError(f"the table {found['name']} is quoted, but {path} does not exist")
        lines = path.read_text(encoding="utf-8").splitlines()
        head, rule, *rows = (line for line in lines if line.startswith("|"))
        if found["rows"]:
            names, firsts = found["rows"].split(", "), [row.split("|")[1].strip() for row in rows]
            if missing := [name for name in names if name not in firsts]:
                raise ValueError(f"the table {found['name']} has no row {missing[0]}")
            rows = [row for first, row in zip(firsts, rows, strict=True) if first in names]
        return "\n".join([found[1] + head, rule, *rows, found[5]])

    return _BLOCK.sub(block, text)


def renew(results: Path) -> list[Path]:
    """Renews the tables quoted in the documents of a results directory; returns the paths that changed."""
    changed = []
    for path in sorted(results.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if (now := quoted(text, results / "tables")) != text:
            path.write_text(now, encoding="utf-8")
            changed.append(path)
    return changed
