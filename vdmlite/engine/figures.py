"""What a run shows while it trains: figures in its folder, numbers for its log."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Integer

from .. import VDM, draw, error_curve, evaluate
from .._types import Key
from ..data import Images
from ..extras import needs
from ..files import whole_file
from ..viz import images as tile
from ..viz import style
from .batches import spread
from .log import read_log
from .settings import keys_of

with needs("matplotlib", extra="plot"):
    import matplotlib
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure


def look_at(
    images: Images, *, examples: int = 256, count: int = 16, steps: int = 100, seed: int = 1
) -> Callable[[VDM, Path, int], dict[str, Any]]:
    """Return the function that a run calls now and then with its average model.

    It measures the bound on some test images, and draws `count` images in `steps` steps, the
    loss so far, the error along γ and the schedule: `samples.png`, `loss.png`, `gamma.png`.
    """

    def look(average: VDM, folder: Path, step: int) -> dict[str, Any]:
        keys = jax.random.split(jax.random.fold_in(keys_of(seed).look, step), 3)
        some = spread(images.test, examples)
        found = evaluate(average, some, draws=4, batch_size=64, key=keys[0])
        bits, error = map(float, found.bits.loss)
        drawn = draw(average, count, steps=steps, key=keys[1])
        backend = matplotlib.get_backend()
        matplotlib.use("agg")
        style()
        save_figure(sheet(drawn, images.levels, f"update {step}"), folder / "samples.png")
        save_figure(_along_gamma(average, some, key=keys[2]), folder / "gamma.png")
        test = {"step": step, "test_loss": bits}
        save_figure(_losses([*read_log(folder), test]), folder / "loss.png")
        matplotlib.use(backend)
        return {"test_loss": bits, "test_error": error}

    return look


def sheet(drawn: Integer[np.ndarray, "n h w c"], levels: int, title: str) -> Figure:
    """Return images side by side."""
    columns = max(1, round(len(drawn) ** 0.5))
    figure, axes = plt.subplots(figsize=(5, 5.2))
    tile(axes, drawn, levels=levels, columns=columns, title=title)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=120)
    plt.close(figure)


def _along_gamma(vdm: VDM, images: np.ndarray, *, key: Key) -> Figure:
    """Return a figure of m(γ), the error along γ, beside one of the schedule."""
    t = jnp.linspace(0, 1, 101)
    path = np.asarray(jax.vmap(vdm.schedule)(t))
    found = error_curve(
        *(vdm, spread(images, 64), np.linspace(path[0], path[-1], 24)),
        draws=64,
        batch_size=64,
        key=key,
    )
    size = float(np.prod(vdm.shape))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    left.errorbar(found.gammas, found.mean / size, found.error / size, capsize=2)
    left.set(xlabel="γ", ylabel="E‖ε − ε̂‖² per dimension", title="the error along γ")
    right.plot(t, path)
    right.set(xlabel="t", ylabel="γ(t)", title="the schedule")
    return figure


def _losses(lines: list[dict[str, Any]]) -> Figure:
    """Return the bound of batches and of test images against the number of updates."""
    figure, axes = plt.subplots(figsize=(6, 3.4))
    for name, label, mark in (
        ("loss", "training batches", ""),
        ("test_loss", "test images, average model", "o"),
    ):
        some = [(line["step"], line[name]) for line in lines if name in line]
        if some:
            axes.plot(*np.transpose(some), marker=mark, label=label)
    axes.set(xlabel="updates", ylabel="bits per dimension")
    low = min(line.get("loss", line.get("test_loss", np.inf)) for line in lines)
    axes.set_ylim(0.95 * low, min(axes.get_ylim()[1], 2.5 * low))
    axes.legend()
    return figure
