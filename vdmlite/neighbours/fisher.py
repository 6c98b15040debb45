"""Fisher scores: an example as its pull on a model's weights (Yan, Ho and Abbeel 2019).

    φ(x) = ∇_θ log p_θ(x);   for x ~ p_θ:   E[φ] = 0,   E[φ φᵀ] = F, the Fisher information

Two images are alike if they would change the weights alike. φ has as many numbers as the model
has weights. So each is divided by its standard deviation, and a sparse random matrix makes
of them as many as one likes and nearly keeps the distances.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Integer, Num

from .._types import AnyArray, Count, Key, Scalar, ScalarLike, check_key, check_shape, count

LogProb = Callable[[Any, Any], Scalar]
"""(model, x) ↦ log p(x), in nats; such as `AxialTransformer.log_prob`."""


def score(
    log_prob: LogProb, model: Any, x: Num[AnyArray, "*shape"]
) -> Float[Array, " weights"]:
    """Return ∇_θ log p_θ(x), all weights in one row."""
    slopes = eqx.filter_grad(lambda model: log_prob(model, x))(model)
    return ravel_pytree(slopes)[0]


class Moments(NamedTuple):
    """The means of the scores and of their squares."""

    mean: Float[Array, " weights"]
    """0 for the model's own draws, within its error √(square / n)."""
    square: Float[Array, " weights"]
    """For the model's own draws, the diagonal of the Fisher information."""


def moments(
    log_prob: LogProb, model: Any, examples: Num[AnyArray, " n *shape"], *, chunk: Count = 32
) -> Moments:
    """Return the means of φ and φ², with `chunk` scores at a time in memory.

    Of the model's own draws they are 0 and the information; of data, the slope of the
    likelihood and the empirical Fisher information, which is another one.
    """

    @eqx.filter_jit
    def sums(model, some):
        each = jax.vmap(lambda x: score(log_prob, model, x))(some)
        return jnp.stack([each.sum(0), jnp.square(each).sum(0)])

    n, chunk = count(len(examples), "the number of examples"), count(chunk, "chunk")
    each = [sums(model, examples[i : i + chunk]) for i in range(0, n, chunk)]
    mean, square = jnp.stack(each).sum(0) / n
    return Moments(mean, square)


class Projection(eqx.Module):
    """h ↦ R h: each output is a signed sum of about √weights inputs, drawn once for good.

    E‖R h‖² = ‖h‖², and the standard deviation of ‖R h‖ / ‖h‖ is about 1 / √(2 size) if no few
    numbers of h dominate (Johnson and Lindenstrauss; sparse by Li, Hastie and Church 2006).
    """

    which: Integer[Array, "size few"]
    signs: Float[Array, "size few"]
    weights: int = eqx.field(static=True)

    def __init__(self, weights: Count, size: Count, *, key: Key):
        check_key(key)
        which_key, sign_key = jax.random.split(key)
        self.weights = weights = count(weights, "weights")
        size = count(size, "size")
        few = math.ceil(math.sqrt(weights))
        self.which = jax.random.randint(which_key, (size, few), 0, weights)
        signs = jax.random.rademacher(sign_key, (size, few), jnp.result_type(float))
        self.signs = signs * math.sqrt(weights / (size * few))

    def __call__(self, h: Float[Array, " weights"]) -> Float[Array, " size"]:
        """Return R h.

        Raises:
            ValueError: h has another length than R was made for.
        """
        check_shape(h, (self.weights,), "what is projected")
        return (h[self.which] * self.signs).sum(1)


def power(h: Float[Array, "*shape"], exponent: ScalarLike = 0.5) -> Float[Array, "*shape"]:
    """Return |h|^exponent with the sign of h: single large numbers decide less."""
    return jnp.sign(h) * jnp.abs(h) ** exponent


class Embedding(eqx.Module):
    """x ↦ R F^(−½) φ(x): the score, whitened by the diagonal Fisher information, projected.

    `damping` times the mean information is added to each: what the model's draws hardly
    ever ask for is not divided by nearly nothing.
    """

    model: Any
    scale: Float[Array, " weights"]
    projection: Projection
    log_prob: LogProb = eqx.field(static=True)

    def __init__(
        self,
        log_prob: LogProb,
        model: Any,
        information: Float[Array, " weights"],
        size: Count,
        *,
        damping: ScalarLike = 1e-3,
        key: Key,
    ):
        self.log_prob, self.model = log_prob, model
        least = jnp.finfo(information.dtype).tiny  # a weight that is never asked for stays 0
        self.scale = jax.lax.rsqrt(information + damping * information.mean() + least)
        self.projection = Projection(len(information), size, key=key)

    def __call__(self, x: Num[AnyArray, "*shape"]) -> Float[Array, " size"]:
        """Return the embedding of one example."""
        return self.projection(self.scale * score(self.log_prob, self.model, x))


def embed(
    embedding: Callable[..., Float[Array, "..."]],
    examples: Num[AnyArray, " n *shape"],
    *,
    chunk: Count = 32,
) -> Float[np.ndarray, " n *size"]:
    """Return embedding(x) for many, with `chunk` scores at a time in memory.

    A last, smaller chunk is filled up, so that all are compiled once.
    """
    n, chunk = count(len(examples), "the number of examples"), count(chunk, "chunk")
    found = []
    for start in range(0, n, chunk):
        some = np.asarray(examples[start : start + chunk])
        filled = np.concatenate([some, np.repeat(some[:1], chunk - len(some), axis=0)])
        found.append(np.asarray(_embedded(embedding, filled))[: len(some)])
    return np.concatenate(found)


@eqx.filter_jit
def _embedded(embedding, some):
    return jax.vmap(embedding)(some)
