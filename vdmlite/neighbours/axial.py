"""Axial transformers: images pixel by pixel, by attention along axes (Ho et al. 2019).

    log p(x) = Σ_channels Σ_pixels log p(pixel | the pixels before it, the channels before)

Pixels come row by row. What lies *above* a pixel is gathered by the outer stack, what is to its
*left* by the inner one, and the channels before by the exterior one. Attention along an axis
costs √N for each of N pixels, where attention over the image costs N.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from .._types import AnyArray, Count, Key, Scalar, check_key, count

Map = Float[Array, "height width size"]
Choose = Callable[[tuple[int, int, int], Float[Array, "n levels"]], Integer[AnyArray, " n"]]


class Dense(eqx.Module):
    """h ↦ h W + b, on the last axis."""

    weight: Float[Array, "c_in c_out"]
    bias: Float[Array, " c_out"]

    def __init__(self, c_in: int, c_out: int, *, scale: float = 1.0, key: Key):
        self.weight = scale / math.sqrt(c_in) * jax.random.normal(key, (c_in, c_out))
        self.bias = jnp.zeros(c_out)

    def __call__(self, h: Float[Array, "height width c_in"]) -> Map:
        """Return h W + b."""
        out = h @ self.weight
        return out + jnp.broadcast_to(self.bias, out.shape)


class Block(eqx.Module):
    """h + attention along rows or columns, and then + two dense layers for each pixel.

    Along a row every pixel looks at those of its row; if `masked`, at those to its left and
    itself. A `dropout` is the share of channels that are left out in training.
    """

    attend: Dense
    gather: Dense
    widen: Dense
    narrow: Dense
    heads: int = eqx.field(static=True)
    columns: bool = eqx.field(static=True)
    masked: bool = eqx.field(static=True)
    dropout: float = eqx.field(static=True)

    def __init__(
        self,
        width: int,
        *,
        heads: int = 4,
        columns: bool,
        masked: bool,
        dropout: float = 0.0,
        key: Key,
    ):
        if width % heads:
            raise ValueError(f"{heads} heads do not share {width} channels evenly")
        keys = jax.random.split(key, 4)
        self.attend = Dense(width, 3 * width, key=keys[0])
        self.gather = Dense(width, width, scale=0.1, key=keys[1])
        self.widen = Dense(width, 2 * width, key=keys[2])
        self.narrow = Dense(2 * width, width, scale=0.1, key=keys[3])
        self.heads, self.columns, self.masked, self.dropout = heads, columns, masked, dropout

    def __call__(self, h: Map, *, key: Key | None = None) -> Map:
        """Return h after the block; with a key, channels are dropped."""
        keys = [None] * 2 if key is None else jax.random.split(key)
        if self.columns:
            h = h.swapaxes(0, 1)
        split = (*h.shape[:2], self.heads, -1)
        parts = jnp.split(self.attend(_normal(h)), 3, -1)
        query, keys_, values = (part.reshape(split) for part in parts)
        found = jax.nn.dot_product_attention(query, keys_, values, is_causal=self.masked)
        h = h + self._drop(self.gather(found.reshape(h.shape)), keys[0])
        h = h + self._drop(self.narrow(jax.nn.silu(self.widen(_normal(h)))), keys[1])
        return h.swapaxes(0, 1) if self.columns else h

    def _drop(self, h: Map, key: Key | None) -> Map:
        if key is None or not self.dropout:
            return h
        kept = jax.random.bernoulli(key, 1 - self.dropout, h.shape[-1:]) / (1 - self.dropout)
        return h * jnp.broadcast_to(kept.astype(h.dtype), h.shape)


def _normal(h: Map) -> Map:
    """Bring each pixel's channels to mean 0 and variance 1; the next layer scales them."""
    mean, variance = h.mean(-1, keepdims=True), h.var(-1, keepdims=True)
    return (h - mean) * jax.lax.rsqrt(variance + 1e-5)


def shift_down(h: Map) -> Map:
    """Give each pixel what the one above it had, and the top row zeros."""
    return jnp.pad(h, ((1, 0), (0, 0), (0, 0)))[:-1]


def shift_right(h: Map) -> Map:
    """Give each pixel what the one to its left had, and the first column zeros."""
    return jnp.pad(h, ((0, 0), (1, 0), (0, 0)))[:, :-1]


class AxialAttention(eqx.Module):
    """Unmasked attention along rows and then columns: two steps join any two pixels.

    A stage of `nn.UNet` takes it in place of its attention over the whole image:
    `eqx.tree_at(lambda net: net.middle[0].attention, net, AxialAttention(width, key=key))`.
    """

    blocks: tuple[Block, Block]

    def __init__(self, width: int, *, heads: int = 4, key: Key):
        keys = jax.random.split(key)
        self.blocks = (
            Block(width, heads=heads, columns=False, masked=False, key=keys[0]),
            Block(width, heads=heads, columns=True, masked=False, key=keys[1]),
        )

    def __call__(self, h: Map) -> Map:
        """Return h with what each position has gathered from all others."""
        for block in self.blocks:
            h = block(h)
        return h


class AxialTransformer(eqx.Module):
    """An autoregressive model of images of whole levels.

    The outer stack alternates unmasked rows and masked columns; then a shift down makes of it
    what lies above alone, so that its rows need no mask. The inner stack has masked rows, on
    levels shifted to the right. For more than one channel an exterior stack, unmasked, sees the
    channels before.
    """

    token: Float[Array, "channels levels width"]
    row: Float[Array, "height 1 width"]
    column: Float[Array, "1 columns width"]
    channel: Float[Array, "channels width"]
    exterior: tuple[Block, ...]
    outer: tuple[Block, ...]
    inner: tuple[Block, ...]
    last: Dense
    shape: tuple[int, int, int] = eqx.field(static=True)
    levels: int = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, int, int],
        levels: Count,
        *,
        width: int = 32,
        outer: int = 1,
        inner: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        key: Key,
    ):
        self.shape, self.levels = shape, count(levels, "levels")
        height, columns, channels = shape
        keys = iter(jax.random.split(key, 5 + 4 * outer + inner))

        def block(**axis: bool) -> Block:
            return Block(width, heads=heads, dropout=dropout, **axis, key=next(keys))

        def table(*size: int, scale: float = 0.1) -> Array:
            return scale * jax.random.normal(next(keys), (*size, width))

        self.token = table(channels, self.levels, scale=0.2)
        self.row, self.column = table(height, 1), table(1, columns)
        self.channel = table(channels)
        self.last = Dense(width, self.levels, scale=0.1, key=next(keys))
        self.inner = tuple(block(columns=False, masked=True) for _ in range(inner))
        pairs = [(False, False), (True, True)] * outer
        self.outer = tuple(block(columns=c, masked=m) for c, m in pairs)
        free = [False, True] * outer if channels > 1 else []
        self.exterior = tuple(block(columns=c, masked=False) for c in free)

    def context(
        self,
        image: Integer[Array, "height width c"],
        channel: Integer[Array, ""],
        *,
        key: Key | None = None,
    ) -> Map:
        """Return what is known at each pixel before its channel: place, earlier channels."""
        here = self.channel[channel]
        known = self.row + self.column + jnp.broadcast_to(here, (*self.shape[:2], here.size))
        if not self.exterior:
            return known
        each = jax.vmap(lambda table, levels: table[levels], (0, -1))(self.token, image)
        before = jnp.arange(self.shape[-1]) < channel
        known = known + jnp.tensordot(before.astype(each.dtype), each, 1)
        return _through(self.exterior, known, key=key)

    def above(self, h: Map, context: Map, *, key: Key | None = None) -> Map:
        """Return what is known of the rows above each pixel; h embeds its channel's levels."""
        return shift_down(_through(self.outer, h + context, key=key)) + context

    def along(
        self, h: Map, above: Map, *, key: Key | None = None
    ) -> Float[Array, "height width levels"]:
        """Return each pixel's logits; the rows do not look at each other."""
        h = _through(self.inner, shift_right(h) + above, key=key)
        return self.last(_normal(h))

    def embed(self, levels: Integer[Array, "height width"], channel: Integer[Array, ""]) -> Map:
        """Return the embeddings of levels of one channel."""
        return self.token[channel][levels]

    def logits(
        self,
        image: Integer[Array, "height width c"],
        channel: Integer[Array, ""],
        *,
        key: Key | None = None,
    ) -> Float[Array, "height width levels"]:
        """Return the logits of one channel's pixels, each given those before it."""
        keys = [None] * 3 if key is None else jax.random.split(key, 3)
        context = self.context(image, channel, key=keys[0])
        h = self.embed(image[..., channel], channel)
        return self.along(h, self.above(h, context, key=keys[1]), key=keys[2])

    def log_prob(self, image: Integer[AnyArray, "height width c"]) -> Scalar:
        """Return log p(image), in nats.

        Raises:
            ValueError: the image has another shape.
        """
        self.check(image.shape)
        channels = jnp.arange(self.shape[-1])
        return jax.lax.map(lambda c: self._of(jnp.asarray(image), c), channels).sum()

    def _of(self, image, channel, *, key=None) -> Scalar:
        log_p = jax.nn.log_softmax(self.logits(image, channel, key=key))
        known = image[..., channel].astype(int)
        found = jnp.take_along_axis(log_p, known[..., None], -1).sum()
        return jnp.where(jnp.all(known >= 0), found, jnp.nan)

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise an error unless an image's shape is the model's.

        Raises:
            ValueError: it is another one; the message has both.
        """
        if shape != self.shape:
            raise ValueError(f"the model is of images of shape {self.shape}, got {shape}")


def _through(blocks: tuple[Block, ...], h: Map, *, key: Key | None) -> Map:
    keys = [None] * len(blocks) if key is None else jax.random.split(key, len(blocks))
    for block, one in zip(blocks, keys, strict=True):
        h = block(h, key=one)
    return h


def training_loss(
    model: AxialTransformer, image: Integer[AnyArray, "height width c"], *, key: Key
) -> Scalar:
    """Return an unbiased estimate of −log p(image) in nats, from one channel, with dropout."""
    model.check(image.shape)
    channel_key, key = jax.random.split(key)
    channel = jax.random.randint(channel_key, (), 0, model.shape[-1])
    return -model.shape[-1] * model._of(jnp.asarray(image), channel, key=key)


@eqx.filter_jit
def _contexts(model, images, channel):
    return jax.vmap(lambda image: model.context(image, channel))(images)


@eqx.filter_jit
def _row_above(model, images, contexts, channel, i):
    def one(image, context):
        above = model.above(model.embed(image[..., channel], channel), context)
        return jax.lax.dynamic_slice_in_dim(above, i, 1)

    return jax.vmap(one)(images, contexts)


@eqx.filter_jit
def _logits_at(model, rows, above, channel, j):
    def one(levels, above):
        return model.along(model.embed(levels[None], channel), above)[0, j]

    return jax.vmap(one)(rows, above)


@eqx.filter_jit
def _naive_logits(model, images, channel, i, j):
    return jax.vmap(lambda image: model.logits(image, channel)[i, j])(images)


def fill(
    model: AxialTransformer, examples: Count, choose: Choose, *, naive: bool = False
) -> Integer[np.ndarray, " n height width c"]:
    """Fill images pixel by pixel: `choose((row, column, channel), logits)` says their levels.

    Semi-parallel: the outer stack is run once a row and the inner one, of that row alone, once
    a pixel. `naive` runs everything once a pixel, to the same result.
    """
    images = np.zeros((count(examples, "examples"), *model.shape), np.int32)
    # Arrays, as another Python number would compile anew.
    rows, columns, channels = (jnp.arange(n) for n in model.shape)
    for c, channel in enumerate(channels):
        contexts = None if naive else _contexts(model, images, channel)
        for i, row in enumerate(rows):
            above = None if naive else _row_above(model, images, contexts, channel, row)
            for j, column in enumerate(columns):
                if naive:
                    logits = _naive_logits(model, images, channel, row, column)
                else:
                    logits = _logits_at(model, images[:, i, :, c], above, channel, column)
                images[:, i, j, c] = choose((i, j, c), logits)
    return images


def draw(
    model: AxialTransformer, examples: Count, *, naive: bool = False, key: Key
) -> Integer[np.ndarray, " n height width c"]:
    """Draw images. The noise of a pixel depends on the key and its place alone."""
    check_key(key)

    def choose(
        place: tuple[int, int, int], logits: Float[Array, "n levels"]
    ) -> Integer[Array, " n"]:
        i, j, c = place
        number = (i * model.shape[1] + j) * model.shape[2] + c
        return _drawn(jax.random.fold_in(key, number), logits)

    return fill(model, examples, choose, naive=naive)


@jax.jit
def _drawn(key, logits):
    return jax.random.categorical(key, logits)
