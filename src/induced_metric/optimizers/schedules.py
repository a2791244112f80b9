r"""Learning-rate schedules: the rate as a function of the steps done, :math:`\eta(t)`.

Every argument may be traced, so that a search over a schedule's numbers compiles once. Lengths are fractions
of the run and rates are fractions of the peak, so a setting keeps its meaning when the run gets longer.
"""

import jax
import jax.numpy as jnp
import optax

from induced_metric.optimizers._arguments import Scalar, check_non_negative, check_positive, check_share


def _check(learning_rate: Scalar, steps: Scalar, **shares: Scalar) -> None:
    check_non_negative(learning_rate=learning_rate)
    check_positive(steps=steps)
    check_share(**shares)


def _done(count: Scalar, begin: Scalar, end: Scalar) -> jax.Array:
    """The fraction of a phase that is over: below 0 before it begins, above 1 after it ends."""
    # An empty phase must not divide by zero, even if the result is not used: gradients would be NaN.
    return (count - begin) / jnp.where(end > begin, end - begin, 1)


# optax compares the number of steps with zero, which fails for a traced number. So its schedules are made
# for one step and called with the fraction of the phase that is over, which gives the same curve.
def _cosine(peak: Scalar, final: Scalar) -> optax.Schedule:
    return optax.cosine_decay_schedule(peak, 1, alpha=final)


def _linear(peak: Scalar, final: Scalar) -> optax.Schedule:
    return optax.linear_schedule(peak, final * peak, 1)


def constant(learning_rate: Scalar, steps: Scalar) -> optax.Schedule:
    r"""The same rate at every step, :math:`\eta(t) = \eta`.

    Args:
        learning_rate: η >= 0.
        steps: number of steps of the whole run, T > 0; has no effect.

    Raises:
        ValueError: for a number outside its range.
    """
    _check(learning_rate, steps)
    return optax.constant_schedule(learning_rate)


def cosine(learning_rate: Scalar, steps: Scalar, *, final: Scalar) -> optax.Schedule:
    r"""Half a cosine over the whole run, :math:`\eta(t) = \eta\,(q + (1 - q)(1 + \cos \pi t / T) / 2)`.

    Args:
        learning_rate: η >= 0, the rate of the first step.
        steps: number of steps of the whole run, T > 0.
        final: q in [0, 1], the rate at the end as a fraction of η.

    Raises:
        ValueError: for a number outside its range.

    Example:
        >>> from induced_metric.optimizers import schedules
        >>> schedule = schedules.cosine(0.4, steps=100, final=0.5)
        >>> [round(float(schedule(step)), 4) for step in (0, 50, 100)]
        [0.4, 0.3, 0.2]

    References:
        Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.
    """
    _check(learning_rate, steps, final=final)
    fall = _cosine(learning_rate, final)
    return lambda count: fall(_done(count, 0, steps))


def warmup_cosine(learning_rate: Scalar, steps: Scalar, *, warmup: Scalar, final: Scalar) -> optax.Schedule:
    r"""From 0 to the peak in a straight line, then half a cosine.

    .. math::
        \eta(t) = \eta \cdot \begin{cases}
            t / (w T) & t < w T \\
            q + (1 - q)\big(1 + \cos \pi \frac{t - w T}{T - w T}\big) / 2 & w T \le t
        \end{cases}

    The rate of the first step is 0 if there is a warm-up, as in ``optax.warmup_cosine_decay_schedule``.

    Args:
        learning_rate: η >= 0, the peak.
        steps: number of steps of the whole run, T > 0.
        warmup: w in [0, 1], the fraction of the run before the peak; 0 is ``cosine``.
        final: q in [0, 1], the rate at the end as a fraction of η.

    Raises:
        ValueError: for a number outside its range.
    """
    _check(learning_rate, steps, warmup=warmup, final=final)
    peak_at, fall = warmup * steps, _cosine(learning_rate, final)

    def schedule(count: Scalar) -> jax.Array:
        rise = learning_rate * _done(count, 0, peak_at)
        return jnp.where(count < peak_at, rise, fall(_done(count, peak_at, steps)))

    return schedule


def linear(learning_rate: Scalar, steps: Scalar, *, final: Scalar) -> optax.Schedule:
    r"""A straight line over the whole run, :math:`\eta(t) = \eta\,(1 - (1 - q)\,t / T)`.

    For a line after a warm-up, use ``wsd`` with ``warmup`` and ``decay`` that add up to 1.

    Args:
        learning_rate: η >= 0, the rate of the first step.
        steps: number of steps of the whole run, T > 0.
        final: q in [0, 1], the rate at the end as a fraction of η.

    Raises:
        ValueError: for a number outside its range.
    """
    _check(learning_rate, steps, final=final)
    fall = _linear(learning_rate, final)
    return lambda count: fall(_done(count, 0, steps))


def wsd(
    learning_rate: Scalar, steps: Scalar, *, warmup: Scalar, decay: Scalar, final: Scalar
) -> optax.Schedule:
    r"""Warm-up, stable, decay: a straight line up, the peak for most of the run, a straight line down.

    .. math::
        \eta(t) = \eta \cdot \begin{cases}
            t / (w T) & t < w T \\
            1 & w T \le t < d_0 \\
            1 - (1 - q)(t - d_0) / (T - d_0) & d_0 \le t
        \end{cases}, \quad d_0 = \max(w T, (1 - d)\, T)

    If warm-up and decay overlap, the decay begins at the peak and is shortened.

    Args:
        learning_rate: η >= 0, the peak.
        steps: number of steps of the whole run, T > 0.
        warmup: w in [0, 1], the fraction of the run before the peak; if > 0, the rate of the first step is 0.
        decay: d in [0, 1], the fraction of the run in which the rate decays; 0 means no decay.
        final: q in [0, 1], the rate at the end as a fraction of η.

    Raises:
        ValueError: for a number outside its range.

    Example:
        >>> from induced_metric.optimizers import schedules
        >>> schedule = schedules.wsd(1.0, steps=100, warmup=0.1, decay=0.2, final=0.0)
        >>> [round(float(schedule(step)), 4) for step in (0, 5, 10, 80, 90, 100)]
        [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]

    References:
        Hu et al., MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training
        Strategies, 2024.
    """
    _check(learning_rate, steps, warmup=warmup, decay=decay, final=final)
    peak_at, fall = warmup * steps, _linear(learning_rate, final)
    decay_from = jnp.maximum(peak_at, (1 - decay) * steps)

    def schedule(count: Scalar) -> jax.Array:
        rise = learning_rate * _done(count, 0, peak_at)
        return jnp.where(count < peak_at, rise, fall(_done(count, decay_from, steps)))

    return schedule
