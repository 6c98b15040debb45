"""The published system: its models at full size, and its weights, in and out.

Kingma et al. 2021 and the authors' program, google-research/vdm, as of 2022. Where the two
differ, we follow the program, whose checkpoints are what can be compared:

- the learned schedule is `PublishedNet`, not the normalised network of appendix H;
- images are augmented by flips and quarter turns, not by swaps of colour channels;
- attention after every block is in `cifar10_aug_paper` alone.

But where the program averages the weights at once and decays the schedule's as well, we
don't: `settings` has what it trains with.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import VDM, AbstractSchedule, LearnedLinear, LevelDecoder, NetDenoiser
from .._types import AnyArray, Key, Scalar, ScalarLike
from ..nn import Conv, UNet
from ..nn.unet import Stage


class PublishedNet(AbstractSchedule):
    """γ(t) = |w₁| t + b₁ + Σ_k |w₃ₖ| tanh(½(|w₂ₖ| (2t − 1) + b₂ₖ)) / n: it can only rise.

    The schedule of the program's two augmented settings. Its ends are where its parts happen
    to lead; `vdmlite.MonotoneNet` has ends that are parameters.
    """

    w_1: Float[Array, ""]
    b_1: Float[Array, ""]
    w_2: Float[Array, " n"]
    b_2: Float[Array, " n"]
    w_3: Float[Array, " n"]

    def __init__(
        self, gamma_min: float = -13.3, gamma_max: float = 5.0, *, width: int = 1024, key: Key
    ):
        LearnedLinear(gamma_min, gamma_max)  # which refuses a range that doesn't rise
        dtype, (key_2, key_3) = jnp.result_type(float), jax.random.split(key)
        self.b_1 = jnp.asarray(gamma_min, dtype)
        self.w_1 = jnp.asarray(gamma_max - gamma_min, dtype)
        self.w_2 = 0.01 * jax.random.normal(key_2, (width,))
        self.b_2 = jnp.zeros(width)
        self.w_3 = 0.01 * jax.random.normal(key_3, (width,))

    def __call__(self, t: ScalarLike) -> Scalar:
        """Return γ(t)."""
        t = jnp.asarray(t, self.w_1.dtype)
        inner = jnp.abs(self.w_2) * (2 * t - 1) + self.b_2
        bend = jnp.mean(jnp.abs(self.w_3) * jnp.tanh(0.5 * inner))
        return jnp.abs(self.w_1) * t + self.b_1 + bend


def cifar10(*, key: Key, **knobs: Any) -> VDM:
    """Return the model of CIFAR-10: 30,578,181 weights, 2.65 bits/dim in the paper.

    `knobs` are those of `nn.UNet`, here and below.
    """
    net = UNet(3, **{"dropout": 0.1, **knobs}, key=key)
    return _vdm(net, LearnedLinear(), 32)


def cifar10_aug(*, key: Key, **knobs: Any) -> VDM:
    """Return the model of CIFAR-10 with augmentation: 122,140,677 weights."""
    net_key, schedule_key = jax.random.split(key)
    net = UNet(3, **{"width": 256, "dropout": 0.05, **knobs}, key=net_key)
    return _vdm(net, PublishedNet(key=schedule_key), 32)


def cifar10_aug_paper(*, key: Key, **knobs: Any) -> VDM:
    """Return it with attention everywhere: 139,279,877 weights, 2.49 bits/dim in the paper."""
    return cifar10_aug(key=key, **{"attend_everywhere": True, **knobs})


def imagenet32(*, key: Key, **knobs: Any) -> VDM:
    """Return the model of ImageNet 32×32: 122,137,605 weights, 3.72 bits/dim in the paper."""
    return cifar10(key=key, **{"width": 256, **knobs})


def imagenet64(*, key: Key, **knobs: Any) -> VDM:
    """Return the model of ImageNet 64×64: 237,603,845 weights, 3.40 bits/dim in the paper."""
    net = UNet(3, **{"width": 256, "depth": 64, "dropout": 0.1, **knobs}, key=key)
    return _vdm(net, LearnedLinear(), 64)


def _vdm(net: UNet, schedule: AbstractSchedule, size: int) -> VDM:
    return VDM(schedule, NetDenoiser(net), LevelDecoder(256), (size, size, 3))


class _Place(NamedTuple):
    """Where one of the published parameters is in our model, and how it is laid out there."""

    where: Callable[[Any], Array]
    shape: tuple[int, ...] | None = None
    """The published shape, if it isn't ours."""
    transposed: bool = False

    def out(self, a: Any) -> np.ndarray:
        """Return our array as the program has it."""
        a = np.asarray(a).T if self.transposed else np.asarray(a)
        return a if self.shape is None else a.reshape(self.shape)

    def published_shape(self, a: Any) -> tuple[int, ...]:
        """Return the shape the program has for an array of ours."""
        return self.shape or (a.shape[::-1] if self.transposed else a.shape)


def from_published(
    params: Mapping[str, Float[AnyArray, "..."]], *, size: int = 32, **knobs: Any
) -> VDM:
    """Return our model with the published program's parameters.

    `params` is flat: "score_model/down.block_0/conv1/kernel" and so on. Width, depth,
    attention, Fourier features and the kind of schedule are read from the names and shapes;
    `size` is that of the images, `knobs` are further ones of `nn.UNet`, such as `dropout`.

    Raises:
        ValueError: names are missing or unknown (the message lists them), or a shape is wrong.
    """
    like = eqx.filter_eval_shape(partial(_alike, params, size, knobs))
    places = dict(_places(like))
    missing, unknown = sorted(set(places) - set(params)), sorted(set(params) - set(places))
    if missing or unknown:
        raise ValueError(
            f"published parameters that are missing: {', '.join(missing) or 'none'}; "
            f"unknown ones: {', '.join(unknown) or 'none'}"
        )
    values = []
    for name, place in places.items():
        ours, got = place.where(like), np.asarray(params[name])
        if got.shape != (expected := place.published_shape(ours)):
            raise ValueError(f"{name} has shape {got.shape}, expected {expected}")
        got = got.T if place.transposed else got.reshape(ours.shape)
        values.append(jnp.asarray(got, ours.dtype))
    return eqx.tree_at(lambda v: [p.where(v) for p in places.values()], like, values)


def _alike(params: Mapping[str, Any], size: int, knobs: dict[str, Any]) -> VDM:
    """Return a model of ours of the size and kind that the parameters are of."""
    start = (
        "score_model/conv_in/bias",
        "score_model/conv_in/kernel",
        "score_model/conv_out/bias",
    )
    if missing := [name for name in start if name not in params]:
        raise ValueError(f"these are no published parameters: {', '.join(missing)} missing")
    shapes = [params[name].shape for name in start]
    if [len(shape) for shape in shapes] != [1, 4, 1]:
        raise ValueError(
            f"{', '.join(start)} have shapes {', '.join(map(str, shapes))}, expected (width,), "
            "(3, 3, features, width), (channels,)"
        )
    (width,), (_, _, features, _), (channels,) = shapes
    depth = sum(n.endswith("conv1/kernel") and "/down.block_" in n for n in params)
    told = {
        "width": width,
        "depth": depth,
        "groups": 32,
        "exponents": () if features == channels else (6, 7),
        "attend_everywhere": any("/down.attn_" in name for name in params),
    }
    key = jax.random.key(0)
    net = UNet(channels, **told, **knobs, key=key)
    schedule = LearnedLinear() if "gamma/w" in params else PublishedNet(key=key)
    return _vdm(net, schedule, size)


def to_published(vdm: VDM) -> dict[str, Float[np.ndarray, "..."]]:
    """Return the model's parameters under the published program's names, in its shapes.

    Raises:
        ValueError: the model has another network or schedule than the program's.
    """
    return {name: place.out(place.where(vdm)) for name, place in _places(vdm)}


def _places(vdm: VDM) -> Iterator[tuple[str, _Place]]:
    """Name every parameter of a model as the published program does."""
    net, schedule = getattr(vdm.denoiser, "net", None), vdm.schedule
    if not isinstance(net, UNet) or not isinstance(schedule, LearnedLinear | PublishedNet):
        raise ValueError(
            "the published program has a UNet under a LearnedLinear or PublishedNet schedule, "
            f"got {type(net).__name__} under {type(schedule).__name__}"
        )
    if isinstance(schedule, LearnedLinear):
        yield "gamma/b", _Place(lambda v: v.schedule.start, (1,))
        yield "gamma/w", _Place(lambda v: v.schedule.width, (1,))
    else:
        n = schedule.w_2.size
        yield "gamma/l1/kernel", _Place(lambda v: v.schedule.w_1, (1, 1))
        yield "gamma/l1/bias", _Place(lambda v: v.schedule.b_1, (1,))
        yield "gamma/l2/kernel", _Place(lambda v: v.schedule.w_2, (1, n))
        yield "gamma/l2/bias", _Place(lambda v: v.schedule.b_2)
        yield "gamma/l3/kernel", _Place(lambda v: v.schedule.w_3, (n, 1))

    def of(where: Callable[[UNet], Any]) -> Callable[[Any], Any]:
        return lambda v: where(v.denoiser.net)

    root = "score_model/"
    yield from _conv(root + "conv_in", of(lambda n: n.entry), net.entry)
    for i in (0, 1):
        yield from _dense(f"{root}dense{i}", of(lambda n, i=i: n.tell[i]))
    for i, stage in enumerate(net.down):
        yield from _stage(f"{root}down.{{}}_{i}", of(lambda n, i=i: n.down[i]), stage)
    for i, stage in enumerate(net.middle):
        yield from _stage(f"{root}mid.{{}}_{i + 1}", of(lambda n, i=i: n.middle[i]), stage)
    for i, stage in enumerate(net.up):
        yield from _stage(f"{root}up.{{}}_{i}", of(lambda n, i=i: n.up[i]), stage)
    yield from _norm(root + "GroupNorm_0", of(lambda n: n.norm))
    yield from _conv(root + "conv_out", of(lambda n: n.exit), net.exit)


def _stage(name: str, where: Callable, stage: Stage) -> Iterator[tuple[str, _Place]]:
    block, of = name.format("block"), lambda part: lambda v: part(where(v))
    yield from _norm(f"{block}/GroupNorm_0", of(lambda s: s.block.norm_1))
    yield from _conv(f"{block}/conv1", of(lambda s: s.block.conv_1), stage.block.conv_1)
    yield f"{block}/cond_proj/kernel", _Place(of(lambda s: s.block.told.weight), None, True)
    yield from _norm(f"{block}/GroupNorm_1", of(lambda s: s.block.norm_2))
    yield from _conv(f"{block}/conv2", of(lambda s: s.block.conv_2), stage.block.conv_2)
    if stage.block.skip is not None:
        yield from _conv(f"{block}/nin_shortcut", of(lambda s: s.block.skip), stage.block.skip)
    if stage.attention is not None:
        attention = name.format("attn")
        yield from _norm(f"{attention}/GroupNorm_0", of(lambda s: s.attention.norm))
        for theirs, ours in {
            "q": "query",
            "k": "key",
            "v": "value",
            "proj_out": "exit",
        }.items():
            part = attrgetter(ours)
            yield from _conv(
                f"{attention}/{theirs}",
                of(lambda s, part=part: part(s.attention)),
                part(stage.attention),
            )


def _conv(name: str, where: Callable, conv: Conv) -> Iterator[tuple[str, _Place]]:
    # A convolution of one pixel is a dense layer there.
    shape = conv.kernel.shape[2:] if conv.kernel.shape[:2] == (1, 1) else None
    yield f"{name}/kernel", _Place(lambda v: where(v).kernel, shape)
    yield f"{name}/bias", _Place(lambda v: where(v).bias)


def _dense(name: str, where: Callable) -> Iterator[tuple[str, _Place]]:
    yield f"{name}/kernel", _Place(lambda v: where(v).weight, None, True)
    yield f"{name}/bias", _Place(lambda v: where(v).bias)


def _norm(name: str, where: Callable) -> Iterator[tuple[str, _Place]]:
    yield f"{name}/scale", _Place(lambda v: where(v).scale)
    yield f"{name}/bias", _Place(lambda v: where(v).bias)
