"""Files: written whole or not at all, whatever happens in between."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write, which takes the place of an older one only when it is whole.

    Until then it is `<name>.partial`, which is gone if anything fails. A file has one writer.

    Raises:
        OSError: it can't be written, as on a full disk; what was there still is.
    """
    partial = path.with_name(path.name + ".partial")
    try:
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
