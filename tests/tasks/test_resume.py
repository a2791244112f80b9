"""A trial that goes on from a checkpoint has the curve of one that never stopped."""

import jax
import numpy as np
import pytest

import induced_metric
from induced_metric.checkpoints import Checkpoints
from induced_metric.lanes import Assignment, Lanes
from induced_metric.training import init_trial, train_epoch

HYPERPARAMETERS = {"learning_rate": 0.01, "momentum": 0.9, "xi": 1e-3, "beta": 0.8, "weight_decay": 1e-3}


@pytest.mark.parametrize("shared_out", [False, True])
@pytest.mark.parametrize("name", ["mnist", "cifar10", "shakespeare"])
def test_a_resumed_trial_is_the_uninterrupted_one_bit_for_bit(build, tmp_path, name, shared_out):
    task = build(name, epochs=5)
    optimizer = induced_metric.sgd_rms
    everywhere = jax.NamedSharding(jax.sharding.Mesh(jax.devices(), "data"), jax.P())

    def run(checkpoints, *, stop_after=None):
        """The curve up to the end, or up to an epoch after which the process dies."""
        parts = []
        with Lanes(
            lambda h, seed, _: init_trial(task, optimizer, h, seed),
            lambda state, h, data: train_epoch(task, optimizer, state, h, data),
            hyperparameters=list(HYPERPARAMETERS),
            shared=(task.splits,),
            devices=[everywhere] if shared_out else jax.devices()[:1],
            lanes=1,
            queue=1,
            steps_per_dispatch=1,
        ) as lanes:
            assignment = Assignment(0, HYPERPARAMETERS, 7, task.epochs)
            if kept := checkpoints.load(0, lanes.state_shapes):
                parts.append(kept.curve)
                assignment = assignment._replace(done=kept.done, state=kept.state)
            waiting = [assignment]

            def tell(reports):
                (report,) = reports
                parts.append(dict(report.metrics))
                if checkpoints.due(report.steps, 1) and not report.finished:
                    checkpoints.save(0, report.state(), joined())
                return [report.steps != stop_after]

            def joined():
                return {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}

            lanes.run(lambda: waiting.pop() if waiting else None, tell)
            return joined()

    whole = run(Checkpoints(tmp_path / "whole"))
    interrupted = Checkpoints(tmp_path / "interrupted", every=2)
    run(interrupted, stop_after=3)  # one epoch after its checkpoint
    resumed = run(interrupted)
    assert len(whole[task.objective]) == 5
    assert resumed.keys() == whole.keys()
    for metric, values in whole.items():
        np.testing.assert_array_equal(resumed[metric], values)
