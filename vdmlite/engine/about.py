"""What a run is made of and what it will cost, found out from shapes alone."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .. import VDM, batch_vlb
from .._types import Key
from .settings import Settings

KEPT, KEPT_WITH_REMAT = 0.5, 1.2
"""What XLA (jax 0.10.1, on a CPU) holds, as a part of `kept_bytes`: without `remat` 0.47 for
the recipe `patches` and 0.46 for the full network, for it computes cheap things anew, but 0.73
for `digits`; with `remat` 1.2, for a stage that is computed anew needs room as well."""


def about(settings: Settings) -> str:
    """Describe a run: its model, its settings."""
    vdm = eqx.filter_eval_shape(lambda: settings.model(key=jax.random.key(0)))
    weights, positions = _count(vdm), vdm.shape[0] * vdm.shape[1]
    kernels = sum(a.size for a in jax.tree.leaves(vdm) if getattr(a, "ndim", 0) == 4)
    lines = [
        f"{settings.recipe}: images of {' × '.join(map(str, vdm.shape))}, "
        f"{weights:,} weights ({_count(vdm.schedule):,} in the schedule)",
        f"  about {6e-9 * kernels * positions:.3g} GFLOP an image and update; weights, their "
        f"average and Adam's moments take {16e-6 * weights:,.0f} MB",
    ]
    for field in dataclasses.fields(settings):
        if field.name != "recipe":
            lines.append(f"  {field.name:<15}{getattr(settings, field.name)}")
    return "\n".join(lines)


def memory(settings: Settings) -> str:
    """Say what the activations of an update take, on all devices together."""
    images = settings.batch_size // settings.accumulate

    def take(share: float, **knobs: bool) -> str:
        changed = dataclasses.replace(settings, knobs={**settings.knobs, **knobs})
        return f"{1e-6 * share * images * kept_bytes(changed):,.0f} MB"

    words = f"  the activations of the {images} images at a time take about "
    try:
        with_remat = take(KEPT_WITH_REMAT, remat=True)
    except ValueError:  # another network, which takes no such knob
        return words + take(KEPT)
    return f"{words}{take(KEPT, remat=False)}, with --remat {with_remat}"


def kept_bytes(settings: Settings) -> int:
    """Return the bytes of what JAX keeps of one image for the gradient's way back."""
    like = eqx.filter_eval_shape(lambda: settings.model(key=jax.random.key(0)))

    def kept(model: VDM, images: Any, key: Key) -> list[Any]:
        weights, rest = eqx.partition(model, eqx.is_inexact_array)

        def loss(weights: Any) -> Any:
            return batch_vlb(eqx.combine(weights, rest), images, key=key).mean().loss

        return [a for a in jax.tree.leaves(jax.vjp(loss, weights)[1]) if eqx.is_array(a)]

    one, two = (  # the weights are kept as well, whatever the number of images
        sum(a.size * a.dtype.itemsize for a in eqx.filter_eval_shape(kept, like, images, key))
        for images in (jax.ShapeDtypeStruct((n, *like.shape), np.uint8) for n in (1, 2))
        for key in (jax.eval_shape(lambda: jax.random.key(0)),)
    )
    return two - one


def _count(tree: Any) -> int:
    return sum(a.size for a in jax.tree.leaves(tree) if hasattr(a, "size"))
