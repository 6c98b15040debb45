"""Super-resolution: a VDM of large images, given small ones (SR3; Saharia et al. 2021).

p(x | low) is a VDM whose network sees the small image, enlarged, in channels beside z. Its
bound is a price of x for who has `low`; with a price of `low` it is one of x, as `low` is a
function of x.
"""

import math
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Integer

from .._types import AnyArray, Count, Key, ScalarLike, count
from ..decoder import LevelDecoder
from ..denoiser import NetDenoiser, from_level_logits
from ..model import VDM
from ..nn import ConvNet
from ..sampling import draw
from ..schedule import LearnedLinear
from .guidance import beside


def shrink(
    images: Integer[AnyArray, "n height width c"], factor: Count
) -> Integer[np.ndarray, "n h w c"]:
    """Return the means of squares of factor × factor pixels, rounded to whole levels.

    Raises:
        ValueError: the factor does not divide height and width.
    """
    n, height, width, channels = np.shape(images)
    factor = count(factor, "factor")
    if height % factor or width % factor:
        raise ValueError(f"squares of {factor}×{factor} do not divide {height}×{width} pixels")
    images, h, w = np.asarray(images), height // factor, width // factor
    squares = images.reshape(n, h, factor, w, factor, channels)
    return np.rint(squares.mean((2, 4))).astype(images.dtype)


def enlarge(
    image: Float[Array, "height width c"], shape: tuple[int, ...]
) -> Float[Array, "h w c"]:
    """Return an image by bicubic interpolation (Keys 1981), in another height and width."""
    return jax.image.resize(image, (*shape[:2], image.shape[-1]), "cubic")


class ImageNet(eqx.Module):
    """(z, γ, low) ↦ the output of a net that sees a small image in channels beside z.

    `make(shape)` returns that net, for inputs of z's shape but as many channels more as `low`
    has. `low` has whole levels, and is enlarged here. If the net returns as many channels as
    it is given, as a U-Net does, those of z are taken. In training (when there is a key)
    noise of standard deviation `noise` is added to the small image, so that it may be one
    that a model has drawn (Ho et al. 2022, cascaded diffusion models).
    """

    net: Callable[..., Float[Array, "..."]]
    small: tuple[int, int, int] = eqx.field(static=True)
    levels: int = eqx.field(static=True)
    noise: float = eqx.field(static=True)
    inference: bool

    def __init__(
        self,
        make: Callable[[tuple[int, int, int]], Callable[..., Float[Array, "..."]]],
        shape: tuple[int, int, int],
        *,
        factor: Count,
        levels: Count,
        noise: float = 0.0,
    ):
        factor = count(factor, "factor")
        if shape[0] % factor or shape[1] % factor:
            raise ValueError(
                f"the factor {factor} does not divide {shape[0]}×{shape[1]} pixels"
            )
        self.small = (shape[0] // factor, shape[1] // factor, shape[2])
        height, width, channels = shape
        self.net = make((height, width, 2 * channels))
        self.levels, self.noise, self.inference = count(levels, "levels"), noise, False

    def __call__(
        self,
        z: Float[Array, "height width c"],
        gamma: ScalarLike,
        low: Integer[Array, "h w c"],
        *,
        key: Key | None = None,
    ) -> Float[Array, "..."]:
        """Return the net's output.

        Raises:
            ValueError: `low` has not the shape that the net was made for.
        """
        if low.shape != self.small:
            raise ValueError(
                f"for images of shape {z.shape} the condition has shape {self.small}, got "
                f"{low.shape}"
            )
        known = LevelDecoder(self.levels).embed(low)
        if key is not None and not self.inference:
            noise_key, key = jax.random.split(key)
            known += self.noise * jax.random.normal(noise_key, known.shape)
        inputs = beside(z, enlarge(known, z.shape))
        output = self.net(inputs, gamma, key=key)
        return output[..., : z.shape[-1]] if output.shape == inputs.shape else output


def stage(
    shape: tuple[int, int, int],
    levels: Count,
    *,
    factor: Count | None = None,
    noise: float = 0.0,
    width: int = 32,
    depth: int = 3,
    key: Key,
) -> VDM:
    """Return one model of a cascade, untrained: `recipes.digits`, for images of any size.

    With a `factor` it is a model of images given `shrink(images, factor)`, whose network is an
    `ImageNet`. γ starts at −2.3 − 2 log(levels): the levels are as far apart for any number.
    """
    levels = count(levels, "levels")

    def make(seen: tuple[int, int, int]) -> ConvNet:
        return ConvNet(seen, out_shape=(*shape, levels), width=width, depth=depth, key=key)

    told = {"factor": factor, "levels": levels, "noise": noise}
    net = make(shape) if factor is None else ImageNet(make, shape, **told)
    schedule = LearnedLinear(-2.3 - 2 * math.log(levels), 5.0)
    denoiser = NetDenoiser(net, from_level_logits)
    return VDM(schedule, denoiser, LevelDecoder(levels), shape)


def draw_cascade(
    models: Sequence[VDM], examples: Count, *, steps: Count, key: Key
) -> list[np.ndarray]:
    """Draw images from the first model, and larger ones from each further model, given those.

    Return the draws of every model; each was trained alone.
    """
    first, *others = models
    keys = jax.random.split(key, len(models))
    found = [draw(first, examples, steps=steps, key=keys[0])]
    for model, one in zip(others, keys[1:], strict=True):
        found.append(draw(model, examples, found[-1], steps=steps, key=one))
    return found
