import jax
import jax.numpy as jnp
import numpy as np
import pytest

from induced_metric.optimizers import (
    adamw_metric,
    as_embedding,
    identity,
    log,
    named_embedding,
    power,
    sgd_log_metric,
    sgd_metric,
    shifted_log,
    softplus,
    sqrt,
)
from induced_metric.optimizers.embeddings import metric_scale

NAMED = {
    "identity": identity,
    "log": log,
    "sqrt": sqrt,
    "softplus": softplus,
    "power": power(2.5),
    "shifted_log": shifted_log(0.5),
}
LOSSES = jnp.array([1e-3, 0.4, 1.0, 7.0, 300.0])


@pytest.mark.parametrize("name", NAMED)
def test_slope_is_the_derivative_of_the_height(name):
    embedding = NAMED[name]
    np.testing.assert_allclose(
        jax.vmap(embedding.slope)(LOSSES), jax.vmap(jax.grad(embedding.height))(LOSSES), rtol=1e-5
    )


@pytest.mark.parametrize("name", NAMED)
def test_a_function_gives_the_same_embedding_as_its_name(name):
    embedding = as_embedding(NAMED[name].height)
    assert embedding.needs_value
    np.testing.assert_allclose(
        jax.vmap(embedding.slope)(LOSSES), jax.vmap(NAMED[name].slope)(LOSSES), rtol=1e-5
    )


@pytest.mark.parametrize(("exponent", "same"), [(1.0, identity), (0.5, sqrt)])
def test_power_includes_its_special_cases(exponent, same):
    np.testing.assert_allclose(power(exponent).slope(LOSSES), same.slope(LOSSES), rtol=1e-6)


def test_a_shifted_log_lies_between_the_log_and_the_identity():
    np.testing.assert_allclose(shifted_log(0.0).slope(LOSSES), log.slope(LOSSES), rtol=1e-6)
    far = 1e6
    np.testing.assert_allclose(far * shifted_log(far).slope(LOSSES), identity.slope(LOSSES), rtol=1e-3)
    with pytest.raises(ValueError, match="offset must be >= 0"):
        shifted_log(-1.0)


@pytest.mark.parametrize(("embedding", "same"), [(log, sgd_log_metric), (identity, sgd_metric)])
def test_sgd_metric_takes_an_embedding(embedding, same):
    grads, loss = jnp.array([1.0, -2.0]), jnp.array(0.3)
    ours, theirs = sgd_metric(0.1, xi=0.5, embedding=embedding), same(0.1, xi=0.5)
    np.testing.assert_allclose(
        ours.update(grads, ours.init(grads), value=loss)[0],
        theirs.update(grads, theirs.init(grads), value=loss)[0],
        rtol=1e-6,
    )


def test_exponent_may_be_traced():
    slope = jax.jit(lambda p: power(p).slope(jnp.array(3.0)))(2.0)
    assert float(slope) == pytest.approx(6.0)


def test_an_optimizer_takes_a_traced_exponent_a_trial():
    def update(p):
        optimizer = adamw_metric(0.1, xi=0.5, weight_decay=0.0, embedding=power(p))
        grads = jnp.array([1.0, -2.0])
        return optimizer.update(grads, optimizer.init(grads), value=jnp.array(0.3))[0]

    exponents = [0.25, 0.5, 1.0, 2.0]
    mapped = jax.jit(jax.vmap(update))(jnp.array(exponents))
    np.testing.assert_allclose(mapped, [update(p) for p in exponents], rtol=1e-6)
    assert len(np.unique(mapped[:, 0])) == len(exponents)


@pytest.mark.parametrize("name", [name for name in NAMED if name not in ("power", "shifted_log")])
def test_a_ready_made_embedding_can_be_had_by_its_name(name):
    assert named_embedding(name) is NAMED[name]


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"one of identity, log, sqrt, softplus, got 'exp'"):
        named_embedding("exp")


@pytest.mark.parametrize("exponent", [0.0, -1.0, float("nan")])
def test_power_refuses_an_exponent_that_does_not_increase(exponent):
    with pytest.raises(ValueError, match="p must be > 0"):
        power(exponent)


def test_a_name_is_no_embedding():
    with pytest.raises(
        TypeError, match=r"embedding must be identity, log, .* shifted_log\(c\) or .*, got 'log'"
    ):
        as_embedding("log")


@pytest.mark.parametrize("make", [power, shifted_log, named_embedding])
def test_what_makes_an_embedding_is_none(make):
    with pytest.raises(TypeError, match=f"embedding must be .*, got {make.__name__} without its argument"):
        as_embedding(make)


@pytest.mark.parametrize(("slope", "norm"), [(1.0, 0.0), (0.5, 3.0), (20.0, 0.1), (-2.0, 1.0)])
def test_metric_scale_is_the_formula_of_the_paper(slope, norm):
    expected = slope / (1 + slope**2 * norm)
    assert float(metric_scale(jnp.asarray(slope), jnp.asarray(norm))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", [1e-30, 1e-20, 1e20, 1e30])
def test_metric_scale_of_the_log_form_holds_at_any_magnitude_of_the_loss(loss):
    # L / (L² + v) with v = L: L² alone would be zero or infinite in float32.
    scale = metric_scale(log.slope(jnp.asarray(loss)), jnp.asarray(loss))
    assert float(scale) == pytest.approx(1 / (loss + 1), rel=1e-5)


@pytest.mark.parametrize("norm", [0.0, 1e-30, 1.0])
def test_nothing_moves_at_a_loss_of_exactly_zero(norm):
    assert float(metric_scale(log.slope(jnp.asarray(0.0)), jnp.asarray(norm))) == 0
    assert float(metric_scale(sqrt.slope(jnp.asarray(0.0)), jnp.asarray(norm))) == 0


def test_a_loss_that_is_not_a_number_is_not_hidden():
    assert jnp.isnan(metric_scale(log.slope(jnp.asarray(jnp.nan)), jnp.asarray(1.0)))
