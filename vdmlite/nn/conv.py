"""Convolutions in NHWC, and a small convolutional network for tiny images."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._types import Key, ScalarLike, check_key
from .fourier import GAMMA_FEATURES, gamma_features


def _normal(key: Key, shape: tuple[int, ...]) -> Array:
    """Draw a kernel whose sums over what comes in are of the size of 1."""
    return 1 / np.sqrt(np.prod(shape[:-1])) * jax.random.normal(key, shape)


class Conv(eqx.Module):
    """A convolution that keeps height and width, on one image with channels last.

    Channels last, because XLA on CPU runs channels-first convolutions many times slower
    inside loops, as samplers are. With `bfloat16` the products are of bfloat16 numbers; weights
    and what is returned are not. `start(key, shape)` draws the kernel.
    """

    kernel: Float[Array, "size size c_in c_out"]
    bias: Float[Array, " c_out"]
    bfloat16: bool = eqx.field(static=True, metadata={"cost_only": True})

    def __init__(
        self,
        c_in: int,
        c_out: int,
        size: int = 3,
        *,
        bfloat16: bool = False,
        start: Callable[..., Array] = _normal,
        key: Key,
    ):
        self.bfloat16 = bfloat16
        self.kernel = start(key, (size, size, c_in, c_out))
        self.bias = jnp.zeros(c_out)

    def __call__(
        self, h: Float[Array, "height width c_in"]
    ) -> Float[Array, "height width c_out"]:
        """Return the convolution of h with the kernel, zero-padded at the edges."""
        dtype = jnp.bfloat16 if self.bfloat16 else h.dtype
        out = jax.lax.conv_general_dilated(
            h[None].astype(dtype),
            self.kernel.astype(dtype),
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )[0].astype(h.dtype)
        return out + jnp.broadcast_to(self.bias, out.shape)


class ConvNet(eqx.Module):
    """(z, γ) ↦ an array of `out_shape`, by residual 3×3 convolutions; zero before training.

    Every pixel starts from its own value and a learned embedding of its place; every block
    gets an embedding of γ. `out_shape` is that of z, or that and one more axis, for levels.
    """

    linear_in: eqx.nn.Linear
    place: Float[Array, "height width c"]
    projections: tuple[eqx.nn.Linear, ...]
    blocks: tuple[Conv, ...]
    linear_out: eqx.nn.Linear
    out_shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        out_shape: tuple[int, ...] | None = None,
        width: int = 32,
        depth: int = 3,
        key: Key,
    ):
        check_key(key)
        if np.shape(shape) != (3,):
            raise TypeError(f"shape is (height, width, channels), got {shape!r}")
        height, columns, channels = shape
        self.out_shape = shape if out_shape is None else tuple(out_shape)
        in_key, out_key, *keys = jax.random.split(key, 2 + 2 * depth)
        self.linear_in = eqx.nn.Linear(channels, width, key=in_key)
        self.place = jnp.zeros((height, columns, width))
        self.projections = tuple(
            eqx.nn.Linear(GAMMA_FEATURES, width, key=k) for k in keys[:depth]
        )
        self.blocks = tuple(Conv(width, width, key=k) for k in keys[depth:])
        outputs = int(np.prod(self.out_shape)) // (height * columns)
        last = eqx.nn.Linear(width, outputs, key=out_key)
        self.linear_out = jax.tree.map(jnp.zeros_like, last)

    def __call__(
        self, z: Float[Array, "height width c"], gamma: ScalarLike, *, key: Key | None = None
    ) -> Float[Array, "*out"]:
        """Return the network's output for one image; `key` is unused, there is no dropout."""
        del key
        embedding = gamma_features(gamma)
        h = _pixelwise(self.linear_in, z) + self.place
        for projection, block in zip(self.projections, self.blocks, strict=True):
            h = h + block(jax.nn.silu(h + jnp.broadcast_to(projection(embedding), h.shape)))
        return _pixelwise(self.linear_out, jax.nn.silu(h)).reshape(self.out_shape)


def _pixelwise(
    linear: eqx.nn.Linear, h: Float[Array, "height width c_in"]
) -> Float[Array, "height width c_out"]:
    return jax.vmap(jax.vmap(linear))(h)
