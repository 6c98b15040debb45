"""`python -m vdmlite compress` and `decompress`: files of images in and out."""

import io
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Num
from tqdm import tqdm

from ..course import baselines, pretrained
from ..curve import error_curve
from ..data import Images
from ..engine import loop
from ..engine.batches import spread
from ..engine.log import say
from ..evaluation import evaluate
from ..extras import needs
from ..files import whole_file
from ..model import VDM
from ..neighbours.few_steps import best_grid
from ..schedule import PiecewiseLinear
from .archive import Archive, compress, decompress, read_archive

SHIPPED = ("digits", "patches")
PICTURES = (".png", ".webp")
SOME = 256
"""So many images, at the most, are looked at to find the best noise levels."""


def compress_file(
    source: Path,
    out: Path,
    *,
    model: str,
    steps: int,
    optimal: bool,
    lanes: int | None,
    force: bool,
) -> None:
    """Compress the images of a .npy file or of a folder, and print what it took.

    Raises:
        FileExistsError: `out` is there already, and not forced.
        ValueError: the images don't fit the model, or a file holds none.
    """
    _refuse_to_overwrite(out, force)
    vdm, images = load_model(model), read_images(source)
    vdm.check(images, batch=True)
    if optimal:
        vdm = with_best_grid(vdm, images, steps)
    coded = compress(vdm, images, steps=steps, lanes=lanes, rounds=_bar("compressing"))
    coded.save(out)
    grid = vdm.under(PiecewiseLinear(coded.gammas / 256))
    bound = evaluate(
        grid, spread(images, SOME), timesteps=steps, draws=4, times=4, key=jax.random.key(0)
    )
    for line in report(coded, images, out):
        say(line)
    some = "" if len(images) <= SOME else f" (of {SOME} of them)"
    say(f"the model's bound of {steps} steps{some}: {bound.bits.loss:.3f}")


def report(coded: Archive, images: Num[np.ndarray, " n *shape"], out: Path) -> list[str]:
    """Return what was measured, in bits per dimension, a line each."""
    size, net = len(bytes(coded)), coded.net_bits / images.size
    whole = 8 * size / images.size
    lines = [
        f"{coded.examples} images of shape {coded.shape}: {size} bytes, {whole:.3f} bits/dim, "
        f"in {out}",
        f"of these {net:.3f} for the images, {whole - net:.3f} for the first bits of "
        f"{len(coded.lanes)} lanes and the head",
    ]
    if images.ndim == 4 and images.dtype == np.uint8 and images.shape[-1] in (1, 3):
        sheet = Images(images, images, 256)
        files = f"PNG {baselines.png(sheet):.3f}, WebP {baselines.webp(sheet):.3f}"
        lines.append(f"as one picture, losslessly: {files}")
    return lines


def decompress_file(source: Path, out: Path, *, model: str, force: bool) -> None:
    """Write the images of an archive to a .npy file, as they were.

    Raises:
        FileExistsError: `out` is there already, and not forced.
        ArchiveError: the archive is damaged, of another model, or of another machine.
    """
    _refuse_to_overwrite(out, force)
    coded = read_archive(source)
    images = decompress(load_model(model), coded, rounds=_bar("decompressing"))
    buffer = io.BytesIO()
    np.save(buffer, images)
    with whole_file(out) as file:
        file.write(buffer.getvalue())
    say(f"{len(images)} images of shape {coded.shape} in {out}")


def load_model(name: str) -> VDM:
    """Return a model that ships with the package, or that of a run or a checkpoint.

    Raises:
        FileNotFoundError: there is no such model.
    """
    if name in SHIPPED:
        return pretrained.load(name)
    if not (path := Path(name).expanduser()).exists():
        raise FileNotFoundError(
            f"{name} is no run's folder, no checkpoint, and none of {', '.join(SHIPPED)}"
        )
    return loop.load(path)[0]


def read_images(source: Path) -> Num[np.ndarray, " n *shape"]:
    """Return the array of a .npy file, or the PNG and WebP pictures of a folder by their names.

    Raises:
        ValueError: it holds no array, or pictures of several sizes.
    """
    if not source.is_dir():
        try:
            return np.load(source, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{source} is no .npy file of numbers: {error}") from error
    paths = sorted(p for p in source.iterdir() if p.suffix.lower() in PICTURES)
    if not paths:
        raise ValueError(f"{source} has no pictures, that is files that end in .png or .webp")
    with needs("Pillow", extra="plot"):
        from PIL import Image
    found = [np.asarray(Image.open(path)) for path in paths]
    for path, picture in zip(paths, found, strict=True):
        if picture.shape != found[0].shape:
            raise ValueError(
                f"pictures must be of one size, but {paths[0].name} has shape {found[0].shape} "
                f"and {path.name} {picture.shape}"
            )
    images = np.stack(found)
    return images if images.ndim == 4 else images[..., None]


def with_best_grid(vdm: VDM, images: Num[np.ndarray, " n *shape"], steps: int) -> VDM:
    """Return a model with the noise levels that make its bound on these images the least."""
    low, high = (float(vdm.schedule(t)) for t in (0.0, 1.0))
    gammas = np.linspace(low, high, max(40, 2 * steps) + 1)
    curve = error_curve(vdm, images, gammas, draws=SOME, key=jax.random.key(0))
    return vdm.under(PiecewiseLinear(best_grid(curve, steps)))


def _refuse_to_overwrite(out: Path, force: bool) -> None:
    if out.exists() and not force:
        raise FileExistsError(f"{out} is there already: --force replaces it")


def _bar(words: str) -> Callable[[range], Iterable[int]]:
    return partial(tqdm, desc=words, unit=" rounds", ncols=80, disable=None)
