"""Laws: distributions over integers, with masses that add up to exactly 2^24 in every lane.

A law stands for one distribution in each lane, over arrays of integers with a mass for each
element. The masses are made here and nowhere else, from numbers that an encoder and a decoder
share bit for bit.
"""

import functools
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer, Num

from ..extras import needs

with needs("constriction", extra="codec"):
    import constriction

_stream: Any = constriction.stream  # pyright: ignore[reportAttributeAccessIssue]
Coder, _models = _stream.stack.AnsCoder, _stream.model
PRECISION = 24
"""Masses are multiples of 2^−24: what is not 0 is at least that."""
Lanes = Num[np.ndarray, " lanes *shape"]
"""Numbers of all lanes, in the shape of an example."""
One = Integer[np.ndarray, "*shape"]
"""Integers of one lane."""
Active = Bool[np.ndarray, " lanes"]
"""Which lanes take part."""
Bits = Integer[np.ndarray, " n"]
"""How many raw bits each number has."""
_UNIFORM = _models.Uniform()
RAW = 16
"""Raw bits are coded so many at a time."""
REACH = {True: 6.0, False: 8.0}
"""How many standard deviations have masses: of a law that is borrowed from, and of others."""
FINE = 16
"""With more grid points than this to a standard deviation, low bits are coded raw."""


class AbstractLaw(ABC):
    """In each lane a distribution of integers (`symbols`) that stand for numbers (`values`)."""

    shape: tuple[int, ...]
    """(lanes, *shape of one value)."""
    most: float
    """The bits that a pop takes in one lane, at the most."""
    usual: float
    """The bits that it usually takes."""

    @abstractmethod
    def symbols(self, values: Lanes, active: Active) -> Lanes:
        """Return the integers that stand for values.

        Raises:
            ValueError: the law has no mass for a value in an active lane.
        """

    @abstractmethod
    def values(self, symbols: Lanes) -> Lanes:
        """Return the values that integers stand for."""

    @abstractmethod
    def push(self, coder: Any, lane: int, symbols: One) -> None:
        """Push one lane's integers onto a coder."""

    @abstractmethod
    def pop(self, coder: Any, lane: int) -> One:
        """Pop one lane's integers from a coder."""


class GridGaussian(AbstractLaw):
    """N(mean, std²) on the grid of multiples of `step`, which is a power of two.

    A law to borrow from (`tight`) ends at ±6 standard deviations: farther out every grid point
    would have the least mass, 2^−24, and together these would cost much. Any other law codes
    whatever is on the grid, as what lies beyond ±8 is sent raw, 32 bits a number.

    `std` is one number, or an array that broadcasts against the means.

    Raises:
        ValueError: a parameter is not finite, a standard deviation not above 0, or the step no
            power of two.
    """

    def __init__(self, mean: Lanes, std: Any, step: float, *, tight: bool = False):
        std = np.asarray(std, np.float64)
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ValueError(
                "a Gaussian needs finite means and standard deviations above 0, got "
                f"{np.sum(~np.isfinite(mean))} means that are not finite and a least standard "
                f"deviation of {std.min()}"
            )
        if step <= 0 or np.frexp(step)[0] != 0.5:
            raise ValueError(f"the step of a grid is a power of two, got {step}")
        self.shape, self.step, self.tight = mean.shape, step, tight
        size = int(np.prod(mean.shape[1:]))
        # Coarse cells of 2^raw grid points, so that all numbers have as many cells: a narrow
        # Gaussian with the cells of a wide one would leak 2^−24 into each of many that are
        # far out. Which point in a cell it is, raw bits tell.
        raw = np.maximum(0, np.ceil(np.log2(std / step / FINE))).astype(np.int64)
        self.raw = np.broadcast_to(raw, mean.shape)
        unit = 1 << self.raw
        place = (mean / step - (unit - 1) / 2) / unit
        self.centre = np.rint(place).astype(np.int64)
        self.offset = np.ascontiguousarray((place - self.centre).reshape(len(mean), size))
        spread = np.broadcast_to(std / step / unit, mean.shape).reshape(len(mean), size)
        self.std = np.ascontiguousarray(spread)
        self.reach = int(np.ceil(REACH[tight] * spread.max())) + 1
        self.model = _gaussian(self.reach)
        bits = self.raw.reshape(len(mean), size)
        self.usual = float((np.log2(4.13 * spread + 1) + bits).sum(1).max())
        self.most = float(bits.sum(1).max()) + size * (PRECISION + (0 if tight else 2 * RAW))

    def symbols(self, values: Lanes, active: Active) -> Lanes:
        """Return multiples of the step."""
        exact = values / self.step
        symbols = np.rint(exact).astype(np.int64)
        away = np.abs((symbols >> self.raw) - self.centre)[active]
        limit = self.reach if self.tight else 1 << (2 * RAW - 2)
        if (exact != symbols)[active].any():
            raise ValueError(f"a value is no multiple of the grid's step {self.step}")
        if (away > limit).any():
            raise ValueError(
                f"a value lies {away.max() / self.std.min():.3g} standard deviations from its "
                "mean: no such value is coded"
            )
        return symbols

    def values(self, symbols: Lanes) -> Lanes:
        """Return the points of the grid."""
        return symbols * self.step

    def push(self, coder: Any, lane: int, symbols: One) -> None:
        """Push a lane's points: raw low bits, then what is far out, then the cells."""
        push_raw(coder, symbols.ravel(), self.raw[lane].ravel())
        cells = ((symbols >> self.raw[lane]) - self.centre[lane]).ravel()
        if not self.tight and (far := np.abs(cells) >= self.reach).any():
            push_raw(coder, np.abs(cells[far]) - self.reach, np.full(far.sum(), 2 * RAW))
            cells = np.clip(cells, -self.reach, self.reach)
        coder.encode_reverse(
            cells.astype(np.int32), self.model, self.offset[lane], self.std[lane]
        )

    def pop(self, coder: Any, lane: int) -> One:
        """Pop a lane's points."""
        cells = coder.decode(self.model, self.offset[lane], self.std[lane]).astype(np.int64)
        if not self.tight and (far := np.abs(cells) == self.reach).any():
            cells[far] += np.sign(cells[far]) * pop_raw(coder, np.full(far.sum(), 2 * RAW))
        cells += self.centre[lane].ravel()
        raw = self.raw[lane].ravel()
        cells = (cells << raw) | pop_raw(coder, raw)
        return cells.reshape(self.shape[1:])


class Categories(AbstractLaw):
    """The integers 0 … V − 1, each element by itself, with given log-likelihoods.

    The log-likelihoods, up to a constant for each element, have shape (lanes, *shape, V). What
    has −∞ keeps the least mass that there is, 2^−24; anything else has 2^−20 or more.

    Raises:
        ValueError: NaN or +∞ among them, or an element for which all are −∞.
    """

    def __init__(self, logits: Float[np.ndarray, " lanes *shape V"]):
        top = logits.max(-1, keepdims=True)
        if not np.isfinite(top).all():
            raise ValueError("log-likelihoods must not be NaN, nor all of an element infinite")
        self.shape, self.levels = logits.shape[:-1], logits.shape[-1]
        size = int(np.prod(self.shape[1:]))
        weights = np.exp(logits - top)
        weights /= weights.sum(-1, keepdims=True)
        # Multiples of 2^−20: the last digits of an exponential differ between machines.
        counts = np.rint(weights * (1 << 20)) + ~np.isneginf(logits)
        self.table = np.ascontiguousarray(counts.reshape(len(logits), size, self.levels))
        self.model = _models.Categorical(perfect=False)
        self.usual = size * float(np.log2(self.levels))
        self.most = size * PRECISION

    def symbols(self, values: Lanes, active: Active) -> Lanes:
        """Return the integers themselves."""
        shown = values[active]
        if ((shown < 0) | (shown >= self.levels)).any():
            raise ValueError(
                f"values must lie in 0 … {self.levels - 1}, got {shown.min()} to {shown.max()}"
            )
        return values.astype(np.int64)

    def values(self, symbols: Lanes) -> Lanes:
        """Return the integers themselves."""
        return symbols

    def push(self, coder: Any, lane: int, symbols: One) -> None:
        """Push a lane's integers."""
        coder.encode_reverse(symbols.ravel().astype(np.int32), self.model, self.table[lane])

    def pop(self, coder: Any, lane: int) -> One:
        """Pop a lane's integers."""
        return coder.decode(self.model, self.table[lane]).reshape(self.shape[1:])


@functools.cache
def _gaussian(reach: int) -> Any:
    return _models.QuantizedGaussian(-reach, reach)


def push_raw(coder: Any, numbers: Integer[np.ndarray, " n"], bits: Bits) -> None:
    """Push the low bits of each number as they are, `RAW` at a time, the lowest first."""
    for low in range(0, bits.max(initial=0), RAW):
        width = np.clip(bits - low, 0, RAW)
        some = width > 0
        part, sizes = (numbers >> low) & ((1 << width) - 1), 1 << width
        coder.encode_reverse(
            part[some].astype(np.int32), _UNIFORM, sizes[some].astype(np.int32)
        )


def pop_raw(coder: Any, bits: Bits) -> Integer[np.ndarray, " n"]:
    """Pop what `push_raw` pushed."""
    numbers = np.zeros(bits.size, np.int64)
    for low in reversed(range(0, bits.max(initial=0), RAW)):
        width = np.clip(bits - low, 0, RAW)
        some = width > 0
        part = coder.decode(_UNIFORM, (1 << width[some]).astype(np.int32))
        numbers[some] |= part.astype(np.int64) << low
    return numbers
