"""The loop: train by settings, on any number of devices, and lose nothing on the way.

A run lives in a folder: checkpoints, `log.jsonl` with a line for every few updates, figures.
A second call of `run` on the folder, after a kill or with more `steps`, goes on from the newest
checkpoint and ends with the same weights as a run that nobody stopped: on a CPU with the same
bits. On a GPU the compiler may choose other kernels the next time, which round differently,
unless XLA_FLAGS contains --xla_gpu_deterministic_ops=true.
"""

import dataclasses
import json
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from .. import VDM, TrainState, apply_gradient, bits_per_dim, init, storage, training_gradient
from ..bound import VLB
from ..data import Images
from . import checkpoint, devices
from .batches import Batch, augment, rows_of, source
from .lock import only_run_in
from .log import Log, Report
from .settings import Settings, keys_of

NOISE = 2
"""Rises whenever an update draws other noise than before. Checkpoints remember it."""


def start_state(settings: Settings) -> TrainState:
    """Return the state before the first update."""
    # Not one compiled function: for the published networks XLA takes longer over it (34
    # CPU-seconds) than over all of its operations one by one (13).
    return init(settings.model(key=keys_of(settings.seed).init), settings.optimiser())


def update_function(settings: Settings, where: Any) -> Callable[..., tuple[TrainState, Report]]:
    """Return the compiled update: ((batch, its number), state) → (state, report).

    The new state takes over the old one's memory, and lies on the devices as the shardings
    `where` say. An update that is not finite leaves the state unchanged, and so do all later
    ones: the state that it failed on can be examined.
    """
    optimiser, parts = settings.optimiser(), settings.accumulate

    def gradient(vdm: VDM, batch: Batch, part: jax.Array, key: jax.Array) -> tuple[VLB, VDM]:
        data_key, noise_key = jax.random.split(jax.random.fold_in(key, part))
        images, flags = batch.pool[batch.rows[part]], None
        if settings.augment:
            keys = jax.random.split(data_key, len(images))
            images, flags = jax.vmap(lambda image, k: augment(image, key=k))(images, keys)
        terms, grads = training_gradient(vdm, images, flags, key=noise_key)
        return terms.mean(), grads

    options = devices.compiler_options()

    @eqx.filter_jit(donate="all-except-first", compiler_options=options)  # pyright: ignore
    def update(given: tuple[Batch, Any], state: TrainState) -> tuple[TrainState, Report]:
        batch, number = given
        key = jax.random.fold_in(keys_of(settings.seed).noise, state.step)

        def add(total: Any, part: jax.Array | int) -> tuple[Any, None]:
            some = gradient(state.vdm, batch, jnp.asarray(part), key)
            return jax.tree.map(jnp.add, total, some), None

        zero = jnp.zeros(())
        nothing = jax.tree.map(jnp.zeros_like, eqx.filter(state.vdm, eqx.is_inexact_array))
        total = VLB(zero, zero, zero), nothing
        if parts == 1 or jax.default_backend() == "cpu":
            # A CPU's convolutions are many times slower in XLA's loops, be it one of one turn.
            for part in range(parts):
                total, _ = add(total, part)
        else:
            total, _ = jax.lax.scan(add, total, jnp.arange(parts))
        terms, grads = jax.tree.map(lambda a: a / parts, total)
        norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads)))
        sound = jnp.isfinite(terms.loss) & jnp.isfinite(norm) & (state.step == number)
        new = apply_gradient(state, optimiser, grads, decay=settings.ema)
        arrays, rest = eqx.partition(new, eqx.is_array)
        old = eqx.filter(state, eqx.is_array)
        arrays = jax.tree.map(lambda a, b: jnp.where(sound, a, b), arrays, old)
        arrays = jax.lax.with_sharding_constraint(arrays, where)
        bits = bits_per_dim(terms, state.vdm.shape)
        return eqx.combine(arrays, rest), Report(bits, norm, sound)

    return update


class Pace(NamedTuple):
    """After how many updates a run does what."""

    log: int = 50
    save: int = 1000
    look: int = 10_000
    """At the average model: its bound on test images, samples, figures."""
    minutes: float = 10.0
    """A checkpoint is also written when so many have passed since the last one."""


Look = Callable[[VDM, Path, int], dict[str, Any]]
"""What takes time: (average model, folder, number of updates) → what goes into the log."""


def run(
    settings: Settings,
    images: Images,
    folder: Path,
    *,
    pace: Pace = Pace(),  # noqa: B008  a tuple of numbers, which nobody can change
    fsdp: bool = False,
    look: Look | None = None,
) -> TrainState:
    """Train as the settings say, from the newest checkpoint in the folder or from the start.

    On SIGTERM, which a cluster sends before it takes a machine away, on SIGHUP, which a lost
    connection sends, and on ctrl-C, the run saves and returns. With several processes, all of
    them call this function; the first one writes the files.

    Raises:
        ValueError: the folder holds a run with other settings (the message names them), or
            another run uses it now; the devices can't divide the batches evenly; a pace is
            below 1, or its minutes are not above 0; not all processes see the same checkpoint.
        FloatingPointError: an update was not finite; the message has its number, the rows of
            its images and the file that keeps the state before it.
        CheckpointError: there are checkpoints, and none is whole.
    """
    if min(pace[:3]) < 1 or not pace.minutes > 0:
        raise ValueError(
            f"a pace is in updates, at least 1 each, and in minutes above 0, got {pace}"
        )
    with only_run_in(folder), _asked_to_stop() as asked:
        return _run(settings, images, folder, pace, asked, fsdp=fsdp, look=look)


def _run(
    settings: Settings,
    images: Images,
    folder: Path,
    pace: Pace,
    asked: threading.Event,
    *,
    fsdp: bool,
    look: Look | None,
) -> TrainState:
    mesh = devices.mesh()
    size, parts, seed = settings.batch_size, settings.accumulate, settings.seed
    batches = source(images.train, size, parts=parts, mesh=mesh, seed=seed)
    state, where = _begin(settings, folder, mesh, fsdp=fsdp)
    update, step = update_function(settings, where), int(state.step)
    log = Log(folder, step, settings, active=jax.process_index() == 0)
    saved = monotonic()
    while step < settings.steps:
        state, report = update((batches(step), np.int32(step)), state)
        step += 1
        log.wait(report)
        # Clocks and signals differ: several processes agree on them at each line of the log.
        together = step % pace.log == 0
        stopping = devices.agree(asked.is_set(), now=together)
        late = devices.agree(monotonic() - saved >= 60 * pace.minutes, now=together)
        ending = step == settings.steps or stopping
        saving = step % pace.save == 0 or late or ending
        if (together or saving) and not log.write(step):
            raise FloatingPointError(_unsound(settings, folder, state, log.last, images))
        if saving:
            save(settings, folder, state)
            saved = monotonic()
        if look is not None and (step % pace.look == 0 or step == settings.steps):
            average = jax.tree.map(_on_one, devices.collect(state.average))
            log.note(step, partial(look, average, folder, step))
        if stopping and step < settings.steps:
            log.say(f"asked to stop: saved at update {step}, to go on from there")
            break
    log.close()
    return state


def save(
    settings: Settings, folder: Path, state: TrainState, name: str | None = None
) -> Path | None:
    """Save a state among a folder's checkpoints, or under a name of its own beside them.

    All processes call it, the first one writes and gets the path.
    """
    # One process has all there is to save, and no copy is needed.
    whole = state if jax.process_count() == 1 else devices.collect(state)
    if jax.process_index() != 0:
        return None
    about = dataclasses.asdict(settings)
    meta = {"settings": about, "step": int(whole.step), "noise": NOISE}
    if name is not None:
        return storage.save(folder / name, whole, meta)
    return checkpoint.save_in(folder, int(whole.step), whole, meta)


def load(path: str | os.PathLike) -> tuple[VDM, Settings]:
    """Return the average model of a checkpoint, and its settings.

    `path` is a checkpoint, or a folder whose newest whole one is taken.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: it is not whole, or of another version of the package.
    """
    path = Path(path)
    if path.is_dir():
        if (found := checkpoint.latest(path)) is None:
            raise FileNotFoundError(f"there are no checkpoints in {path}")
        path = found[0]
    settings = _settings(storage.read_meta(path), path)
    state = storage.load(path, eqx.filter_eval_shape(start_state, settings))
    return state.average, settings


def _settings(meta: dict[str, Any], path: Path) -> Settings:
    try:
        return Settings(**meta["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise storage.CheckpointError(
            f"{path} has settings that this version does not know: {error}"
        ) from error


def _begin(
    settings: Settings, folder: Path, mesh: Mesh, *, fsdp: bool
) -> tuple[TrainState, Any]:
    """Return the state to go on from, on the devices, and its shardings."""
    like = eqx.filter_eval_shape(start_state, settings)
    where = devices.shardings(like, mesh, fsdp=fsdp)
    state = _newest(settings, folder, devices.laid_out(like, where))
    state = state or devices.place(start_state(settings), where)
    if not devices.all_have(int(state.step)):
        raise ValueError(
            f"{folder} is at update {int(state.step)} here, and elsewhere on another machine: "
            "the folder of a run must be one that all its machines see"
        )
    return state, where


def _newest(settings: Settings, folder: Path, like: TrainState) -> TrainState | None:
    """Return the state of the newest checkpoint, if there is any, and it is of this run."""
    if (found := checkpoint.latest(folder)) is None:
        return None
    path, meta = found
    # As JSON has them, where a tuple is a list.
    asked = json.loads(json.dumps(dataclasses.asdict(settings)))
    there = meta.get("settings", {})
    other = [
        f"{name} {there.get(name)!r}, not {value!r}"
        for name, value in asked.items()
        if there.get(name) != value and (name != "steps" or settings.cooldown)
    ]
    why = _WHY_STEPS if any(words.startswith("steps ") for words in other) else ""
    if other:
        raise ValueError(
            f"{folder} holds a run with {'; '.join(other)}: go on with its settings, or choose "
            f"another folder{why}"
        )
    if meta.get("noise") != NOISE:
        warnings.warn(f"{path} is of a version that drew other noise after it", stacklevel=2)
    return storage.load(path, like)


_WHY_STEPS = (
    ". With a cooldown the learning rate falls to 0 at the last of its steps, so a later end "
    "would have changed every update; to prolong a run, start it with --no-cooldown"
)


def _unsound(
    settings: Settings,
    folder: Path,
    state: TrainState,
    report: Report,
    images: Images,
) -> str:
    """Save the state before an update that was not finite, and describe the update."""
    number, name = int(state.step), f"unsound_{int(state.step):08d}.vdm"
    save(settings, folder, state, name)
    rows = rows_of(number, len(images.train), settings.batch_size, seed=settings.seed)
    return (
        f"update {number} was not finite: loss {sum(jax.tree.leaves(report.terms))} bits/dim, "
        f"norm of the gradient {report.gradient_norm}. The state before it is in "
        f"{folder / name}; it saw images {rows.tolist()} of the training set"
    )


def _on_one(leaf: Any) -> Any:
    """Put an array on this process's first device."""
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Set an event on SIGTERM, SIGINT or SIGHUP, instead of dying; a second one does kill.

    A signal that is ignored, as SIGHUP is under `nohup`, stays ignored.
    """
    asked, before = threading.Event(), {}
    if threading.current_thread() is threading.main_thread():
        names = {"SIGTERM", "SIGINT", "SIGHUP"} & set(dir(signal))  # Windows has no SIGHUP
        handlers = {
            kind: signal.getsignal(kind) for kind in map(signal.Signals.__getitem__, names)
        }
        before = {k: h for k, h in handlers.items() if h not in (None, signal.SIG_IGN)}

    def restore() -> None:
        for kind, handler in before.items():
            signal.signal(kind, handler)

    def note(*_: Any) -> None:
        asked.set()
        restore()

    for kind in before:
        signal.signal(kind, note)
    try:
        yield asked
    finally:
        restore()
