"""Local bits-back: a flow as a codec, though its numbers are real (Ho, Lohn and Abbeel 2019).

A flow takes a point to a point, and a point on a grid has no probability to code it by. So
noise is added: with y the image of x, y′ ~ N(f(x), σ² J Jᵀ) and x′ ~ N(f⁻¹(y), σ² I) have
nearly the same joint law, and coding by them costs −log p(x): what σ takes it gives again.

    compositional   x ──► y_0 ──► y_1 ──► … ──► y_n      a chain, a law for each layer
    black box       x ──► y_0 ──────────────► y_n        one law, with the whole Jacobian

y_0 is the image's levels and what fills their cells, y_n the flow's z. Both are Markov chains
that begin at the data, so they are coded in Bit-Swap's order.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from ..codec.laws import AbstractLaw, Active, GridGaussian, Lanes, One, pop_raw, push_raw
from ..codec.moves import Move, Values, bit_swap
from ..codec.vdm import double_precision, in_double
from .flow import AbstractLayer, Dequantiser, ImageFlow, UniformDequantiser

BITS = 28
"""Numbers are multiples of 2^−28: finer than any noise that a steep layer leaves."""
STEP = 2.0**-BITS


class Cell(AbstractLaw):
    """Uniform over the multiples of 2^−28 from x to x + 1, for whole numbers x."""

    def __init__(self, x: Lanes):
        self.low = x.astype(np.int64) << BITS
        self.shape = x.shape
        self.most = self.usual = float(BITS * np.prod(x.shape[1:]))

    def symbols(self, values: Lanes, active: Active) -> Lanes:
        """Return the multiples, counted from x."""
        symbols = np.rint(values / STEP).astype(np.int64) - self.low
        if ((symbols < 0) | (symbols >> BITS > 0))[active].any():
            raise ValueError("a value lies outside of its cell: no such value is coded")
        return symbols

    def values(self, symbols: Lanes) -> Lanes:
        """Return numbers from x to x + 1."""
        return (symbols + self.low) * STEP

    def push(self, coder: Any, lane: int, symbols: One) -> None:
        """Push bits as they are."""
        del lane
        push_raw(coder, symbols.ravel(), np.full(symbols.size, BITS))

    def pop(self, coder: Any, lane: int) -> One:
        """Pop bits as they are."""
        del lane
        bits = np.full(int(np.prod(self.shape[1:])), BITS)
        return pop_raw(coder, bits).reshape(self.shape[1:])


class Certain(AbstractLaw):
    """What is known already: it costs nothing."""

    def __init__(self, known: Lanes):
        self.known, self.shape = known, (len(known), 0)
        self.most = self.usual = 0.0

    def symbols(self, values: Lanes, active: Active) -> np.ndarray:
        """Return no integers."""
        if (values != self.known)[active].any():
            raise ValueError("a number that is certain is another one")
        return np.zeros(self.shape, np.int64)

    def values(self, symbols: Lanes) -> np.ndarray:
        """Return what is known."""
        del symbols
        return self.known

    def push(self, coder: Any, lane: int, symbols: One) -> None:
        """Push nothing."""

    def pop(self, coder: Any, lane: int) -> One:
        """Pop nothing."""
        del coder, lane
        return np.zeros(0, np.int64)


class Partly(AbstractLaw):
    """`law` for the numbers where `mask` is true; the others are certain."""

    def __init__(self, law: AbstractLaw, mask: Bool[np.ndarray, "*shape"], known: Lanes):
        self.law, self.mask, self.known = law, mask, known
        self.shape, self.most, self.usual = law.shape, law.most, law.usual

    def symbols(self, values: Lanes, active: Active) -> np.ndarray:
        """Return the law's integers."""
        if (values != self.known)[:, ~self.mask][active].any():
            raise ValueError("a number that is certain is another one")
        return self.law.symbols(values[:, self.mask], active)

    def values(self, symbols: Lanes) -> np.ndarray:
        """Return the law's values, among those that are certain."""
        whole = np.array(self.known)
        whole[:, self.mask] = self.law.values(symbols)
        return whole

    def push(self, coder: Any, lane: int, symbols: One) -> None:
        """Push under the law."""
        self.law.push(coder, lane, symbols)

    def pop(self, coder: Any, lane: int) -> One:
        """Pop under the law."""
        return self.law.pop(coder, lane)


class JointGaussian(AbstractLaw):
    """N(mean, L Lᵀ) on a grid, tight: each number's Gaussian given those before it."""

    def __init__(self, mean: Lanes, factor: Float[np.ndarray, "lanes n n"]):
        self.shape, self.mean, self.factor = mean.shape, mean.reshape(len(mean), -1), factor
        spread = np.diagonal(factor, axis1=1, axis2=2) / STEP
        self.usual = float(np.log2(4.13 * spread + 1).sum(1).max())
        self.most = float(self.usual + 24 * spread.shape[1])

    def symbols(self, values: Lanes, active: Active) -> Lanes:
        """Return multiples of the step."""
        del active
        return np.rint(values / STEP).astype(np.int64)

    def values(self, symbols: Lanes) -> Lanes:
        """Return the points of the grid."""
        return symbols * STEP

    def push(self, coder: Any, lane: int, symbols: One) -> None:
        """Push from the last number to the first."""
        values, laws = symbols.ravel() * STEP, []
        for law, _ in self._laws(lane, lambda i, _: values[i]):
            laws.append(law)
        for law, value in reversed(list(zip(laws, values, strict=True))):
            symbol = law.symbols(np.full((1, 1), value), np.ones(1, bool))
            law.push(coder, 0, symbol[0])

    def pop(self, coder: Any, lane: int) -> One:
        """Pop from the first number to the last."""
        draws = self._laws(lane, lambda _, law: law.pop(coder, 0)[0] * STEP)
        found = np.array([value for _, value in draws])
        return np.rint(found / STEP).astype(np.int64).reshape(self.shape[1:])

    def _laws(self, lane: int, value: Callable) -> Iterator[tuple[GridGaussian, float]]:
        """Yield each number's law, and the number, which `value(i, law)` says."""
        factor, residual = self.factor[lane], np.zeros(self.factor.shape[1])
        for i in range(len(residual)):
            mean = self.mean[lane, i] + factor[i, :i] @ residual[:i]
            law = _gaussian(np.full((1, 1), mean), factor[i, i], tight=True)
            found = value(i, law)
            residual[i] = (found - mean) / factor[i, i]
            yield law, found


def _gaussian(mean: Lanes, std: Any, *, tight: bool = False) -> GridGaussian:
    """Return N(mean, std²), without the last digits, in which processors differ."""
    mean = np.rint(mean / STEP * 16) / 16 * STEP
    std = np.asarray(std).astype(np.float32).astype(np.float64)
    return GridGaussian(mean, std, STEP, tight=tight)


def compositional_moves(
    model: ImageFlow, shape: tuple[int, ...], *, lanes: int, sigma: float
) -> list[Move]:
    """Return the moves that code images of levels "x" through every layer of a flow.

    `sigma` is the noise's standard deviation, much above 2^−28 and much below the lengths over
    which the flow's slopes change.
    """
    flow, dequantiser = in_double(model)
    borrows, pushes = _chain(list(flow.layers()), "y", shape, sigma)
    last = f"y{len(borrows)}"
    rest = [*bit_swap(borrows, pushes), Move(last, _prior(shape, lanes), borrows=False)]
    return [*_dequantised(dequantiser, shape, lanes, sigma), *rest]


def black_box_moves(
    model: ImageFlow, shape: tuple[int, ...], *, lanes: int, sigma: float
) -> list[Move]:
    """Return the moves that code "x" by a flow of which only f, f⁻¹ and the Jacobian are known.

    The Jacobian has D² numbers for each image, and its factor takes D³ operations.
    """
    flow, dequantiser = in_double(model)

    def q(values: Values) -> AbstractLaw:
        with double_precision():
            z, jacobian = map(np.asarray, _with_jacobian(flow, jnp.asarray(values["y0"])))
        upper: np.ndarray = np.asarray(np.linalg.qr(jacobian.swapaxes(1, 2), mode="r"))
        signs = np.sign(np.diagonal(upper, axis1=1, axis2=2))
        return JointGaussian(z, sigma * (upper * signs[..., None]).swapaxes(1, 2))

    def p(values: Values) -> AbstractLaw:
        with double_precision():
            back = np.asarray(_inverse(flow, jnp.asarray(values["z"]), None))
        return _gaussian(back, sigma)

    chain = [
        Move("z", q, borrows=True),
        Move("y0", p, borrows=False),
        Move("z", _prior(shape, lanes), borrows=False),
    ]
    return [*_dequantised(dequantiser, shape, lanes, sigma), *chain]


def _dequantised(
    dequantiser: Dequantiser, shape: tuple[int, ...], lanes: int, sigma: float
) -> list[Move]:
    """Return the moves that borrow "y0", a point in x's cell, and push "x", which it says."""
    data = Move(
        "x", lambda values: Certain(np.floor(values["y0"]).astype(np.int64)), borrows=False
    )
    if isinstance(dequantiser, UniformDequantiser):
        return [Move("y0", lambda values: Cell(values["x"]), borrows=True), data]

    def context(values: Values) -> Any:
        return _context(dequantiser.context, jnp.asarray(values["x"].astype(np.int64)))

    layers = list(dequantiser.flow.layers())
    borrows, pushes = _chain(layers, "e", shape, sigma, context, last="y0")
    first = Move("e0", _prior(shape, lanes), borrows=True)
    return [first, *bit_swap(borrows, pushes), data]


def _prior(shape: tuple[int, ...], lanes: int) -> Callable[[Values], AbstractLaw]:
    return lambda _: _gaussian(np.zeros((lanes, *shape)), 1.0)


def _chain(
    layers: list[AbstractLayer],
    name: str,
    shape: tuple[int, ...],
    sigma: float,
    context: Callable[[Values], Any] = lambda _: None,
    last: str = "",
) -> tuple[list[Move], list[Move]]:
    """Return the moves that borrow what each layer makes, and those that push what it took.

    With `last` the last layer's result, a share of a cell, goes by that name and has x added.
    """

    def q(i: int, values: Values) -> AbstractLaw:
        before = values[f"{name}{i}"]
        with double_precision():
            found = _forward(layers[i], jnp.asarray(before), context(values))
            mean, slope = np.asarray(found.y), np.exp(np.asarray(found.log_slope))
        if last and i == len(layers) - 1:
            mean = mean + values["x"]
        return _where(masks[i], mean, sigma * slope, before, tight=True)

    def p(i: int, values: Values) -> AbstractLaw:
        after = values[names[i + 1]]
        if last and i == len(layers) - 1:
            after = after - values["x"]
        with double_precision():
            mean = np.asarray(_inverse(layers[i], jnp.asarray(after), context(values)))
        return _where(masks[i], mean, np.full(mean.shape, sigma), after, tight=False)

    count = len(layers)
    names = [f"{name}{i}" for i in range(count + 1)]
    names[-1] = last or names[-1]
    masks = [np.asarray(layer.changed(shape)) for layer in layers]
    borrows = [Move(names[i + 1], partial(q, i), borrows=True) for i in range(count)]
    return borrows, [Move(names[i], partial(p, i), borrows=False) for i in range(count)]


def _where(
    mask: Bool[np.ndarray, "*shape"], mean: Lanes, std: Lanes, known: Lanes, *, tight: bool
) -> AbstractLaw:
    if mask.all():
        return _gaussian(mean, std, tight=tight)
    return Partly(_gaussian(mean[:, mask], std[:, mask], tight=tight), mask, known)


@eqx.filter_jit
def _forward(layer, x, context):
    return jax.vmap(layer.forward, (0, None if context is None else 0))(x, context)


@eqx.filter_jit
def _inverse(layer, y, context):
    return jax.vmap(layer.inverse, (0, None if context is None else 0))(y, context)


@eqx.filter_jit
def _context(function, x):
    return jax.vmap(function)(x)


@eqx.filter_jit
def _with_jacobian(flow, x):
    def one(x):
        f = lambda flat: flow.forward(flat.reshape(x.shape))[0].ravel()  # noqa: E731
        return f(x.ravel()).reshape(x.shape), jax.jacrev(f)(x.ravel())

    return jax.vmap(one)(x)
