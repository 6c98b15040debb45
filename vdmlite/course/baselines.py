"""What simpler descriptions of the test images cost, in bits per dimension: the yardsticks.

All are of the same integers, and none looks at the test images in advance. The files and the
pixel by pixel code can be decoded as they are; the Gaussian's is an expected length.
"""

import io

import numpy as np
from jaxtyping import Float

from ..data import Images
from ..extras import needs

with needs("Pillow", extra="plot"):
    from PIL import Image


def uniform(images: Images) -> float:
    """Return log2 V: all levels equally likely."""
    return float(np.log2(images.levels))


def pixelwise(images: Images) -> Float[np.ndarray, " n"]:
    """Return what independent pixels cost each test image: counted levels, plus one each."""
    counts = np.stack([(images.train == k).sum(0) for k in range(images.levels)], -1) + 1
    log_p = np.log2(counts / counts.sum(-1, keepdims=True))
    shown = np.broadcast_to(log_p, (len(images.test), *log_p.shape))
    picked = np.take_along_axis(shown, images.test[..., None].astype(int), -1)
    return -picked.reshape(len(picked), -1).mean(1)


def gaussian(images: Images) -> Float[np.ndarray, " n"]:
    """Return what one Gaussian over all pixels costs for each test image, dequantised.

    A level k is worth at least the mean log density over [k, k + 1], the density being that
    of a Gaussian with the training images' mean and covariance, and 1/12 more variance in
    each pixel, for the width of a level. The mean over the cell is in closed form.
    """
    train, test = (a.reshape(len(a), -1).astype(float) for a in images[:2])
    d = train.shape[1]
    covariance = np.cov(train, rowvar=False) + np.eye(d) / 12
    inverse, (_, log_det) = np.linalg.inv(covariance), np.linalg.slogdet(covariance)
    gaps = test - train.mean(0)
    squares = np.einsum("ni,ij,nj->n", gaps, inverse, gaps) + np.trace(inverse) / 12
    return 0.5 * (d * np.log(2 * np.pi) + log_det + squares) / (d * np.log(2))


def png(images: Images) -> float:
    """Return the cost of one PNG file with all test images on a sheet."""
    return _file(images, "PNG", optimize=True)


def webp(images: Images) -> float:
    """Return the cost of one lossless WebP file with all test images on a sheet."""
    return _file(images, "WEBP", lossless=True, quality=100, method=6)


def jpeg_xl(images: Images, *, effort: int = 9) -> float:
    """Return the cost of one lossless JPEG-XL file with all test images on a sheet."""
    with needs("imagecodecs", extra="data"):  # here, so that no other yardstick waits for it
        import imagecodecs

    file = imagecodecs.jpegxl_encode(_sheet(images), lossless=True, effort=effort)
    return 8 * len(file) / images.test.size


def _file(images: Images, kind: str, **options) -> float:
    """Return the bits per dimension of one picture file: with one, headers cost little."""
    buffer = io.BytesIO()
    Image.fromarray(_sheet(images)).save(buffer, kind, **options)
    return 8 * buffer.tell() / images.test.size


def _sheet(images: Images) -> np.ndarray:
    """Return all test images side by side in one picture."""
    n, height, width, channels = images.test.shape
    columns = next(c for c in range(int(n**0.5), 0, -1) if n % c == 0)
    sheet = images.test.reshape(n // columns, columns, height, width, channels)
    sheet = sheet.swapaxes(1, 2).reshape(-1, columns * width, channels)
    return sheet.squeeze().astype(np.uint8)
