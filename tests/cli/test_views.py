"""The live views, where the output is no terminal: plain lines."""

from rich.console import Console

from induced_metric.cli import views
from induced_metric.studies.plan import StudyStatus


def where(**changes):
    facts = {"finished": 0, "total": 10, "running": [], "epochs": 100, "trained": 0.0, "best": None}
    return StudyStatus(**{**facts, "diverged": 0, "pruned": 0, **changes})


def ticking(monkeypatch, step):
    """A clock that advances by ``step`` seconds at every look; a line at every update."""
    now = iter(range(0, 10**6, step))
    monkeypatch.setattr(views.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(views, "_LINE_EVERY_SECONDS", 0.0)
    return Console(force_terminal=False, quiet=True)


def test_a_trial_says_its_epoch_and_the_time_left(monkeypatch, capsys):
    """Also with epochs longer than the 30 s that rich looks back."""
    with views.TrialBar("adam", 10, ticking(monkeypatch, 60)) as bar:
        views.time.monotonic()  # a minute of compilation
        bar.begin(0)
        bar.update(1, "adam: test/loss 0.5")
        bar.update(2, "adam: test/loss 0.4")
        bar.update(10, "adam: test/loss 0.3")
    estimate, first, second = capsys.readouterr().out.splitlines()
    assert estimate == "about 10 min for 10 epochs at this speed"
    assert first == "adam: test/loss 0.5, epoch 1 of 10, 9:00 left"
    assert second == "adam: test/loss 0.4, epoch 2 of 10, 8:00 left"


def test_the_epochs_of_an_earlier_run_do_not_shorten_the_time_left(monkeypatch, capsys):
    with views.TrialBar("adam", 10, ticking(monkeypatch, 60)) as bar:
        bar.begin(8)
        bar.update(8, "adam")
        bar.update(9, "adam")
    assert capsys.readouterr().out.splitlines() == [
        "continuing after epoch 7",
        "about 4 min for 2 epochs at this speed",
        "adam, epoch 9 of 10, 2:00 left",
    ]


def test_a_sweep_shows_its_trials_under_way(monkeypatch, capsys):
    sweep = views.SweepTable(ticking(monkeypatch, 900))
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


def test_short_epochs_are_timed_for_a_second(monkeypatch, capsys):
    """The first of them would tell how long the start takes."""
    clock = iter([0.0, 0.0, 0.5, 0.9, 1.0, 1.1])
    monkeypatch.setattr(views.time, "monotonic", lambda: next(clock))
    with views.TrialBar("adam", 200, Console(force_terminal=False, quiet=True)) as bar:
        bar.begin(0)
        for done in (1, 80, 100, 120):
            bar.update(done, "adam")
    assert capsys.readouterr().out == "about 2 s for 200 epochs at this speed\n"


def told(capsys, console, devices, *statuses, studies=1):
    """What a sweep says of the time that its studies take: they report in turn, at every tick."""
    with views.SweepTable(console) as sweep:
        updates = [sweep.study(f"study{number}", None) for number in range(studies)]
        sweep.begin(devices)
        for number, status in enumerate(statuses):
            updates[number % studies](status)
    return [line for line in capsys.readouterr().out.splitlines() if "at this speed" in line]


def test_a_sweep_says_its_time_when_each_device_has_reported_once(monkeypatch, capsys):
    """Before that, the trials of the other devices would count for nothing."""
    console = ticking(monkeypatch, 240)
    statuses = [where(running=[0] * 4, total=500)]
    statuses += [where(running=[20] * n, total=500, trained=0.2 * n) for n in range(1, 5)]
    assert told(capsys, console, 4, *statuses[:-1]) == []
    # 16 minutes for 0.8 of a trial.
    assert told(capsys, console, 4, *statuses) == [
        "study0: warning: about 6 days 22 h for 500 trials at this speed; fewer trials, "
        "a preset such as task=mnist_small, or more devices take less"
    ]


def test_what_is_recorded_or_in_checkpoints_takes_no_time_again(monkeypatch, capsys):
    console = ticking(monkeypatch, 600)
    begun, later = where(finished=7, running=[50]), where(finished=8, running=[], trained=0.5)
    assert told(capsys, console, 1, begun, later) == ["study0: about 50 min for 3 trials at this speed"]
    # A study with nothing left says nothing, and so does one that the first reports finish.
    assert told(capsys, console, 1, where(finished=10)) == []
    assert told(capsys, console, 1, begun, where(finished=10, trained=2.5)) == []


def test_studies_that_share_the_devices_are_one_estimate(monkeypatch, capsys):
    console = ticking(monkeypatch, 60)
    statuses = [where(), where(), where(finished=1, trained=1.0), where(finished=1, trained=1.0)]
    assert told(capsys, console, 2, *statuses, studies=2) == [
        "2 studies: about 30 min for 20 trials at this speed"
    ]


def test_a_sweep_says_its_device_once(capsys):
    with views.SweepTable(Console(force_terminal=False, quiet=True)) as sweep:
        for _ in range(3):
            sweep.print("device: cpu x 2 (JAX 0)")
    assert capsys.readouterr().out == "device: cpu x 2 (JAX 0)\n"


def test_what_is_left_of_a_study_counts_the_epochs_done():
    assert where(finished=3, running=[20, 50]).left == 10 - 3 - 0.7
