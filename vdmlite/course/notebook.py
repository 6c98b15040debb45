"""The page: set-up, the size switch, figures with words, and claims that are checked."""

import base64
import importlib.metadata
import io
import json
import os
import platform
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

SIZES = ("smoke", "laptop", "full")


def size() -> str:
    """Return the size that notebooks run in: "smoke", "laptop" or "full".

    The environment variable VDMLITE_SIZE decides; without it, "full" where JAX finds an
    accelerator and "laptop" elsewhere.
    """
    found = os.environ.get("VDMLITE_SIZE", "")
    if not found:
        return "laptop" if jax.default_backend() == "cpu" else "full"
    if found not in SIZES:
        raise ValueError(f"VDMLITE_SIZE must be one of {', '.join(SIZES)}, got {found!r}")
    return found


def pick(*, smoke: Any, laptop: Any, full: Any = None) -> Any:
    """Return the value for the size at hand; "full" falls back to the laptop's."""
    values = {"smoke": smoke, "laptop": laptop, "full": laptop if full is None else full}
    return values[size()]


def setup() -> None:
    """Print versions, device and size: the first line of every notebook."""
    from ..viz import style

    style()
    version = importlib.metadata.version
    print(
        f"vdmlite {version('vdmlite')} · jax {jax.__version__} · "
        f"Python {platform.python_version()} · {jax.default_backend()} · size: {size()}"
    )


def claim(
    lesson: str,
    text: str,
    measured: float,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    trained: bool = False,
) -> None:
    """Print a lesson's claim beside the number measured, and raise if it fails its mark.

    Claims on a `trained` model are measured but not judged at smoke size, where nothing
    is trained long enough.

    Raises:
        AssertionError: the claim fails.
        ValueError: not exactly one of `at_most` and `at_least` is given.
    """
    measured = float(measured)
    if at_most is not None and at_least is None:
        sign, mark, holds = "≤", at_most, measured <= at_most
    elif at_least is not None and at_most is None:
        sign, mark, holds = "≥", at_least, measured >= at_least
    else:
        raise ValueError("a claim has one pass mark: at_most or at_least")
    judged = not (trained and size() == "smoke")
    verdict = ("holds" if holds else "FAILS") if judged else "not judged at smoke size"
    row = {
        "lesson": lesson,
        "claim": text,
        "measured": measured,
        "mark": f"{sign} {mark:g}",
        "verdict": verdict,
    }
    report = os.environ.get("VDMLITE_REPORT")
    if report:
        with open(report, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    print(f"Claim {lesson} · {text}: {measured:.3g} (pass mark {sign} {mark:g}) · {verdict}")
    if verdict == "FAILS":
        raise AssertionError(f"claim {lesson} fails: {text}: {measured:g}, not {sign} {mark:g}")


def show(figure: Figure, alt: str) -> None:
    """Display a figure with its alternative text, and close it."""
    _display("image/png", _png(figure, dpi=100, bbox_inches="tight"), alt)


def animate(draw: Callable[[Any], Figure], values: Sequence[Any], alt: str) -> None:
    """Display draw(value) for each value as an animation that plays anywhere, and loops."""
    from ..viz import gif

    _display("image/gif", gif([_png(draw(value), dpi=70) for value in values]), alt)


def slider(
    draw: Callable[[float], Figure], low: float, high: float, alt: str, *, name: str = "γ"
) -> None:
    """Show draw(value) under a slider from low to high, or a still of the middle.

    The still is for pages that are only read (built, tested, printed), and for notebooks
    without ipywidgets.
    """
    middle = (low + high) / 2
    if "VDMLITE_STATIC" in os.environ or find_spec("ipywidgets") is None:
        show(draw(middle), alt)
        return
    from ipywidgets import FloatSlider, interact

    bar = FloatSlider(middle, min=low, max=high, step=(high - low) / 60, description=name)
    bar.continuous_update = False
    interact(lambda value: show(draw(value), alt), value=bar)


def _png(figure: Figure, **options: Any) -> bytes:
    """Return a figure as PNG, and close it."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", **options)
    plt.close(figure)
    return buffer.getvalue()


def _display(kind: str, content: bytes, alt: str) -> None:
    from IPython.display import display

    if not alt.strip():
        raise ValueError("a figure needs its alternative text: one sentence on what it shows")
    data = {kind: base64.b64encode(content).decode(), "text/plain": f"Figure: {alt}"}
    display(data, metadata={kind: {"alt": alt}}, raw=True)


def rounded(value: Any, digits: int = 4) -> str:
    """Return a short text for a number or a small array."""
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{array.item():.{digits}g}"
    return np.array2string(array, precision=digits, threshold=6, edgeitems=2)
