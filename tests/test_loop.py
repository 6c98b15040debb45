"""The loop: whatever stops a run, it ends where an undisturbed one does, bit for bit."""

import dataclasses
import errno
import itertools
import json
import os
import re
import signal
import socket
import threading
import time

import engine_process as engine
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from oracles import close

import vdmlite as vdm
from vdmlite import data
from vdmlite.engine import Pace, Settings, batches, checkpoint, devices, load, loop, run
from vdmlite.engine import settings as settings_module
from vdmlite.engine.log import Log, read_log
from vdmlite.storage import CheckpointError

pytestmark = pytest.mark.once

IMAGES = data.digits()
COMPILED = {}
PACE = Pace(log=1, save=2, look=100)


def of(steps: int, **changes) -> Settings:
    common = {"batch_size": 16, "learning_rate": 1e-2, "warmup": 3, "ema": 0.9}
    knobs = {"width": 8, "depth": 1}
    names = {"recipe": "digits", "data": "digits", "knobs": knobs}
    return Settings(steps=steps, **{**names, **common, **changes})


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """Let runs of like settings share what is compiled, which is most of what a test costs."""
    make = loop.update_function

    def shared(settings, where):
        # Without a cooldown, how far a run goes makes no difference to an update.
        like = settings if settings.cooldown else dataclasses.replace(settings, steps=1)
        name = repr(like), loop.training_gradient, settings_module.MODELS["digits"]
        return COMPILED.setdefault(name, make(settings, where))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "update_function", shared)
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a run of 8 updates, of which nothing came in the way."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run(of(8), IMAGES, folder, pace=PACE)
    return folder


def newest(folder) -> bytes:
    """Return the bytes of the newest checkpoint, which are the same for the same state."""
    return sorted(folder.glob("step_*.vdm"))[-1].read_bytes()


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("*.vdm*"))


def logged(folder) -> list[int]:
    return [line["step"] for line in read_log(folder)]


def same(one, other) -> None:
    """Hold two states equal, bit for bit."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


# Going on


def test_a_run_learns_keeps_three_checkpoints_and_logs_every_update(undisturbed):
    assert names(undisturbed) == [f"step_{n:08d}.vdm" for n in (4, 6, 8)]
    lines = read_log(undisturbed)
    assert [line["step"] for line in lines] == list(range(1, 9))
    assert lines[-1]["loss"] < lines[0]["loss"]
    for line in lines:
        parts = line["prior"] + line["reconstruction"] + line["diffusion"]
        assert line["loss"] == pytest.approx(parts, rel=1e-5)
        assert line["gradient_norm"] > 0
        assert line["images_per_second"] > 0


def test_the_last_state_and_the_last_checkpoint_are_one(undisturbed, tmp_path):
    state = run(of(8), IMAGES, tmp_path, pace=Pace(3, 5, 100))
    assert newest(tmp_path) == newest(undisturbed)  # however often anything is done
    assert logged(tmp_path) == [3, 5, 6, 8]
    assert names(tmp_path) == ["step_00000005.vdm", "step_00000008.vdm"]
    average, settings = load(tmp_path)
    assert settings == of(8)
    same(average, state.average)
    same(load(tmp_path / "step_00000008.vdm")[0], state.average)


def test_a_run_with_more_steps_goes_on_from_the_end_of_the_first(undisturbed, tmp_path):
    run(of(3), IMAGES, tmp_path, pace=PACE)
    run(of(5), IMAGES, tmp_path, pace=PACE)
    run(of(8), IMAGES, tmp_path, pace=PACE)
    assert newest(tmp_path) == newest(undisturbed)
    assert logged(tmp_path) == list(range(1, 9))


def test_a_run_that_is_done_is_left_as_it_is(tmp_path):
    run(of(3), IMAGES, tmp_path, pace=PACE)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for steps in (3, 2):
        assert int(run(of(steps), IMAGES, tmp_path, pace=PACE).step) == 3
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(harm, undisturbed, tmp_path):
    run(of(6), IMAGES, tmp_path, pace=PACE)
    file = tmp_path / "step_00000006.vdm"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes({"cut": content[:-100], "flip": content, "empty": b""}[harm])
    with pytest.warns(UserWarning, match="step_00000006.vdm was passed over"):
        run(of(8), IMAGES, tmp_path, pace=PACE)
    assert newest(tmp_path) == newest(undisturbed)
    assert file.read_bytes() == (undisturbed / file.name).read_bytes()  # written anew
    assert logged(tmp_path) == list(range(1, 9))


def test_if_no_checkpoint_is_whole_the_run_stops_and_starts_nothing_anew(tmp_path):
    run(of(2), IMAGES, tmp_path, pace=PACE)
    (tmp_path / "step_00000002.vdm").write_bytes(b"vdmlite checkpoint\n")
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is whole"):
        run(of(4), IMAGES, tmp_path, pace=PACE)


def test_the_log_has_nothing_beyond_the_checkpoint_and_survives_a_torn_line(
    undisturbed, tmp_path
):
    """As after a kill: lines of updates that are made again, the last of them cut short."""
    run(of(5), IMAGES, tmp_path, pace=PACE)
    (tmp_path / "step_00000005.vdm").unlink()
    before = read_log(tmp_path)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')
    assert read_log(tmp_path) == before
    run(of(8), IMAGES, tmp_path, pace=PACE)
    assert newest(tmp_path) == newest(undisturbed)
    text = (tmp_path / "log.jsonl").read_text("utf-8")
    assert [json.loads(line)["step"] for line in text.splitlines()] == list(range(1, 9))
    assert read_log(tmp_path)[:4] == before[:4]


# Being stopped


SIGNALS = [signal.SIGTERM, signal.SIGINT] + [getattr(signal, "SIGHUP")] * (os.name == "posix")  # noqa: B009


@pytest.mark.parametrize("kind", SIGNALS)
def test_a_signal_saves_where_it_came_and_the_end_is_the_same(kind, undisturbed, tmp_path):
    before = signal.getsignal(kind)
    during = []

    def look(_average, _folder, step):
        if step == 3:
            signal.raise_signal(kind)
            during.append(signal.getsignal(kind))
        return {}

    pace = Pace(log=100, save=100, look=1)
    state = run(of(8), IMAGES, tmp_path, pace=pace, look=look)
    assert during == [before]  # a second signal kills
    assert int(state.step) == 4
    assert names(tmp_path) == ["step_00000004.vdm"]
    assert signal.getsignal(kind) == before
    run(of(8), IMAGES, tmp_path, pace=PACE)
    assert newest(tmp_path) == newest(undisturbed)


def test_signals_are_as_before_when_a_run_fails(tmp_path):
    before = [signal.getsignal(s) for s in SIGNALS]

    def look(*_):
        raise KeyError("a figure")

    with pytest.raises(KeyError):
        run(of(2), IMAGES, tmp_path, pace=PACE, look=look)
    assert [signal.getsignal(s) for s in SIGNALS] == before


@pytest.mark.parametrize("kind", SIGNALS)
def test_a_signal_that_is_ignored_stays_ignored(kind, tmp_path):
    """As SIGHUP is under `nohup`, and SIGINT in the background of a shell script."""
    before, during = signal.signal(kind, signal.SIG_IGN), []

    def look(*_):
        signal.raise_signal(kind)
        during.append(signal.getsignal(kind))
        return {}

    try:
        state = run(of(3), IMAGES, tmp_path, pace=Pace(1, 2, 1), look=look)
    finally:
        signal.signal(kind, before)
    assert int(state.step) == 3
    assert during == [signal.SIG_IGN] * 3


def test_a_run_beside_the_main_thread_leaves_signals_alone(undisturbed, tmp_path):
    thread = threading.Thread(target=run, args=(of(8), IMAGES, tmp_path))
    thread.start()
    thread.join()
    assert newest(tmp_path) == newest(undisturbed)


def test_a_checkpoint_is_written_by_the_clock_as_well(undisturbed, tmp_path, monkeypatch):
    """Each update takes three minutes, and ten may pass: one is due at every fourth."""
    updates = itertools.count()
    monkeypatch.setattr(loop, "monotonic", lambda: 180.0 * clock[0])
    clock, wait = [0], Log.wait

    def tick(*args):
        clock[0] = 1 + next(updates)
        wait(*args)

    monkeypatch.setattr(Log, "wait", tick)
    pace = Pace(log=100, save=7, look=100, minutes=10)
    run(of(8), IMAGES, tmp_path, pace=pace)
    assert names(tmp_path) == [f"step_{n:08d}.vdm" for n in (4, 7, 8)]
    assert logged(tmp_path) == [4, 7, 8]
    assert newest(tmp_path) == newest(undisturbed)


def test_of_several_processes_none_looks_at_its_clock_alone(tmp_path, monkeypatch):
    """They would save at different updates, and wait for each other for ever."""
    asked = []
    monkeypatch.setattr(loop, "monotonic", itertools.count(0, 3600).__next__)
    monkeypatch.setattr(devices, "agree", lambda _, *, now: asked.append(now) or now)
    run(of(4), IMAGES, tmp_path, pace=Pace(log=3, save=100, look=100))
    assert asked == [False, False, False, False, True, True]  # two questions, then it stops
    assert names(tmp_path) == ["step_00000003.vdm"]


def test_a_full_disk_is_told_and_what_was_saved_stays(undisturbed, tmp_path, monkeypatch):
    fsync = os.fsync

    def full(file):
        if (tmp_path / "step_00000006.vdm.partial").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "fsync", full)
        with pytest.raises(OSError, match=r"nothing was written, .* No space left"):
            run(of(8), IMAGES, tmp_path, pace=PACE)
    assert names(tmp_path) == ["step_00000002.vdm", "step_00000004.vdm"]
    run(of(8), IMAGES, tmp_path, pace=PACE)
    assert newest(tmp_path) == newest(undisturbed)


# Being refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 2}, "a run with seed 1, not 2: go on with its settings, or choose anot"),
        ({"ema": 0.5, "batch_size": 8}, "batch_size 16, not 8; ema 0.9, not 0.5"),
        ({"knobs": {"width": 8, "depth": 2}}, "knobs {'depth': 1, 'width': 8}, not {'width'"),
        ({"cooldown": True}, "cooldown False, not True"),
    ],
)
def test_a_folder_of_other_settings_is_refused_by_their_names(changes, words, undisturbed):
    before = {path: path.read_bytes() for path in undisturbed.iterdir()}
    with pytest.raises(ValueError, match=words):
        run(of(8, **changes), IMAGES, undisturbed)
    assert {path: path.read_bytes() for path in undisturbed.iterdir()} == before


def test_the_end_of_a_cooldown_cannot_be_put_off(tmp_path):
    settings = of(2, cooldown=True)
    loop.save(settings, tmp_path, loop.start_state(settings))
    with pytest.raises(ValueError, match="a run with steps 2, not 4"):
        run(of(4, cooldown=True), IMAGES, tmp_path)


def test_a_cooldown_is_named_as_the_reason_and_so_is_the_way_out(tmp_path):
    settings = of(2, cooldown=True)
    loop.save(settings, tmp_path, loop.start_state(settings))
    for changes, told in (({"steps": 4}, True), ({"seed": 2}, False)):
        with pytest.raises(ValueError, match="holds a run with") as error:
            run(of(**{"steps": 2, "cooldown": True, **changes}), IMAGES, tmp_path)
        assert ("the learning rate falls to 0 at the last" in str(error.value)) is told
        assert ("--no-cooldown" in str(error.value)) is told


def test_a_folder_that_another_run_uses_is_refused_until_that_one_ends(tmp_path):
    before = []

    def look(_average, folder, step):
        if step == 1:
            before.append(sorted(path.name for path in folder.iterdir()))
            with pytest.raises(ValueError, match="choose another folder") as error:
                run(of(8), IMAGES, folder, pace=PACE)
            assert f"(process {os.getpid()} on {socket.gethostname()})" in str(error.value)
            assert sorted(path.name for path in folder.iterdir()) == before[0]
        return {}

    run(of(2), IMAGES, tmp_path, pace=Pace(1, 1, 1), look=look)
    assert before
    run(of(4), IMAGES, tmp_path, pace=PACE)
    assert (tmp_path / ".lock").read_bytes() == b""


def test_a_file_system_without_locks_keeps_nobody_out(tmp_path, monkeypatch):
    name = "fcntl.flock" if os.name == "posix" else "msvcrt.locking"

    def unable(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(name, unable)
    assert int(run(of(1), IMAGES, tmp_path, pace=PACE).step) == 1


def test_a_run_of_a_version_with_other_noise_goes_on_with_a_warning(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(loop, "NOISE", 1)
        run(of(2), IMAGES, tmp_path, pace=PACE)
    with pytest.warns(UserWarning, match="of a version that drew other noise"):
        run(of(4), IMAGES, tmp_path, pace=PACE)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    checkpoint.save_in(tmp_path, 3, {"a": jnp.ones(3)}, {"mine": True})
    with pytest.raises(ValueError, match="holds a run with recipe None, not 'digits'"):
        run(of(4), IMAGES, tmp_path)
    with pytest.raises(CheckpointError, match="settings that this version does not know"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="there are no checkpoints in"):
        load(tmp_path.parent)


@pytest.mark.parametrize("pace", [Pace(log=0), Pace(save=-1), Pace(look=0), Pace(minutes=0)])
def test_a_pace_below_one_is_refused(pace, tmp_path):
    with pytest.raises(ValueError, match=r"a pace is .* at least 1 each, .* got Pace\(log="):
        run(of(4), IMAGES, tmp_path, pace=pace)


def test_images_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has shape \(n, 8, 8, 1\), got \(16, 32, 32, 3\)"):
        run(of(4, data="patches"), data.patches(), tmp_path)


# Going wrong


def poisoned(gradient):
    """Return a gradient that is not a number if a batch has an image of nothing but 16."""

    def wrong(model, images, *rest, key):
        terms, grads = gradient(model, images, *rest, key=key)
        factor = jnp.where((images == 16).all((1, 2, 3)).any(), jnp.nan, 1.0)
        return terms, jax.tree.map(lambda g: factor.astype(g.dtype) * g, grads)

    return wrong


def test_an_update_that_is_not_finite_is_told_with_its_rows_and_the_state_before_it(
    tmp_path, monkeypatch
):
    """The log is written every 4 updates: the sixth is found out at the eighth."""
    monkeypatch.setattr(batches, "ON_DEVICE", 0)  # where an update has but its own images
    monkeypatch.setattr(loop, "training_gradient", POISONED)
    rows = batches.rows_of(5, len(IMAGES.train), 16, seed=1)
    train = IMAGES.train.copy()
    train[rows[3]] = 16
    pace = Pace(log=4, save=3, look=100)
    with pytest.raises(FloatingPointError, match=NOT_FINITE) as error:
        run(of(100), IMAGES._replace(train=train), tmp_path, pace=pace)
    assert f"it saw images {rows.tolist()} of the training set" in str(error.value)
    file = tmp_path / "unsound_00000005.vdm"
    assert str(file) in str(error.value)
    assert names(tmp_path) == ["step_00000003.vdm", file.name]
    assert logged(tmp_path) == [3, 4]
    before = run(of(5), IMAGES, tmp_path / "before", pace=PACE)
    like = eqx.filter_eval_shape(loop.start_state, of(100))
    same(vdm.load(file, like), before)
    same(load(file)[0], before.average)


POISONED = poisoned(vdm.training_gradient)
NOT_FINITE = r"update 5 was not finite: loss \d.*, norm of the gradient nan\. The state before"


# One update


class Told(eqx.Module):
    """The least network that can be told a flag: a z + b + c flag."""

    a: Array
    b: Array
    c: Array

    def __call__(self, z, gamma, flag=None, *, key=None):
        del gamma, key
        return self.a * z + self.b + (0 if flag is None else self.c * flag)


def told(*, key) -> vdm.VDM:
    parts = 0.1 * jax.random.normal(key, (3, 8, 8, 1))
    denoiser = vdm.NetDenoiser(Told(*parts))
    return vdm.VDM(vdm.LearnedLinear(-8, 5), denoiser, vdm.LevelDecoder(17), (8, 8, 1))


def test_an_update_is_the_mean_of_its_parts_of_augmented_images(tmp_path, monkeypatch):
    monkeypatch.setitem(settings_module.MODELS, "digits", told)
    settings = of(2, batch_size=12, accumulate=2, augment=True, warmup=0, knobs={})
    start = loop.start_state(settings)
    state, expected = run(settings, IMAGES, tmp_path), engine.by_hand(settings, 2)
    for a, b in zip(*map(jax.tree.leaves, (state, expected)), strict=True):
        # Adam divides by a gradient's size, and brings out roundings of small ones.
        close(a, b, ulps=1024)
    nets = [getattr(s.vdm.denoiser, "net") for s in (start, state)]  # noqa: B009
    assert jnp.abs(nets[1].c - nets[0].c).min() > 1e-3  # the flags had a say everywhere


DRAWS = (
    *("bits", "uniform", "normal", "truncated_normal", "bernoulli", "categorical", "gumbel"),
    *("randint", "permutation", "choice"),
)


def watch(monkeypatch) -> list[tuple]:
    """Note the key of every draw from now on, be it in a compiled function or outside."""
    seen, inside = [], []

    def watched(draw):
        def noting(key, *args, **kwargs):
            if not inside:  # a draw that another one consists of has its key
                typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
                words = jax.random.key_data(key) if typed else key
                jax.debug.callback(lambda a: seen.append(tuple(np.asarray(a).tolist())), words)
            inside.append(draw)
            try:
                return draw(key, *args, **kwargs)
            finally:
                inside.pop()

        return noting

    for module in (jax.random, jax.nn.initializers.lecun_normal.__globals__["random"]):
        for name in DRAWS:
            monkeypatch.setattr(module, name, watched(getattr(module, name)))
    return seen


def dropping(*, key) -> vdm.VDM:
    """A U-Net of digits with dropout, of a size that is compiled nowhere else."""
    net = vdm.nn.UNet(1, width=12, depth=1, attention=False, dropout=0.5, key=key)
    return vdm.VDM(
        vdm.LearnedLinear(-8, 5), vdm.NetDenoiser(net), vdm.LevelDecoder(17), (8, 8, 1)
    )


def test_no_two_draws_of_a_run_have_the_same_key(tmp_path, monkeypatch):
    """Of the first weights, and of two updates with turned images, dropout and two parts."""
    monkeypatch.setitem(settings_module.MODELS, "digits", dropping)
    seen = watch(monkeypatch)
    settings = of(2, batch_size=6, accumulate=2, augment=True, knobs={})
    loop.start_state(settings)
    jax.effects_barrier()
    weights = len(seen)
    run(settings, IMAGES, tmp_path, pace=PACE)
    jax.effects_barrier()
    seen = seen[weights:]  # `run` draws the first weights again
    # An image: 3 draws of its turn, 2 noises, dropout in 5 blocks. A part: its times.
    assert weights > 10
    assert len(seen) == weights + 2 * (6 * (3 + 2 + 5) + 2)
    assert len(set(seen)) == len(seen)


def test_a_seed_has_keys_for_its_uses_and_neighbours_have_others():
    """And none of a seed's keys is what folding or splitting another seed's key gives."""
    keys = [k for seed in range(5) for k in settings_module.keys_of(seed)]
    keys += [jax.random.key(seed) for seed in range(5)]
    assert len({jax.random.key_data(k).tobytes() for k in keys}) == 30


def test_the_gradient_is_traced_once(monkeypatch):
    """Once for each part of a batch: tracing the full network takes seconds."""
    traced = []

    def gradient(*args, key):
        traced.append(args[1].shape)
        return vdm.training_gradient(*args, key=key)

    monkeypatch.setattr(loop, "training_gradient", gradient)
    monkeypatch.setattr(devices, "compiler_options", lambda: None)  # for top level jits only
    for parts in (1, 2):
        settings = of(2, accumulate=parts)
        like = eqx.filter_eval_shape(loop.start_state, settings)
        where = devices.shardings(like, devices.mesh())
        given = (
            batches.Batch(jnp.asarray(IMAGES.train), jnp.zeros((parts, 16 // parts), int)),
            np.int32(0),
        )
        eqx.filter_eval_shape(loop.update_function(settings, where), given, like)
        assert traced == [(16 // parts, 8, 8, 1)] * parts
        traced.clear()


def test_the_state_is_used_up_and_the_average_is_no_other_name_of_the_weights(tmp_path):
    settings = of(8)
    state, where = loop._begin(settings, tmp_path, devices.mesh(), fsdp=False)
    batch = batches.source(IMAGES.train, 16, mesh=devices.mesh(), seed=1)(0)

    def pointers(tree):
        return {
            a.unsafe_buffer_pointer() for a in jax.tree.leaves(eqx.filter(tree, eqx.is_array))
        }

    update, given = loop.update_function(settings, where), state
    for number in range(2):
        assert not pointers(state.vdm) & pointers(state.average)
        state, report = update((batch, np.int32(number)), state)
        assert report.sound
    assert all(a.is_deleted() for a in jax.tree.leaves(eqx.filter(given, eqx.is_array)))
    assert not pointers(state.vdm) & pointers(state.average)
    assert not batch.pool.is_deleted()


def test_an_update_of_another_number_than_the_states_is_not_made(tmp_path):
    """So after one that is not finite none is, whatever is already on its way."""
    settings = of(8)
    state, where = loop._begin(settings, tmp_path, devices.mesh(), fsdp=False)
    kept = jax.tree.map(np.array, eqx.filter(state, eqx.is_array))
    batch = batches.source(IMAGES.train, 16, mesh=devices.mesh(), seed=1)(1)
    state, report = loop.update_function(settings, where)((batch, np.int32(1)), state)
    assert not report.sound
    same(eqx.filter(state, eqx.is_array), kept)


# Processes of their own, that are killed


@pytest.fixture(scope="module")
def let_be(tmp_path_factory):
    """The folder of what is compiled, and that of a run from the command line, let be."""
    folder = tmp_path_factory.mktemp("processes")
    engine.finish(engine.train(folder, folder / "let be"))
    return folder, folder / "let be"


def wait_for_updates(process, count: int) -> None:
    """Read what a run prints until it has told of some updates."""
    while count > 0:
        line = process.stdout.readline()
        assert line, process.communicate()[1][-3000:]
        count -= line.startswith("update ")


@engine.long
def test_a_run_that_is_killed_20_times_ends_as_one_that_was_let_be(let_be):
    """With a checkpoint every 3 updates, many of the kills come while one is written."""
    folder, expected = let_be
    random, run = np.random.default_rng(0), folder / "killed"
    for _ in range(20):
        process = engine.train(folder, run)
        wait_for_updates(process, int(random.integers(1, 8)))
        time.sleep(random.uniform(0, 0.01))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    engine.finish(engine.train(folder, run))
    assert names(run) == names(expected)
    assert newest(run) == newest(expected)
    assert logged(run) == list(range(1, 241))


@engine.long
def test_a_run_whose_readers_are_gone_ends_as_one_that_was_let_be(let_be):
    """As after `python -m vdmlite train … | head`, also for a second run in the folder."""
    folder, expected = let_be
    process = engine.train(folder, folder / "unread")
    wait_for_updates(process, 2)
    process.send_signal(signal.SIGSTOP)  # or it would be done before the second one starts
    second = engine.train(folder, folder / "unread")
    _, wrong = second.communicate(timeout=300)
    assert second.returncode == 2
    assert re.fullmatch(f"vdmlite: another run .process {process.pid} on .*\n", wrong)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=300) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    assert newest(folder / "unread") == newest(expected)


@engine.long
def test_a_run_that_a_cluster_stops_says_so_and_ends_as_one_that_was_let_be(let_be):
    folder, expected = let_be
    run = folder / "stopped"
    process = engine.train(folder, run)
    wait_for_updates(process, 4)
    process.terminate()
    (printed,) = engine.finish(process)
    step = int(re.search(r"asked to stop: saved at update (\d+)", printed)[1])  # type: ignore
    assert step < 240
    assert f"step_{step:08d}.vdm" in names(run)
    engine.finish(engine.train(folder, run))
    assert newest(run) == newest(expected)
