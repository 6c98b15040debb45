"""VDM's U-Net: residual blocks at full resolution, given γ, with skips from the first half.

    z ─► features ─► conv ─► block … block ─► block, attention, block ─► block … block ─► ε̂
                        └───────┴── each joined again, last first ───────────┴───────┘

Nothing is ever down-sampled: the bound counts the finest details (Kingma et al. 2021,
appendix B). Before training the last convolution is zero, and the guess is ε̂ = z.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Num

from .._types import Key, ScalarLike, check_key
from .conv import Conv
from .fourier import fourier_features, sinusoids

Image = Float[Array, "height width c"]
Flag = Num[ArrayLike, ""]

_kernel = jax.nn.initializers.lecun_normal()
_zeros = jax.nn.initializers.zeros
_weight = jax.nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)


class GroupNorm(eqx.Module):
    """Normalise an image over space and the channels of each group, then scale and shift.

    More than one channel to a group, or the norm would take away the embedding of γ: a
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
    """h + conv(dropout(silu(norm(conv(silu(norm(h))) + a projection of the embedding))))."""

    norm_1: GroupNorm
    conv_1: Conv
    projection: eqx.nn.Linear
    norm_2: GroupNorm
    dropout: eqx.nn.Dropout | None
    conv_2: Conv
    skip: Conv | None

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        groups: int,
        embedding_size: int,
        dropout: float = 0.0,
        bfloat16: bool = False,
        key: Key,
    ):
        conv_1_key, conv_2_key, projection_key, skip_key = jax.random.split(key, 4)
        self.norm_1, self.norm_2 = GroupNorm(c_in, groups), GroupNorm(c_out, groups)
        self.conv_1 = Conv(c_in, c_out, bfloat16=bfloat16, start=_kernel, key=conv_1_key)
        self.conv_2 = Conv(c_out, c_out, bfloat16=bfloat16, start=_zeros, key=conv_2_key)
        projection = eqx.nn.Linear(embedding_size, c_out, use_bias=False, key=projection_key)
        self.projection = jax.tree.map(jnp.zeros_like, projection)
        self.dropout = eqx.nn.Dropout(dropout) if dropout else None
        self.skip = None
        if c_in != c_out:
            self.skip = Conv(c_in, c_out, 1, bfloat16=bfloat16, start=_kernel, key=skip_key)

    def __call__(
        self,
        h: Float[Array, "height width c_in"],
        embedding: Float[Array, " embedding"],
        *,
        key: Key | None = None,
    ) -> Float[Array, "height width c_out"]:
        """Return the block's output; `embedding` is that of γ, one for all blocks."""
        inner = self.conv_1(jax.nn.silu(self.norm_1(h)))
        inner = inner + _over(self.projection(embedding), inner)
        inner = jax.nn.silu(self.norm_2(inner))
        if self.dropout is not None and key is not None:
            inner = self.dropout(inner, key=key)
        return self.conv_2(inner) + (h if self.skip is None else self.skip(h))


class Attention(eqx.Module):
    """h + a mix of all positions, each weighed by how its key meets this one's query."""

    norm: GroupNorm
    query: Conv
    key: Conv
    value: Conv
    out: Conv

    def __init__(self, channels: int, *, groups: int, bfloat16: bool = False, key: Key):
        self.norm = GroupNorm(channels, groups)
        self.query, self.key, self.value, self.out = (
            Conv(channels, channels, 1, bfloat16=bfloat16, start=start, key=k)
            for start, k in zip([_kernel] * 3 + [_zeros], jax.random.split(key, 4), strict=True)
        )

    def __call__(self, h: Image) -> Image:
        """Return h with what each position has gathered from all others."""
        normal = self.norm(h)
        query, key, value = (
            a(normal).reshape(-1, 1, h.shape[-1]) for a in (self.query, self.key, self.value)
        )
        gathered = jax.nn.dot_product_attention(query, key, value)
        return h + self.out(gathered.reshape(h.shape))


class Stage(eqx.Module):
    """A residual block, with attention after it or without."""

    block: ResBlock
    attention: Attention | None

    @eqx.filter_jit  # so that stages alike are traced once
    def __call__(
        self,
        h: Float[Array, "height width c_in"],
        embedding: Float[Array, " embedding"],
        *,
        key: Key | None = None,
    ) -> Float[Array, "height width c_out"]:
        """Return the stage's output."""
        h = self.block(h, embedding, key=key)
        return h if self.attention is None else self.attention(h)


class UNet(eqx.Module):
    """(z, γ) ↦ ε̂ for one image, the score network of VDM (Kingma et al. 2021, appendix B).

    `depth` stages lead to the middle and `depth + 1` back, all of `width` channels. There is
    `attention` in the middle (on a CPU it costs as much as twenty blocks), and after every
    block if `attend_everywhere`. `groups` of channels are normalised together; None means
    at least 4 channels to a group and at most 32 groups. `exponents` are those of the Fourier
    features of z. γ is embedded on the fixed scale of `gamma_range`: the network sees γ alone,
    whatever the schedule. A `dropout` works where a key is given.

    Three knobs change cost alone. `bfloat16` multiplies in that type inside the stages, never
    before them, for the features magnify z by 804, and its rounding with it. `remat` stores
    only what stands between stages and computes the rest again on the way back. `scan`
    compiles one stage for all, which a GPU or TPU is thankful for; on a CPU it is unrolled,
    for convolutions there are slow in loops.
    """

    conv_in: Conv
    embed: tuple[eqx.nn.Linear, eqx.nn.Linear]
    down: tuple[Stage, ...]
    middle: tuple[Stage, Stage]
    up: tuple[Stage, ...]
    norm: GroupNorm
    conv_out: Conv
    exponents: tuple[int, ...] = eqx.field(static=True)
    gamma_range: tuple[float, float] = eqx.field(static=True)
    remat: bool = eqx.field(static=True, metadata={"cost_only": True})
    scan: bool = eqx.field(static=True, metadata={"cost_only": True})

    def __init__(
        self,
        channels: int = 3,
        *,
        width: int = 128,
        depth: int = 32,
        attention: bool = True,
        attend_everywhere: bool = False,
        groups: int | None = None,
        dropout: float = 0.0,
        exponents: tuple[int, ...] = (6, 7),
        gamma_range: tuple[float, float] = (-13.3, 5.0),
        bfloat16: bool = False,
        remat: bool = False,
        scan: bool = False,
        key: Key,
    ):
        check_key(key)
        if width % 4 or width < 4:
            raise ValueError(f"the width must be a multiple of 4 channels, got {width}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a share of the activations, 0 … 1, got {dropout}")
        self.exponents, self.gamma_range = tuple(exponents), gamma_range
        self.remat, self.scan = remat, scan
        if groups is None:
            groups = max(n for n in range(1, min(32, width // 4) + 1) if width % n == 0)
        in_key, out_key, *keys = jax.random.split(key, 8 + 2 * depth)
        size, knobs = 4 * width, {"groups": groups, "bfloat16": bfloat16}

        def stage(c_in: int, attend: bool, key: Key) -> Stage:
            block_key, attention_key = jax.random.split(key)
            more = {"embedding_size": size, "dropout": dropout, **knobs}
            block = ResBlock(c_in, width, **more, key=block_key)
            attention = Attention(width, **knobs, key=attention_key) if attend else None
            return Stage(block, attention)

        features = channels * (1 + 2 * len(exponents))
        self.conv_in = Conv(features, width, start=_kernel, key=in_key)
        self.embed = _dense(width + 1, size, key=keys[0]), _dense(size, size, key=keys[1])
        self.middle = stage(width, attention, keys[2]), stage(width, False, keys[3])
        self.down = tuple(stage(width, attend_everywhere, k) for k in keys[4 : 4 + depth])
        self.up = tuple(stage(2 * width, attend_everywhere, k) for k in keys[4 + depth : -1])
        self.norm = GroupNorm(width, groups)
        self.conv_out = Conv(width, channels, start=_zeros, key=out_key)

    def __call__(
        self, z: Image, gamma: ScalarLike, flag: Flag = 0.0, *, key: Key | None = None
    ) -> Image:
        """Return ε̂. `flag` is 1 for an image that was augmented; the key is for dropout."""
        embedding = self.embedding(gamma, flag)
        down_key, middle_key, up_key = [None] * 3 if key is None else jax.random.split(key, 3)
        entered = self.conv_in(fourier_features(z, self.exponents))
        h, passed = self._through(self.down, entered, embedding, key=down_key)
        h, _ = self._through(self.middle, h, embedding, key=middle_key)
        skips = [entered, *passed][::-1]
        h, _ = self._through(self.up, h, embedding, skips, key=up_key)
        return self.conv_out(jax.nn.silu(self.norm(h))) + z

    def _through(
        self,
        stages: Sequence[Stage],
        h: Image,
        embedding: Float[Array, " embedding"],
        skips: Sequence[Image] | None = None,
        *,
        key: Key | None,
    ) -> tuple[Image, list[Image]]:
        """Return h after all stages, and after each. A stage joins its skip, if any, to h."""

        def step(h: Image, given: tuple) -> tuple[Image, Image]:
            stage, skip, key = given
            if skip is not None and self.remat:
                # Lest all be joined in advance for the way back, and held.
                h, skip = jax.lax.optimization_barrier((h, skip))
            joined = h if skip is None else jnp.concatenate([h, skip], axis=-1)
            h = stage(joined, embedding, key=key)
            return h, h

        if self.remat:
            step = eqx.filter_checkpoint(step)
        keys = [None] * len(stages) if key is None else list(jax.random.split(key, len(stages)))
        each = list(zip(stages, skips or [None] * len(stages), keys, strict=True))
        if not self.scan or stages is self.middle:
            after = []
            for given in each:
                h, _ = step(h, given)
                after.append(h)
            return h, after
        alike = [eqx.partition(given, eqx.is_array) for given in each]
        stacked = jax.tree.map(lambda *a: jnp.stack(a), *[arrays for arrays, _ in alike])
        h, after = jax.lax.scan(
            lambda h, arrays: step(h, eqx.combine(arrays, alike[0][1])),
            h,
            stacked,
            unroll=jax.default_backend() == "cpu" or 1,
        )
        return h, list(after)

    def embedding(self, gamma: ScalarLike, flag: Flag = 0.0) -> Float[Array, " embedding"]:
        """Return the embedding of γ and the flag: sinusoids, then two dense layers."""
        low, high = self.gamma_range
        half = self.norm.scale.size // 2
        frequencies = 1000 * jnp.exp(-np.log(1e4) * jnp.arange(half, dtype=float) / (half - 1))
        h = sinusoids((jnp.asarray(gamma) - low) / (high - low), frequencies)
        h = jnp.append(h, jnp.asarray(flag, h.dtype))
        for linear in self.embed:
            h = jax.nn.silu(linear(h))
        return h


def _dense(n_in: int, n_out: int, *, key: Key) -> eqx.nn.Linear:
    """Return a dense layer whose weights are drawn as in the published code, its bias 0."""
    dense = eqx.nn.Linear(n_in, n_out, key=key)
    start = _weight(key, dense.weight.shape), jnp.zeros(n_out)
    return eqx.tree_at(lambda d: (d.weight, d.bias), dense, start)


def _over(channels: Float[Array, " c"], h: Image) -> Image:
    """Repeat one number a channel over all positions."""
    return jnp.broadcast_to(channels, h.shape)
