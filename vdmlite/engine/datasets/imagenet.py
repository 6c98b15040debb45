"""Small ImageNet from files you have: which of its two downsamplings they are is checked."""

import os
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ...data import Images
from . import reading
from .reading import Pixels, blaming


class Variant(Enum):
    """The two downsamplings of ImageNet, known by how many images they have."""

    VAN_DEN_OORD = (1_281_149, 49_999)
    """Of van den Oord et al. 2016, that of the paper's table; no official host has it now."""
    CHRABASZCZ = (1_281_167, 50_000)
    """Of Chrabaszcz et al. 2017, at image-net.org. Its bits/dim are about 0.26 lower."""

    def __init__(self, train: int, valid: int):
        self.train, self.valid = train, valid


def imagenet(path: str | os.PathLike, size: int, *, variant: Variant) -> Images:
    """Return ImageNet at 32×32 or 64×64 from files you have; the validation half is `test`.

    In the folder `path` may be, of either variant and here for 32,

    * `train_32x32.npy` and `valid_32x32.npy`, uint8 of shape (n, 32, 32, 3), which stay on
      disk and are read as they are used;
    * `train_32x32/` and `valid_32x32/` with PNG files, taken in the order of their names;
    * `train_data_batch_1.npz` … `train_data_batch_10.npz` and `val_data.npz`, or those in
      `Imagenet32_train_npz/` and `Imagenet32_val_npz/`, as image-net.org has them.

    Only the counts, shapes and types are checked: no SHA-256 of the pixels is known.

    Raises:
        FileNotFoundError: none of these are there.
        ValueError: another size, the other variant, or files that can't be read.
    """
    if size not in (32, 64):
        raise ValueError(f"size must be 32 or 64, got {size}")
    where = Path(path)
    # The small half comes first: it tells the variants apart, before the long reading.
    test = _half(where, "valid", (variant.valid, size, size, 3), variant)
    train = _half(where, "train", (variant.train, size, size, 3), variant)
    return Images(train, test, 256)


def _half(where: Path, half: str, shape: tuple[int, int, int, int], variant: Variant) -> Pixels:
    """Return the training or the validation images, in whichever form they are here."""
    size = shape[1]
    pngs = where / f"{half}_{size}x{size}"
    array, batches = pngs.with_suffix(".npy"), _npz_files(where, half, size)
    if array.is_file():
        with blaming(array):
            images = np.load(array, mmap_mode="r", allow_pickle=False)
            if images.shape[1:] != shape[1:] or images.dtype != np.uint8:
                raise ValueError(f"{images.dtype}{images.shape}, expected uint8{shape}")
        _check_count(array, len(images), half, shape[0], variant)
    elif pngs.is_dir():
        files = sorted(pngs.glob("*.png"))
        _check_count(pngs, len(files), half, shape[0], variant)
        images, _ = reading.gather(_from_pngs(files, size), shape)
    elif batches:
        images, found = reading.gather(_from_npz(batches, size), shape)
        _check_count(batches[0].parent, found, half, shape[0], variant)
    else:
        reading.refuse_pickles(where, f"the npz files of the {half} images")
        raise FileNotFoundError(
            f"{where} has no {array.name}, no folder {pngs.name}, and not all .npz files of "
            f"the {half} images of size {size}"
        )
    return images


def _check_count(at: Path, found: int, half: str, expected: int, variant: Variant) -> None:
    if found != expected:
        raise ValueError(
            f"{at} holds {found:,} {half} images, but {variant.name} has {expected:,}. The "
            "paper's table is on VAN_DEN_OORD (1,281,149 train, 49,999 valid); bits/dim on "
            "CHRABASZCZ (1,281,167 and 50,000) are about 0.26 lower, so numbers on one can't "
            "be compared with numbers on the other."
        )


def _npz_files(where: Path, half: str, size: int) -> list[Path]:
    """Return the batches of image-net.org, or nothing if one is missing."""
    names = {
        "train": [f"train_data_batch_{i}.npz" for i in range(1, 11)],
        "valid": ["val_data.npz"],
    }[half]
    for place in (where / f"Imagenet{size}_{names[0].split('_')[0]}_npz", where):
        if all((place / name).is_file() for name in names):
            return [place / name for name in names]
    return []


def _from_npz(files: list[Path], size: int) -> Iterator[Pixels]:
    for file in files:
        with blaming(file):
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
                rows = content["data"]
            if rows.dtype != np.uint8 or rows.shape[1:] != (3 * size**2,):
                raise ValueError(f"{rows.dtype}{rows.shape}, expected uint8(n, {3 * size**2})")
        yield reading.channels_last(rows, size)


def _from_pngs(files: list[Path], size: int) -> Iterator[Pixels]:
    for file in tqdm(files, unit=" images", ncols=80, disable=None):
        with blaming(file):
            image = reading.png(file.read_bytes(), size)
        yield image[None]
