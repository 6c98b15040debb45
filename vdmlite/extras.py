"""Packages that not everybody installs: who misses one is told which extra brings it."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs(package: str, *, extra: str) -> Iterator[None]:
    """Import an optional package in here: if that fails, the error says how to install it.

    Raises:
        ImportError: it can't be imported.
    """
    try:
        yield
    except ImportError as error:
        install = f'pip install "vdmlite[{extra}]"'
        raise ImportError(f"this needs {package} ({error}): {install}") from error
