"""The published system: its models at full size, and its weights, in and out.

Kingma et al. 2021 and the authors' program, google-research/vdm, as of 2022. Where the two
differ, we follow the program, whose checkpoints are what can be compared:

- the learned schedule is `PublishedNet`, not the normalised network of appendix H;
- images are augmented by flips and quarter turns, not by swaps of colour channels;
- attention after every block is in `cifar10_aug_paper` alone.

But where the program averages the weights at once and decays the schedule's as well, we
don't: `settings` has what it trains with.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import VDM, AbstractSchedule, LearnedLinear, LevelDecoder, NetDenoiser, from_eps
from .._types import AnyArray, Key, Scalar
from ..nn import UNet
from ..nn.unet import GroupNorm


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

    def gamma(self, t: Scalar) -> Scalar:
        """Return γ at one time."""
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

    path: str
    """Attributes and indices, as in "denoiser.net.down.0.block"."""
    shape: tuple[int, ...] | None = None
    """The published shape, if it isn't ours."""
    transposed: bool = False

    def of(self, vdm: VDM) -> Any:
        """Return our array."""
        return _at(vdm, self.path)

    def out(self, vdm: VDM) -> np.ndarray:
        """Return our array as the program has it."""
        a = np.asarray(self.of(vdm))
        return (a.T if self.transposed else a).reshape(self.published_shape(a))

    def published_shape(self, a: Any) -> tuple[int, ...]:
        """Return the shape the program has for an array of ours."""
        return self.shape or (a.shape[::-1] if self.transposed else a.shape)


def _at(tree: Any, path: str) -> Any:
    for step in path.split("."):
        tree = tree[int(step)] if step.isdigit() else getattr(tree, step)
    return tree


def from_published(
    params: Mapping[str, Float[AnyArray, "..."]], *, size: int = 32, **knobs: Any
) -> VDM:
    """Return our model with the published program's parameters.

    `params` is flat: "score_model/down.block_0/conv1/kernel" and so on. Width, depth,
    attention, Fourier features, channels and the schedule are read from the names and shapes.
    They don't tell the height and width of the images, which are `size`, nor what `knobs` of
    `nn.UNet` change besides, such as `dropout`.

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
        ours, got = place.of(like), np.asarray(params[name])
        if got.shape != (expected := place.published_shape(ours)):
            raise ValueError(f"{name} has shape {got.shape}, expected {expected}")
        got = got.T if place.transposed else got.reshape(ours.shape)
        values.append(jnp.asarray(got, ours.dtype))
    return eqx.tree_at(lambda v: [p.of(v) for p in places.values()], like, values)


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
    shape = {
        "width": width,
        "depth": depth,
        "groups": 32,
        "exponents": () if features == channels else (6, 7),
        "attend_everywhere": any("/down.attn_" in name for name in params),
    }
    key = jax.random.key(0)
    net = UNet(channels, **shape, **knobs, key=key)
    curve = {"width": np.size(params.get("gamma/l2/bias", ())) or 1}
    schedule = LearnedLinear() if "gamma/w" in params else PublishedNet(**curve, key=key)
    return VDM(schedule, NetDenoiser(net), LevelDecoder(256), (size, size, channels))


def to_published(vdm: VDM) -> dict[str, Float[np.ndarray, "..."]]:
    """Return the model's parameters under the published program's names, in its shapes.

    Only parameters travel. What they don't tell must be as in the program, or the model would
    come back as another one; but for the size of the images, and the knobs `dropout`,
    `bfloat16`, `remat` and `scan`, which `from_published` is given.

    Raises:
        ValueError: the model is of another kind than the program's; the message says in what.
    """
    places = dict(_places(vdm))
    for name, (allowed, ours) in _facts(vdm).items():
        if ours not in allowed:
            words = " or ".join(map(str, allowed))
            raise ValueError(f"{name} in the published program: {words}; in this model: {ours}")
    return {name: place.out(vdm) for name, place in places.items()}


def _facts(vdm: Any) -> dict[str, tuple[list[Any], Any]]:
    """Return what the program has, one of a list, and what the model has."""
    net, decoder = vdm.denoiser.net, vdm.decoder
    nodes = jax.tree.leaves(net, is_leaf=lambda a: isinstance(a, GroupNorm))
    groups = {node.groups for node in nodes if isinstance(node, GroupNorm)}
    inner = [stage.attention is not None for stage in net.middle]
    outer = {stage.attention is not None for stage in (*net.down, *net.up)}
    levels = getattr(decoder, "levels", 0) or 256  # None where `vdm` holds gradients
    height, width, channels = vdm.shape
    return {
        "decoder": ([LevelDecoder], type(decoder)),
        "levels": ([256], levels),
        "reading of the network": ([from_eps], vdm.denoiser.reading),
        "condition": ([None], vdm.denoiser.condition),
        "groups of channels": ([{32}], groups),
        "Fourier exponents": ([(6, 7), ()], net.exponents),
        "range of γ": ([(-13.3, 5.0)], net.gamma_range),
        "attention in the middle": ([[True, False]], inner),
        "attention elsewhere": ([{True}, {False}], outer),
        "height and channels": ([(width, net.conv_out.bias.size)], (height, channels)),
    }


def _places(vdm: VDM) -> Iterator[tuple[str, _Place]]:
    """Name every parameter of a model as the published program does."""
    net, schedule = getattr(vdm.denoiser, "net", None), vdm.schedule
    if not isinstance(net, UNet) or not isinstance(schedule, LearnedLinear | PublishedNet):
        raise ValueError(
            "the published program has a UNet under a LearnedLinear or PublishedNet schedule, "
            f"got {type(net).__name__} under {type(schedule).__name__}"
        )
    if isinstance(schedule, LearnedLinear):
        yield "gamma/b", _Place("schedule.start", (1,))
        yield "gamma/w", _Place("schedule.width", (1,))
    else:
        n = schedule.w_2.size
        yield "gamma/l1/kernel", _Place("schedule.w_1", (1, 1))
        yield "gamma/l1/bias", _Place("schedule.b_1", (1,))
        yield "gamma/l2/kernel", _Place("schedule.w_2", (1, n))
        yield "gamma/l2/bias", _Place("schedule.b_2")
        yield "gamma/l3/kernel", _Place("schedule.w_3", (n, 1))
    root, ours = "score_model/", "denoiser.net."
    yield from _conv(vdm, root + "conv_in", ours + "conv_in")
    for i in (0, 1):
        yield f"{root}dense{i}/kernel", _Place(f"{ours}embed.{i}.weight", None, True)
        yield f"{root}dense{i}/bias", _Place(f"{ours}embed.{i}.bias")
    for theirs, part, first in (("down", "down", 0), ("mid", "middle", 1), ("up", "up", 0)):
        for i in range(len(getattr(net, part))):
            yield from _stage(vdm, f"{root}{theirs}.{{}}_{i + first}", f"{ours}{part}.{i}")
    yield from _norm(root + "GroupNorm_0", ours + "norm")
    yield from _conv(vdm, root + "conv_out", ours + "conv_out")


def _stage(vdm: VDM, name: str, path: str) -> Iterator[tuple[str, _Place]]:
    block, ours, stage = name.format("block"), path + ".block", _at(vdm, path)
    yield from _norm(f"{block}/GroupNorm_0", f"{ours}.norm_1")
    yield from _conv(vdm, f"{block}/conv1", f"{ours}.conv_1")
    yield f"{block}/cond_proj/kernel", _Place(f"{ours}.projection.weight", None, True)
    yield from _norm(f"{block}/GroupNorm_1", f"{ours}.norm_2")
    yield from _conv(vdm, f"{block}/conv2", f"{ours}.conv_2")
    if stage.block.skip is not None:
        yield from _conv(vdm, f"{block}/nin_shortcut", f"{ours}.skip")
    if stage.attention is not None:
        attention, ours = name.format("attn"), path + ".attention"
        yield from _norm(f"{attention}/GroupNorm_0", f"{ours}.norm")
        for theirs, part in zip(("q", "k", "v", "proj_out"), _PARTS, strict=True):
            yield from _conv(vdm, f"{attention}/{theirs}", f"{ours}.{part}")


_PARTS = ("query", "key", "value", "out")


def _conv(vdm: VDM, name: str, path: str) -> Iterator[tuple[str, _Place]]:
    # A convolution of one pixel is a dense layer there.
    shape = _at(vdm, path).kernel.shape
    yield f"{name}/kernel", _Place(f"{path}.kernel", shape[2:] if shape[:2] == (1, 1) else None)
    yield f"{name}/bias", _Place(f"{path}.bias")


def _norm(name: str, path: str) -> Iterator[tuple[str, _Place]]:
    yield f"{name}/scale", _Place(f"{path}.scale")
    yield f"{name}/bias", _Place(f"{path}.bias")
