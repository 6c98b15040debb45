"""A lock on a run's folder: two runs that wrote into one folder would spoil each other."""

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import jax

from .devices import agree


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder. All processes of a run call this, the first one locks.

    The operating system holds the lock, on the file `.lock`, and drops it when the process
    ends, however it ends: a killed run leaves nothing to clean up. Where the file system has
    no locks, nobody is kept out.

    Raises:
        ValueError: another run uses the folder; the message names its machine and process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = jax.process_index() == 0
    with (folder / ".lock" if first else Path(os.devnull)).open("a+", encoding="utf-8") as file:
        taken = first and not _lock(file)
        file.seek(0)
        if agree(taken, now=True):
            raise ValueError(
                f"another run{file.read()} uses {folder}: wait until it ends, or choose "
                "another folder"
            )
        if first:
            file.truncate(0)
            file.write(f" (process {os.getpid()} on {socket.gethostname()})")
            file.flush()
        try:
            yield
        finally:
            if first:
                file.truncate(0)


def _lock(file: IO[str]) -> bool:
    """Lock an open file, until it is closed; return False if somebody else has locked it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 30)  # a byte far from the text, which others may read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True
