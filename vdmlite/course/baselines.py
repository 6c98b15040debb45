"""What simpler descriptions of the test images cost, in bits per dimension: the yardsticks.

All are of the same integers, and none looks at the test images in advance. The files and the
pixel by pixel code can be decoded as they are; the Gaussian's is an expected length.
"""

import io

import numpy as np

from ..data import Images
from ..extras import needs

with needs("Pillow", extra="plot"):
    from PIL import Image


def uniform(images: Images) -> float:
    """Return log2 V: all levels equally likely."""
    return float(np.log2(images.levels))


def pixelwise(images: Images) -> float:
    """Return the cost of independent pixels, the levels of each counted, plus one each."""
    counts = np.stack([(images.train == k).sum(0) for k in range(images.levels)], -1) + 1
    log_p = np.log2(counts / counts.sum(-1, keepdims=True))
    shown = np.broadcast_to(log_p, (len(images.test), *log_p.shape))
    picked = np.take_along_axis(shown, images.test[..., None].astype(int), -1)
    return float(-picked.mean())


def gaussian(images: Images) -> float:
    """Return the cost of one Gaussian over all pixels, by uniform dequantisation.

    A level k is worth at least the mean log density over [k, k + 1], the density being that
    of a Gaussian with the training images' mean and covariance, and 1/12 more variance in
    each pixel, for the width of a level. The mean over the cell is in closed form.
    """
    train, test = (a.reshape(len(a), -1).astype(float) for a in images[:2])
    d = train.shape[1]
    covariance = np.cov(train, rowvar=False) + np.eye(d) / 12
    inverse, (_, log_det) = np.linalg.inv(covariance), np.linalg.slogdet(covariance)
    gaps = test - train.mean(0)
    squares = np.einsum("ni,ij,nj->n", gaps, inverse, gaps).mean() + np.trace(inverse) / 12
    return float(0.5 * (d * np.log(2 * np.pi) + log_det + squares) / (d * np.log(2)))


def png(images: Images) -> float:
    """Return the cost of one PNG file with all test images on a sheet."""
    return _file(images, "PNG", optimize=True)


def webp(images: Images) -> float:
    """Return the cost of one lossless WebP file with all test images on a sheet."""
    return _file(images, "WEBP", lossless=True, quality=100, method=6)


def _file(images: Images, kind: str, **options) -> float:
    """Return the bits per dimension of one picture file: with one, headers cost little."""
    n, height, width, channels = images.test.shape
    columns = next(c for c in range(int(n**0.5), 0, -1) if n % c == 0)
    sheet = images.test.reshape(n // columns, columns, height, width, channels)
    sheet = sheet.swapaxes(1, 2).reshape(-1, columns * width, channels)
    buffer = io.BytesIO()
    Image.fromarray(sheet.squeeze().astype(np.uint8)).save(buffer, kind, **options)
    return 8 * buffer.tell() / images.test.size
