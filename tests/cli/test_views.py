"""The live views, where the output is no terminal: plain lines."""

import pytest
from rich.console import Console

from induced_metric import progress
from induced_metric.studies.plan import StudyStatus


def where(**changes):
    facts = {"finished": 0, "total": 10, "running": [], "epochs": 100, "trained": 0.0, "best": None}
    return StudyStatus(**{**facts, "diverged": 0, "pruned": 0, **changes})


def ticking(monkeypatch, step):
    """A clock that advances by ``step`` seconds at every look; a line at every update."""
    now = iter(range(0, 10**6, step))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(progress, "_LINE_EVERY_SECONDS", 0.0)
    return Console(force_terminal=False, quiet=True)


def test_a_trial_says_its_epoch_and_the_time_left(monkeypatch, capsys):
    """Also with epochs longer than the 30 s that rich looks back."""
    with progress.TrialBar("adam", 10, ticking(monkeypatch, 60)) as bar:
        progress.time.monotonic()  # a minute of compilation
        bar.begin(0)
        bar.update(1, "adam: test/loss 0.5")
        bar.update(2, "adam: test/loss 0.4")
        bar.update(10, "adam: test/loss 0.3")
    first, second = capsys.readouterr().out.splitlines()
    assert first == "adam: test/loss 0.5, epoch 1 of 10, 9:00 left"
    assert second == "adam: test/loss 0.4, epoch 2 of 10, 8:00 left"


def test_the_epochs_of_an_earlier_run_do_not_shorten_the_time_left(monkeypatch, capsys):
    with progress.TrialBar("adam", 10, ticking(monkeypatch, 60)) as bar:
        bar.begin(8)
        bar.update(8, "adam")
        bar.update(9, "adam")
    assert capsys.readouterr().out.splitlines() == ["adam, epoch 9 of 10, 2:00 left"]


def test_a_sweep_shows_its_trials_under_way(monkeypatch, capsys):
    sweep = progress.SweepTable(ticking(monkeypatch, 900))
    update = sweep.study("cifar10", None)
    update(where())
    update(where(running=[25], trained=0.25))
    update(where(finished=3, running=[20, 50], trained=3.7, best=0.5))
    _, second, third = capsys.readouterr().out.splitlines()
    assert second == (
        "cifar10: finished 0/10, under way 1 at epoch 25 of 100, speed 1 trials/h, time left 9:45:00, "
        "diverged 0, pruned 0"
    )
    assert third == (
        "cifar10: finished 3/10, under way 2 at epochs 20 to 50 of 100, best 0.5, speed 7.4 trials/h, "
        "time left 51:04, diverged 0, pruned 0"
    )


@pytest.mark.parametrize(
    ("per_second", "shown"),
    [(0, ""), (120, "120 trials/s"), (1, "1 trials/s"), (0.5, "30 trials/min"), (1e-5, "0.036 trials/h")],
)
def test_speeds(per_second, shown):
    assert progress._rate(per_second) == shown


def test_what_is_left_of_a_study_counts_the_epochs_done():
    assert where(finished=3, running=[20, 50]).left == 10 - 3 - 0.7
