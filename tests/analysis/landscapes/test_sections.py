"""The published README is what the sections make of the published tables."""

from pathlib import Path

from induced_metric.analysis.landscapes import sections

README = Path(__file__).parents[3] / "results" / "published" / "landscapes" / "README.md"


def test_the_published_readme_is_made_of_the_published_tables(published) -> None:
    made = [
        sections.grid_section(published["comparison"], published["counts_comparison"]),
        sections.timing_section(published["timing"]),
        sections.fair_section(published["fair"]),
        sections.verdict_section(published["verdicts"]),
    ]
    text = "# Functions of two variables\n\n" + "\n".join(made)
    assert text == README.read_text(encoding="utf-8")


def test_times_without_adam_stand_without_ratios(published) -> None:
    timing = published["timing"]
    section = sections.timing_section(timing[timing["optimizer"] != "adam"])
    assert "ratio to Adam" not in section
    assert "| compiled" in section
