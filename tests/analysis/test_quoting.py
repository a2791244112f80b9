"""Tables that documents quote are those on disk."""

from pathlib import Path

import pytest

from induced_metric.analysis import quoting

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
DOCUMENT = "Above.\n\n<!-- table: one -->\n| old |\n<!-- table end -->\n\nBelow.\n"


def test_what_is_quoted_is_the_table_without_its_title_and_notes(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "one.md").write_text("Title.\n\n| a | b |\n| --- | ---: |\n| x | 1 |\n\n- note\n")
    (tmp_path / "README.md").write_text(DOCUMENT)
    assert quoting.renew(tmp_path) == [tmp_path / "README.md"]
    text = (tmp_path / "README.md").read_text()
    assert text == DOCUMENT.replace("| old |", "| a | b |\n| --- | ---: |\n| x | 1 |")
    assert quoting.renew(tmp_path) == []


def test_rows_that_are_named_are_quoted_in_the_order_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("| a | b |\n| --- | ---: |\n| x | 1 |\n| y | 2 |\n| z | 3 |\n")
    text = DOCUMENT.replace("one", "one: z, x")
    now = text.replace("| old |", "| a | b |\n| --- | ---: |\n| x | 1 |\n| z | 3 |")
    assert quoting.quoted(text, tmp_path) == quoting.quoted(now, tmp_path) == now
    with pytest.raises(ValueError, match="the table one has no row w"):
        quoting.quoted(text.replace("z, x", "x, w"), tmp_path)


def test_a_table_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the table one is quoted"):
        quoting.quoted(DOCUMENT, tmp_path)


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.md")), ids=lambda path: path.name)
def test_published_documents_quote_the_tables_as_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert quoting.quoted(text, PUBLISHED / "tables") == text
