"""What the data sets have in common: where they are kept, how their files are read."""

import io
import os
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ...extras import needs

Pixels = UInt8[np.ndarray, "n size size 3"]
Place = str | os.PathLike | None
DEFAULT = "$VDMLITE_DATA, else ~/.cache/vdmlite"


def folder(given: Place = None) -> Path:
    """Return where data lives: the folder given, else VDMLITE_DATA, else ~/.cache/vdmlite.

    Raises:
        FileNotFoundError: there is no home directory, and it is needed.
    """
    try:
        where = given or os.environ.get("VDMLITE_DATA") or "~/.cache/vdmlite"
        return Path(where).expanduser()
    except RuntimeError as error:
        raise FileNotFoundError(
            "there is no home directory to keep data in: set VDMLITE_DATA to a folder"
        ) from error


_PICKLED = re.compile(
    r"cifar-10-python\.tar\.gz|cifar-10-batches-py|((train_)?data|test)_batch(_\d+)?|val_data"
)
_DAMAGE = (
    *(OSError, ValueError, LookupError, TypeError, SyntaxError, EOFError),
    *(struct.error, zlib.error, zipfile.BadZipFile, tarfile.TarError),
)
"""What readers raise at a file that isn't what it should be."""


def gather(blocks: Iterable[Pixels], shape: tuple[int, int, int, int]) -> tuple[Pixels, int]:
    """Return blocks in one array, allocated once, and how many images there were."""
    images, found = np.zeros(shape, np.uint8), 0
    for block in blocks:
        room = images[found : found + len(block)]
        room[:] = block[: len(room)]
        found += len(block)
    return images, found


def channels_last(rows: UInt8[np.ndarray, "n pixels"], size: int) -> Pixels:
    """Return images from rows of all red, all green, all blue."""
    return rows.reshape(-1, 3, size, size).transpose(0, 2, 3, 1)


def png(content: bytes, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Decode a PNG file. Raises ValueError: it has another size, or other channels."""
    with needs("Pillow", extra="data"):
        from PIL import Image

    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        pixels = np.asarray(image)
    if pixels.shape != (size, size, 3):
        raise ValueError(f"an image of shape {pixels.shape}, expected {(size, size, 3)}")
    return pixels


@contextmanager
def blaming(what: Path | str) -> Iterator[None]:
    """Say of which file it is that something is wrong."""
    try:
        yield
    except _DAMAGE as error:
        raise ValueError(f"{what} can't be used: {error}") from error


def refuse_pickles(source: Path, instead: str) -> None:
    """Raise ValueError if a file, or one in a folder, is known to be made of pickles."""
    found = sorted(source.iterdir()) if source.is_dir() else [source]
    if names := [path.name for path in found if _PICKLED.fullmatch(path.name)]:
        raise ValueError(
            f"{source}: {names[0]} is made of pickles, and loading a pickle runs whatever is "
            f"in it, so vdmlite never does. Use {instead}."
        )
