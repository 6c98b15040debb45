"""CIFAR-10: fetched by an explicit command, decoded once, checked whenever it is loaded."""

import hashlib
import json
import math
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Integer

from ...data import Images, patches
from ...extras import needs
from ...files import whole_file
from ..download import DownloadError, check_space, download, matches
from . import reading
from .reading import Pixels, Place, blaming

Labels = Integer[np.ndarray, " n"]


class Remote(NamedTuple):
    """A file of the net, and what it must be."""

    url: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.url.rsplit("/", 1)[1]


class Split(NamedTuple):
    """What is known beforehand about the training or the test images of CIFAR-10."""

    name: str
    parquet: Remote
    bins: tuple[str, ...]
    """Toronto's files of them."""
    per_class: int
    sha256: str
    """Of the pixels, in the order of the parquet file."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(images, 32, 32, 3)."""
        return (10 * self.per_class, 32, 32, 3)

    @property
    def bin_size(self) -> int:
        """Bytes of each of Toronto's files."""
        return self.shape[0] // len(self.bins) * 3073


_HUGGING_FACE = (
    "https://huggingface.co/datasets/uoft-cs/cifar10/resolve/"
    "0b2714987fa478483af9968de7c934580d0bb9a2/plain_text/"
)
CIFAR10 = (
    Split(
        "train",
        Remote(
            _HUGGING_FACE + "train-00000-of-00001.parquet",
            119705255,
            "8428b53a88a11ac374111006708df51469e315a22ac6d66470afd9c78d2ae883",
        ),
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        5000,
        "c5b8e1d062f7373a5bc758689b1b9c2a7caf093109b95ceb98cecaf2bd266807",
    ),
    Split(
        "test",
        Remote(
            _HUGGING_FACE + "test-00000-of-00001.parquet",
            23940850,
            "841389e6f2d64f28bf17310e430aebac20ec3ba611a3c5e231dc93c645ce84de",
        ),
        ("test_batch.bin",),
        1000,
        "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    ),
)
TORONTO = Remote(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    170052171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
_UNPACKED = "cifar-10-batches-bin"
_COMMAND = "python -m vdmlite download cifar10"


def cifar10(folder: Place = None) -> Images:
    """Return CIFAR-10 as it was fetched: 32×32×3, 256 levels, 50,000 to train, 10,000 to test.

    From Krizhevsky 2009. The bytes are first held against the SHA-256 of what was decoded.

    Raises:
        FileNotFoundError: it isn't there yet; the message says how to get it.
        ValueError: what is there is damaged.
    """
    return _load_cifar10(reading.folder(folder))[0]


def cifar10_or_patches(folder: Place = None) -> tuple[Images, str]:
    """Return CIFAR-10 if it was fetched, else the patches, and a sentence that says which.

    Raises:
        ValueError: as `cifar10` does.
    """
    where = reading.folder(folder)
    try:
        images, source = _load_cifar10(where)
    except FileNotFoundError:
        return patches(), (
            f"There is no CIFAR-10 in {where}, so these are the patches of vdmlite.data, and "
            f"numbers on them aren't comparable with CIFAR-10's. To fetch it: {_COMMAND}"
        )
    return images, f"This is CIFAR-10, from {source}."


def _load_cifar10(where: Path) -> tuple[Images, str]:
    """Return CIFAR-10 and where it came from."""
    *arrays, note = _files(where)
    if not all(path.exists() for path in (*arrays, note)):
        raise FileNotFoundError(
            f"there is no CIFAR-10 in {where}. To fetch it: {_COMMAND}; from files you have: "
            f"{_COMMAND} --source PATH. Until then the lessons use vdmlite.data.patches()."
        )
    with blaming(note):
        known = json.loads(note.read_text("utf-8"))
        source, hashes = known["source"], [known[split.name]["sha256"] for split in CIFAR10]
    loaded = []
    for path, split, sha256 in zip(arrays, CIFAR10, hashes, strict=True):
        with blaming(path):
            images = np.load(path, allow_pickle=False)
        if (images.shape, images.dtype) != (split.shape, np.uint8) or _sha(images) != sha256:
            raise ValueError(f"{path} is not as it was decoded; to fetch it again: {_COMMAND}")
        loaded.append(images)
    train, test = loaded
    return Images(train, test, 256), source


def fetch_cifar10(folder: Place = None, *, source: Place = None) -> tuple[Path, Path]:
    """Download CIFAR-10 unless it is there, decode it, and return its two `.npy` files.

    It comes from Hugging Face, else from Toronto, which is slow. With a `source` nothing is
    downloaded: that is Toronto's `cifar-10-binary.tar.gz`, or a folder with it, with what it
    unpacks to, or with Hugging Face's two parquet files. The pixels of the latter must have
    the known SHA-256. Toronto's may come in another order, so its archive must have its own;
    and from anywhere, each class must have its number of images.

    Raises:
        DownloadError: neither place gives it, or there is no room for it.
        FileNotFoundError: there is no such source.
        ImportError: parquet files are to be read, and pyarrow isn't installed.
        ValueError: the source isn't CIFAR-10, or not in a form that is safe to read.
    """
    where = reading.folder(folder)
    *arrays, note = _files(where)
    train, test = arrays
    if source is None:
        with suppress(FileNotFoundError, ValueError):
            cifar10(where)
            return train, test
    where.mkdir(parents=True, exist_ok=True)
    check_space(where, sum(math.prod(split.shape) for split in CIFAR10), "CIFAR-10")
    downloads = where / "cifar10-downloads"
    form, place = _download(downloads) if source is None else _recognise(Path(source))
    known: dict[str, Any] = {"source": form.title}
    for path, split in zip(arrays, CIFAR10, strict=True):
        images, counts = _decode(form, place, split)
        known[split.name] = {"sha256": _sha(images), "labels": counts}
        with whole_file(path) as file:
            np.save(file, images)
    with whole_file(note) as file:
        file.write(json.dumps(known, indent=1).encode())
    if source is None:
        shutil.rmtree(downloads)
    return train, test


class _Form(NamedTuple):
    """A form in which CIFAR-10 is given away."""

    title: str
    read: Callable[[Path, Split], Iterator[tuple[Pixels, Labels]]]
    in_order: bool
    """Whether its images come in the order whose SHA-256 is known."""


def _download(to: Path) -> tuple[_Form, Path]:
    _pyarrow_parquet()  # better missed now than after the download
    try:
        for split in CIFAR10:
            _fetch(split.parquet, to)
        return _PARQUET, to
    except DownloadError as error:
        print(f"{error}\nTrying Toronto, which may take an hour; if stopped, it goes on later.")
    return _ARCHIVE, _fetch(TORONTO, to)


def _fetch(remote: Remote, to: Path) -> Path:
    return download([remote.url], to / remote.name, size=remote.size, sha256=remote.sha256)


def _recognise(source: Path) -> tuple[_Form, Path]:
    """Find out in which form CIFAR-10 is here."""
    if not source.exists():
        raise FileNotFoundError(f"there is no {source}")
    for place in (source, source / "plain_text", source / _UNPACKED):
        if all((place / split.parquet.name).is_file() for split in CIFAR10):
            return _PARQUET, place
        if all((place / name).is_file() for split in CIFAR10 for name in split.bins):
            return _BINS, place
    archive = source / TORONTO.name if source.is_dir() else source
    if matches(archive, TORONTO.size, TORONTO.sha256):
        return _ARCHIVE, archive
    reading.refuse_pickles(source, f"{TORONTO.name} or the parquet files")
    raise ValueError(
        f"{source} is neither {TORONTO.name} of SHA-256 {TORONTO.sha256}, nor a folder with "
        f"it, with the .bin files in it, or with "
        f"{' and '.join(split.parquet.name for split in CIFAR10)}"
    )


def _decode(form: _Form, place: Path, split: Split) -> tuple[Pixels, list[int]]:
    """Return the images and how many there are of each class, both checked."""
    labels = [np.zeros(0, int)]

    def blocks() -> Iterator[Pixels]:
        for pixels, block_labels in form.read(place, split):
            labels.append(block_labels)
            yield pixels

    with blaming(f"the {split.name} images of {form.title}"):
        images, found = reading.gather(blocks(), split.shape)
        counts = [int(np.sum(np.concatenate(labels) == k)) for k in range(10)]
        if found != len(images) or counts != [split.per_class] * 10:
            raise ValueError(
                f"{found:,} images, {counts} of each class; expected {len(images):,}, "
                f"{split.per_class:,} of each"
            )
        if form.in_order and _sha(images) != split.sha256:
            raise ValueError(f"SHA-256 of pixels {_sha(images)}, expected {split.sha256}")
    return images, counts


def _pyarrow_parquet() -> Any:
    with needs("pyarrow", extra="data"):
        from pyarrow import parquet
    return parquet


def _from_parquet(place: Path, split: Split) -> Iterator[tuple[Pixels, Labels]]:
    with _pyarrow_parquet().ParquetFile(place / split.parquet.name) as file:
        for batch in file.iter_batches(1000, columns=["img", "label"]):
            pixels = [reading.png(image["bytes"], 32) for image in batch["img"].to_pylist()]
            yield np.stack(pixels), np.asarray(batch["label"])


def _from_bins(place: Path, split: Split) -> Iterator[tuple[Pixels, Labels]]:
    for name in split.bins:
        with (place / name).open("rb") as file:
            yield _records(file.read(split.bin_size + 1), name, split)


def _from_archive(path: Path, split: Split) -> Iterator[tuple[Pixels, Labels]]:
    """Read the members of exactly these names; nothing is unpacked onto the disk."""
    with tarfile.open(path, "r:gz") as archive:
        for name in split.bins:
            file = archive.extractfile(f"{_UNPACKED}/{name}")
            if file is None:
                raise ValueError(f"{name} is no file")
            yield _records(file.read(split.bin_size + 1), name, split)


_PARQUET = _Form("Hugging Face's parquet files", _from_parquet, in_order=True)
_ARCHIVE = _Form("Toronto's archive", _from_archive, in_order=False)
_BINS = _Form(
    "unpacked .bin files, whose labels alone were checked", _from_bins, in_order=False
)


def _records(content: bytes, name: str, split: Split) -> tuple[Pixels, Labels]:
    """Read Toronto's records: a byte of label, then 1024 each of red, green and blue."""
    if len(content) != split.bin_size:
        found = "more" if len(content) > split.bin_size else f"{len(content):,}"
        raise ValueError(f"{name} has {found} bytes, expected {split.bin_size:,}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    return reading.channels_last(rows[:, 1:], 32), rows[:, 0]


def _files(where: Path) -> tuple[Path, Path, Path]:
    """Name the training images, the test images, and the note of what they are."""
    return where / "cifar10-train.npy", where / "cifar10-test.npy", where / "cifar10.json"


def _sha(images: Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()
