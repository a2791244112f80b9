r"""Functions of two variables with known minima, as data.

To add one, add an entry to ``LANDSCAPES``: the fair study, the figures, the page and the tests take every
function from there; the paper's grid has the paper's five only.

References:
    Harvey, The Optimiser Hidden in Plain Sight, Section 3.1 (the first five and their starts).
    Jamil and Yang, A literature survey of benchmark functions for global optimisation problems, 2013
    (definitions, domains and minima; Rastrigin: Mühlenbein, Schomisch and Born, 1991).
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

Point: TypeAlias = tuple[float, float]
NOTEBOOK = "notebook"  # name of each function's own tolerance; other tolerances hold for all functions


class Landscape(NamedTuple):
    """A function of two variables.

    Attributes:
        fn: (2,) -> (), differentiable almost everywhere.
        minimum: its least value.
        minima: all points where it is attained.
        start: the published start point; for functions that are not in the paper, one of our choice.
        domain: (low, high) of x and of y; random starts are uniform over it.
        tolerance: a run has converged if ``fn`` is less than this above ``minimum``; for the paper's five
            functions the value in its notebook (the text says 1e-10), for the rest 1e-6.
        published: whether the function is one of the paper's five.
    """

    fn: Callable[[jax.Array], jax.Array]
    minimum: float
    minima: tuple[Point, ...]
    start: Point
    domain: tuple[Point, Point]
    tolerance: float = 1e-6
    published: bool = False

    def tolerances(self, others: Mapping[str, float]) -> dict[str, float]:
        """The function's own tolerance and those that hold for all functions, by name."""
        return {NOTEBOOK: self.tolerance, **others}


def raised(landscape: Landscape, offset: float) -> Landscape:
    """The same function, higher by ``offset``: only an optimiser that uses the value of ``fn`` sees it."""
    return landscape._replace(
        fn=lambda theta: landscape.fn(theta) + offset, minimum=landscape.minimum + offset
    )


def beale(theta: jax.Array) -> jax.Array:
    r""":math:`(1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2`."""
    x, y = theta[0], theta[1]
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def rosenbrock(theta: jax.Array) -> jax.Array:
    r""":math:`(1 - x)^2 + 100\,(y - x^2)^2`: a curved valley with an almost flat floor."""
    x, y = theta[0], theta[1]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def himmelblau(theta: jax.Array) -> jax.Array:
    r""":math:`(x^2 + y - 11)^2 + (x + y^2 - 7)^2`: four minima, all global."""
    x, y = theta[0], theta[1]
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def ackley(theta: jax.Array) -> jax.Array:
    r""":math:`-20 e^{-0.2\sqrt{(x^2 + y^2)/2}} - e^{(\cos 2\pi x + \cos 2\pi y)/2} + 20 + e`.

    The minimum is a cusp: the gradient is undefined there, and 2.8 long however close to it.
    """
    radius = jnp.sqrt(0.5 * jnp.sum(theta**2))
    waves = 0.5 * jnp.sum(jnp.cos(2 * jnp.pi * theta))
    return -20 * jnp.exp(-0.2 * radius) - jnp.exp(waves) + 20 + math.e


def rastrigin(theta: jax.Array) -> jax.Array:
    r""":math:`20 + \sum_i (x_i^2 - 10 \cos 2\pi x_i)`: a local minimum near every integer point."""
    return 20 + jnp.sum(theta**2 - 10 * jnp.cos(2 * jnp.pi * theta))


def booth(theta: jax.Array) -> jax.Array:
    r""":math:`(x + 2y - 7)^2 + (2x + y - 5)^2`: quadratic, condition number 9."""
    x, y = theta[0], theta[1]
    return (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2


def matyas(theta: jax.Array) -> jax.Array:
    r""":math:`0.26\,(x^2 + y^2) - 0.48\,xy`: quadratic, condition number 25, very flat."""
    x, y = theta[0], theta[1]
    return 0.26 * (x**2 + y**2) - 0.48 * x * y


def three_hump_camel(theta: jax.Array) -> jax.Array:
    r""":math:`2x^2 - 1.05x^4 + x^6/6 + xy + y^2`: two local minima beside the global one."""
    x, y = theta[0], theta[1]
    return 2 * x**2 - 1.05 * x**4 + x**6 / 6 + x * y + y**2


def goldstein_price(theta: jax.Array) -> jax.Array:
    r"""Goldstein and Price's polynomial of degree eight; its minimum is 3, its values reach a million.

    .. math:: [1 + (x + y + 1)^2 (19 - 14x + 3x^2 - 14y + 6xy + 3y^2)]\,
        [30 + (2x - 3y)^2 (18 - 32x + 12x^2 + 48y - 36xy + 27y^2)]
    """
    x, y = theta[0], theta[1]
    first = 19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2
    second = 18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2
    return (1 + (x + y + 1) ** 2 * first) * (30 + (2 * x - 3 * y) ** 2 * second)


def griewank(theta: jax.Array) -> jax.Array:
    r""":math:`1 + (x^2 + y^2)/4000 - \cos x \cos(y/\sqrt 2)`: ripples on a wide bowl."""
    x, y = theta[0], theta[1]
    return 1 + (x**2 + y**2) / 4000 - jnp.cos(x) * jnp.cos(y / math.sqrt(2))


def freudenstein_roth(theta: jax.Array) -> jax.Array:
    r""":math:`(x - 13 + ((5-y)y - 2)y)^2 + (x - 29 + ((y+1)y - 14)y)^2`: a local minimum of 48.98."""
    x, y = theta[0], theta[1]
    return (x - 13 + ((5 - y) * y - 2) * y) ** 2 + (x - 29 + ((y + 1) * y - 14) * y) ** 2


def _square(half: float) -> tuple[Point, Point]:
    return ((-half, half), (-half, half))


LANDSCAPES: dict[str, Landscape] = {
    "beale": Landscape(beale, 0.0, ((3.0, 0.5),), (0.0, 0.0), _square(4.5), 1e-7, published=True),
    "rosenbrock": Landscape(rosenbrock, 0.0, ((1.0, 1.0),), (0.0, 0.0), _square(30), 1e-7, published=True),
    "himmelblau": Landscape(
        himmelblau,
        0.0,
        (
            (3.0, 2.0),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.283185991286170),
            (3.584428340330492, -1.848126526964404),
        ),
        (0.0, 0.0),
        _square(5),
        1e-6,
        published=True,
    ),
    "ackley": Landscape(ackley, 0.0, ((0.0, 0.0),), (2.0, 2.0), _square(35), 1e-6, published=True),
    "rastrigin": Landscape(rastrigin, 0.0, ((0.0, 0.0),), (2.0, 2.0), _square(5.12), 1e-6, published=True),
    "booth": Landscape(booth, 0.0, ((1.0, 3.0),), (-5.0, -5.0), _square(10)),
    "matyas": Landscape(matyas, 0.0, ((0.0, 0.0),), (-8.0, 6.0), _square(10)),
    "three_hump_camel": Landscape(three_hump_camel, 0.0, ((0.0, 0.0),), (-3.0, 3.0), _square(5)),
    "goldstein_price": Landscape(goldstein_price, 3.0, ((0.0, -1.0),), (1.0, 1.0), _square(2)),
    "griewank": Landscape(griewank, 0.0, ((0.0, 0.0),), (5.0, 5.0), _square(100)),
    "freudenstein_roth": Landscape(freudenstein_roth, 0.0, ((5.0, 4.0),), (0.5, -2.0), _square(10)),
}
