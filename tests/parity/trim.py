"""Make `published_c64.npz`, the published program's figures that `test_published.py` expects.

    python tests/parity/trim.py official_c64.npz

They are numbers alone, no code: what google-research/vdm (Apache-2.0) computes, run without
a change under jax 0.10.1 and flax 0.12.8 on a CPU in float32. Its network has width 64, depth
2, Fourier features, attention in the middle and no dropout; γ is linear with trained ends;
every weight is random, so that no layer is silent. Four images of 32×32×3, of which the
second and the fourth have the flag 1, with one time and two noises each.

The whole file is 17 MB, most of it activations and gradients. Kept here are

- `in/…`: images, flags, times and noises; `rand/params/…`: all weights;
- `rand/T0/…`: γ, x (called f), z_t, ε̂, the terms of the bound in nats, and the bound in bits
  per dimension, in continuous time; `rand/T1000/…`: what differs for a thousand steps;
- `rand/grads/…`: of the gradient of that bound (continuous), for each weight, the norm and
  eight projections on random signs, by which an error anywhere in it shows;
- `rand/inter/…`: activations, of the second image at two rows, or vectors of all images;
- `rand/sample/…`: one ancestral step; `rand/decode/…`: z_0, log-probabilities of the levels
  at its first eight pixels, most likely levels; of the first two images;
- `nnet_rand/…`: the learned schedule, its weights, γ and dγ/dt.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

KEPT = Path(__file__).with_name("published_c64.npz")
"""Not in the package, where it would be most of the wheel; lesson 12 finds it all the same."""
IMAGE, ROWS = 1, (0, 16)
"""Of which image and at which rows activations are kept: its edge, and its middle."""
THOUSAND = {f"rand/T1000/{name}" for name in ("gamma_t", "weight", "loss_diff", "bpd")}
"""What a thousand steps change, beyond a rounding."""


def projections(gradient: np.ndarray, number: int) -> np.ndarray:
    """Return the norm of an array and its products with eight arrays of random signs, ±1.

    The mean square of the eight is on average the square of the norm. `number` seeds the
    signs: that of the weight, in the sorted order of all names.
    """
    flat = np.asarray(gradient, np.float64).reshape(-1)
    # Raw bits, which stay the same from one NumPy to the next, as its draws need not.
    raw = np.random.PCG64(number).random_raw(flat.size)
    bits = np.unpackbits((raw & 255).astype(np.uint8)[None], axis=0)
    return np.concatenate([[np.linalg.norm(flat)], (1 - 2.0 * bits) @ flat])


def trim(whole: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what is kept of the whole file."""
    kept = {}
    names = sorted(name for name in whole if name.startswith("rand/grads/"))
    numbers = {name: number for number, name in enumerate(names)}
    for name in whole:
        group, a = "/".join(name.split("/")[:2]), whole[name]
        if group == "rand/grads":
            kept[name] = projections(a, numbers[name])
        elif group == "rand/inter":
            kept[name] = a[IMAGE, list(ROWS)] if a.ndim == 4 else a
        elif name == "rand/decode/logprobs_img0_row0":
            kept[name] = a[0, 0, :8]
        elif group in ("rand/sample", "rand/decode"):
            kept[name] = a[:2] if a.ndim == 4 else a
        elif group != "rand/T1000" or name in THOUSAND:
            kept[name] = a
    return kept


def main(source: str) -> None:
    """Trim a file, and write what is kept beside this one, whole or not at all."""
    with np.load(source, allow_pickle=False) as whole:
        kept = trim({name: whole[name] for name in whole.files})
    partial = KEPT.with_name(KEPT.name + ".partial")
    with partial.open("wb") as target:
        np.savez_compressed(target, **kept)  # pyright: ignore[reportArgumentType]
        target.flush()
        os.fsync(target.fileno())
    os.replace(partial, KEPT)


if __name__ == "__main__":
    main(sys.argv[1])
