"""Checkpoints: nothing changes on the way, nothing damaged is believed, nothing is lost."""

import errno
import functools
import hashlib
import io
import json
import os
import pickle
import re
import stat
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array
from oracles import perturbed

import vdmlite as vdm
from vdmlite import storage
from vdmlite.engine.checkpoint import latest, save_in
from vdmlite.storage import CheckpointError, load, read_meta, save

META = {"recipe": "toy", "step": 3, "rate": 1e-3, "shape": [2], "cut": None, "γ": True}
SMALL = {"a": np.arange(3.0), "b": np.arange(6).reshape(2, 3), "n": 4}


class Run(eqx.Module):
    """What a training loop carries: a state and its key."""

    state: vdm.TrainState
    key: Array


def run(key, dimensions=2) -> Run:
    model = vdm.recipes.toy(dimensions, key=key)
    return Run(vdm.init(model, optax.adam(1e-3)), jax.random.split(key)[0])


@pytest.fixture(scope="module")
def trained():
    """A state after three steps, so that no moment of Adam is zero."""
    start, optimiser = run(jax.random.key(0)), optax.adam(1e-3)
    batches = np.random.default_rng(0).normal(size=(3, 16, 2)).astype(jnp.result_type(float))
    *_, (state, _) = vdm.train(start.state, optimiser, batches, key=start.key)
    return Run(state, start.key)


@pytest.fixture(scope="module")
def whole(trained, tmp_path_factory):
    """The bytes of a checkpoint of that state."""
    return save(tmp_path_factory.mktemp("whole") / "whole.vdm", trained, META).read_bytes()


def same(one, other) -> None:
    """Hold two trees equal: their structure, and each leaf's type, kind and bits."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert type(a) is type(b)
        if hasattr(a, "dtype"):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
                a, b = jax.random.key_data(a), jax.random.key_data(b)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def signed(content: bytes) -> bytes:
    """Give a content its right digest, as only a person can."""
    return content + hashlib.sha256(content).digest()


# Round trips


def test_a_training_run_comes_back_bit_for_bit(trained, whole, tmp_path):
    file = tmp_path / "run.vdm"
    file.write_bytes(whole)
    assert read_meta(file) == META
    like = eqx.filter_eval_shape(run, jax.random.key(9))
    for template in (trained, run(jax.random.key(9)), like):
        same(load(file, template), trained)


def test_a_restored_run_goes_on_as_if_nothing_had_been(trained, whole, tmp_path):
    file, optimiser = tmp_path / "run.vdm", optax.adam(1e-3)
    file.write_bytes(whole)
    batch = np.ones((16, 2), jnp.result_type(float))
    there = load(file, run(jax.random.key(9)))
    for _ in range(2):
        trained, there = (
            Run(vdm.train_step(r.state, optimiser, batch, key=r.key)[0], r.key)
            for r in (trained, there)
        )
    same(there, trained)


def test_a_restored_array_can_be_donated(tmp_path):
    file = save(tmp_path / "a.vdm", {"a": jnp.arange(1000.0)}, {})
    tree = load(file, {"a": jnp.zeros(1000)})
    double = jax.jit(lambda t: jax.tree.map(lambda a: 2 * a, t), donate_argnums=0)
    same(double(tree), {"a": 2 * jnp.arange(1000.0)})
    same(load(file, {"a": jnp.zeros(1000)}), {"a": jnp.arange(1000.0)})


LEAVES = {
    "float32": jnp.linspace(0, 1, 7, dtype=jnp.float32),
    "bfloat16": jnp.linspace(0, 1, 7, dtype=jnp.bfloat16),
    "float16": jnp.linspace(0, 1, 7, dtype=jnp.float16),
    "float8": jnp.linspace(0, 1, 7).astype(jnp.float8_e4m3fn),
    "complex": jnp.ones(2, jnp.complex64) * 1j,
    "bool": jnp.array([True, False]),
    "int8": jnp.array([-1, 1], jnp.int8),
    "a scalar": jnp.array(0.1),
    "empty": jnp.zeros((0, 3)),
    "not finite": jnp.array([jnp.nan, -jnp.inf, -0.0]),
    "numpy float64": np.linspace(0, 1, 3),
    "numpy in Fortran's order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "numpy strided": np.arange(6)[::2],
    "numpy big-endian": np.arange(3, dtype=">i4"),
    "numpy scalar array": np.array(3),
    "numpy scalar": np.float32(0.1),
    "numpy bfloat16": np.ones(3, jnp.bfloat16),
    "True": True,
    "an int": -(2**62),
    "a float": 0.1,
    "a float that isn't finite": float("-inf"),
    "a complex": 0.1 - 2j,
    "a key": jax.random.key(7),
    "keys": jax.random.split(jax.random.key(7), (2, 3)),
    "keys of another kind": jax.random.split(jax.random.key(7, impl="rbg")),
    "a raw key": jax.random.PRNGKey(7),
}


@pytest.mark.parametrize("name", LEAVES)
def test_every_kind_of_leaf_comes_back(name, tmp_path):
    leaf = LEAVES[name]
    tree = {"before": 1, "leaf": leaf, "after": np.arange(2)}
    file = save(tmp_path / "leaf.vdm", tree, {})
    same(load(file, tree), tree)
    if isinstance(leaf, jax.Array):
        like = tree | {"leaf": jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)}
        same(load(file, like), tree)


def test_what_is_no_number_is_left_to_the_caller(tmp_path):
    net = eqx.nn.MLP(2, 2, 4, 1, activation=jax.nn.silu, key=jax.random.key(0))
    file = save(tmp_path / "net.vdm", net, {})
    like = eqx.nn.MLP(2, 2, 4, 1, activation=jax.nn.relu, key=jax.random.key(1))
    there = load(file, like)
    assert there.activation is like.activation
    same(there.layers, net.layers)


def test_numpy_arrays_may_be_saved_for_those_of_jax(trained, tmp_path):
    """So that a thread can write what the loop fetched, while training goes on."""
    fetched = jax.device_get(trained.state)
    assert isinstance(fetched.step, np.ndarray)
    file = save(tmp_path / "fetched.vdm", fetched, {})
    same(load(file, trained.state), trained.state)


def test_the_same_content_gives_the_same_bytes(trained, whole, tmp_path):
    turned = dict(reversed(META.items()))
    assert save(tmp_path / "again.vdm", trained, turned).read_bytes() == whole
    assert save(tmp_path / "again.vdm", trained, META | {"step": 4}).read_bytes() != whole


def test_a_file_introduces_itself(whole):
    first, second = whole.split(b"\n", 2)[:2]
    assert first == b"vdmlite checkpoint"
    header = json.loads(second)
    assert header["meta"] == META
    assert header["written_by"]["jax"] == jax.__version__
    assert [".key", "key<fry>[]"] in header["leaves"]


def test_arrays_go_to_where_they_are_expected(tmp_path):
    tree, device = {"a": jnp.arange(4.0), "key": jax.random.key(1)}, jax.devices()[0]
    file = save(tmp_path / "a.vdm", tree, {})
    assert not any(leaf.committed for leaf in load(file, tree).values())
    here = jax.sharding.NamedSharding(jax.make_mesh((1,), ("data",)), jax.P())
    structs = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here), tree
    )
    for like in (structs, jax.device_put(tree, here)):
        there = load(file, like)
        same(there, tree)
        assert all(leaf.sharding == here for leaf in there.values())
    assert load(file, jax.device_put(tree, device))["a"].committed


def test_meta_is_what_json_can_hold(tmp_path):
    file = tmp_path / "a.vdm"
    assert read_meta(save(file, SMALL, {"shape": (2, 3)})) == {"shape": [2, 3]}
    before = file.read_bytes()
    for bad in (np.float32(1), jnp.ones(2), float("nan"), Path("x")):
        with pytest.raises(ValueError, match=r"JSON can't hold meta = {'setting'"):
            save(file, SMALL, {"setting": bad})
    assert file.read_bytes() == before
    assert names(tmp_path) == ["a.vdm"]


# What is refused


@pytest.mark.once
def test_every_flipped_bit_is_refused_by_name(whole, tmp_path):
    file, rng = tmp_path / "flipped.vdm", np.random.default_rng(0)
    header = whole.index(b"\n", len(storage.MAGIC))
    places = {*np.linspace(0, len(whole) - 1, 200, dtype=int).tolist(), header, header + 1}
    places |= {*range(30), *range(len(whole) - 33, len(whole))}
    for place in sorted(places):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(flipped)
        for look in (read_meta, lambda f: load(f, None)):
            with pytest.raises(CheckpointError, match=r"flipped\.vdm is (damaged|no check)"):
                look(file)


def test_every_truncation_and_every_addition_is_refused(whole, tmp_path):
    file = tmp_path / "cut.vdm"
    sizes = {*range(60), *np.linspace(0, len(whole) - 1, 100, dtype=int).tolist()}
    for content in (*(whole[:n] for n in sizes), whole + b"\0", whole + whole, b"\0" + whole):
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"cut\.vdm is (damaged|no checkpoint)"):
            read_meta(file)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps(SMALL), bytes(1000)])
def test_what_is_no_checkpoint_is_refused(content, tmp_path):
    file = tmp_path / "other.vdm"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="is no checkpoint of vdmlite"):
        load(file, SMALL)
    with pytest.raises(FileNotFoundError, match="none"):
        load(tmp_path / "none.vdm", SMALL)


def test_another_format_is_refused_by_number(tmp_path):
    file = save(tmp_path / "new.vdm", SMALL, {})
    new = file.read_bytes()[: -storage.DIGEST].replace(b'"format": 2', b'"format": 3')
    file.write_bytes(signed(new))
    with pytest.raises(CheckpointError, match="has format 3, this version reads 2"):
        read_meta(file)


def test_another_model_is_refused_with_both_shapes(trained, whole, tmp_path):
    file = tmp_path / "run.vdm"
    file.write_bytes(whole)
    three = eqx.filter_eval_shape(lambda key: run(key, dimensions=3), jax.random.key(0))
    with pytest.raises(CheckpointError, match=r"\.net\.\S+ \w+\[128,2\] where .*\[128,3\] was"):
        load(file, three)
    for other in (trained.state, [trained], None):
        with pytest.raises(CheckpointError, match=r"run\.vdm is of something else"):
            load(file, other)


@pytest.mark.parametrize(
    ("like", "words"),
    [
        (SMALL | {"a": np.arange(4.0)}, "['a'] float64[3] where ['a'] float64[4] was"),
        (SMALL | {"a": np.zeros(3, "f4")}, "['a'] float64[3] where ['a'] float32[3] was"),
        (SMALL | {"b": np.zeros((3, 2), int)}, "['b'] int64[2,3] where ['b'] int64[3,2] was"),
        (SMALL | {"n": 4.0}, "['n'] int where ['n'] float was"),
        (SMALL | {"n": True}, "['n'] int where ['n'] bool was"),
        (SMALL | {"n": np.array(4)}, "['n'] int where ['n'] int64[] was"),
        (SMALL | {"o": 1}, "it has nothing where ['o'] int was"),
        ({"a": SMALL["a"]}, "it has ['b'] int64[2,3] where nothing was"),
        ({"a": SMALL["a"], "c": SMALL["b"], "n": 4}, "it has ['b'] int64[2,3] where ['c']"),
        ({}, "it has ['a'] float64[3] where nothing was expected"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_the_first_leaf_that_differs_is_named(like, words, tmp_path):
    file = save(tmp_path / "small.vdm", SMALL, {})
    with pytest.raises(CheckpointError, match=re.escape(words)):
        load(file, like)


def test_keys_of_another_kind_are_refused(tmp_path):
    file = save(tmp_path / "key.vdm", jax.random.key(0), {})
    with pytest.raises(CheckpointError, match=r"it has key<fry>\[\] where key<rbg>"):
        load(file, jax.random.key(0, impl="rbg"))


class Trap:
    """A pickle of this makes a file, should anyone load it."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def test_objects_are_neither_saved_nor_loaded(tmp_path):
    sprung, file = tmp_path / "sprung", tmp_path / "trap.vdm"
    trap = np.array([Trap(sprung)], dtype=object)
    with pytest.raises(ValueError, match=r"\['a'\] has no bytes to save"):
        save(file, {"a": trap}, {})
    with pytest.raises(ValueError, match=r"\['a'\] has no bytes to save: ShapeDtypeStruct"):
        save(file, {"a": jax.ShapeDtypeStruct((2,), jnp.float32)}, {})
    assert not list(tmp_path.iterdir())
    stream = io.BytesIO()
    np.save(stream, trap, allow_pickle=True)
    head = save(file, SMALL, {}).read_bytes().split(b"\n")[:2]
    for content in (stream.getvalue(), stream.getvalue()[:50], b""):
        file.write_bytes(signed(b"\n".join([*head, content])))  # a person's work, not a disk's
        with pytest.raises(CheckpointError, match="more or fewer bytes than its leaves"):
            load(file, SMALL)
    assert not sprung.exists()


def test_an_array_that_other_hosts_share_is_refused(tmp_path, monkeypatch):
    a = jnp.arange(4.0)
    monkeypatch.setattr(type(a), "is_fully_replicated", False)
    monkeypatch.setattr(type(a), "is_fully_addressable", False)
    with pytest.raises(ValueError, match=r"parts of \['a'\].*process_allgather"):
        save(tmp_path / "a.vdm", {"a": a}, {})
    assert not list(tmp_path.iterdir())


# A folder of checkpoints


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def numbered(step: int) -> dict:
    """A tree whose content is its number, too large for one write."""
    return {"a": np.full(50_000, step), "step": step}


def test_the_newest_three_stay(tmp_path):
    folder = tmp_path / "new" / "runs"
    assert latest(folder) is None
    for step in (0, 5, 900, 99_999_999, 100_000_000, 1_000_000_000):
        path = save_in(folder, step, numbered(step), {"step": step})
        assert latest(folder) == (path, {"step": step})
        same(load(path, numbered(0)), numbered(step))
    assert names(folder) == sorted(f"step_{n}.vdm" for n in (99999999, 10**8, 10**9))
    save_in(folder, 1_000_000_001, numbered(1), {}, keep=1)
    assert names(folder) == ["step_1000000001.vdm"]


def test_only_stray_temporaries_of_checkpoints_are_removed(tmp_path):
    others = ["draws.npz.partial", "step_1.vdm.partial", "step_00000001.vdm.bak", "best.vdm"]
    for name in ("step_00000007.vdm.partial", *others):
        (tmp_path / name).write_bytes(b"half")
    save_in(tmp_path, 9, SMALL, {})
    assert names(tmp_path) == sorted([*others, "step_00000009.vdm"])


def test_what_is_just_written_is_never_removed(tmp_path):
    """A run that went on from before later, damaged files neither loses nor deletes any."""
    for step in (1, 2, 8, 9):
        save_in(tmp_path, step, SMALL, {"step": step}, keep=9)
    save_in(tmp_path, 3, SMALL, {"step": 3}, keep=1)
    assert names(tmp_path) == [f"step_0000000{n}.vdm" for n in (3, 8, 9)]


@pytest.mark.parametrize(("step", "keep"), [(-1, 3), (1, 0)])
def test_impossible_numbers_are_refused(step, keep, tmp_path):
    with pytest.raises(ValueError, match=f"got {step} and {keep}"):
        save_in(tmp_path, step, SMALL, {}, keep=keep)


def test_damaged_checkpoints_are_passed_over_with_a_warning(tmp_path):
    for step in (1, 2, 3):
        save_in(tmp_path, step, numbered(step), {"step": step})
    newest, middle, oldest = (tmp_path / f"step_0000000{n}.vdm" for n in (3, 2, 1))
    content = bytearray(newest.read_bytes())
    content[1000] ^= 1
    newest.write_bytes(content)
    with pytest.warns(UserWarning, match=r"step_00000003\.vdm was passed over.*damaged"):
        assert latest(tmp_path) == (middle, {"step": 2})
    middle.unlink()
    middle.mkdir()  # as good as unreadable
    with pytest.warns(UserWarning, match="was passed over") as seen:
        assert latest(tmp_path) == (oldest, {"step": 1})
    assert [str(w.message)[:17] for w in seen] == ["step_00000003.vdm", "step_00000002.vdm"]
    oldest.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is whole") as found:
        latest(tmp_path)
    assert all(f"step_0000000{n}.vdm" in str(found.value) for n in (1, 2, 3))


SHARDED = """
import sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
from vdmlite import load, save

across = NamedSharding(jax.make_mesh((2, 2), ("a", "b")), P("a", "b"))
everywhere = NamedSharding(across.mesh, P())
keys = jax.random.split(jax.random.key(0), (4, 8))
whole = {"w": jnp.arange(32.0).reshape(4, 8), "keys": keys}
trees = whole, jax.device_put(whole, across), jax.device_put(whole, everywhere)
files = [save(f"{sys.argv[1]}/{n}.vdm", tree, {}) for n, tree in enumerate(trees)]
assert len({file.read_bytes() for file in files}) == 1
for like in trees:
    there = load(files[0], like)
    assert there["w"].sharding == like["w"].sharding
    assert there["keys"].sharding == like["keys"].sharding
    assert np.array_equal(there["w"], whole["w"])
    assert np.array_equal(*(jax.random.key_data(t["keys"]) for t in (there, whole)))
"""


def test_arrays_may_be_spread_over_devices(tmp_path):
    settings = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "4"}
    subprocess.run([sys.executable, "-c", SHARDED, tmp_path], check=True, env=settings)


# Disks that are full, processes that are killed


class FullDisk(io.FileIO):
    """A file on a disk that has so many bytes left."""

    def __init__(self, path: Path, left: int):
        super().__init__(path, "wb")
        self.left = left

    def write(self, data, /) -> int:
        self.left -= memoryview(data).nbytes
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize("left", [0, 500, 300_000])
def test_a_full_disk_loses_nothing(left, tmp_path, monkeypatch):
    for step in (1, 2, 3):
        save_in(tmp_path, step, numbered(step), {})
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda p, _: io.BufferedWriter(FullDisk(p, left)))
        for step in (3, 4):
            words = rf"nothing was written.*No space left.*step_0000000{step}\.vdm"
            with pytest.raises(OSError, match=words) as found:
                save_in(tmp_path, step, numbered(0), {}, keep=1)
            assert found.value.errno == errno.ENOSPC
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.EDQUOT, "quota"), KeyboardInterrupt()])
def test_a_write_that_fails_late_loses_nothing(name, error, tmp_path, monkeypatch):
    file = save(tmp_path / "a.vdm", SMALL, {})
    before = file.read_bytes()

    def fail(*_):
        raise error

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(type(error)):
        save(file, numbered(1), {})
    assert names(tmp_path) == ["a.vdm"]
    assert file.read_bytes() == before


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace

    def sync(opened):
        calls.append("folder" if stat.S_ISDIR(os.fstat(opened).st_mode) else "file")
        fsync(opened)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("name"), replace(*names)))
    save(tmp_path / "a.vdm", SMALL, {})
    assert calls == ["file", "name", "folder"][: 3 if os.name == "posix" else 2]


KILLED = """
import os, random, signal, sys, time
import numpy as np
from vdmlite import files
from vdmlite import storage
from vdmlite.engine import checkpoint

def save(folder, step):
    tree = {"a": np.full(50_000, step), "step": step}
    checkpoint.save_in(folder, step, tree, {"step": step}, keep=2)

def dies(child):
    if not (pid := os.fork()):
        child()
        os._exit(0)
    return pid

def after_lines(left):
    def trace(frame, event, _):
        nonlocal left
        ours = (checkpoint.__file__, storage.__file__, files.__file__)
        if frame.f_code.co_filename not in ours:
            return None
        left -= event == "line"
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)

def line_by_line(folder):
    for step in (1, 2, 3):
        save(folder, step)
    n = 0
    while True:
        pid = dies(lambda: (after_lines(n), save(folder, 4)))
        if os.waitpid(pid, 0)[1] == 0:
            return print(n)
        check(folder, (3, 4))
        n += 1

def at_random(folder):
    def forever():
        step = checkpoint.latest(folder)[1]["step"]
        while True:
            save(folder, step := step + 1)
    save(folder, 1)
    for seed in range(5):
        pid = dies(forever)
        time.sleep(random.Random(seed).uniform(0.02, 0.1))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        check(folder, range(1, 10**9))

def check(folder, steps):
    path, meta = checkpoint.latest(folder)
    tree = storage.load(path, {"a": np.zeros(50_000, int), "step": 0})
    assert meta["step"] == tree["step"] in steps
    assert np.all(tree["a"] == tree["step"])

{"line_by_line": line_by_line, "at_random": at_random}[sys.argv[1]](sys.argv[2])
"""


@pytest.mark.once
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.parametrize("when", ["line_by_line", "at_random"])
def test_a_killed_writer_loses_nothing_but_its_last_step(when, tmp_path):
    """`kill -9` at each line in turn, and at five moments: what is newest is whole."""
    settings = [sys.executable, "-W", "error::UserWarning", "-c", KILLED, when, str(tmp_path)]
    done = subprocess.run(settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if when == "line_by_line":
        assert int(done.stdout) > 50
    save_in(tmp_path, 10**9, SMALL, {}, keep=1)
    assert names(tmp_path) == ["step_1000000000.vdm"]


# A model of one's own, stored in one line


def mine(key, reading=vdm.from_v, levels=17):
    net = vdm.nn.ConvNet((8, 8, 1), width=8, depth=1, key=key)
    return vdm.VDM(
        vdm.Karras(-8.0, 5.0, 3.0),
        vdm.NetDenoiser(net, reading),
        vdm.LevelDecoder(levels),
        (8, 8, 1),
    )


def scaled(factor, output, z, gamma):
    return vdm.from_v(factor * output, z, gamma)


def test_a_function_with_arguments_filled_in_is_known_by_them(tmp_path, key):
    file = tmp_path / "mine.vdm"
    vdm.save(file, mine(key, functools.partial(scaled, 2.0)))
    vdm.load(file, mine(key, functools.partial(scaled, 2.0)))
    with pytest.raises(ValueError, match="reading"):
        vdm.load(file, mine(key, functools.partial(scaled, 3.0)))


@pytest.mark.once
def test_a_model_is_read_in_another_process(tmp_path, key):
    model = perturbed(mine(key), key=key)
    vdm.save(tmp_path / "mine.vdm", model)
    code = f"""
import jax, numpy as np, vdmlite as v
net = v.nn.ConvNet((8, 8, 1), width=8, depth=1, key=jax.random.key(5))
like = v.VDM(v.Karras(), v.NetDenoiser(net, v.from_v), v.LevelDecoder(17), (8, 8, 1))
model = v.load({str(tmp_path / "mine.vdm")!r}, like)
z = np.ones((8, 8, 1), net.place.dtype)
np.save({str(tmp_path / "there.npy")!r}, model.predict(z, 0.3).eps)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    here = model.predict(jnp.ones((8, 8, 1)), 0.3).eps
    np.testing.assert_allclose(np.load(tmp_path / "there.npy"), here, rtol=0, atol=1e-5)


def test_a_model_of_another_kind_is_refused(tmp_path, key):
    file = vdm.save(tmp_path / "mine.vdm", mine(key))
    others = {
        "denoiser.reading.*from_v where .*from_eps": mine(key, vdm.from_eps),
        "decoder.levels 17 where .*decoder.levels 16": mine(key, levels=16),
        "gamma_min float where .*start float": vdm.recipes.digits(key=key),
    }
    for words, other in others.items():
        with pytest.raises(CheckpointError, match=words):
            vdm.load(file, other)


def test_another_precision_is_named(tmp_path):
    file = vdm.save(tmp_path / "a.vdm", {"a": np.zeros(3, np.float64)})
    with pytest.raises(CheckpointError, match="JAX_ENABLE_X64"):
        vdm.load(file, {"a": np.zeros(3, np.float32)})


@pytest.mark.once
def test_what_changes_cost_alone_may_differ(tmp_path, key):
    plain, other = (
        vdm.nn.UNet(3, width=8, depth=1, remat=b, scan=b, bfloat16=b, key=key)
        for b in (False, True)
    )
    found = vdm.load(vdm.save(tmp_path / "net.vdm", plain), other)
    assert found.remat
    assert eqx.tree_equal(jax.tree.leaves(found), jax.tree.leaves(plain))
