"""Files: written whole or not at all, whatever happens in between."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an OSError that names no file, as that of a full disk, the name of this one."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write, which takes the place of an older one only when it is whole.

    Until then it is `<name>.partial`, which is gone if anything fails. A file has one writer.

    Raises:
        OSError: it can't be written, as on a full disk; the message names it, and what was
            there still is.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with naming(path):
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
    finally:
        with suppress(OSError):  # all went well, and the file has its name
            partial.unlink()
    with suppress(OSError), ExitStack() as stack:
        folder = os.open(path.parent, os.O_RDONLY)  # Windows and some network disks refuse
        stack.callback(os.close, folder)
        os.fsync(folder)  # lest a power cut bring back the older file
