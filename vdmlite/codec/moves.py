"""A codec is a list of moves; decoding is the list read backwards, each move undone.

A model of data x and latents z_0 … z_T codes x in moves of two kinds. Some *borrow*: a latent
is popped under q, which costs bits. The others *push*: data or a latent under p, which earns
them. On average the sum of all is the model's negative bound. In which order the moves come is
free, as long as each knows what its law depends on, and decides how much must be borrowed:

    BB-ANS:    borrow all the latents, then push all     (Townsend, Bird and Barber 2019)
    Bit-Swap:  borrow one, push what hangs on it, …       (F. Kingma, Abbeel and Ho 2019)
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .laws import AbstractLaw, Active, Lanes
from .stack import Entry, Stack

Values = dict[str, np.ndarray]
"""What is known by now: arrays by name, a row for each lane; "x" is the data."""


class Move(NamedTuple):
    """One variable, its law, and whether the encoder borrows it or pushes it."""

    name: str
    law: Callable[[Values], AbstractLaw]
    """The variable's distribution, from the values that are known at this move."""
    borrows: bool


Order = Callable[[Sequence[Move], Sequence[Move]], list[Move]]
"""Of a model's borrowing and pushing moves, each in the order from the data up, all in turn."""


def bb_ans(borrows: Sequence[Move], pushes: Sequence[Move]) -> list[Move]:
    """Return all the borrowing moves, then all the others: what is borrowed grows with T."""
    return [*borrows, *pushes]


def bit_swap(borrows: Sequence[Move], pushes: Sequence[Move]) -> list[Move]:
    """Return the moves in turn, one of each: what is borrowed is one latent or so.

    The k-th push may depend on the latents of the first k borrowing moves alone, so both run
    up a Markov chain from the data.
    """
    pairs = itertools.zip_longest(borrows, pushes)
    return [move for pair in pairs for move in pair if move is not None]


def encode(moves: Iterable[Move], stack: Stack, x: Lanes, active: Active) -> Values:
    """Put one example of each active lane on the stack; return the values that were coded.

    Raises:
        ValueError: a law can't code a value; the stack is of no more use.
    """
    values: Values = {"x": x}
    for move in moves:
        law = move.law(values)
        if move.borrows:
            values[move.name] = stack.borrow(move.name, law, active)
        else:
            stack.push(move.name, law, values[move.name], active)
    return values


def decode(moves: Sequence[Move], stack: Stack, active: Active) -> Lanes:
    """Take one example of each active lane from the stack, and repay what was borrowed for it.

    Raises:
        ValueError: what comes from the stack can't have been put there so.
    """
    values: Values = {}
    for move in reversed(moves):
        if move.borrows:
            law = move.law(values | {move.name: values[move.name]})
            stack.repay(move.name, law, values[move.name], active)
        else:
            values[move.name] = stack.pop(move.name, move.law(values), active)
    return values["x"]


def initial_bits(ledger: Iterable[Entry]) -> Float[np.ndarray, " lanes"]:
    """Return how deep each lane's stack went below where it began: what had to be there."""
    heights = np.cumsum([entry.bits for entry in ledger], 0)
    return np.maximum(0, -heights.min(0))
