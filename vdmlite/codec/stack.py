"""A stack of bits in each of several lanes: what was pushed last is popped first.

    push a symbol s under a law:  the stack grows   by −log2 P(s) bits
    pop a symbol under a law:     the stack shrinks by −log2 P(s) bits; s is distributed as P

A pop from random bits is a draw, and a push of what was popped gives the bits back: so bits can
be borrowed and repaid. The coder is asymmetric numeral systems (Duda 2009), by `constriction`.

Four things go wrong in silence, lossless but too long, and are seen to here and in `laws.py`:
an empty stack, which gives the same symbol for ever; popped bits that are not random, since a
model has just pushed them; masses that leak into the far tails; parameters in Fortran's order.
"""

import functools
import hashlib
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt32

from .laws import AbstractLaw, Active, Coder, Lanes, One

RING = 1 << 14
"""How many words of noise there are to whiten with; they are used again and again."""
KEPT = 8
"""How many bits of the coder's state are never whitened; it has 33 or more."""
SPARE = 64
"""How many words of the supply a stack begins with; it takes more when they are used up."""


Words = UInt32[np.ndarray, " n"]
Stored = tuple[tuple[int, Words], ...]
"""For each lane how deep in the supply the words begin that aren't as supplied, and these."""


class Entry(NamedTuple):
    """What one move did: by how many bits each lane's stack grew (> 0) or shrank."""

    name: str
    bits: Float[np.ndarray, " lanes"]


class Stack:
    """Stacks of 32-bit words, one for each lane, on an endless supply of random ones.

    The supply is a function of the lane's number (SHAKE-256), so what lies untouched need not
    be kept, and a decoder ends where it began if, and only if, all was undone. `ledger` has an
    entry for each move.

    Raises:
        ValueError: there is not a lane.
    """

    def __init__(self, lanes: int, stored: Stored | None = None):
        if lanes < 1:
            raise ValueError(f"a stack has at least 1 lane, got {lanes}")
        kept = [(0, np.empty(0, np.uint32))] * lanes if stored is None else stored
        self.lanes = [_Lane(number, *one) for number, one in enumerate(kept)]
        self.ledger: list[Entry] = []

    def __len__(self) -> int:
        return len(self.lanes)

    @property
    def heights(self) -> Float[np.ndarray, " lanes"]:
        """The bits on each lane's stack, above (or below) where it began."""
        return np.array([lane.height() for lane in self.lanes])

    @property
    def is_restored(self) -> bool:
        """Whether every lane is, bit for bit, as it began."""
        return all(depth == len(words) == 0 for depth, words in self.stored())

    def stored(self) -> Stored:
        """Return what a new `Stack(lanes, stored)` is made of."""
        return tuple(lane.stored() for lane in self.lanes)

    def push(self, name: str, law: AbstractLaw, values: Lanes, active: Active) -> None:
        """Push a value in each active lane.

        Raises:
            ValueError: a value that the law can't code; no lane was touched.
        """
        symbols = law.symbols(values, active)
        self._each(name, active, lambda i, lane: lane.push(law, i, symbols[i]))

    def pop(self, name: str, law: AbstractLaw, active: Active) -> Lanes:
        """Pop a value in each active lane; the others' are zero."""
        symbols = np.zeros(law.shape, np.int64)

        def one(i: int, lane: _Lane) -> None:
            symbols[i] = lane.pop(law, i)

        self._each(name, active, one)
        return law.values(symbols)

    def borrow(self, name: str, law: AbstractLaw, active: Active) -> Lanes:
        """Pop a value that is repaid by the decoder, from bits that are whitened first."""
        symbols = np.zeros(law.shape, np.int64)

        def one(i: int, lane: _Lane) -> None:
            lane.whiten(law.usual)
            symbols[i] = lane.pop(law, i)

        self._each(name, active, one)
        return law.values(symbols)

    def repay(self, name: str, law: AbstractLaw, values: Lanes, active: Active) -> None:
        """Undo `borrow`.

        Raises:
            ValueError: the law would never have given such a value; no lane was touched.
        """
        symbols = law.symbols(values, active)

        def one(i: int, lane: _Lane) -> None:
            lane.push(law, i, symbols[i])
            lane.whiten(law.usual)

        self._each(name, active, one)

    def _each(self, name: str, active: Active, do: Callable[[int, "_Lane"], None]) -> None:
        bits = np.zeros(len(self))
        for i in np.flatnonzero(active).tolist():
            lane = self.lanes[i]
            before = lane.height()
            do(i, lane)
            bits[i] = lane.height() - before
        self.ledger.append(Entry(name, bits))


class _Lane:
    """One stack, `buffer[:size]`; the supply's words 0 … depth − 1 have been laid under it.

    The last two words are the coder's state; the last is never 0.
    """

    def __init__(self, number: int, depth: int, words: Words):
        self.number, self.buffer, self.size, self.depth = number, words, len(words), depth
        self.origin = math.log2(_state(self._supply(2)[::-1]))
        self._take(SPARE)

    def push(self, law: AbstractLaw, place: int, symbols: One) -> None:
        coder = Coder(self._top(2))
        law.push(coder, place, symbols)
        self._replace(2, coder.get_compressed())

    def pop(self, law: AbstractLaw, place: int) -> One:
        count = int(law.most / 32) + 3
        coder = Coder(self._top(count))
        symbols = law.pop(coder, place)
        self._replace(count, coder.get_compressed())
        return symbols

    def whiten(self, bits: float) -> None:
        """Exchange the top bits for others by noise that depends on the height: an involution.

        Not the first bits of the coder's state, which say how high the stack is, to a part of a
        bit: to change them would cost bits. At another height the same bits meet other noise,
        for twice the same would undo it.
        """
        window = self._top(int(bits / 32) + 4)
        state = _state(window[-2:])
        below = state.bit_length() - KEPT
        height = ((self.size - self.depth) << 14) + (below << KEPT) + (state >> below)
        start = ((height << 20) + self.number) * 0x9E3779B97F4A7C15 % (1 << 64) >> 50
        pad = _pad()[(start + np.arange(len(window))) % RING]
        pad[-2:] &= np.array([(1 << below) - 1 & 0xFFFFFFFF, (1 << below) - 1 >> 32], np.uint32)
        window ^= pad

    def height(self) -> float:
        state = _state(self.buffer[self.size - 2 : self.size])
        return 32 * (self.size - self.depth) + math.log2(state) - self.origin

    def stored(self) -> tuple[int, Words]:
        """Return how deep in the supply the words begin that aren't as supplied, and these."""
        words, supply = self.buffer[: self.size], self._supply(self.depth)[::-1]
        shared = min(len(words), len(supply))
        changed = np.flatnonzero(words[:shared] != supply[:shared])
        same = int(changed[0]) if len(changed) else shared
        return self.depth - same, words[same:]

    def _supply(self, count: int) -> Words:
        """Return the supply's words from the top down; the first is never 0."""
        words = noise(f"supply {self.number}", count)
        words[:1] |= 1 << 31
        return words

    def _top(self, count: int) -> Words:
        if self.size < count:
            self._take(max(count - self.size, self.depth))
        return self.buffer[self.size - count : self.size]

    def _take(self, count: int) -> None:
        """Lay the next words of the supply under the stack."""
        more = self._supply(self.depth + count)[self.depth :][::-1]
        self.buffer = np.concatenate([more, self.buffer[: self.size]])
        self.depth, self.size = self.depth + count, self.size + count

    def _replace(self, count: int, words: Words) -> None:
        """Put words in the place of the top ones."""
        start = self.size - count
        self.size = start + len(words)
        if self.size > len(self.buffer):
            room = np.empty(self.size, np.uint32)  # twice as much
            self.buffer = np.concatenate([self.buffer[:start], room])
        self.buffer[start : self.size] = words


def _state(words: Words) -> int:
    low, high = words.tolist()
    return (high << 32) + low


@functools.cache
def _pad() -> Words:
    return noise("pad", RING)


def noise(name: str, count: int) -> Words:
    """Return random words, the same on every machine, that begin alike whatever their count."""
    data = hashlib.shake_256(f"vdmlite codec {name}".encode()).digest(4 * count)
    return np.frombuffer(data, "<u4").astype(np.uint32)
