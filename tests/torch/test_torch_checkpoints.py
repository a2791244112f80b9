"""Training continues as if uninterrupted from copies, files and ``torch.distributed.checkpoint``."""

import copy
import pickle

import pytest
from torch_families import TWINS, SGDMetric, parameters, run, take_over, torch

pytestmark = pytest.mark.torch

EVERY_TWIN = pytest.mark.parametrize("name", TWINS)


@EVERY_TWIN
@pytest.mark.parametrize("through", ["state_dict", "file", "pickle", "deepcopy"])
def test_training_continues_from_a_copy(name, through):
    params, other = parameters(), parameters()
    optimizer = TWINS[name]([{"params": params[:1]}, {"params": params[1:], "lr": 0.05}], lr=0.1)
    run(optimizer, params, 3)
    if through in ("pickle", "deepcopy"):
        pair = (params, optimizer)
        other, twin = copy.deepcopy(pair) if through == "deepcopy" else pickle.loads(pickle.dumps(pair))
    else:
        twin = TWINS[name]([{"params": other[:1]}, {"params": other[1:]}])
        take_over(twin, other, optimizer, params, through=through)
    torch.testing.assert_close(run(twin, other, 3, start=3), run(optimizer, params, 3, start=3))


def test_heavy_ball_is_restored_and_absent_from_older_checkpoints():
    params, other = parameters(), parameters()
    groups = [{"params": params[:1], "heavy_ball": True}, {"params": params[1:]}]
    optimizer = SGDMetric(groups, lr=0.05)
    run(optimizer, params, 3)
    twin = SGDMetric([{"params": other[:1]}, {"params": other[1:]}])
    take_over(twin, other, optimizer, params, through="state_dict")
    torch.testing.assert_close(run(twin, other, 3, start=3), run(optimizer, params, 3, start=3))

    older = copy.deepcopy(optimizer.state_dict())
    for group in older["param_groups"]:
        del group["heavy_ball"]
    twin = SGDMetric([{"params": other[:1]}, {"params": other[1:]}], heavy_ball=True)
    twin.load_state_dict(older)
    assert [group["heavy_ball"] for group in twin.param_groups] == [False, False]
    run(twin, other, 1)


@EVERY_TWIN
@pytest.mark.parametrize("flat", [False, True])
def test_distributed_checkpoint_restores_a_fresh_optimizer(name, flat):
    """It creates the state that it then overwrites, by a step without a loss, at a learning rate of zero."""
    dcp = pytest.importorskip("torch.distributed.checkpoint.state_dict")
    options = dcp.StateDictOptions(flatten_optimizer_state_dict=flat)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    optimizer = TWINS[name](model.parameters(), lr=0.1, weight_decay=0.1)
    run(optimizer, list(model.parameters()), 3)
    saved = copy.deepcopy(dcp.get_optimizer_state_dict(model, optimizer, options=options))

    other = copy.deepcopy(model)
    twin = TWINS[name](other.parameters())
    before = list(map(torch.clone, other.parameters()))
    dcp.set_optimizer_state_dict(other, twin, saved, options=options)
    torch.testing.assert_close(list(other.parameters()), before, rtol=0, atol=0)
    expected = run(optimizer, list(model.parameters()), 3, start=3)
    torch.testing.assert_close(run(twin, list(other.parameters()), 3, start=3), expected, rtol=0, atol=0)
