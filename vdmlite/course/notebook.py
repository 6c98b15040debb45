"""The page: set-up, the size switch, figures with words, and claims that are checked."""

import base64
import importlib.metadata
import io
import json
import os
import platform
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import numpy as np
from tqdm import tqdm

from ..engine.log import spell_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")
SIZES = ("smoke", "laptop", "full")
FEW = 12
"""Arrays of up to so many numbers are printed whole."""


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
    spell_out()
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


def show(figure: "Figure", alt: str) -> None:
    """Display a figure, with what it shows in words below it, and close it."""
    _display(_still(figure), alt)


def animate(draw: Callable[[Any], "Figure"], values: Sequence[Any], alt: str) -> None:
    """Display draw(value) for each value as a film that plays in any browser, and loops."""
    from ..viz import film

    _display(film([_png(draw(value), dpi=70) for value in values]), alt)


def slider(
    draw: Callable[[float], "Figure"], low: float, high: float, alt: str, *, name: str = "γ"
) -> None:
    """Show draw(value) under a slider from low to high, or a still of the middle.

    The still is for pages that are only read (built, tested, printed), for notebooks
    without ipywidgets and for plain scripts. A page that was saved with its slider shows
    the figure as it was left.
    """
    middle = (low + high) / 2
    static = "VDMLITE_STATIC" in os.environ or not _has_page()
    if static or find_spec("ipywidgets") is None:
        show(draw(middle), alt)
        return
    from IPython.display import display
    from ipywidgets import FloatSlider

    bar = FloatSlider(middle, min=low, max=high, step=(high - low) / 60, description=name)
    bar.continuous_update = False
    display(bar)
    # Not ipywidgets' own output, which pages forget when they are saved.
    shown = _display(_still(draw(middle)), alt)

    def move(change: dict[str, Any]) -> None:
        shown.update(_picture(_still(draw(change["new"]))), metadata=_words(alt), raw=True)

    bar.observe(move, "value")


def progress(steps: Iterable[T], total: int, name: str = "training") -> Iterator[T]:
    """Yield what is yielded, and show in a bar how far it has come; a built page has none."""
    built = "VDMLITE_STATIC" in os.environ
    yield from tqdm(steps, name, total, leave=False, delay=1, ncols=80, disable=built)


def _still(figure: "Figure") -> bytes:
    return _png(figure, dpi=100, bbox_inches="tight")


def _png(figure: "Figure", **options: Any) -> bytes:
    """Return a figure as PNG, and close it."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", **options)
    plt.close(figure)
    return buffer.getvalue()


def _display(png: bytes, alt: str) -> Any:
    """Display a picture and print its words; return the handle by which it can be changed."""
    if not alt.strip():
        raise ValueError("a figure needs its alternative text: one sentence on what it shows")
    handle = None
    if _has_page():
        from IPython.display import display

        handle = display(_picture(png), metadata=_words(alt), raw=True, display_id=True)
    # Printed as well: JupyterLab and Notebook 7 drop the words that a picture has with it.
    print(textwrap.fill(f"Figure: {alt}", 95, break_on_hyphens=False))
    return handle


def _picture(png: bytes) -> dict[str, str]:
    return {"image/png": base64.b64encode(png).decode(), "text/plain": "A figure."}


def _words(alt: str) -> dict[str, dict[str, str]]:
    return {"image/png": {"alt": alt}}


def _has_page() -> bool:
    """Return whether IPython is there to show a figure; a plain script has its words alone."""
    if find_spec("IPython") is None:
        return False
    from IPython.core.getipython import get_ipython

    return get_ipython() is not None


def rounded(value: Any, digits: int = 4) -> str:
    """Return a short text for a number or a small array; what is whole is printed whole."""
    array = np.asarray(value)
    if array.ndim == 0:
        return _number(array.item(), digits)
    text = np.array2string(
        array,
        threshold=FEW,
        edgeitems=2,
        formatter={"float_kind": lambda x: _number(float(x), digits)},
    )
    return " ".join(text.split())


def _number(value: Any, digits: int) -> str:
    if not isinstance(value, float):
        return str(value)
    if not 1 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    if value.is_integer():
        return f"{value:.0f}"
    return f"{value:.{max(digits, len(str(int(abs(value)))))}g}"
