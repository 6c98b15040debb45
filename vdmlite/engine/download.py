"""Download a file whose size and SHA-256 are known: from any mirror, whole or not at all.

Because these two are checked, the file may come from anywhere, in any number of pieces.
Nothing is unpacked or run.
"""

import hashlib
import os
import shutil
import time
import urllib.request
from collections.abc import Iterator, Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError

from tqdm import tqdm

BLOCK = 1 << 16
"""At most so many bytes are read at once."""


class DownloadError(RuntimeError):
    """A file could not be downloaded; the message says what happened at each mirror."""


def download(
    urls: Sequence[str],
    path: str | os.PathLike,
    *,
    size: int,
    sha256: str,
    attempts: int = 5,
    wait: float = 0.5,
    timeout: float = 30.0,
) -> Path:
    """Return the path of a file of `size` bytes, after fetching it from the first good mirror.

    What has arrived is kept in `<name>.part`, and a later call goes on from there. After so
    many `attempts` without a new byte the next mirror is tried. Before each new attempt it
    waits, `wait` seconds at first and twice as long each time. A connection that is silent for
    `timeout` seconds counts as broken.

    Raises:
        ValueError: no mirror, or one that isn't http(s).
        DownloadError: no mirror has the file, or there is no room for it.
    """
    if not urls or not all(url.startswith(("http://", "https://")) for url in urls):
        raise ValueError(f"expected one or more http(s) addresses, got {urls!r}")
    path = Path(path)
    if matches(path, size, sha256):
        return path
    part = path.with_name(path.name + ".part")
    told = [f"{path.name} could not be downloaded:"]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_space(path.parent, size - _length(part), path.name)
        look: dict = {"unit": "B", "unit_scale": True, "ncols": 80, "disable": None}
        with tqdm(total=size, desc=path.name, **look) as bar:
            job = _Job(part, size, sha256, attempts, wait, timeout, bar)
            for url in urls:
                try:
                    _from_mirror(url, job)
                except _MirrorError as error:
                    told.append(f"  {url}: {error}")
                else:
                    os.replace(part, path)
                    return path
    except OSError as error:  # those of the network are told by their mirror
        raise DownloadError(
            f"{part} can't be written ({error.strerror or error}); {path.name} needs "
            f"{_megabytes(size - _length(part))} more there"
        ) from error
    if _length(part):
        told.append(f"{part} keeps the {_megabytes(_length(part))} that came: try again later")
    raise DownloadError("\n".join(told))


def matches(path: Path, size: int, sha256: str) -> bool:
    """Return whether there is a file of this size and SHA-256."""
    return path.is_file() and _length(path) == size and _digest(path) == sha256


def check_space(folder: Path, size: int, name: str) -> None:
    """Raise a `DownloadError` if a folder that exists has no room for `size` bytes more."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise DownloadError(
            f"{name} needs {_megabytes(size)} more in {folder}, where {_megabytes(free)} "
            "are free"
        )


class _MirrorError(Exception):
    """A mirror didn't give what it should; `again` tells whether asking again may help."""

    def __init__(self, message: str, *, again: bool = False):
        Exception.__init__(self, message)
        self.again = again


class _Job(NamedTuple):
    """What is to be fetched, and how patiently."""

    part: Path
    size: int
    sha256: str
    attempts: int
    wait: float
    timeout: float
    bar: tqdm


def _from_mirror(url: str, job: _Job) -> None:
    """Complete the partial file from one mirror and check it; delete it if it is wrong.

    If another mirror began it, that one may be at fault: then this one sends all of it again.
    """
    for _ in range(2 if _length(job.part) else 1):
        _persist(url, job)
        if matches(job.part, job.size, job.sha256):
            return
        job.part.unlink()
    raise _MirrorError(f"another file than expected, not one of SHA-256 {job.sha256}")


def _persist(url: str, job: _Job) -> None:
    """Go on after each failure, until nothing more comes."""
    most, failures = _length(job.part), 0
    while True:
        try:
            return _append(url, job)
        except _MirrorError as error:
            failures = 0 if _length(job.part) > most else failures + 1
            if not error.again:
                raise
            if failures >= job.attempts:
                raise _MirrorError(f"{error}, {failures} times in a row") from error
        most = max(most, _length(job.part))
        time.sleep(job.wait * 2**failures)


def _append(url: str, job: _Job) -> None:
    """Ask once for all that the partial file lacks, and write it as it comes."""
    have = _length(job.part)
    if have >= job.size:
        return
    with _ask(url, have, job.timeout) as response:
        _check_answer(response, have, job.size)
        # A server that knows no ranges sends the file from its beginning.
        with job.part.open("ab" if response.status == 206 else "wb") as target:
            job.bar.update(target.tell() - job.bar.n)
            for block in _blocks(response):
                target.write(block)
                job.bar.update(len(block))
                if target.tell() > job.size:
                    return  # too long: the caller finds it wrong
            target.flush()
            os.fsync(target.fileno())
    if _length(job.part) < job.size:
        ended = f"the connection ended after {_length(job.part):,} of {job.size:,} bytes"
        raise _MirrorError(ended, again=True)


def _ask(url: str, have: int, timeout: float) -> HTTPResponse:
    headers = {"User-Agent": "vdmlite"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  it is http(s)
        return urllib.request.urlopen(request, timeout=timeout)  # noqa: S310
    except HTTPError as error:
        error.close()
        passing = error.code in (408, 429) or error.code >= 500
        raise _MirrorError(f"HTTP status {error.code} {error.reason}", again=passing) from error
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise _MirrorError(f"no connection ({reason})", again=True) from error


def _check_answer(response: HTTPResponse, have: int, size: int) -> None:
    """Refuse an answer that can't be the file, before anything is overwritten by it."""
    if response.headers.get_content_type() == "text/html":
        raise _MirrorError(
            f"an HTML page from {response.url} instead of the file; does this network ask you "
            "to log in first?"
        )
    offered = response.headers.get("Content-Range", "nothing")
    if response.status == 206 and not offered.startswith(f"bytes {have}-"):
        raise _MirrorError(f"asked for bytes {have}-{size - 1}, it sends {offered}")
    if response.status == 200 and response.length not in (None, size):
        raise _MirrorError(f"a file of {response.length:,} bytes, expected {size:,}")


def _blocks(response: HTTPResponse) -> Iterator[bytes]:
    """Yield what comes, as it comes, so that a lost connection loses nothing that came."""
    try:
        while block := response.read1(BLOCK):
            yield block
    except (OSError, HTTPException) as error:
        raise _MirrorError(f"the connection broke ({error})", again=True) from error


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
