"""A judge of samples: a small classifier's features, and the Fréchet distance between them."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Integer

from .._types import AnyArray, Key
from ..decoder import LevelDecoder


class Judge(NamedTuple):
    """Two layers that were trained to tell digits apart; samplers never see it."""

    first: eqx.nn.Linear
    second: eqx.nn.Linear
    levels: int

    def features(
        self, images: Integer[AnyArray, " n *shape"]
    ) -> Float[np.ndarray, "n features"]:
        """Return what the hidden layer says of each image."""
        x = LevelDecoder(self.levels).embed(jnp.asarray(images)).reshape(len(images), -1)
        return np.asarray(_hidden(self.first, x), np.float64)

    def labels(self, images: Integer[AnyArray, " n *shape"]) -> Integer[np.ndarray, " n"]:
        """Return the label that each image most likely has."""
        hidden = jnp.asarray(self.features(images), jnp.result_type(float))
        return np.asarray(jnp.argmax(jax.vmap(self.second)(hidden), 1))


def _hidden(first, x):
    return jax.nn.silu(jax.vmap(first)(x))


def train_judge(
    images: Integer[AnyArray, " n *shape"],
    labels: Integer[AnyArray, " n"],
    levels: int,
    *,
    updates: int = 300,
    width: int = 64,
    key: Key,
) -> Judge:
    """Return a judge trained on labelled images, all of them in every update."""
    keys = jax.random.split(key)
    x = LevelDecoder(levels).embed(jnp.asarray(images)).reshape(len(images), -1)
    layers = (
        eqx.nn.Linear(x.shape[1], width, key=keys[0]),
        eqx.nn.Linear(width, int(np.max(labels)) + 1, key=keys[1]),
    )
    adam = optax.adamw(3e-3, weight_decay=1e-2)

    @eqx.filter_jit
    def update(layers, state):
        def mistakes(layers):
            first, second = layers
            log_p = jax.nn.log_softmax(jax.vmap(second)(_hidden(first, x)))
            return -jnp.mean(log_p[jnp.arange(len(x)), labels])

        slopes = eqx.filter_grad(mistakes)(layers)
        changes, state = adam.update(slopes, state, eqx.filter(layers, eqx.is_array))
        return eqx.apply_updates(layers, changes), state

    state = adam.init(eqx.filter(layers, eqx.is_array))
    for _ in range(updates):
        layers, state = update(layers, state)
    first, second = layers
    return Judge(first, second, levels)


def frechet(one: Float[AnyArray, "n d"], other: Float[AnyArray, "m d"]) -> float:
    """Return ‖μ − ν‖² + tr(A + B − 2 (A B)^½), for the means and covariances of two samples.

    The squared Wasserstein distance of two Gaussians (Fréchet 1957); of Inception features it
    is the FID (Heusel et al. 2017). It falls with the sizes of the samples: compare only what
    was measured with equal ones.
    """
    a, b = (np.atleast_2d(np.cov(s, rowvar=False)) for s in (one, other))
    values, vectors = np.linalg.eigh(a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ b @ root)
    away = np.sum((np.mean(one, 0) - np.mean(other, 0)) ** 2)
    return float(away + np.trace(a) + np.trace(b) - 2 * np.sqrt(np.maximum(mixed, 0)).sum())
