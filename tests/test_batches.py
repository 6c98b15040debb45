"""Batches: every image once an epoch, the same wherever they are read; flips and turns."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh
from oracles import agrees

from vdmlite.engine import batches
from vdmlite.engine.batches import augment, rows_of, source

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    axes = (AxisType.Auto,)
    return jax.make_mesh((1,), ("data",), axis_types=axes, devices=jax.devices()[:1])


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (23, 4, 4, 3), np.uint8)


def epoch(number: int, *, size=23, batch=5, seed=1):
    each = size // batch
    return [rows_of(number * each + i, size, batch, seed=seed) for i in range(each)]


@pytest.mark.parametrize(("size", "batch"), [(20, 5), (23, 5), (5, 5), (7, 1)])
def test_every_image_is_seen_once_an_epoch(size, batch):
    for number in (0, 1, 1000):
        rows = np.concatenate(epoch(number, size=size, batch=batch))
        assert len(rows) == size // batch * batch
        assert len(set(rows)) == len(rows)
        assert set(rows) <= set(range(size))


def test_images_left_over_are_others_in_another_epoch():
    seen = set(np.concatenate([np.concatenate(epoch(i)) for i in range(8)]))
    assert seen == set(range(23))


def test_rows_are_a_function_of_the_seed_and_the_update_alone():
    """Whatever was asked before: orders are kept, but only two of them."""
    forwards = [rows_of(i, 23, 5, seed=1) for i in range(20)]
    other = [rows_of(i, 23, 5, seed=2) for i in range(20)]
    backwards = [rows_of(i, 23, 5, seed=1) for i in reversed(range(20))][::-1]
    assert np.array_equal(forwards, backwards)
    assert not any(map(np.array_equal, forwards, other))
    firsts = [tuple(np.concatenate(epoch(i))) for i in range(5)]
    assert len(set(firsts)) == 5


def test_an_image_is_as_likely_in_one_place_as_in_another():
    """Over 4000 epochs each of 6 images comes first in a sixth of them."""
    first = np.array([rows_of(2 * e, 6, 3, seed=3)[0] for e in range(4000)])
    for image in range(6):
        agrees((first == image).astype(float), 1 / 6)


def test_a_batch_larger_than_the_data_is_refused(images, mesh):
    with pytest.raises(ValueError, match="a batch of 24 is more than the 23 images there are"):
        rows_of(0, 23, 24, seed=1)
    with pytest.raises(ValueError, match="a batch of 24 is more than the 23 images"):
        source(images, 24, mesh=mesh, seed=1)


def seen(batch: batches.Batch) -> np.ndarray:
    return np.asarray(batch.pool[batch.rows])


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("limit", [0, 2**30])
def test_a_set_that_fits_and_one_that_does_not_give_the_same_images(
    limit, parts, images, mesh, monkeypatch
):
    monkeypatch.setattr(batches, "ON_DEVICE", limit)
    batch = source(images, 6, parts=parts, mesh=mesh, seed=1)
    for step in (0, 7, 2):  # the eighth update is in the third epoch
        found = batch(step)
        assert len(found.pool) == (6 if limit == 0 else 23)
        assert found.rows.shape == (parts, 6 // parts)
        expected = images[rows_of(step, 23, 6, seed=1)]
        assert np.array_equal(seen(found).reshape(expected.shape), expected)
        assert found.pool.dtype == np.uint8


class Watched:
    """Images of a foreign kind, which note what is read of them."""

    def __init__(self, images):
        self.images, self.shape = images, images.shape
        self.asked: list[np.ndarray] = []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows, /):
        self.asked.append(rows)
        return self.images[rows]


def test_of_images_that_are_read_only_the_rows_of_the_update_are_asked_for(images, mesh):
    watched = Watched(images)
    batch = source(watched, 6, mesh=mesh, seed=1)
    assert watched.asked == []
    for step in (3, 4):
        watched.asked.clear()
        found = seen(batch(step))[0]
        expected = rows_of(step, 23, 6, seed=1)
        assert np.array_equal(np.concatenate(watched.asked), expected)
        assert np.array_equal(found, images[expected])


@pytest.mark.parametrize("limit", [0, 2**30])
def test_a_memory_map_will_do(limit, images, mesh, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "ON_DEVICE", limit)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    found = source(mapped, 6, mesh=mesh, seed=1)(5)
    assert np.array_equal(seen(found)[0], images[rows_of(5, 23, 6, seed=1)])


def test_parts_that_the_devices_cannot_divide_are_refused(images):
    mesh = Mesh(np.repeat(jax.devices()[:1], 4), ("data",))  # refused before it is used
    words = r"4 devices can't divide 6 images evenly \(a batch of 12 in 2 parts\)"
    with pytest.raises(ValueError, match=words):
        source(images, 12, parts=2, mesh=mesh, seed=1)


FORMS = list(itertools.product((False, True), range(4)))
"""Flipped or not, and turned by how many quarters: all eight forms of a square."""


def form(image, flip, quarters):
    return np.rot90(image[:, ::-1] if flip else image, quarters)


@pytest.fixture(scope="module")
def augmented():
    """An image that has no symmetry, 6000 times augmented, and the flags."""
    image = np.arange(32 * 32 * 3, dtype=np.uint32).reshape(32, 32, 3) * 7919 % 251
    image = image.astype(np.uint8)
    keys = jax.random.split(jax.random.key(1), 6000)
    many, flags = jax.jit(jax.vmap(lambda k: augment(jnp.asarray(image), key=k)))(keys)
    return image, np.asarray(many), np.asarray(flags)


def test_each_form_of_a_square_comes_as_often_as_in_the_published_program(augmented):
    image, many, _ = augmented
    assert many.dtype == np.uint8
    assert many.shape == (6000, 32, 32, 3)
    is_form = {f: (many == form(image, *f)).all((1, 2, 3)).astype(float) for f in FORMS}
    assert np.array_equal(sum(is_form.values()), np.ones(6000))  # one of eight, each
    for (_, quarters), found in is_form.items():
        agrees(found, 0.5 * (1 / 6 if quarters else 1 / 2))
    agrees(sum(found for (flip, _), found in is_form.items() if flip), 1 / 2)
    agrees(sum(found for (_, quarters), found in is_form.items() if quarters), 1 / 2)


def test_the_flag_says_exactly_whether_anything_was_done(augmented):
    image, many, flags = augmented
    assert flags.dtype == jnp.result_type(float)
    assert np.array_equal(flags, (many != image).any((1, 2, 3)))
    agrees(flags.astype(float), 3 / 4)


def test_pixels_change_their_places_and_nothing_else(augmented):
    image, many, _ = augmented

    def pixels(a):
        return np.sort(a.reshape(-1, 32 * 32, 3).astype(np.int64) @ [65536, 256, 1], axis=1)

    assert np.array_equal(pixels(many), np.broadcast_to(pixels(image), (6000, 1024)))


def test_one_key_gives_one_form_and_neighbours_are_independent(augmented):
    image, many, flags = augmented
    again, flag = augment(jnp.asarray(image), key=jax.random.split(jax.random.key(1), 6000)[7])
    assert np.array_equal(again, many[7])
    assert flag == flags[7]
    agrees(flags[::2] * flags[1::2], 9 / 16)
