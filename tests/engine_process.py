"""The engine in processes of its own: several devices, several machines, and one by hand.

Tests start these; `python tests/engine_process.py devices FILE` and `… machine WORDS` are what
runs in them.
"""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh
from oracles import X64

import vdmlite as vdm
from vdmlite import data
from vdmlite.engine import Pace, Settings, batches, devices, loop, run
from vdmlite.engine.settings import keys_of

ROOT = Path(__file__).parents[1]
SMALL = {"width": 8, "depth": 1}
PLAIN = Settings(
    *("digits", "digits", 20, 16), learning_rate=1e-3, warmup=0, ema=0.9, knobs=SMALL
)
"""What is run on several devices; at this rate 1e-6 is a thousandth of an update."""


def long(test: Callable) -> Callable:
    """Mark a test that starts processes, which need not be run in both precisions."""
    reason = "processes of their own are the same in any precision, and need POSIX"
    return pytest.mark.long(pytest.mark.skipif(X64 or os.name != "posix", reason=reason)(test))


def start(folder: Path, *words: Any, devices: int = 1) -> "subprocess.Popen[str]":
    """Start a Python with a number of devices, which keeps in a folder what it compiles."""
    flags = os.environ.get("XLA_FLAGS", "")
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONUNBUFFERED": "1",
        "VDMLITE_DATA": str(folder),
    }
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes: "subprocess.Popen[str]") -> list[str]:
    """Wait for processes that should end well; return what each printed."""
    try:
        printed = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()  # which is nothing for one that has ended
    for process, (_, wrong) in zip(processes, printed, strict=True):
        assert process.returncode == 0, wrong[-3000:]
    return [out for out, _ in printed]


def train(folder: Path, out: Path) -> "subprocess.Popen[str]":
    """Start a run from the command line, small and often at its checkpoints."""
    words = "-m vdmlite train digits --no-cooldown --width 8 --depth 1 --batch-size 8"
    pace = "--steps 240 --log-every 1 --save-every 3 --look-every 0"
    return start(folder, *words.split(), *pace.split(), "--out", out)


def by_hand(settings: Settings, steps: int) -> vdm.TrainState:
    """Return the state after some updates of digits on one device, part by part, in a loop."""
    images, size = data.digits().train, settings.batch_size // settings.accumulate
    gradient, augment = eqx.filter_jit(vdm.training_gradient), jax.jit(batches.augment)
    apply, optimiser = eqx.filter_jit(vdm.apply_gradient), settings.optimiser()
    state = loop.start_state(settings)
    for n in range(steps):
        rows = batches.rows_of(n, len(images), settings.batch_size, seed=settings.seed)
        key, grads = jax.random.fold_in(keys_of(settings.seed).noise, n), []
        for part in range(settings.accumulate):
            some, flags = images[rows[part * size :][:size]], None
            data_key, noise_key = jax.random.split(jax.random.fold_in(key, part))
            if settings.augment:
                keys = jax.random.split(data_key, size)
                pairs = [augment(image, key=k) for image, k in zip(some, keys, strict=True)]
                some, flags = (np.stack(a) for a in zip(*pairs, strict=True))
            grads.append(gradient(state.vdm, some, flags, key=noise_key)[1])
        mean = jax.tree.map(lambda *g: sum(g) / len(g), *grads)
        state = apply(state, optimiser, mean, decay=settings.ema)
    return state


def updated(settings: Settings, mesh: Mesh, steps: int, *, fsdp: bool) -> vdm.TrainState:
    """Return the state after some updates of digits on the devices of a mesh."""
    state = loop.start_state(settings)
    where = devices.shardings(eqx.filter(state, eqx.is_array), mesh, fsdp=fsdp)
    state, parts = devices.place(state, where), settings.accumulate
    train, size, seed = data.digits().train, settings.batch_size, settings.seed
    batch = batches.source(train, size, parts=parts, mesh=mesh, seed=seed)
    update = loop.update_function(settings, where)
    for n in range(steps):
        state, report = update((batch(n), np.int32(n)), state)
        assert report.sound
    return state


def arrays(tree: Any) -> dict[str, np.ndarray]:
    """Return the arrays of a tree by their paths."""
    leaves = jax.tree.leaves_with_path(eqx.filter(devices.collect(tree), eqx.is_array))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def bytes_held(tree: Any) -> list[int]:
    """Return how much of a tree each device has."""
    held = dict.fromkeys(jax.devices(), 0)
    for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_array)):
        for shard in leaf.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return list(held.values())


def compare_devices(file: str) -> None:
    """Write the states after three updates, done on one device, on all, and by hand."""
    one = jax.make_mesh((1,), ("data",), (AxisType.Auto,), devices=jax.devices()[:1])
    two_parts = dataclasses.replace(PLAIN, accumulate=2)
    states = {
        "one": updated(PLAIN, one, 3, fsdp=False),
        "copied": updated(PLAIN, devices.mesh(), 3, fsdp=False),
        "divided": updated(PLAIN, devices.mesh(), 3, fsdp=True),
        "parts": updated(two_parts, devices.mesh(), 3, fsdp=True),
        "hand": by_hand(PLAIN, 3),
        "parts by hand": by_hand(two_parts, 3),
    }
    found = {f"{name}{k}": a for name, s in states.items() for k, a in arrays(s).items()}
    held = {f"held {name}": bytes_held(states[name]) for name in ("copied", "divided")}
    np.savez(file, allow_pickle=False, **found, **held)


class Read:
    """Images that are read by their rows; after some readings the machine is asked to stop."""

    def __init__(self, images: np.ndarray, most: int):
        self.images, self.shape, self.left = images, images.shape, most

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows, /):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGTERM)
        return self.images[rows]


def machine(words: str) -> None:
    """Take part in a run as one of its machines; print the digest of what it ends with."""
    asked, images = json.loads(words), data.digits()
    if asked["count"] > 1:
        devices.start(asked["coordinator"], asked["count"], asked["index"])
        images = images._replace(train=Read(images.train, asked["most"]))
    pace, folder = Pace(log=1, save=10, look=1000), Path(asked["folder"])
    state = run(PLAIN, images, folder, pace=pace, fsdp=asked["fsdp"])
    digest = hashlib.sha256(b"".join(a.tobytes() for a in arrays(state).values()))
    print(f"ended at {int(state.step)} with {digest.hexdigest()}")


if __name__ == "__main__":
    {"devices": compare_devices, "machine": machine}[sys.argv[1]](sys.argv[2])
