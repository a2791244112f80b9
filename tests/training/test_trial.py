"""A trial's life beside the lanes: its curve, its value, its checkpoint and its record."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from induced_metric.lanes import Report
from induced_metric.training.checkpoints import Checkpoints
from induced_metric.training.trial import Goal, Trial

GOAL = Goal("test/loss", "minimize", 1e30, 6)
STATE = {"params": np.arange(3, dtype=np.float32)}


class Lanes:
    """As far as a trial asks lanes."""

    def state_shapes(self, _):
        return STATE


def report(done, losses, **more):
    metrics = {"test/loss": np.array(losses, np.float32)} | {
        name: np.array(values, np.float32) for name, values in more.items()
    }
    halted = not np.isfinite(losses[-1])
    seconds = np.full(len(losses), 0.5)
    return Report(0, done, metrics, seconds, halted, halted or done == GOAL.epochs, lambda: STATE)


def trained(*parts, goal=GOAL):
    trial = Trial(3, {"learning_rate": 0.1}, 7, goal)
    done = 0
    for losses in parts:
        done += len(losses)
        trial.hear(report(done, losses))
    return trial


def test_the_dispatches_make_one_curve():
    trial = trained([3.0, 2.0], [1.5], [2.5, 1.0, 4.0])
    assert trial.ended
    curve = trial.curve()
    assert curve["epoch"].tolist() == list(range(6))
    assert curve["test/loss"].tolist() == [3.0, 2.0, 1.5, 2.5, 1.0, 4.0]
    assert trial.outcome() == {"diverged": False, "value": 1.0, "best_epoch": 4, "epochs": 6, "seconds": 3.0}
    assert trial.best_until(4) == 1.5


@given(st.lists(st.integers(0, 3), min_size=1), st.sampled_from(["minimize", "maximize"]))
def test_the_best_epoch_is_the_first_of_equals(values, direction):
    best = Goal("test/loss", direction, 0.0, len(values)).best(np.array(values, float))
    wanted = (min if direction == "minimize" else max)(values)
    assert values[best] == wanted
    assert wanted not in values[:best]


def test_a_reported_metric_is_read_at_the_epoch_that_the_objective_chose():
    trial = Trial(0, {}, 0, GOAL._replace(objective="validation/loss", reported="test/loss"))
    trial.hear(report(3, [5.0, 6.0, 4.0], **{"validation/loss": [3.0, 1.0, 2.0]}))
    assert (trial.outcome()["best_epoch"], trial.outcome()["value"]) == (1, 6.0)
    assert trial.row({})["objective"] == "test/loss"


@pytest.mark.parametrize(
    ("trial", "failed", "diverged"),
    [(trained([1.0, np.nan]), False, True), (trained([1.0, 2.0]), True, False), (trained(), False, False)],
    ids=["diverged", "failed", "not trained"],
)
def test_what_did_not_get_to_its_end_has_the_worst_value(trial, failed, diverged):
    found = trial.outcome(failed=failed)
    assert (found["value"], found["best_epoch"], found["diverged"]) == (GOAL.worst, -1, diverged)
    assert found["epochs"] == trial.done


def test_its_record_has_its_numbers_and_those_of_its_study():
    row = trained([1.0] * 6).row({"task": "toy"}, state="pruned")
    expected = {"trial": 3, "state": "pruned", "value": 1.0, "seed": 7, "learning_rate": 0.1, "task": "toy"}
    assert expected.items() <= row.items()


def test_it_goes_on_from_its_checkpoint_until_its_lane_reports(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    before = trained([3.0, 2.0])
    before.keep(report(2, [3.0, 2.0]), checkpoints, stopping=True)
    after = Trial(3, {"learning_rate": 0.1}, 7, GOAL)
    assert after.restore(checkpoints, Lanes())
    assert (after.done, after.restored, after.halted) == (2, 2, False)
    assert after.curve()["test/loss"].tolist() == [3.0, 2.0]
    # A stop may find it asked for, but in no lane yet: then it is what the checkpoint is saved from again.
    for assignment in (after.assignment("a lane"), after.assignment("another lane")):
        assert (assignment.done, assignment.steps) == (2, 6)
        assert assignment.state["params"].tolist() == [0.0, 1.0, 2.0]
    after.hear(report(3, [1.0]))
    assert after.state is None
    assert not Trial(4, {"learning_rate": 0.1}, 7, GOAL).restore(checkpoints, Lanes())


def test_one_that_diverged_is_known_by_its_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    before = trained([3.0, np.inf])
    checkpoints.save(before.checkpoint, STATE, before.curve())
    after = Trial(3, {"learning_rate": 0.1}, 7, GOAL)
    assert after.restore(checkpoints, Lanes())
    assert after.halted
    assert after.ended


@pytest.mark.parametrize("other", [({"learning_rate": 0.2}, 7), ({"learning_rate": 0.1}, 8)])
def test_other_hyperparameters_or_another_seed_have_another_checkpoint(other):
    assert Trial(3, *other, GOAL).checkpoint != trained().checkpoint == trained([1.0]).checkpoint


@pytest.mark.parametrize(
    ("losses", "stopping", "kept"),
    [([2.0], True, 1), ([2.0], False, 0), ([2.0] * 5, False, 1), ([1.0] * 6, True, 0)],
)
def test_it_is_kept_where_that_is_due_and_something_of_it_would_go_on(tmp_path, losses, stopping, kept):
    trial = trained(losses)
    trial.keep(report(len(losses), losses), Checkpoints(tmp_path, every=5, seconds=0), stopping=stopping)
    assert len(list(tmp_path.glob("*"))) == kept
