"""Checkpoints keep a trial bit for bit, and only its newest state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from induced_metric.errors import UserError
from induced_metric.training.checkpoints import Checkpoints

PARAMS = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.zeros(3, np.float32)}


def state(scale=1.0):
    params = jax.tree.map(lambda leaf: leaf * np.float32(scale), PARAMS)
    return jax.device_get(
        {
            "params": params,
            "optimizer": optax.adam(1e-3).init(params),
            "seed": np.uint32(2**32 - 1),
            "order": np.zeros(0, np.int32),
            "nothing": {},
        }
    )


def curve(steps):
    return {"seconds": np.linspace(0, 1, steps), "test/loss": np.arange(steps, dtype=np.float32)}


@given(scale=st.floats(-1e6, 1e6, width=32), steps=st.integers(1, 30))
@settings(deadline=None, max_examples=5)
def test_a_checkpoint_is_the_state_and_the_curve(tmp_path_factory, scale, steps):
    checkpoints = Checkpoints(tmp_path_factory.mktemp("checkpoints"))
    checkpoints.save(7, state(scale), curve(steps))
    loaded = checkpoints.load(7, jax.eval_shape(lambda: jax.tree.map(jnp.asarray, state())))
    assert loaded.done == steps
    assert jax.tree.structure(loaded.state) == jax.tree.structure(state())
    jax.tree.map(np.testing.assert_array_equal, loaded.state, state(scale))
    assert loaded.curve.keys() == curve(steps).keys()
    for name, values in curve(steps).items():
        np.testing.assert_array_equal(loaded.curve[name], values)
        assert loaded.curve[name].dtype == values.dtype


def test_types_that_numpy_has_not_are_kept(tmp_path):
    kept = {"half": np.asarray(jnp.asarray([1.5, -2.0, 3e38], jnp.bfloat16)), "flag": np.array([True, False])}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(0, kept, curve(2))
    loaded = checkpoints.load(0, kept).state
    jax.tree.map(np.testing.assert_array_equal, loaded, kept)
    assert loaded["half"].dtype == jnp.bfloat16


def test_only_the_newest_is_kept_and_trials_do_not_meet(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for steps in (3, 9, 12):
        checkpoints.save(0, state(steps), curve(steps))
    checkpoints.save(1, state(5), curve(5))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")) == ["0/12.npz", "1/5.npz"]
    assert checkpoints.load(0, state()).state["params"]["kernel"][0, 1] == 12
    checkpoints.remove(0)
    assert checkpoints.load(0, state()) is None
    assert checkpoints.load(1, state()).done == 5


def test_a_trial_goes_on_only_with_the_program_that_began_it(tmp_path):
    of_a, of_b = (Checkpoints(tmp_path).of({"program": name, "device": "cpu"}) for name in "ab")
    of_a.save("x", state(), curve(4))
    assert of_a.load("x", state()).done == 4
    of_a.save("y", state(), curve(4))
    with pytest.warns(
        UserWarning, match=r"/x/4\.npz was made by other code, .* a trial starts again"
    ) as warned:
        found = [of_b.load(trial, state()) for trial in "xy"]
    assert found == [None, None]
    assert len(warned) == 1
    # Another process may have left an older one that is of this code.
    of_b.save("x", state(), curve(2), claim="b")
    assert of_b.load("x", state()).done == 2
    # Without a digest, or traced for another device, nothing is known.
    for provenance in ({}, {"program": "b", "device": "gpu"}):
        assert Checkpoints(tmp_path).of(provenance).load("x", state()).done == 4


def test_an_unfinished_checkpoint_does_not_count(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(0, state(), curve(4))
    (tmp_path / "0" / "8.tmp").write_bytes(b"half")
    assert checkpoints.load(0, state()).done == 4


def test_not_due_again_before_some_seconds_have_passed(tmp_path):
    now = 100.0
    checkpoints = Checkpoints(tmp_path, every=1, seconds=60, clock=lambda: now)
    # Epochs of 50 ms: nothing for a minute, neither at first nor after a checkpoint.
    assert [done for done in range(1, 5) if checkpoints.due(done, 1, "a")] == []
    now += 59
    assert not checkpoints.due(5, 1, "a")
    assert not checkpoints.due(1, 1, "b")
    now += 1
    assert checkpoints.due(6, 1, "a")
    assert not checkpoints.due(2, 1, "b")  # of every trial by itself
    checkpoints.save("a", state(), curve(6))
    assert not checkpoints.due(7, 1, "a")
    now += 60
    assert checkpoints.due(8, 1, "a")
    assert checkpoints.due(3, 1, "b")
    with pytest.raises(ValueError, match="checkpoint_seconds must be >= 0"):
        Checkpoints(tmp_path, seconds=-1)


def test_a_trial_is_held_by_one_and_let_go_of_whatever_happens(tmp_path):
    one, other = Checkpoints(tmp_path), Checkpoints(tmp_path)
    with one.exclusive("a"):
        with pytest.raises(UserError, match=r"another process is training this very trial.*a.lock"):
            other.exclusive("a").__enter__()
        with other.exclusive("b"):
            assert one.names() == set()
    with pytest.raises(ZeroDivisionError), other.exclusive("a"):
        _ = 1 / 0
    with one.exclusive("a"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_due_at_the_multiples_however_long_a_dispatch(tmp_path):
    checkpoints = Checkpoints(tmp_path, every=10)
    assert [done for done in range(1, 31) if checkpoints.due(done, 1, "a")] == [10, 20, 30]
    assert [done for done in range(7, 60, 7) if checkpoints.due(done, 7, "a")] == [14, 21, 35, 42, 56]
    assert not Checkpoints(tmp_path).due(10, 10, "a")
    with pytest.raises(ValueError, match="checkpoint_every must be >= 0"):
        Checkpoints(tmp_path, every=-1)
