"""Lossless compression on this CPU: images a second and bits, against lanes and steps.

Everything is measured here and now. The coder alone is compared with constriction's own calls
on the same symbols; many lanes with one. Times are wall seconds of the one thread that codes.
"""

import time
from collections.abc import Callable
from typing import Any

import constriction
import numpy as np

from vdmlite import codec, data
from vdmlite.codec import archive, vdm
from vdmlite.course import pretrained

STREAM: Any = constriction.stream  # pyright: ignore[reportAttributeAccessIssue]


def seconds(call: Callable[[], Any], repeats: int = 5) -> float:
    """Return the least time of a few calls."""
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best


def the_coder_alone() -> None:
    """Print the time of pushing and popping 2^18 symbols, and what constriction takes."""
    print("The coder: microseconds for a push and a pop, beside constriction's own calls")
    print("   symbols a call     here   constriction   ratio")
    rng = np.random.default_rng(0)
    for size in (64, 3072):
        turns = (1 << 18) // size
        mean = rng.normal(size=(1, size))
        law, active = codec.GridGaussian(mean, 0.5, 2.0**-3), np.ones(1, bool)
        x = np.rint((mean + 0.5 * rng.normal(size=(1, size))) * 8) / 8
        symbols = (np.rint(x[0] * 8) - law.centre[0]).astype(np.int32)

        def ours(x=x, law=law, active=active, turns=turns) -> None:
            stack = codec.Stack(1)
            for _ in range(turns):
                stack.push("x", law, x, active)
            for _ in range(turns):
                stack.pop("x", law, active)

        def theirs(symbols=symbols, law=law, turns=turns) -> None:
            coder = STREAM.stack.AnsCoder()
            for _ in range(turns):
                coder.encode_reverse(symbols, law.model, law.offset[0], law.std[0])
            for _ in range(turns):
                coder.decode(law.model, law.offset[0], law.std[0])

        one, other = (seconds(f) / turns * 1e6 for f in (ours, theirs))
        print(f"   {size:14} {one:8.1f} {other:14.1f} {one / other:7.2f}")


def digits() -> None:
    """Print what coding the test digits takes, for several numbers of lanes and steps."""
    model, images = pretrained.load("digits"), data.digits().test
    print("\nThe 360 test digits, in Bit-Swap's order")
    print("   T  lanes   images/s   network   bits/dim: whole     net   a lane's first bits")
    alone = 0.0
    for steps, lanes in ((10, 24), (50, 1), (50, 6), (50, 24), (50, 90), (50, 360), (250, 90)):
        part = images[: min(360, 12 * lanes)]
        gammas = codec.coding_gammas(model.schedule, steps)
        predict, z = vdm.predictor(model.denoiser), np.zeros((lanes, 8, 8, 1))
        predict(z, 0.0)  # compiled
        calls = archive.rounds_of(len(part), lanes) * steps

        def network(predict=predict, z=z, gammas=gammas) -> None:
            for gamma in gammas[1:]:
                predict(z, gamma / 256)

        took = seconds(lambda: codec.compress(model, part, steps=steps, lanes=lanes), 1)  # noqa: B023
        share = calls / steps * seconds(network, 2) / took
        coded = codec.compress(model, part, steps=steps, lanes=lanes)
        whole, net = 8 * len(bytes(coded)) / part.size, coded.net_bits / part.size
        speed, first = len(part) / took, (whole - net) * part.size / lanes
        print(f"{steps:4} {lanes:6} {speed:10.1f} {share:9.0%}", end="")
        print(f" {whole:17.3f} {net:7.3f} {first:14.0f}")
        if (steps, lanes) == (50, 1):
            alone = speed
        if (steps, lanes) == (50, 90):
            print(f"           {speed / alone:.1f} times as many as one at a time")


def many(count: int = 100_000, lanes: int = 500) -> None:
    """Compress and restore many shifted digits, and say whether any was lost."""
    model, rng = pretrained.load("digits"), np.random.default_rng(0)
    train = data.digits().train[..., 0]
    rows, columns = np.indices((8, 8))
    pick, down, right = rng.integers((len(train), 8, 8), size=(count, 3)).T
    images = train[
        pick[:, None, None],
        (rows + down[:, None, None]) % 8,
        (columns + right[:, None, None]) % 8,
    ][..., None]
    started = time.perf_counter()
    coded = codec.compress(model, images, steps=5, lanes=lanes)
    took = time.perf_counter() - started
    same = np.array_equal(codec.decompress(model, coded), images)
    bits = 8 * len(bytes(coded)) / images.size
    print(f"\n{count} shifted digits, 5 steps, {lanes} lanes: {bits:.3f} bits/dim, ", end="")
    print(f"{count / took:.0f} images/s, {'all restored' if same else 'NOT RESTORED'}")


if __name__ == "__main__":
    the_coder_alone()
    digits()
    many()
