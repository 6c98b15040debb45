"""VDM's U-Net: residual blocks at full resolution, told γ, with skips from the first half.

    z ─► features ─► conv ─► block … block ─► block, attention, block ─► block … block ─► ε̂
                        └───────┴── each joined again, last first ───────────┴───────┘

Nothing is ever down-sampled: the bound counts the finest details (Kingma et al. 2021,
appendix B). Before training the exit is zero, and the guess is ε̂ = z.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Key, ScalarLike
from .conv import Conv
from .fourier import fourier_features, sinusoids

Image = Float[Array, "height width c"]


class GroupNorm(eqx.Module):
    """Normalise an image over space and the channels of each group, then scale and shift.

    More than one channel to a group, or the norm would take away what a block was told: a
    constant added to a channel is lost when the channel is normalised by itself.
    """

    scale: Float[Array, " c"]
    bias: Float[Array, " c"]
    groups: int = eqx.field(static=True)

    def __init__(self, channels: int, groups: int):
        if channels % groups or channels == groups:
            raise ValueError(
                f"{groups} groups of {channels} channels: each group needs the same number "
                "of them, and at least 2"
            )
        self.scale, self.bias, self.groups = jnp.ones(channels), jnp.zeros(channels), groups

    def __call__(self, h: Image) -> Image:
        """Return h normalised."""
        grouped = h.reshape(*h.shape[:2], self.groups, -1)
        mean = jnp.mean(grouped, (0, 1, 3), keepdims=True)
        variance = jnp.var(grouped, (0, 1, 3), keepdims=True)
        normal = ((grouped - mean) * jax.lax.rsqrt(variance + 1e-6)).reshape(h.shape)
        return normal * jnp.broadcast_to(self.scale, h.shape) + _over(self.bias, h)


class ResBlock(eqx.Module):
    """h + conv(silu(norm(conv(silu(norm(h))) + what the block is told of γ)))."""

    norm_1: GroupNorm
    conv_1: Conv
    told: eqx.nn.Linear
    norm_2: GroupNorm
    conv_2: Conv
    skip: Conv | None

    def __init__(self, c_in: int, c_out: int, *, groups: int, told: int, key: Key):
        conv_1_key, conv_2_key, told_key, skip_key = jax.random.split(key, 4)
        self.norm_1, self.norm_2 = GroupNorm(c_in, groups), GroupNorm(c_out, groups)
        self.conv_1 = Conv(c_in, c_out, key=conv_1_key)
        self.conv_2 = _silent(Conv(c_out, c_out, key=conv_2_key))
        self.told = _silent(eqx.nn.Linear(told, c_out, use_bias=False, key=told_key))
        self.skip = Conv(c_in, c_out, 1, key=skip_key) if c_in != c_out else None

    def __call__(
        self, h: Float[Array, "height width c_in"], level: Float[Array, " told"]
    ) -> Float[Array, "height width c_out"]:
        """Return the block's output; `level` is what all blocks are told of γ."""
        inner = self.conv_1(jax.nn.silu(self.norm_1(h)))
        inner = inner + _over(self.told(level), inner)
        inner = self.conv_2(jax.nn.silu(self.norm_2(inner)))
        return inner + (h if self.skip is None else self.skip(h))


class Attention(eqx.Module):
    """h + a mix of all positions, each weighed by how its key meets this one's query."""

    norm: GroupNorm
    query: Conv
    key: Conv
    value: Conv
    exit: Conv

    def __init__(self, channels: int, *, groups: int, key: Key):
        self.norm = GroupNorm(channels, groups)
        query, keys, value, last = (
            Conv(channels, channels, 1, key=k) for k in jax.random.split(key, 4)
        )
        self.query, self.key, self.value, self.exit = query, keys, value, _silent(last)

    def __call__(self, h: Image) -> Image:
        """Return h with what each position has gathered from all others."""
        normal = self.norm(h)
        query, key, value = (
            a(normal).reshape(-1, 1, h.shape[-1]) for a in (self.query, self.key, self.value)
        )
        gathered = jax.nn.dot_product_attention(query, key, value)
        return h + self.exit(gathered.reshape(h.shape))


class UNet(eqx.Module):
    """(z, γ) ↦ ε̂ for one image, the score network of VDM (Kingma et al. 2021, appendix B).

    `depth` blocks lead to the middle and `depth + 1` back, all of `width` channels, 4 to a
    group; `attention` is the one in the middle, and on a CPU it costs as much as twenty
    blocks. `exponents` are those of the Fourier features of z. γ is told on the scale of
    `gamma_range`, which is fixed: the network sees γ alone, whatever the schedule.
    """

    entry: Conv
    tell: tuple[eqx.nn.Linear, eqx.nn.Linear]
    down: tuple[ResBlock, ...]
    middle: tuple[ResBlock, Attention | None, ResBlock]
    up: tuple[ResBlock, ...]
    norm: GroupNorm
    exit: Conv
    exponents: tuple[int, ...] = eqx.field(static=True)
    gamma_range: tuple[float, float] = eqx.field(static=True)

    def __init__(
        self,
        channels: int = 3,
        *,
        width: int = 128,
        depth: int = 32,
        attention: bool = True,
        exponents: tuple[int, ...] = (6, 7),
        gamma_range: tuple[float, float] = (-13.3, 5.0),
        key: Key,
    ):
        if width % 4 or width < 4:
            raise ValueError(f"the width must be a multiple of 4 channels, got {width}")
        self.exponents, self.gamma_range = tuple(exponents), gamma_range
        entry_key, exit_key, *keys = jax.random.split(key, 8 + 2 * depth)
        groups, told = width // 4, 4 * width

        def block(c_in: int, key: Key) -> ResBlock:
            return ResBlock(c_in, width, groups=groups, told=told, key=key)

        self.entry = Conv(channels * (1 + 2 * len(exponents)), width, key=entry_key)
        self.tell = (
            eqx.nn.Linear(width, told, key=keys[0]),
            eqx.nn.Linear(told, told, key=keys[1]),
        )
        self.middle = (
            block(width, keys[2]),
            Attention(width, groups=groups, key=keys[3]) if attention else None,
            block(width, keys[4]),
        )
        self.down = tuple(block(width, k) for k in keys[5 : 5 + depth])
        self.up = tuple(block(2 * width, k) for k in keys[5 + depth :])
        self.norm = GroupNorm(width, groups)
        self.exit = _silent(Conv(width, channels, key=exit_key))

    def __call__(self, z: Image, gamma: ScalarLike, *, key: Key | None = None) -> Image:
        """Return ε̂; `key` is unused, there is no dropout."""
        del key
        level = self.level(gamma)
        h = self.entry(fourier_features(z, self.exponents))
        skips = [h]
        for block in self.down:
            h = block(h, level)
            skips.append(h)
        first, attention, last = self.middle
        h = first(h, level)
        h = last(h if attention is None else attention(h), level)
        for block in self.up:
            h = block(jnp.concatenate([h, skips.pop()], axis=-1), level)
        return self.exit(jax.nn.silu(self.norm(h))) + z

    def level(self, gamma: ScalarLike) -> Float[Array, " told"]:
        """Return what all blocks are told of γ: sinusoids, seen through two layers."""
        low, high = self.gamma_range
        half = self.norm.scale.size // 2
        frequencies = 1000 * jnp.exp(-jnp.log(1e4) * jnp.arange(half) / (half - 1))
        h = sinusoids((jnp.asarray(gamma) - low) / (high - low), frequencies)
        for linear in self.tell:
            h = jax.nn.silu(linear(h))
        return h


def _over(channels: Float[Array, " c"], h: Image) -> Image:
    """Repeat one number a channel over all positions."""
    return jnp.broadcast_to(channels, h.shape)


def _silent(layer: Any) -> Any:
    """Return a layer whose weights are all zero."""
    return jax.tree.map(jnp.zeros_like, layer)
