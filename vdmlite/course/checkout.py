"""The repository, if the course runs from a copy of it, and what only the repository has."""

from pathlib import Path

from ..engine.datasets.reading import folder
from ..engine.download import download

ROOT = Path(__file__).parents[2]
SIZE = 3_827_136
SHA256 = "c7addf41644398b0207187e111779a14e75415957785acd0f048484b36bdb3e0"
_FIGURES = "tests/parity/published_c64.npz"
_REPOSITORY = "https://github.com/vdmlite/vdmlite"


def is_checkout() -> bool:
    """Return whether the package lies in its repository, not in an installation."""
    return (ROOT / "pyproject.toml").is_file()


def published_figures() -> Path:
    """Return the file of the published program's figures; `tests/parity` says what is in it.

    An installed package has not got these 4 MB: they are downloaded once and checked.

    Raises:
        DownloadError: they could not be had.
    """
    if is_checkout():
        return ROOT / _FIGURES
    address = f"{_REPOSITORY}/raw/main/{_FIGURES}"
    path = folder() / Path(_FIGURES).name
    return download([address], path, size=SIZE, sha256=SHA256)
