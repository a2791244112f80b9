"""The twins, and problems to run them on. Importing this skips the module where PyTorch is absent."""

import copy
import io

import pytest

# With a version, so that this very directory, on the path as a namespace, does not pass for PyTorch.
torch = pytest.importorskip("torch", minversion="2.6")

from induced_metric.torch import SGDRMS, SGDLogMetric, SGDMetric  # noqa: E402  # needs PyTorch

TWINS = {"sgd_metric": SGDMetric, "sgd_log_metric": SGDLogMetric, "sgd_rms": SGDRMS}


def parameters(dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 2), (2,), ()]
    return [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype)) for shape in shapes]


def set_gradients(params, seed):
    generator = torch.Generator().manual_seed(seed)
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator, dtype=param.dtype)


def values(params):
    return [param.detach().clone() for param in params]


def take_over(twin, other, optimizer, params, *, through):
    """Gives a twin the values of other parameters and the state of their optimizer, perhaps from a file."""
    for target, source in zip(other, params, strict=True):
        target.data.copy_(source.data)
    state = copy.deepcopy(optimizer.state_dict())
    if through == "file":
        buffer = io.BytesIO()
        torch.save(state, buffer)
        buffer.seek(0)
        state = torch.load(buffer, weights_only=True)
    twin.load_state_dict(state)


def run(optimizer, params, steps, start=0, loss=1.5):
    for step in range(start, start + steps):
        set_gradients(params, step)
        optimizer.step(loss=loss)
    return values(params)
