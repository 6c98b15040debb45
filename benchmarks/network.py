"""The full CIFAR-10 network on this CPU: the time and the memory of one update.

Everything is measured here and now, and compared with the bare 3×3 convolutions of the same
sizes, forward and both ways back, one after the other: no network can be faster than those.
Times are CPU-seconds over all threads, the least of a few repetitions.

For reference, the published program's model: on the 2 cores where this was written (jax 0.10.1,
no dropout, AdamW and average as here, in alternation with ours, the least of 6 repetitions,
twice) an update of the full network with a batch of 2 took it 2.30 and 2.40 CPU-seconds, ours
2.31 and 2.42, and the bare convolutions 1.54 and 1.53. It was traced in 4.1 and compiled in
11.4 CPU-seconds and needed 626 MiB.
"""

import dataclasses
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from vdmlite import apply_gradient, training_gradient
from vdmlite.engine import RECIPES
from vdmlite.engine.devices import compiler_options
from vdmlite.engine.loop import start_state


class Cost(NamedTuple):
    """What an update costs: CPU-seconds, wall, MiB beside the state, GFLOP as XLA counts."""

    trace: float
    compile: float
    memory: float
    update: float
    wall: float
    gigaflop: float


def seconds(run: Callable[[], Any], repeat: int = 4) -> tuple[float, float]:
    """Return the least CPU time and wall time of a few runs, after one that doesn't count."""
    jax.block_until_ready(run())
    best = np.inf, np.inf
    for _ in range(repeat):
        started = time.process_time(), time.perf_counter()
        jax.block_until_ready(run())
        taken = time.process_time() - started[0], time.perf_counter() - started[1]
        best = min(best[0], taken[0]), min(best[1], taken[1])
    return best


def update_cost(knobs: dict[str, Any], batch: int) -> Cost:
    """Measure one update: forward, backward, AdamW, average; the state's memory is reused."""
    settings = dataclasses.replace(RECIPES["cifar10"], knobs={"dropout": 0.0, **knobs})
    optimiser, key = settings.optimiser(), jax.random.key(0)
    images = np.random.default_rng(0).integers(0, 256, (batch, 32, 32, 3), np.uint8)
    arrays, rest = eqx.partition(start_state(settings), eqx.is_array)

    def update(arrays: Any, images: Any) -> tuple[Any, Any]:
        state = eqx.combine(arrays, rest)
        terms, grads = training_gradient(state.vdm, images, key=key)
        new = apply_gradient(state, optimiser, grads, decay=settings.ema)
        return eqx.filter(new, eqx.is_array), terms.mean()

    jitted = jax.jit(update, donate_argnums=0, compiler_options=compiler_options())
    clock = [time.process_time()]
    lowered = jitted.lower(arrays, images)
    clock.append(time.process_time())
    compiled = lowered.compile()
    clock.append(time.process_time())
    memory: Any = compiled.memory_analysis()
    cost: Any = compiled.cost_analysis()

    def step() -> Any:
        nonlocal arrays
        arrays, terms = compiled(arrays, images)
        return terms

    trace, compile_ = np.diff(clock)
    temporary = memory.temp_size_in_bytes / 2**20
    return Cost(trace, compile_, temporary, *seconds(step), cost["flops"] / 1e9)


def floor(width: int, depth: int, batch: int) -> float:
    """Return the CPU-seconds of the network's 3×3 convolutions alone, with both ways back."""
    total = 0.0
    kinds = ((15, width, 1), (width, width, 3 * depth + 5), (2 * width, width, depth + 1))
    for c_in, c_out, count in (*kinds, (width, 3, 1)):
        keys = jax.random.split(jax.random.key(0), 3)
        h = jax.random.normal(keys[0], (batch, 32, 32, c_in))
        kernel = jax.random.normal(keys[1], (3, 3, c_in, c_out))
        back = jax.random.normal(keys[2], (batch, 32, 32, c_out))
        for run in (conv, conv_to_input, conv_to_kernel):
            # One call is too short for the clock, which sees other threads' work late.
            tenfold = partial(_repeat, partial(run, h, kernel, back), 10)
            total += count * seconds(tenfold)[0] / 10
    return total


def _repeat(run: Callable[[], Any], times: int) -> None:
    for _ in range(times):
        jax.block_until_ready(run())


@jax.jit
def conv(h, kernel, _):
    """Convolve."""
    return jax.lax.conv_general_dilated(
        h, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@jax.jit
def conv_to_input(h, kernel, back):
    """Take a gradient back to the input."""
    return jax.vjp(lambda a: conv(a, kernel, None), h)[1](back)[0]


@jax.jit
def conv_to_kernel(h, kernel, back):
    """Take a gradient back to the kernel."""
    return jax.vjp(lambda k: conv(h, k, None), kernel)[1](back)[0]


def main() -> None:
    """Print the tables."""
    runs = {
        "128 × 32, batch 2": ({}, (128, 32, 2)),
        "  with remat": ({"remat": True}, (128, 32, 2)),
        "  as a scan": ({"scan": True}, (128, 32, 2)),
        "64 × 32, batch 16": ({"width": 64}, (64, 32, 16)),
    }
    print(
        f"One update, {os.cpu_count()} CPU cores, CPU-seconds, jax {jax.__version__}, float32"
    )
    print(
        f"{'':20}{'update':>8}{'wall':>7}{'bare conv':>11}{'ratio':>7}{'trace':>7}"
        f"{'compile':>9}{'MiB':>7}{'GFLOP':>7}"
    )
    floors: dict[tuple[int, int, int], float] = {}
    for name, (knobs, size) in runs.items():
        if size not in floors:
            floors[size] = floor(*size)
        cost, bare = update_cost(knobs, size[2]), floors[size]
        print(
            f"{name:20}{cost.update:8.2f}{cost.wall:7.2f}{bare:11.2f}{cost.update / bare:7.2f}"
            f"{cost.trace:7.1f}{cost.compile:9.1f}{cost.memory:7.0f}{cost.gigaflop:7.0f}",
            flush=True,
        )
    on_paper()


def on_paper() -> None:
    """Print what is computed and not measured: FLOP, and what accelerators would make of it."""
    macs = multiplications(128, 32)
    flop = 2 * 3 * macs
    print(
        f"\nComputed, not measured. An image goes through {macs / 1e9:.1f} billion "
        f"multiplications, and through as many twice more on the way back: {flop / 1e9:.0f} "
        "GFLOP an update. (XLA counts fewer: none at the padded edges.) At 30 % of peak:"
    )
    for name, peak, bandwidth in (
        ("T4, float32", 8.1, 0.32),
        ("T4, float16", 65, 0.32),
        ("L4, bfloat16", 121, 0.30),
        ("TPU v4, bfloat16", 275, 1.2),
        ("A100, TF32", 156, 1.56),
        ("A100, bfloat16", 312, 1.56),
        ("H100, bfloat16", 989, 3.35),
    ):
        speed = 0.3 * peak * 1e12 / flop
        print(
            f"  {name:18}{speed:7.0f} images/s{50_000 / speed / 60:7.1f} minutes an epoch; "
            f"bound by memory below {peak / bandwidth:.0f} FLOP a byte"
        )
    for width in (128, 256):
        print(
            f"  a 3×3 convolution of {width} channels: {intensity(width, 2):.0f} FLOP a byte "
            f"in 16 bits, {intensity(width, 4):.0f} in 32"
        )
    print(
        "  So the convolutions are bound by arithmetic on all of these. What stands between "
        "them is\n  bound by memory: hence 30 % of peak, an expectation, and not 100."
    )


def multiplications(width: int, depth: int, positions: int = 1024) -> int:
    """Return the multiplications of one image's way through the network, forward."""
    blocks = (3 * depth + 5) * 9 * width**2 + (depth + 1) * (9 + 1) * 2 * width**2
    attention = 4 * width**2 + 2 * positions * width
    return positions * (blocks + attention + 9 * 15 * width + 9 * 3 * width)


def intensity(width: int, size: int, batch: int = 128) -> float:
    """Return the FLOP a byte of a convolution whose input and output go through memory once.

    `size` is that of a number in bytes.
    """
    positions = batch * 1024
    flop = 2 * 9 * width**2 * positions
    return flop / (size * (2 * width * positions + 9 * width**2))


if __name__ == "__main__":
    main()
