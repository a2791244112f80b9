"""What XLA is given for a GPU: lanes in batched products, no loop but those of steps, data once.

No GPU is needed to lower for one. What it then computes in which time, these tests do not know.
"""

import re
from collections import Counter

import jax
import pytest

import induced_metric
from induced_metric.lanes.placement import Placement
from induced_metric.training.program import TrialProgram

pytestmark = pytest.mark.slow

LANES = 7  # no other dimension of these tasks has this size
RMS = {
    "learning_rate": 0.01, "momentum": 0.9, "xi": 0.01, "beta": 0.8, "beta_rms": 0.99, "weight_decay": 1e-4,
    "eps": 1e-8,
}  # fmt: skip
MUON = {
    "learning_rate": 0.01, "beta": 0.9, "adam_b1": 0.9, "adam_b2": 0.99, "weight_decay": 1e-4, "eps": 1e-8,
}  # fmt: skip
TYPES = {"float32": "f32", "uint8": "ui8"}  # of the data
OPTIMIZERS = {"sgd_rms": RMS, "muon": MUON}
# Every loop: over the epochs of a dispatch, over the steps of an epoch, and over the batches of each split
# that is evaluated.
SMALL = {
    "regression": ({"widths": (4, 4, 1)}, 2 + 2),
    "mnist": ({"widths": (16, 16, 10)}, 2 + 2),
    # Two pieces of queries; on a GPU a batch is in one part.
    "shakespeare": ({"context": 80, "batch_size": 8, "micro_batch": None, "evaluated_sequences": 4}, 2 + 1),
}


def lowered(task, optimizer="sgd_rms", layout="vmap"):
    """The program of a dispatch of ``LANES`` lanes, for a GPU; ``eps`` is static so that nothing compiles."""
    program = TrialProgram(task, getattr(induced_metric, optimizer), OPTIMIZERS[optimizer], static=["eps"])
    with program.lanes(Placement(layout=layout, width=LANES)) as lanes:
        return lanes._variants[(1e-8,)].lowered("cuda")


def operations(text, name):
    """The types of each operation of a name: those of its operands and of its result."""
    lines = re.findall(rf'^.*"?stablehlo\.{name}"?\(?.* : \((.*)\) -> (.*)$', text, re.MULTILINE)
    return [
        ([*re.findall(r"tensor<(.*?)>", given)], *re.findall(r"tensor<(.*?)>", made)) for given, made in lines
    ]


def of_lanes(kind):
    return f"x{kind}".count(f"x{LANES}x") == 1


@pytest.fixture(params=SMALL)
def vmapped(request, build):
    settings, loops = SMALL[request.param]
    task = build(request.param, **settings)
    return request.param, task, lowered(task), loops


def test_there_is_no_loop_over_lanes_examples_or_heads(vmapped):
    name, _, text, loops = vmapped
    assert len(re.findall(r"stablehlo\.while", text)) == loops, name


def test_every_product_is_one_of_all_lanes(vmapped):
    _, _, text, _ = vmapped
    products = operations(text, "dot_general")
    assert len(products) >= 8
    for operands, result in products:
        # A batch that all lanes read, such as one of an evaluation, is multiplied by all of their weights.
        assert any(of_lanes(kind) for kind in operands), (operands, result)
        assert of_lanes(result), (operands, result)
    gradients = [operands for operands, _ in products if all(of_lanes(kind) for kind in operands)]
    assert all(kind.startswith(f"{LANES}x") for operands in gradients for kind in operands)
    assert len(gradients) == len(re.findall(rf"dot_general.*batching_dims = \[0.*tensor<{LANES}x", text))


def test_data_lies_there_once_and_every_batch_is_one_gather(vmapped):
    name, task, text, _ = vmapped
    for array in jax.tree.leaves(task.splits["train"]):
        shape = "x".join(map(str, array.shape))
        assert f"{LANES}x{shape}x{TYPES[str(array.dtype)]}" not in text, name
        inside = "x".join(map(str, array.shape[1:]))
        batch = "x".join(filter(None, [str(LANES), str(task.batch_size), inside]))
        gathers = [
            (operands[0], made)
            for operands, made in operations(text, "gather")
            if operands[0].rpartition("x")[0] == shape and made.rpartition("x")[0] == batch
        ]
        assert len(gathers) == 1, (name, shape)


def test_nothing_is_scattered_and_what_is_sorted_is_an_order_of_examples(vmapped):
    """A scatter is a race of additions, or where it has to be deterministic a loop."""
    name, _, text, _ = vmapped
    assert "scatter" not in text, name
    # The order drawn before the first epoch, and which sequences are evaluated.
    orders = {"regression": 1, "mnist": 1, "shakespeare": 2}
    assert len(re.findall(r'stablehlo\.sort"', text)) == orders[name]


def test_nothing_calls_the_host(vmapped):
    _, _, text, _ = vmapped
    assert "callback" not in text
    assert not re.findall(r"stablehlo\.(infeed|outfeed|send|recv)", text)
    assert set(re.findall(r"custom_call @(\w+)", text)) <= {"Sharding"}


def test_the_newton_schulz_steps_of_muon_are_of_all_lanes(build):
    settings, loops = SMALL["mnist"]
    text = lowered(build("mnist", **settings), "muon")
    assert len(re.findall(r"stablehlo\.while", text)) <= loops + 3  # one for each shape of matrix
    assert all(of_lanes(made) for _, made in operations(text, "dot_general"))


def convolutions(text):
    """How many there are, by the number of their groups: of features, and of examples."""
    lines = re.findall(r"stablehlo\.convolution.*", text)
    return Counter(
        tuple(
            int(re.search(rf"{name} = (\d+)", line)[1])
            for name in ("feature_group_count", "batch_group_count")
        )
        for line in lines
    )


def test_mapped_convolutions_take_a_whole_batch_and_have_no_groups(build):
    """Vmapped they are grouped, and slow (jax#26568, #13800): so a residual network is mapped."""
    task = build("cifar10", eval_splits=["test"])
    mapped, grouped = lowered(task, layout="map"), lowered(task, layout="vmap")
    # One loop more than above: over the lanes.
    assert len(re.findall(r"stablehlo\.while", mapped)) == 4
    assert set(convolutions(mapped)) == {(1, 1)}
    assert f"{LANES}x50x32x32x3x" not in mapped
    assert {groups for groups in convolutions(grouped) if groups != (1, 1)} <= {(LANES, 1), (1, LANES)}
    assert len(convolutions(grouped)) > 1
    assert "callback" not in mapped
