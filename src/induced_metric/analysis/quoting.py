"""Documents that quote tables: the lines between two markers are the table they name, as last made."""

import re
from pathlib import Path

_BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- table end -->)", re.DOTALL)


def quoted(text: str, tables: Path) -> str:
    """The text with every table between ``<!-- table: NAME -->`` and ``<!-- table end -->`` as it is now.

    Args:
        text: the text of a Markdown document.
        tables: the directory of the tables, each in a file ``NAME.md``.

    Raises:
        FileNotFoundError: if the text quotes a table that does not exist.
    """

    def block(found: "re.Match[str]") -> str:
        path = tables / f"{found[2]}.md"
        if not path.exists():
            raise FileNotFoundError(f"the table {found[2]} is quoted, but {path} does not exist")
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = "\n".join(line for line in lines if line.startswith("|"))
        return f"{found[1]}{rows}\n{found[3]}"

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
