"""`python -m vdmlite compress` and `decompress`: what a user types, and what can go wrong."""

import re

import numpy as np
import pytest
from PIL import Image

from vdmlite import data
from vdmlite.codec import command
from vdmlite.engine import cli

pytestmark = pytest.mark.once


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's folder, with twelve digits in a file."""
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", data.digits().test[:12])
    return tmp_path


def run(*words) -> int:
    return cli.main([str(word) for word in words])


COMPRESS = ("compress", "images.npy", "--model", "digits", "--steps", 5, "-o", "x.vdmz")
RESTORE = ("decompress", "x.vdmz", "--model", "digits", "-o", "restored.npy")


@pytest.mark.parametrize("grid", ["even", "optimal"])
def test_images_come_back_and_the_price_is_told(grid, folder, capsys):
    assert run(*COMPRESS, "--grid", grid, "--lanes", 4) == 0
    told = capsys.readouterr().out
    size = (folder / "x.vdmz").stat().st_size
    assert f"12 images of shape (8, 8, 1): {size} bytes, {size * 8 / 768:.3f} bits/dim" in told
    found = re.search(r"these (.*) for the images, (.*) for the first bits of 4 lanes", told)
    assert found
    assert sum(map(float, found.groups())) == pytest.approx(size * 8 / 768, abs=2e-3)
    assert re.search(r"losslessly: PNG \d+\.\d+, WebP \d+\.\d+\n", told)
    assert re.search(r"the model's bound of 5 steps: \d+\.\d+ ± \d+\.\d+\n", told)
    assert run(*RESTORE) == 0
    assert "12 images of shape (8, 8, 1) in restored.npy" in capsys.readouterr().out
    assert (folder / "restored.npy").read_bytes() == (folder / "images.npy").read_bytes()


def test_the_best_grid_is_another_and_keeps_its_ends():
    vdm, images = command.load_model("digits"), data.digits().test[:64]
    best = command.with_best_grid(vdm, images, 6)
    for t in (0.0, 1.0):
        assert float(best.schedule(t)) == pytest.approx(float(vdm.schedule(t)), abs=1e-4)
    assert abs(float(best.schedule(0.5)) - float(vdm.schedule(0.5))) > 0.5


def test_nothing_is_overwritten_unless_forced(folder, capsys):
    (folder / "x.vdmz").write_bytes(b"mine")
    assert run(*COMPRESS) == 2
    assert "x.vdmz is there already: --force replaces it" in capsys.readouterr().err
    assert (folder / "x.vdmz").read_bytes() == b"mine"
    assert run(*COMPRESS, "--force") == 0
    (folder / "restored.npy").write_bytes(b"mine")
    assert run(*RESTORE) == 2
    assert (folder / "restored.npy").read_bytes() == b"mine"
    assert run(*RESTORE, "--force") == 0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.npy", None, r"No such file .*none\.npy"),
        ("text.npy", b"hello", r"text\.npy is no \.npy file of numbers"),
        ("empty.npy", b"", r"empty\.npy is no \.npy file of numbers"),
        (
            "wide.npy",
            np.zeros((3, 9, 9, 1), int),
            r"a batch .* \(n, 8, 8, 1\), got \(3, 9, 9, 1\)",
        ),
        ("flat.npy", np.zeros(3, int), "a batch for this model"),
        (
            "high.npy",
            np.full((3, 8, 8, 1), 17),
            "levels must lie in 0 … 16, got values from 17",
        ),
        ("real.npy", np.zeros((3, 8, 8, 1)), "takes integers 0 … 16"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(name, content, words, folder, capsys):
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    elif content is not None:
        np.save(name, content)
    assert run("compress", name, *COMPRESS[2:]) == 2
    assert re.search(f"vdmlite: .*{words}", capsys.readouterr().err)
    assert not (folder / "x.vdmz").exists()


def test_pictures_of_a_folder_are_read_in_the_order_of_their_names(folder):
    rng = np.random.default_rng(0)
    pictures = rng.integers(256, size=(3, 4, 6, 3), dtype=np.uint8)
    for name, picture in zip(("b.png", "a.webp", "c.PNG"), pictures, strict=True):
        Image.fromarray(picture).save(folder / name, lossless=True)
    (folder / "notes.txt").write_text("not a picture")
    np.testing.assert_array_equal(command.read_images(folder), pictures[[1, 0, 2]])


def test_grey_pictures_have_one_channel_and_all_have_one_size(folder):
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(folder / "a.png")
    assert command.read_images(folder).shape == (1, 4, 6, 1)
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(folder / "b.png")
    words = r"one size, but a\.png has shape \(4, 6\) and b\.png \(5, 6\)"
    with pytest.raises(ValueError, match=words):
        command.read_images(folder)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has no pictures, .* \.png or \.webp"):
        command.read_images(tmp_path)


@pytest.mark.usefixtures("folder")
def test_a_model_that_is_not_there_is_refused(capsys):
    assert run("compress", "images.npy", "--model", "mnist", "-o", "x.vdmz") == 2
    told = capsys.readouterr().err
    assert "mnist is no run's folder, no checkpoint, and none of digits, patches" in told


def test_a_damaged_file_is_refused_and_nothing_is_written(folder, capsys):
    assert run(*COMPRESS) == 0
    whole = (folder / "x.vdmz").read_bytes()
    (folder / "x.vdmz").write_bytes(whole[:-3])
    assert run(*RESTORE) == 2
    assert "x.vdmz: the file is damaged or cut short" in capsys.readouterr().err
    assert not (folder / "restored.npy").exists()


def test_a_run_of_ones_own_compresses(folder):
    tiny = ("--width", 4, "--depth", 1, "--batch-size", 8, "--steps", 2, "--look-every", 0)
    assert run("train", "digits", *tiny, "--out", "run") == 0
    assert run(*[word if word != "digits" else "run" for word in COMPRESS]) == 0
    assert run(*[word if word != "digits" else "run" for word in RESTORE]) == 0
    assert (folder / "restored.npy").read_bytes() == (folder / "images.npy").read_bytes()
