"""The full CIFAR-10 network on this CPU: the time and the memory of one update.

Everything is measured here and now, and compared with the bare 3×3 convolutions of the same
sizes, forward and both ways back, one after the other: no network can be faster than those.
Times are CPU-seconds over all threads, the least of a few repetitions.
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

from vdmlite.engine import RECIPES, Settings, devices
from vdmlite.engine.batches import source
from vdmlite.engine.loop import start_state, update_function

PUBLISHED = {"step": 2.89, "prepare": 20.6, "memory": 671}
"""The published program, measured side by side: see `main`."""


class Cost(NamedTuple):
    """CPU-seconds to trace and to compile, MiB of temporary memory, CPU-seconds an update."""

    trace: float
    compile: float
    memory: float
    step: float
    flops: float


def cpu_seconds(run: Callable[[], Any], repeat: int = 4) -> float:
    """Return the least CPU time of a few runs, after one that doesn't count."""
    jax.block_until_ready(run())
    best = np.inf
    for _ in range(repeat):
        started = time.process_time()
        jax.block_until_ready(run())
        best = min(best, time.process_time() - started)
    return best


def update_cost(settings: Settings) -> Cost:
    """Measure one update as the engine runs it: forward, backward, AdamW, average."""
    mesh = devices.mesh()
    images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8)
    batch = source(images, settings.batch_size, mesh=mesh, seed=0)(0)
    state = start_state(settings)
    where = devices.shardings(eqx.filter(state, eqx.is_array), mesh)
    state = devices.place(state, where)
    update, number = update_function(settings, where), np.int32(0)
    clock = [time.process_time()]
    lower: Any = getattr(update, "lower")  # noqa: B009  Equinox's, which its type doesn't tell of
    lowered = lower((batch, number), state)
    clock.append(time.process_time())
    compiled = lowered.compile()
    clock.append(time.process_time())
    trace, compile_ = np.diff(clock)
    memory = compiled.compiled.memory_analysis().temp_size_in_bytes / 2**20
    flops = compiled.compiled.cost_analysis()["flops"]

    def step() -> Any:
        nonlocal state
        state, report = compiled((batch, np.int32(int(state.step))), state)
        return report

    return Cost(trace, compile_, memory, cpu_seconds(step), flops)


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
            total += count * cpu_seconds(partial(run, h, kernel, back), 8)
    return total


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


def settings_of(batch: int, **knobs: Any) -> Settings:
    """Return the published settings with another batch, without dropout."""
    published = RECIPES["cifar10"]
    return dataclasses.replace(published, batch_size=batch, knobs={"dropout": 0.0, **knobs})


def main() -> None:
    """Print the tables."""
    runs = {
        "128 × 32, batch 2": (settings_of(2), (128, 32, 2)),
        "  with remat": (settings_of(2, remat=True), (128, 32, 2)),
        "  as a scan": (settings_of(2, scan=True), (128, 32, 2)),
        "64 × 32, batch 16": (settings_of(16, width=64), (64, 32, 16)),
    }
    print(
        f"One update on {os.cpu_count()} CPU cores, in CPU-seconds (float32, jax "
        f"{jax.__version__})"
    )
    print(
        f"{'':20}{'update':>8}{'bare conv':>11}{'ratio':>7}{'trace':>7}{'compile':>9}"
        f"{'MiB':>7}{'GFLOP':>7}"
    )
    floors: dict[tuple[int, int, int], float] = {}
    found = {}
    for name, (settings, size) in runs.items():
        floors.setdefault(size, floor(*size))
        cost, bare = update_cost(settings), floors[size]
        found[name] = cost
        print(
            f"{name:20}{cost.step:8.2f}{bare:11.2f}{cost.step / bare:7.2f}{cost.trace:7.1f}"
            f"{cost.compile:9.1f}{cost.memory:7.0f}{cost.flops / 1e9:7.0f}",
            flush=True,
        )
    print("\nGPUs, computed and not measured: 160 GFLOP an image and update, at 30 % of peak")
    for name, peak, bandwidth in (
        ("T4, float32", 8.1, 0.32),
        ("L4, bfloat16", 121, 0.30),
        ("A100, bfloat16", 312, 1.56),
        ("H100, bfloat16", 989, 3.35),
    ):
        speed = 0.3 * peak * 1e12 / 160e9
        print(
            f"  {name:16}{speed:7.0f} images/s{50_000 / speed / 60:7.1f} minutes an epoch; "
            f"bound by memory below {peak / bandwidth:.0f} FLOP a byte"
        )
    for width in (128, 256):
        print(
            f"  a 3×3 convolution of {width} channels in bfloat16: {intensity(width):.0f} "
            "FLOP a byte"
        )


def intensity(width: int, batch: int = 128) -> float:
    """Return the FLOP a byte of a convolution whose input and output go through memory once."""
    positions = batch * 1024
    flop = 2 * 9 * width**2 * positions
    return flop / (2 * (2 * width * positions + 9 * width**2))


if __name__ == "__main__":
    main()
