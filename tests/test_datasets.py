"""CIFAR-10 and ImageNet from files made here in the layouts of the true ones."""

import errno
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from test_download import mirror

from vdmlite import data
from vdmlite.engine.datasets import cifar10, reading
from vdmlite.engine.datasets.cifar10 import Remote, Split
from vdmlite.engine.datasets.imagenet import Variant, imagenet
from vdmlite.engine.download import DownloadError

pytestmark = pytest.mark.once

BINS = "cifar-10-batches-bin"


def images(seed, n, size=32):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), np.uint8)


def png(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def write_parquet(path, pixels, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"bytes": png(p), "path": f"{i}.png"} for i, p in enumerate(pixels)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"img": pa.array(rows, kind), "label": pa.array(labels, pa.int64())}
    parquet.write_table(pa.table(columns), path)


def records(pixels, labels):
    """A byte of label, then all red, all green, all blue: written out, pixel by pixel."""
    return b"".join(
        bytes([label]) + b"".join(bytes(image[..., c].ravel().tolist()) for c in range(3))
        for image, label in zip(pixels, labels, strict=True)
    )


def write_bins(place, train, test):
    place.mkdir(parents=True, exist_ok=True)
    for i in range(5):
        some = slice(4 * i, 4 * i + 4)
        (place / f"data_batch_{i + 1}.bin").write_bytes(records(*(a[some] for a in train)))
    (place / "test_batch.bin").write_bytes(records(*test))
    (place / "batches.meta.txt").write_text("airplane")


def write_archive(path, place):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(place, BINS)


class Small:
    """A CIFAR-10 of 20 and 10 images, in every form, and known to the module as the true one.

    Toronto's files have the images in another order.
    """

    def __init__(self, root, monkeypatch):
        self.monkeypatch, self.files, self.to = monkeypatch, root / "files", root / "data"
        self.train = images(0, 20), np.arange(20) * 3 % 10
        self.test = images(1, 10), np.arange(10) * 7 % 10
        for name, half in (("train", self.train), ("test", self.test)):
            write_parquet(self.files / "hf" / f"{name}.parquet", *half)
        self.turned = [tuple(a[::-1] for a in half) for half in (self.train, self.test)]
        write_bins(self.files / "toronto" / BINS, *self.turned)
        self.archive = self.files / "packed" / "cifar-10-binary.tar.gz"
        self.archive.parent.mkdir()
        write_archive(self.archive, self.files / "toronto" / BINS)
        self.pin("http://127.0.0.1:1/")

    def pin(self, url):
        """Make the module expect what is in the files now, at this address."""
        bins = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
        splits = [
            Split(
                name,
                self.remote(url, f"hf/{name}.parquet"),
                names,
                n,
                sha256(half[0].tobytes()),
            )
            for name, half, names, n in (
                ("train", self.train, bins, 2),
                ("test", self.test, ("test_batch.bin",), 1),
            )
        ]
        self.monkeypatch.setattr(cifar10, "CIFAR10", tuple(splits))
        toronto = self.remote(url, "packed/cifar-10-binary.tar.gz")
        self.monkeypatch.setattr(cifar10, "TORONTO", toronto)

    def remote(self, url, name):
        content = (self.files / name).read_bytes()
        return Remote(url + name, len(content), sha256(content))

    def served(self, *names):
        return mirror({n: (self.files / n).read_bytes() for n in names})

    def fetch(self, source):
        return cifar10.fetch_cifar10(self.to, source=self.files / source)

    def is_there(self, turned=False):
        train, test, levels = cifar10.cifar10(self.to)
        for found, half in zip((train, test), (self.train, self.test), strict=True):
            assert found.dtype == np.uint8
            assert np.array_equal(found, half[0][::-1] if turned else half[0])
        assert levels == 256
        names = {"cifar10-train.npy", "cifar10-test.npy", "cifar10.json"}
        assert {path.name for path in self.to.iterdir()} == names
        return True


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    quick = {"attempts": 1, "wait": 0.001}
    download = cifar10.download
    monkeypatch.setattr(cifar10, "download", lambda *a, **k: download(*a, **k, **quick))
    return Small(tmp_path, monkeypatch)


HF = ("hf/train.parquet", "hf/test.parquet")
TORONTO = "packed/cifar-10-binary.tar.gz"


def test_what_is_known_of_the_true_files_fits_together():
    train, test = cifar10.CIFAR10
    assert train.shape == (50_000, 32, 32, 3)
    assert test.shape == (10_000, 32, 32, 3)
    assert cifar10.TORONTO.name == "cifar-10-binary.tar.gz"
    assert train.parquet.name == "train-00000-of-00001.parquet"
    for digest in (
        *(split.sha256 for split in cifar10.CIFAR10),
        *(remote.sha256 for remote in (train.parquet, test.parquet, cifar10.TORONTO)),
    ):
        assert re.fullmatch("[0-9a-f]{64}", digest)
    assert len(train.bins) == 5
    assert {v.name: (v.train, v.valid) for v in Variant} == {
        "VAN_DEN_OORD": (1281149, 49999),
        "CHRABASZCZ": (1281167, 50000),
    }


def test_the_folder_is_where_the_environment_says(monkeypatch, small):
    monkeypatch.setenv("VDMLITE_DATA", str(small.to))
    assert reading.folder() == small.to
    cifar10.fetch_cifar10(source=small.files / "hf")
    assert np.array_equal(cifar10.cifar10().train, small.train[0])
    for unset in ("", None):
        monkeypatch.delenv("VDMLITE_DATA")
        if unset is not None:
            monkeypatch.setenv("VDMLITE_DATA", unset)
        assert reading.folder() == Path.home() / ".cache" / "vdmlite"
        monkeypatch.setenv("VDMLITE_DATA", "~/elsewhere")
    assert reading.folder() == Path.home() / "elsewhere"


def test_cifar10_is_downloaded_and_decoded_once(small):
    with small.served(*HF) as server:
        small.pin(server.url)
        paths = cifar10.fetch_cifar10(small.to)
        assert [path.name for path in paths] == ["cifar10-train.npy", "cifar10-test.npy"]
        assert small.is_there()
        assert cifar10.fetch_cifar10(str(small.to)) == paths
        assert len(server.asked) == 2
    note = json.loads((small.to / "cifar10.json").read_text("utf-8"))
    assert note == {
        "source": "Hugging Face's parquet files",
        "train": {"sha256": sha256(small.train[0].tobytes()), "labels": [2] * 10},
        "test": {"sha256": sha256(small.test[0].tobytes()), "labels": [1] * 10},
    }


def test_toronto_is_asked_where_hugging_face_fails(small, capsys):
    with small.served(HF[0], TORONTO) as server:
        small.pin(server.url)
        cifar10.fetch_cifar10(small.to)
    assert small.is_there(turned=True)
    said = capsys.readouterr().out
    assert "hf/test.parquet: HTTP status 404" in said
    assert "Trying Toronto" in said


def test_without_a_network_nothing_is_written(small):
    with pytest.raises(DownloadError, match=r"cifar-10-binary\.tar\.gz: no connection"):
        cifar10.fetch_cifar10(small.to)
    assert not list(small.to.glob("*.*"))
    with pytest.raises(FileNotFoundError, match="there is no CIFAR-10 in"):
        cifar10.cifar10(small.to)


@pytest.mark.parametrize(
    ("source", "turned"),
    [
        ("hf", False),
        ("packed", True),
        (TORONTO, True),
        ("toronto", True),
        (f"toronto/{BINS}", True),
    ],
)
def test_files_of_your_own_are_recognised_and_kept(source, turned, small):
    before = sorted(small.files.rglob("*"))
    small.fetch(source)
    assert small.is_there(turned)
    assert sorted(small.files.rglob("*")) == before


def test_a_clone_of_hugging_faces_repository_is_recognised(small):
    (small.files / "hf").rename(small.files / "plain_text")
    small.fetch(".")
    assert small.is_there()


def test_new_files_of_your_own_replace_what_is_there(small):
    small.fetch("hf")
    small.fetch("toronto")
    assert small.is_there(turned=True)


def test_wrong_counts_of_labels_are_refused(small):
    labels = small.test[1].copy()
    labels[0] = (labels[0] + 1) % 10
    write_parquet(small.files / HF[1], small.test[0], labels)
    write_bins(small.files / "toronto" / BINS, small.turned[0], (small.turned[1][0], labels))
    write_archive(small.archive, small.files / "toronto" / BINS)
    small.pin("http://127.0.0.1:1/")
    for source in ("hf", "toronto", "packed"):
        with pytest.raises(ValueError, match=r"the test images of .*expected 10, 1 of each"):
            small.fetch(source)
    assert not (small.to / "cifar10.json").exists()


def test_parquet_files_of_other_pixels_are_refused(small):
    write_parquet(small.files / HF[0], small.train[0] ^ np.uint8(1), small.train[1])
    with pytest.raises(ValueError, match=r"the train images of .*SHA-256 of pixels .*expected"):
        small.fetch("hf")
    for n in (19, 21):
        write_parquet(small.files / HF[0], images(0, n), np.arange(n) % 10)
        with pytest.raises(ValueError, match=rf"{n} images, .*expected 20, 2 of each"):
            small.fetch("hf")
    more = np.concatenate([small.train[0], images(2, 1)])
    write_parquet(small.files / HF[0], more, np.append(small.train[1], 10))
    with pytest.raises(ValueError, match=r"21 images, "):
        small.fetch("hf")
    write_parquet(small.files / HF[0], images(0, 20, size=16), small.train[1])
    with pytest.raises(ValueError, match=r"shape \(16, 16, 3\), expected \(32, 32, 3\)"):
        small.fetch("hf")


def test_damaged_parquet_files_are_refused(small):
    whole = (small.files / HF[0]).read_bytes()
    no_images = io.BytesIO()
    parquet.write_table(pa.table({"label": small.train[1]}), no_images)
    jpegs = io.BytesIO()
    image = pa.array([{"bytes": png(p, "JPEG")} for p in small.train[0]])
    parquet.write_table(pa.table({"img": image, "label": small.train[1]}), jpegs)
    for content in (b"", whole[:-100], bytes(500), no_images.getvalue(), jpegs.getvalue()):
        (small.files / HF[0]).write_bytes(content)
        with pytest.raises(ValueError, match=r"the train images of .* can't be used: "):
            small.fetch("hf")


def test_an_archive_of_another_sha_is_refused(small):
    content = bytearray(small.archive.read_bytes())
    content[4] ^= 1  # the time at which it was packed: the images are the same
    small.archive.write_bytes(content)
    for source in ("packed", TORONTO):
        with pytest.raises(ValueError, match=rf"is neither .* {cifar10.TORONTO.sha256}, nor"):
            small.fetch(source)


def bad_archive(path, change):
    """Write an archive in which `change` was done to the member data_batch_3.bin."""
    with tarfile.open(path) as archive:
        members = [(m, archive.extractfile(m)) for m in archive.getmembers()]
        contents = [(m, file.read() if file else b"") for m, file in members]
    with tarfile.open(path, "w:gz") as archive:
        for member, content in contents:
            if member.name.endswith("data_batch_3.bin"):
                content = change(member, content)
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def folder_instead(member, content):
    del content
    member.type = tarfile.DIRTYPE
    return b""


def other_name(member, content):
    member.name = "../" + member.name
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda _, content: content[:-1],
            r"data_batch_3\.bin has 12,291 bytes, expected 12,292",
        ),
        (lambda _, content: content + b"\0", r"data_batch_3\.bin has more bytes"),
        (folder_instead, r"data_batch_3\.bin is no file"),
        (other_name, r"data_batch_3\.bin' not found"),
    ],
    ids=["short", "long", "folder", "name"],
)
def test_an_archive_with_wrong_members_is_refused(change, message, small):
    bad_archive(small.archive, change)
    small.pin("http://127.0.0.1:1/")
    with pytest.raises(ValueError, match=r"of Toronto's archive can't be used: .*" + message):
        small.fetch("packed")
    assert sorted(small.to.iterdir()) == []


def test_bin_files_of_a_wrong_size_are_refused(small):
    path = small.files / "toronto" / BINS / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-3073])
    with pytest.raises(ValueError, match=r"data_batch_2\.bin has 9,219 bytes, expected 12,292"):
        small.fetch("toronto")


class Trap:
    """What does harm when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("py/data_batch_1", "py"),
        ("py/data_batch_1", "py/data_batch_1"),
        ("py/test_batch", "py/test_batch"),
        ("py/cifar-10-batches-py/data_batch_1", "py"),
        ("py/cifar-10-python.tar.gz", "py"),
        ("py/cifar-10-python.tar.gz", "py/cifar-10-python.tar.gz"),
    ],
)
def test_pickles_of_cifar10_are_refused(file, source, small):
    marker = small.files / "harm"
    path = small.files / file
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(Trap(marker)))
    with pytest.raises(ValueError, match=r"made of pickles.*so vdmlite never does\. Use cifar"):
        small.fetch(source)
    assert not marker.exists()


def test_sources_that_are_nothing_known_are_refused(small):
    with pytest.raises(FileNotFoundError, match=r"there is no .*nowhere"):
        small.fetch("nowhere")
    (small.files / "hf" / "test.parquet").unlink()
    for source in ("hf", "hf/train.parquet"):
        with pytest.raises(
            ValueError, match=r"is neither .*with train\.parquet and test\.parq"
        ):
            small.fetch(source)


def test_what_pyarrow_is_needed_for_is_said_before_the_download(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with small.served(*HF) as server:
        small.pin(server.url)
        for source in (None, small.files / "hf"):
            with pytest.raises(ImportError, match=r'pip install "vdmlite\[data\]"'):
                cifar10.fetch_cifar10(small.to, source=source)
        assert server.asked == []
    small.fetch("toronto")  # needs none
    assert small.is_there(turned=True)


def damaged(small):
    with pytest.raises(ValueError, match=r"cifar10-test\.npy .*download cifar10|can't be used"):
        cifar10.cifar10(small.to)
    with pytest.raises(ValueError, match=r"cifar10-test\.npy|cifar10\.json"):
        cifar10.cifar10_or_patches(small.to)  # never taken for a missing one
    with small.served(*HF) as server:
        small.pin(server.url)
        cifar10.fetch_cifar10(small.to)
    assert small.is_there()


def test_a_flipped_bit_is_seen_at_loading_and_mended_by_fetching(small):
    small.fetch("hf")
    path = small.to / "cifar10-test.npy"
    content = bytearray(path.read_bytes())
    content[-1000] ^= 4
    path.write_bytes(content)
    damaged(small)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.reshape(10, 3, 32, 32),
        lambda x: x.astype(np.int8),
        lambda x: x[:9],
        lambda x: x.astype(object),
    ],
    ids=["shape", "type", "count", "pickle"],
)
def test_arrays_of_another_kind_are_seen_at_loading(change, small):
    small.fetch("hf")
    np.save(small.to / "cifar10-test.npy", change(small.test[0]))
    damaged(small)


@pytest.mark.parametrize("name", ["cifar10-test.npy", "cifar10.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"\x93NUMPY", b"[1]"])
def test_cut_files_are_seen_at_loading(name, content, small):
    small.fetch("hf")
    (small.to / name).write_bytes(content)
    damaged(small)


def test_a_full_disk_leaves_the_old_files(small, monkeypatch):
    small.fetch("hf")

    def full(file, arr):
        file.write(arr.tobytes()[:5000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fails(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for module, name, failure in ((np, "save", full), (os, "replace", fails)):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, failure)
            with pytest.raises(OSError, match="No space left"):
                small.fetch("toronto")
        assert small.is_there()


def test_too_little_room_is_seen_before_the_download(small, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=30 * 3072 - 1))
    with small.served(*HF) as server:
        small.pin(server.url)
        with pytest.raises(DownloadError, match=r"CIFAR-10 needs 0\.1 MB more"):
            cifar10.fetch_cifar10(small.to)
        assert server.asked == []


def test_cifar10_or_patches_says_which(small):
    found, said = cifar10.cifar10_or_patches(small.to)
    assert np.array_equal(found.test, data.patches().test)
    assert re.search(r"patches of vdmlite\.data, and numbers on them aren't comparable", said)
    assert "python -m vdmlite download cifar10" in said
    small.fetch("toronto")
    found, said = cifar10.cifar10_or_patches(small.to)
    assert np.array_equal(found.train, small.train[0][::-1])
    assert (
        said == "This is CIFAR-10, from unpacked .bin files, whose labels alone were checked."
    )


def test_a_missing_cifar10_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        cifar10.cifar10(tmp_path)
    for words in (
        "download cifar10;",
        "--source PATH",
        "vdmlite.data.patches()",
        str(tmp_path),
    ):
        assert words in str(error.value)


@pytest.fixture
def counts(monkeypatch):
    """Make both variants of ImageNet small: 12 and 4 images, 13 and 5 images."""
    for variant, train, valid in (
        (Variant.VAN_DEN_OORD, 12, 4),
        (Variant.CHRABASZCZ, 13, 5),
    ):
        monkeypatch.setattr(variant, "train", train)
        monkeypatch.setattr(variant, "valid", valid)


def write_npy(where, half, pixels):
    np.save(where / f"{half}_{pixels.shape[1]}x{pixels.shape[1]}.npy", pixels)


def write_pngs(where, half, pixels):
    folder = where / f"{half}_{pixels.shape[1]}x{pixels.shape[1]}"
    folder.mkdir()
    for i in reversed(range(len(pixels))):
        (folder / f"{i:07}.png").write_bytes(png(pixels[i]))


def write_npz(where, half, pixels):
    rows = np.stack([np.concatenate([p[..., c].ravel() for c in range(3)]) for p in pixels])
    labels = np.arange(len(rows))
    if half == "valid":
        np.savez(where / "val_data.npz", data=rows, labels=labels)
        return
    for i, some in enumerate(np.array_split(np.arange(len(rows)), 10)):
        file = where / f"train_data_batch_{i + 1}.npz"
        np.savez(file, data=rows[some], labels=labels[some], mean=rows.mean(0))


def write_npz_in_folders(where, half, pixels):
    folder = f"Imagenet{pixels.shape[1]}_{half.removesuffix('id')}_npz"
    (where / folder).mkdir()
    write_npz(where / folder, half, pixels)


each_layout = pytest.mark.parametrize(
    "write", [write_npy, write_pngs, write_npz, write_npz_in_folders]
)


@pytest.mark.usefixtures("counts")
@each_layout
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("variant", Variant)
def test_imagenet_is_read_in_every_layout(write, size, variant, tmp_path):
    train, valid = images(0, variant.train, size), images(1, variant.valid, size)
    write(tmp_path, "train", train)
    write(tmp_path, "valid", valid)
    found = imagenet(tmp_path, size, variant=variant)
    assert np.array_equal(found.train, train)
    assert np.array_equal(found.test, valid)
    assert found.train.dtype == np.uint8
    assert found.levels == 256
    with pytest.raises((FileNotFoundError, ValueError), match=r"expected|no valid_"):
        imagenet(tmp_path, 96 - size, variant=variant)


@pytest.mark.usefixtures("counts")
def test_batches_of_a_mapped_imagenet_are_plain_arrays(tmp_path, key):
    write_npy(tmp_path, "train", images(0, 12))
    write_npy(tmp_path, "valid", images(1, 4))
    found = imagenet(tmp_path, 32, variant=Variant.VAN_DEN_OORD)
    assert isinstance(found.train, np.memmap)
    batch = next(data.batches(found.train, 12, key=key))
    assert {b.tobytes() for b in batch} == {x.tobytes() for x in images(0, 12)}
    with pytest.raises(ValueError, match="read-only"):
        found.train[0] = 0


@pytest.mark.usefixtures("counts")
@each_layout
@pytest.mark.parametrize(
    ("asked", "there"),
    [
        (Variant.VAN_DEN_OORD, Variant.CHRABASZCZ),
        (Variant.CHRABASZCZ, Variant.VAN_DEN_OORD),
    ],
)
def test_the_other_variant_is_refused_and_the_difference_said(write, asked, there, tmp_path):
    write(tmp_path, "valid", images(1, there.valid))
    with pytest.raises(ValueError, match=r"about 0\.26 lower, so numbers .* can't be") as error:
        imagenet(tmp_path, 32, variant=asked)
    assert f"{there.valid} valid images, but {asked.name} has {asked.valid}" in str(error.value)
    (tmp_path / "whole").mkdir()
    write(tmp_path / "whole", "valid", images(1, asked.valid))
    write(tmp_path / "whole", "train", images(0, there.train))
    with pytest.raises(ValueError, match=f"holds {there.train} train images"):
        imagenet(tmp_path / "whole", 32, variant=asked)


@pytest.mark.usefixtures("counts")
def test_imagenet_needs_all_of_its_files(tmp_path):
    for size in (16, 33):
        with pytest.raises(ValueError, match=f"size must be 32 or 64, got {size}"):
            imagenet(tmp_path, size, variant=Variant.CHRABASZCZ)
    with pytest.raises(
        FileNotFoundError, match=r"no valid_32x32\.npy, no folder valid_32x32, "
    ):
        imagenet(tmp_path, 32, variant=Variant.CHRABASZCZ)
    write_npz(tmp_path, "valid", images(1, 5))
    write_npz(tmp_path, "train", images(0, 13))
    (tmp_path / "train_data_batch_7.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"not all \.npz files of the train images"):
        imagenet(tmp_path, 32, variant=Variant.CHRABASZCZ)


@pytest.mark.usefixtures("counts")
@pytest.mark.parametrize("name", ["val_data", "val_data.npz", "valid_32x32.npy"])
def test_pickles_of_imagenet_are_refused(name, tmp_path):
    marker = tmp_path / "harm"
    (tmp_path / name).write_bytes(pickle.dumps(Trap(marker)))
    with pytest.raises(ValueError, match="pickle"):
        imagenet(tmp_path, 32, variant=Variant.CHRABASZCZ)
    objects = np.array([Trap(marker)] * 5)
    np.savez(tmp_path / "val_data.npz", data=objects)
    np.save(tmp_path / "valid_32x32.npy", objects)
    for file in ("valid_32x32.npy", "val_data.npz"):
        with pytest.raises(ValueError, match=rf"{file} can't be used: .*(?i:object)"):
            imagenet(tmp_path, 32, variant=Variant.CHRABASZCZ)
        (tmp_path / file).unlink()
    assert not marker.exists()


@pytest.mark.usefixtures("counts")
@pytest.mark.parametrize(
    ("write", "file", "content"),
    [
        (write_npy, "valid_32x32.npy", images(1, 5, 16)),
        (write_npy, "valid_32x32.npy", images(1, 5).astype(np.float32)),
        (write_npy, "valid_32x32.npy", b"\x93NUMPY"),
        (write_npz, "val_data.npz", {"data": images(1, 5).reshape(5, -1)[:, 1:]}),
        (write_npz, "val_data.npz", {"data": images(1, 5).reshape(5, -1) / 255}),
        (write_npz, "val_data.npz", {"labels": np.arange(5)}),
        (write_npz, "val_data.npz", b"PK\x03\x04"),
        (write_pngs, "valid_32x32/0000003.png", png(images(1, 1, 16)[0])),
        (write_pngs, "valid_32x32/0000003.png", png(images(1, 1)[0, ..., 0])),
        (write_pngs, "valid_32x32/0000003.png", png(images(1, 1)[0])[:-300]),
        (write_pngs, "valid_32x32/0000003.png", png(images(1, 1)[0], "JPEG")),
    ],
)
def test_damaged_files_of_imagenet_are_named(write, file, content, tmp_path):
    write(tmp_path, "valid", images(1, 5))
    if isinstance(content, bytes):
        (tmp_path / file).write_bytes(content)
    elif isinstance(content, dict):
        np.savez(tmp_path / file, **content)
    else:
        np.save(tmp_path / file, content)
    with pytest.raises(ValueError, match=f"{file} can't be used: "):
        imagenet(tmp_path, 32, variant=Variant.CHRABASZCZ)
