"""What PyTorch's users expect of any ``torch.optim.Optimizer``."""

import subprocess
import sys

import numpy as np
import pytest
from torch_families import SGDRMS, TWINS, SGDMetric, parameters, run, set_gradients, torch, values

pytestmark = pytest.mark.torch

EVERY_TWIN = pytest.mark.parametrize("name", TWINS)


def test_importing_the_twins_does_not_import_jax():
    script = "import sys, induced_metric.torch; assert not {'jax', 'optax', 'jaxlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@EVERY_TWIN
def test_training_with_two_groups_and_a_scheduler(name):
    torch.manual_seed(0)
    rate = 0.02 if name == "sgd_rms" else 0.3
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 1))
    groups = [
        {"params": model[0].parameters(), "lr": rate / 2},
        {"params": model[2].parameters(), "weight_decay": 1e-3},
    ]
    optimizer = TWINS[name](groups, lr=rate, xi=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=60)
    x = torch.randn(64, 4)
    y, losses = x.prod(1, keepdim=True).sin(), []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimizer.step(loss=loss)
        scheduler.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-6)


@EVERY_TWIN
def test_closure_gives_the_loss_and_is_returned(name):
    param = torch.nn.Parameter(torch.tensor([2.0, -1.0]))
    optimizer = TWINS[name]([param], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = param.square().sum()
        loss.backward()
        return loss

    returned = optimizer.step(closure)
    given = [{"loss": 5.0}, {"closure": lambda: torch.tensor(5.0)}]
    others = [torch.nn.Parameter(torch.tensor([2.0, -1.0])) for _ in given]
    for other, arguments in zip(others, given, strict=True):
        other.grad = torch.tensor([4.0, -2.0])
        TWINS[name]([other], lr=0.1).step(**arguments)
    assert float(returned.detach()) == 5.0
    torch.testing.assert_close(others, [param, param])


@EVERY_TWIN
def test_one_metric_spans_all_groups(name):
    params, other = parameters(), parameters()
    grouped = TWINS[name]([{"params": params[:1]}, {"params": params[1:]}], lr=0.1)
    expected = run(TWINS[name](other, lr=0.1), other, 3)
    torch.testing.assert_close(run(grouped, params, 3), expected, rtol=1e-5, atol=1e-6)
    assert len({float(group["metric"]) for group in grouped.param_groups}) == 1


@EVERY_TWIN
def test_per_group_gives_every_group_its_own_metric(name):
    params, other = parameters(), parameters()
    grouped = TWINS[name]([{"params": params[:1]}, {"params": params[1:], "xi": 0.5}], lr=0.1, per_group=True)
    apart = [TWINS[name](other[:1], lr=0.1), TWINS[name](other[1:], lr=0.1, xi=0.5)]
    for step in range(3):
        set_gradients(params, step)
        set_gradients(other, step)
        grouped.step(loss=1.5)
        for optimizer in apart:
            optimizer.step(loss=1.5)
    torch.testing.assert_close(values(params), values(other), rtol=1e-5, atol=1e-6)


@EVERY_TWIN
def test_hyperparameters_of_a_group_are_its_own(name):
    params, other = parameters(), parameters()
    grouped = TWINS[name](
        [{"params": params[:1], "lr": 0.0}, {"params": params[1:]}], lr=0.1, weight_decay=0.1
    )
    whole = TWINS[name](other, lr=0.1, weight_decay=0.1)
    start = values(params)
    actual, expected = run(grouped, params, 1), run(whole, other, 1)
    torch.testing.assert_close(actual[0], start[0], rtol=0, atol=0)
    torch.testing.assert_close(actual[1:], expected[1:])


@EVERY_TWIN
def test_groups_can_be_added_and_parameters_may_lack_gradients(name):
    params = parameters()
    optimizer = TWINS[name](params[:1], lr=0.1)
    run(optimizer, params[:1], 3)
    optimizer.add_param_group({"params": params[1:], "lr": 0.01})
    before = values(params)
    set_gradients(params, 5)
    params[2].grad = None
    optimizer.step(loss=1.5)
    moved = [not torch.equal(a, b) for a, b in zip(values(params), before, strict=True)]
    assert moved == [True, True, False]
    # A later parameter corrects its own bias: its first step is that of a first step.
    assert optimizer.state[params[1]]["step"] == 1
    assert optimizer.state[params[0]]["step"] == 4
    assert params[2] not in optimizer.state


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.asarray])
def test_a_number_may_be_one_of_numpy(kind):
    params, other = parameters(), parameters()
    found = run(SGDMetric(params, lr=kind(0.5), weight_decay=kind(0.25)), params, 2)
    torch.testing.assert_close(found, run(SGDMetric(other, lr=0.5, weight_decay=0.25), other, 2))


@EVERY_TWIN
def test_grad_scaler_steps_unscales_and_skips_infinities(name):
    params, other = parameters(), parameters()
    optimizer, plain = TWINS[name](params, lr=0.1), TWINS[name](other, lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)

    def loss_of(params):
        return sum(param.square().sum() for param in params)

    loss = loss_of(params)
    scaler.scale(loss).backward()
    scaler.step(optimizer, loss=loss)
    scaler.update()
    other_loss = loss_of(other)
    other_loss.backward()
    plain.step(loss=other_loss)
    torch.testing.assert_close(values(params), values(other), rtol=1e-5, atol=1e-6)

    before = values(params)
    params[0].grad.fill_(torch.inf)
    scaler.scale(loss_of(params)).backward()
    scaler.step(optimizer, loss=1.0)
    scaler.update()
    torch.testing.assert_close(values(params), before)
    assert scaler.get_scale() == 2.0**7


@EVERY_TWIN
def test_step_never_reads_a_tensor_on_the_host(name):
    """On the meta device, tensors have no values: reading one, which on a GPU would wait, is an error."""
    params = [torch.nn.Parameter(torch.zeros(shape, device="meta")) for shape in [(3, 2), (2,)]]
    optimizer = TWINS[name](params, lr=0.1, weight_decay=0.1)
    for _ in range(3):
        for param in params:
            param.grad = torch.zeros_like(param)
        optimizer.step(loss=torch.zeros((), device="meta"))
    assert optimizer.param_groups[0]["metric"].device.type == "meta"


@EVERY_TWIN
@pytest.mark.parametrize("loss", [0.0, 1.5])
def test_nothing_moves_at_a_gradient_of_zero(name, loss):
    params = parameters()
    for param in params:
        param.grad = torch.zeros_like(param)
    before = values(params)
    TWINS[name](params, lr=0.1).step(loss=loss)
    torch.testing.assert_close(values(params), before)


def test_the_log_form_stands_still_at_a_loss_of_zero():
    params = parameters()
    before = values(params)
    set_gradients(params, 0)
    TWINS["sgd_log_metric"](params, lr=0.1).step(loss=0.0)
    torch.testing.assert_close(values(params), before)


def test_one_huge_gradient_is_clipped_and_forgotten():
    param = torch.nn.Parameter(torch.zeros(2))
    optimizer = SGDMetric([param], lr=0.1, momentum=0.0, xi=0.01, beta=0.5)
    param.grad = torch.tensor([1e25, -1e25])
    optimizer.step()
    assert bool((param.detach().abs() < 1e-6).all())
    for _ in range(150):
        param.grad = torch.tensor([1.0, -1.0])
        optimizer.step()
    torch.testing.assert_close(float(optimizer.param_groups[0]["inverse_scale"]), 1.02, rtol=1e-3, atol=0.0)


def test_without_xi_a_huge_gradient_is_that_of_sgd():
    param = torch.nn.Parameter(torch.zeros(2))
    optimizer = SGDMetric([param], lr=0.1, momentum=0.0, xi=0.0)
    for grad in (torch.tensor([1e25, -1.0]), torch.tensor([1.0, -1.0])):
        param.data.zero_()
        param.grad = grad
        optimizer.step()
        torch.testing.assert_close(param.detach(), -0.1 * grad, rtol=1e-6, atol=0.0)


def test_no_gradients_at_all_are_no_step():
    params = parameters()
    optimizer = SGDRMS(params)
    optimizer.step()
    assert optimizer.param_groups[0]["metric_step"] == 0
    assert not optimizer.state
