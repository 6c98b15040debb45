"""The shape vocabulary: the few array words that every signature is written in."""

import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

Key = PRNGKeyArray
"""A JAX random key: always an explicit, keyword-only argument."""

AnyArray = Array | np.ndarray
"""An array of JAX or of NumPy: what data comes in."""

Scalar = Float[Array, ""]
"""One real number, as an array."""

ScalarLike = Float[ArrayLike, ""]
"""One real number: a Python float, or anything that becomes a scalar array."""


def is_concrete(x: object) -> bool:
    """Return whether `x` has values to look at, not an abstract value under `jit` or `vmap`."""
    return not isinstance(x, Tracer)
