"""Lossless compression by an autoregressive model: each pixel under its law, nothing borrowed.

The sender knows the image, and finds all laws on the way down. A stack gives back what was
pushed last, so pixels are pushed from the last one to the first. The receiver runs the network
once a pixel. Both take the same steps in the same order, so their laws agree bit for bit.
"""

import numpy as np
from jaxtyping import Array, Float, Integer

from .._types import AnyArray, Count, count
from ..codec import Categories, Stack
from .axial import AxialTransformer, fill

ONE = np.ones(1, bool)


def _law(logits: Float[Array, "n levels"]) -> Categories:
    return Categories(np.asarray(logits, np.float64)[None])


def encode(model: AxialTransformer, images: Integer[AnyArray, " n height width c"]) -> Stack:
    """Return a stack with one lane that holds the images.

    Raises:
        ValueError: images of another shape, or a level that the model does not know.
    """
    known = np.asarray(images)
    model.check(known.shape[1:])
    if known.size and not 0 <= known.min() <= known.max() < model.levels:
        raise ValueError(
            f"the model has the levels 0 … {model.levels - 1}, got {known.min()} … "
            f"{known.max()}"
        )
    steps = []

    def choose(place: tuple[int, int, int], logits: Float[Array, "n levels"]):
        steps.append((_law(logits), known[(slice(None), *place)]))
        return steps[-1][1]

    fill(model, len(known), choose)
    stack = Stack(1)
    for law, levels in reversed(steps):
        stack.push("pixel", law, levels[None], ONE)
    return stack


def decode(
    model: AxialTransformer, stack: Stack, examples: Count
) -> Integer[np.ndarray, " n height width c"]:
    """Return the images that a stack holds, and leave it as it was before them."""

    def choose(place: tuple[int, int, int], logits: Float[Array, "n levels"]):
        del place
        return stack.pop("pixel", _law(logits), ONE)[0]

    return fill(model, count(examples, "examples"), choose)
