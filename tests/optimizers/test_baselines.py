"""What the baselines add to optax's functions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from families import loss, parameters

from induced_metric.optimizers import Betas, adam, adamw, muon, sgd, sgd_clipped


def second_update(optimizer):
    """The update after one with the same gradients, ten times as large."""
    params = parameters()
    grads = jax.grad(loss)(params)
    _, state = optimizer.update(jax.tree.map(lambda g: 10 * g, grads), optimizer.init(params), params)
    return optimizer.update(grads, state, params)[0]


def assert_close(left, right):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), left, right)


def test_clipped_sgd_adds_gradients_of_a_bounded_norm_and_is_sgd_where_none_is_clipped():
    assert_close(second_update(sgd_clipped(0.1, 0.5, 1e6)), second_update(sgd(0.1, 0.5)))
    assert float(optax.tree.norm(second_update(sgd_clipped(0.1, 0.5, 2.0)))) == pytest.approx(
        0.1 * (0.5 * 2.0 + 2.0), rel=1e-5
    )
    with pytest.raises(ValueError, match="max_norm must be > 0"):
        sgd_clipped(0.1, max_norm=0.0)


@pytest.mark.parametrize("create", [sgd, adam, adamw, muon])
def test_what_is_no_learning_rate_is_refused(create):
    for rate in (None, "0.1"):
        with pytest.raises(TypeError, match=f"number, an array scalar or a schedule, got {rate!r}"):
            create(rate)


def test_muon_has_the_variants_of_optax():
    plain = second_update(muon(0.1))
    assert_close(plain, second_update(optax.contrib.muon(0.1)))
    for variant in ({"adaptive": True}, {"consistent_rms": 0.2}):
        found = second_update(muon(0.1, **variant))
        assert_close(found, second_update(optax.contrib.muon(0.1, **variant)))
        assert not jnp.allclose(found["kernel"], plain["kernel"], rtol=1e-3)


def test_a_pair_of_decays_is_the_tuple_that_optax_takes():
    b1, b2 = Betas(b1=0.8, b2=0.99)
    assert (b1, b2) == Betas(0.8, 0.99) == (0.8, 0.99)
