"""The pictures that lessons share, in matplotlib. Never imported by the package itself."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .extras import needs

with needs("matplotlib", extra="plot"):
    import matplotlib.pyplot as plt
    from cycler import cycler
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
with needs("Pillow", extra="plot"):
    from PIL import Image

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito, which colour-blind readers tell apart."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""One for each colour: no line is told by its colour alone."""

LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)))


def style() -> None:
    """Set the look of all figures: the palette with line styles, light grids, no boxes."""
    plt.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=COLORS, linestyle=LINES),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "image.cmap": "cividis",
            "figure.figsize": (7.0, 3.5),
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "legend.frameon": False,
        }
    )


def panels(count: int, *, width: float = 2.8, height: float = 2.8) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels side by side."""
    figure, axes = plt.subplots(1, count, figsize=(width * count, height), squeeze=False)
    return figure, list(axes[0])


def points(axes: Axes, data: Any, *, title: str = "", reach: float = 2.0) -> None:
    """Scatter points of the plane, on equal axes from −reach to reach."""
    x, y = np.asarray(data).T
    axes.scatter(x, y, s=4, alpha=0.4, color=COLORS[0], linewidths=0)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", title=title)


def density(
    axes: Axes, log_prob: Callable[[Any], Any], *, title: str = "", reach: float = 2.0
) -> None:
    """Shade exp(log_prob(x)) over the square from −reach to reach."""
    line = jnp.linspace(-reach, reach, 121)
    grid = jnp.stack(jnp.meshgrid(line, line), -1).reshape(-1, 2)
    p = np.exp(np.asarray(jax.vmap(log_prob)(grid))).reshape(121, 121)
    extent = (-reach, reach, -reach, reach)
    axes.imshow(p, origin="lower", extent=extent, interpolation="bilinear")
    axes.grid(False)
    axes.set(title=title)


def images(axes: Axes, data: Any, *, levels: int, columns: int = 8, title: str = "") -> None:
    """Tile images of shape (n, height, width, channels) into one picture, row by row."""
    data = np.asarray(data) / (levels - 1)
    n, height, width, channels = data.shape
    rows = -(-n // columns)
    sheet = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1, channels))
    for i, image in enumerate(np.clip(data, 0, 1)):
        top, left = (i // columns) * (height + 1), (i % columns) * (width + 1)
        sheet[top : top + height, left : left + width] = image
    axes.imshow(sheet.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title)


def film(frames: Sequence[bytes], *, milliseconds: int = 120) -> bytes:
    """Return PNG frames as an animated PNG that loops, dwelling on the last."""
    pictures = [Image.open(io.BytesIO(f)).convert("RGB") for f in frames]
    buffer = io.BytesIO()
    durations = [milliseconds] * (len(frames) - 1) + [8 * milliseconds]
    pictures[0].save(
        buffer, "PNG", save_all=True, append_images=pictures[1:], duration=durations, loop=0
    )
    return buffer.getvalue()
