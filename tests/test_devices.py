"""Devices: an update is the same on one, on eight, and on several machines."""

import json
import re
import shutil
import socket
import subprocess

import engine_process as engine
import equinox as eqx
import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from vdmlite import storage
from vdmlite.engine import devices, loop


@pytest.mark.parametrize(
    "given", [("host:1", None, None), (None, 2, 1), ("host:1", 2, None), (None, None, 0)]
)
def test_a_machine_that_is_told_half_is_refused(given):
    words = re.escape("got " + ", ".join(map(str, given)))
    with pytest.raises(ValueError, match=f"name the coordinator, the number .* {words}"):
        devices.start(*given)


def test_arrays_are_divided_along_their_longest_axis_that_can_be():
    mesh = jax.sharding.Mesh(np.repeat(jax.devices()[:1], 4), ("data",))
    shapes = {(3, 3, 8, 12): 3, (8, 4): 0, (4, 4): 0, (7, 4): 1, (5,): None, (): None}
    tree = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    for fsdp in (True, False):
        found = devices.shardings([*tree, "no array"], mesh, fsdp=fsdp)
        assert found[-1] is None
        for sharding, axis in zip(found[:-1], shapes.values(), strict=True):
            parts = () if axis is None or not fsdp else (*[None] * axis, "data")
            assert sharding.spec == PartitionSpec(*parts)


def test_what_is_placed_is_collected_unchanged_and_the_rest_is_left_alone(key):
    tree = {"a": np.arange(6.0).reshape(2, 3), "n": 3, "key": jax.random.key_data(key)}
    where = devices.shardings(tree, devices.mesh(), fsdp=True)
    placed = devices.place(tree, where)
    assert placed["a"].sharding == where["a"]
    found = devices.collect(placed)
    assert found["n"] == 3
    for name in ("a", "key"):
        assert type(found[name]) is np.ndarray
        np.testing.assert_array_equal(found[name], tree[name])


def test_one_process_agrees_with_itself():
    assert [devices.agree(a, now=b) for a in (True, False) for b in (True, False)] == [
        *(True, True, False, False)
    ]
    assert devices.all_have(7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where processes keep what they compile."""
    return tmp_path_factory.mktemp("devices")


# Eight devices


@pytest.fixture(scope="module")
def states(folder):
    """The states after three updates, by how they were done; and what each device held."""
    file, script = folder / "states.npz", engine.__file__
    engine.finish(engine.start(folder, script, "devices", file, devices=8))
    with np.load(file, allow_pickle=False) as found:
        return dict(found)


def state(states, name: str) -> dict[str, np.ndarray]:
    return {k[len(name) :]: a for k, a in states.items() if re.match(rf"{name}\.", k)}


@engine.long
@pytest.mark.parametrize(
    ("done", "expected"),
    [
        ("copied", "one"),
        ("divided", "one"),
        ("one", "hand"),
        ("parts", "parts by hand"),
    ],
)
def test_three_updates_are_the_same_however_they_are_divided(done, expected, states):
    one, other = state(states, done), state(states, expected)
    assert set(one) == set(other)
    for name, a in one.items():
        np.testing.assert_allclose(a, other[name], rtol=0, atol=1e-6, err_msg=name)


@engine.long
def test_a_batch_in_parts_has_other_noise_and_so_another_gradient(states):
    """And three updates move the weights by a thousand times what is allowed above."""
    weight = ".vdm.denoiser.net.linear_in.weight"
    gap = state(states, "parts by hand")[weight] - state(states, "hand")[weight]
    assert np.abs(gap).max() > 1e-4
    assert np.abs(state(states, "one")[".vdm.denoiser.net.linear_out.weight"]).max() > 1e-3


@engine.long
def test_divided_weights_take_an_eighth_of_the_memory_on_each_device(states):
    whole = states["held copied"]
    assert whole.shape == (8,)
    assert len(set(whole)) == 1
    assert np.all(states["held divided"] >= whole / 8)
    assert np.all(states["held divided"] < 1.2 * whole / 8)  # 17 biases are not divided


# Several machines


def machines(folder, where, *, fsdp, most=(0, 0)) -> "list[subprocess.Popen[str]]":
    """Start a run with four devices in all: one machine for each folder that is named."""
    count = len(where)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    words = {"count": count, "coordinator": coordinator, "fsdp": fsdp}
    return [
        engine.start(
            *(folder, engine.__file__, "machine"),
            json.dumps({**words, "index": i, "folder": str(there), "most": most[i]}),
            devices=4 // count,
        )
        for i, there in enumerate(where)
    ]


def ends(printed: list[str]) -> set[str]:
    """Return the words with which machines ended, which should be the same on all."""
    return {line for out in printed for line in out.splitlines() if line.startswith("ended")}


def weights(file) -> list[np.ndarray]:
    """Return the leaves of a checkpoint."""
    like = eqx.filter_eval_shape(loop.start_state, engine.PLAIN)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(storage.load(file, like))]


@pytest.fixture(scope="module")
def alone(folder):
    """The folder of a run of one process with four devices, that have all images."""
    run = folder / "alone"
    engine.finish(*machines(folder, [run], fsdp=True))
    return run


@engine.long
def test_two_machines_stopped_half_way_end_where_one_does(folder, alone):
    """Their weights are divided; the second is asked to stop, so both do, at one update."""
    run = folder / "two"
    # Its two devices read for the first time for the 1st update, for the 13th for the 7th.
    stopped = machines(folder, [run, run], fsdp=True, most=(0, 13))
    (words,) = ends(engine.finish(*stopped))
    assert words.startswith("ended at 7 with")
    assert [p.name for p in run.glob("*.vdm*")] == ["step_00000007.vdm"]
    (words,) = ends(engine.finish(*machines(folder, [run, run], fsdp=True)))
    assert words.startswith("ended at 20 with")
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 21))
    name = "step_00000020.vdm"
    for a, b in zip(weights(run / name), weights(alone / name), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


@engine.long
def test_a_run_begun_on_one_machine_goes_on_on_two_with_the_same_batches(folder, alone):
    """And with whole weights on each device, where they were divided before."""
    run, other = folder / "moved", folder / "of the second machine"
    for where in (run, other):
        where.mkdir()
        shutil.copy(alone / "step_00000010.vdm", where)
    (words,) = ends(engine.finish(*machines(folder, [run, other], fsdp=False)))
    assert words.startswith("ended at 20 with")
    assert [p.name for p in other.iterdir()] == ["step_00000010.vdm"]  # the first alone writes
    name = "step_00000020.vdm"
    for a, b in zip(weights(run / name), weights(alone / name), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


@engine.long
def test_machines_that_do_not_see_one_folder_are_refused(folder, alone):
    """The first has the checkpoint of update 10, the second has none."""
    where = [folder / "has", folder / "has not"]
    where[0].mkdir()
    shutil.copy(alone / "step_00000010.vdm", where[0])
    for process in machines(folder, where, fsdp=False):
        _, wrong = process.communicate(timeout=300)
        assert process.returncode != 0
        assert "the folder of a run must be one that all its machines see" in wrong
