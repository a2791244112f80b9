"""A refused call says why, and leaves the parameters and the whole state of the optimiser as they were."""

import itertools
import re

import pytest
from torch_families import TWINS, SGDLogMetric, SGDMetric, parameters, run, set_gradients, torch, values

pytestmark = pytest.mark.torch

EVERY_TWIN = pytest.mark.parametrize("name", TWINS)


class Unchanged:
    """Checks that its body raises and changes neither the parameters nor ``state_dict``."""

    def __init__(self, optimizer, error, match):
        self.optimizer, self.refused = optimizer, pytest.raises(error, match=match)

    def _all(self):
        params = [param for group in self.optimizer.param_groups for param in group["params"]]
        return repr((params, self.optimizer.state_dict()))

    def __enter__(self):
        self.before = self._all()
        self.refused.__enter__()

    def __exit__(self, *error):
        raised = self.refused.__exit__(*error)
        assert self._all() == self.before
        return raised


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        *itertools.product(TWINS, ["lr", "xi", "weight_decay"], [-1.0, float("nan")]),
        *itertools.product(TWINS, ["momentum", "beta"], [1.0]),
        ("sgd_rms", "beta_rms", 1.0),
        ("sgd_rms", "eps", 0.0),
    ],
)
def test_a_number_outside_its_range_is_refused(name, argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .*, got {value}"):
        TWINS[name](parameters(), **{argument: value})
    with pytest.raises(ValueError, match=f"{argument} must be"):
        TWINS[name]([{"params": parameters(), argument: value}])


@EVERY_TWIN
@pytest.mark.parametrize(("argument", "value"), [("lr", "0.1"), ("lr", None), ("xi", [0.1]), ("beta", "a")])
def test_what_is_no_number_is_refused(name, argument, value):
    sentence = re.escape(f"{argument} must be a number, got {value!r}")
    with pytest.raises(TypeError, match=sentence):
        TWINS[name](parameters(), **{argument: value})
    with pytest.raises(TypeError, match=sentence):
        TWINS[name]([{"params": parameters(), argument: value}])


def test_a_tensor_as_learning_rate_is_refused():
    with pytest.raises(TypeError, match="lr must be a number"):
        SGDMetric(parameters(), lr=torch.tensor(0.1))


def test_groups_that_share_a_metric_share_xi_and_beta():
    params = parameters()
    with pytest.raises(ValueError, match="per_group=True"):
        SGDMetric([{"params": params[:1]}, {"params": params[1:], "xi": 0.5}])
    optimizer = SGDMetric(params[:1])
    run(optimizer, params[:1], 2)
    with Unchanged(optimizer, ValueError, "per_group=True"):
        optimizer.add_param_group({"params": params[1:], "xi": 0.5})
    optimizer.add_param_group({"params": params[1:]})
    optimizer.param_groups[1]["beta"] = 0.5
    set_gradients(params, 2)
    with Unchanged(optimizer, ValueError, "one xi and beta"):
        optimizer.step()


@EVERY_TWIN
@pytest.mark.parametrize("kind", ["sparse", "complex"])
@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("per_group", [False, True])
def test_sparse_and_complex_gradients_are_refused(name, kind, steps, per_group):
    params = parameters()
    other = torch.nn.Parameter(torch.ones(4, 2, dtype=torch.complex64 if kind == "complex" else None))
    groups = [{"params": params}, {"params": [other]}]
    optimizer = TWINS[name](groups, per_group=per_group)
    run(optimizer, params, steps)
    set_gradients(params, steps)
    other.grad = torch.ones_like(other).to_sparse() if kind == "sparse" else torch.ones_like(other)
    with Unchanged(optimizer, RuntimeError, f"{TWINS[name].__name__} does not support {kind} gradients"):
        optimizer.step(loss=1.0)


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("per_group", [False, True])
@pytest.mark.parametrize(
    ("loss", "error", "match"),
    [
        (None, ValueError, r"SGDLogMetric needs the loss: call step\(closure\) or step\(loss=loss\)"),
        (torch.ones(3), ValueError, r"one number, got a tensor of shape \(3,\)"),
        ([1.0], TypeError, "list"),
    ],
)
def test_the_log_form_refuses_what_is_no_loss(steps, per_group, loss, error, match):
    params = parameters()
    groups = [{"params": params[:1], "lr": 0.0}, {"params": params[1:]}]
    optimizer = SGDLogMetric(groups, per_group=per_group)
    run(optimizer, params, steps)
    set_gradients(params, steps)
    with Unchanged(optimizer, error, match):
        optimizer.step(loss=loss)
    with Unchanged(optimizer, error, match):
        optimizer.step(lambda: loss)


def test_the_log_form_needs_no_loss_where_every_learning_rate_is_zero():
    params = parameters()
    optimizer = SGDLogMetric([{"params": params[:1]}, {"params": params[1:]}], lr=0.0, weight_decay=0.1)
    before = values(params)
    set_gradients(params, 0)
    optimizer.step(closure=None)
    torch.testing.assert_close(values(params), before, rtol=0, atol=0)
