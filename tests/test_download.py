"""Downloads from a network that fails in every way, and what is left on the disk then."""

import errno
import hashlib
import io
import os
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from vdmlite.engine import download as module
from vdmlite.engine.download import DownloadError, download

pytestmark = pytest.mark.once

CONTENT = np.random.default_rng(0).bytes(200_000)
OLD = b"what was there before"


class Answer(NamedTuple):
    """How a mirror answers one request."""

    status: int = 200
    body: bytes | None = None
    """What it gives instead of its content."""
    only: int | None = None
    """So many bytes are sent before the connection ends."""
    ranges: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    told_length: bool = True
    wait_for: threading.Event | None = None
    """It is silent until this happens."""


@contextmanager
def mirror(files, *answers):
    """Serve files by their names; `answers` are for the first requests, one each."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers["Range"])
            how = left.pop(0) if left else Answer()
            if how.wait_for:
                how.wait_for.wait(20)
                return
            body = files.get(self.path[1:]) if how.body is None else how.body
            status, headers = (404, {}) if body is None else (how.status, dict(how.headers))
            body = body or b""
            if status == 200 and how.ranges and self.headers["Range"]:
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
                status = 206
                headers = {
                    "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"
                } | headers
                body = body[start:]
            self.send_response(status)
            if how.told_length:
                self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # they may have had enough
                self.wfile.write(body[: how.only])

        def log_message(self, format, *args):
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/", asked=asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "file.bin"


def part(path):
    return path.with_name(path.name + ".part")


def get(path, *servers, content=CONTENT, **options):
    """Download `file` from these mirrors, with hardly a rest between attempts."""
    return download(
        [s if isinstance(s, str) else s.url + "file" for s in servers],
        path,
        **{
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "attempts": 3,
            "wait": 0.001,
            **options,
        },
    )


def serving(*answers, content=CONTENT):
    return mirror({"file": content}, *answers)


def only_the_file_is_there(path, content=CONTENT):
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_file_arrives_whole_and_is_not_fetched_again(path):
    with serving() as server:
        assert get(path, server) == path
        only_the_file_is_there(path)
        assert get(str(path), server) == path
        assert server.asked == [None]


def test_an_old_file_of_other_content_is_replaced(path):
    path.parent.mkdir()
    for old in (OLD, CONTENT[:-1] + b"\0"):
        path.write_bytes(old)
        with serving() as server:
            get(path, server)
        only_the_file_is_there(path)


def test_dropped_connections_are_resumed_from_where_they_broke(path):
    """More often than `attempts`, for each brought something new."""
    drops = [Answer(only=n) for n in (1000, 50_000, 1, 7, 70_000)]
    with serving(*drops) as server:
        get(path, server, attempts=2)
    assert server.asked == [
        None,
        *(f"bytes={n}-" for n in (1000, 51_000, 51_001, 51_008, 121_008)),
    ]
    only_the_file_is_there(path)


def test_a_silent_connection_is_given_up_and_resumed(path):
    never = threading.Event()
    with serving(Answer(only=1000), Answer(wait_for=never)) as server:
        try:
            get(path, server, timeout=0.5)
        finally:
            never.set()
        assert set(server.asked[1:]) == {"bytes=1000-"}
    only_the_file_is_there(path)


def test_a_later_call_goes_on_from_the_partial_file(path):
    with serving(*[Answer(only=1000)] + [Answer(only=0)] * 3) as server:
        with pytest.raises(DownloadError, match=r"after 1,000 of 200,000 bytes, 3 times"):
            get(path, server)
        assert not path.exists()
        assert part(path).read_bytes() == CONTENT[:1000]
        get(path, server)
        assert server.asked[-1] == "bytes=1000-"
    only_the_file_is_there(path)


def test_a_server_without_ranges_is_read_from_the_start(path):
    with serving(Answer(only=60_000), Answer(ranges=False)) as server:
        get(path, server)
    assert server.asked == [None, "bytes=60000-"]
    only_the_file_is_there(path)


def test_a_server_without_ranges_that_always_breaks_is_left(path):
    breaks = [Answer(only=60_000, ranges=False)] * 20
    with serving(*breaks) as server:
        with pytest.raises(DownloadError, match=r"after 60,000 of 200,000 bytes, 3 times"):
            get(path, server)
        assert len(server.asked) == 4  # the first brought something
    assert not path.exists()


def test_a_server_that_sends_another_range_is_not_believed(path):
    other = Answer(headers=(("Content-Range", "bytes 0-199999/200000"),))
    with serving(Answer(only=60_000), other) as bad, serving() as good:
        with pytest.raises(DownloadError, match=r"asked for bytes 60000-199999, it sends byt"):
            get(path, bad)
        get(path, good)
    assert good.asked == ["bytes=60000-"]
    only_the_file_is_there(path)


@pytest.mark.parametrize("status", [403, 404, 416, 429, 503])
def test_a_mirror_that_refuses_is_followed_by_the_next(status, path):
    refusal = Answer(status, body=b"no")
    with serving(*[refusal] * 9) as bad, serving() as good:
        get(path, bad, good)
        # What may pass is asked for again.
        assert len(bad.asked) == (3 if status in (429, 503) else 1)
        only_the_file_is_there(path)
        path.unlink()
        with pytest.raises(DownloadError, match=rf"{bad.url}file: HTTP status {status} "):
            get(path, bad)
    assert not path.exists()


def test_a_second_mirror_goes_on_where_the_first_ended(path):
    with serving(Answer(only=1000), *[Answer(503, body=b"")] * 3) as one, serving() as two:
        get(path, one, two)
    assert two.asked == ["bytes=1000-"]
    only_the_file_is_there(path)


def test_wrong_bytes_are_deleted_and_the_next_mirror_asked(path):
    wrong = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    path.parent.mkdir()
    path.write_bytes(OLD)
    with serving(content=wrong) as bad, serving() as good:
        with pytest.raises(DownloadError, match="another file than expected") as error:
            get(path, bad)
        assert hashlib.sha256(CONTENT).hexdigest() in str(error.value)
        only_the_file_is_there(path, OLD)
        get(path, bad, good)
        assert good.asked == [None]
    only_the_file_is_there(path)


@pytest.mark.parametrize("size", [1000, len(CONTENT), len(CONTENT) + 5])
def test_a_partial_file_gone_bad_is_no_fault_of_the_mirror(size, path):
    path.parent.mkdir()
    part(path).write_bytes(bytes(size))
    with serving() as server:
        get(path, server)
    assert server.asked[-1] is None
    only_the_file_is_there(path)


@pytest.mark.parametrize("told_length", [True, False])
@pytest.mark.parametrize("size", [70_000, 300_000])
def test_a_file_of_another_size_is_refused(told_length, size, path):
    other = np.random.default_rng(1).bytes(size)
    answers = [Answer(told_length=told_length)] * 9
    with serving(*answers, content=other) as bad, serving() as good:
        message = f"a file of {size:,} bytes, expected 200,000"
        if not told_length:
            message = "another file" if size > len(CONTENT) else "70,000 of 200,000 bytes"
        with pytest.raises(DownloadError, match=message):
            get(path, bad)
        assert not path.exists()
        get(path, bad, good)
    only_the_file_is_there(path)


def test_an_endless_answer_is_cut_off(path, monkeypatch):
    sizes, real = [], module.matches

    def spy(path, *known):
        sizes.append(path.stat().st_size if path.exists() else 0)
        return real(path, *known)

    monkeypatch.setattr(module, "matches", spy)
    endless = Answer(body=bytes(10**7), told_length=False)
    with serving(endless) as server, pytest.raises(DownloadError, match="another file"):
        get(path, server)
    assert len(CONTENT) < max(sizes) <= len(CONTENT) + module.BLOCK


@pytest.mark.parametrize("have", [0, 1000])
def test_a_captive_portals_page_is_called_what_it_is(have, path):
    page = b"<!DOCTYPE html><title>Log in</title>"
    portal = Answer(
        body=page, ranges=False, headers=(("Content-Type", "text/html; charset=a"),)
    )
    path.parent.mkdir()
    if have:
        part(path).write_bytes(CONTENT[:have])
    with serving(portal, portal) as server:
        with pytest.raises(DownloadError, match=r"an HTML page from .*log in first"):
            get(path, server)
        assert not path.exists()
        assert not have or part(path).read_bytes() == CONTENT[:have]  # it isn't overwritten


def test_without_a_network_every_mirror_is_named(path):
    with serving() as server:
        closed = server.url + "file"
    with pytest.raises(DownloadError) as error:
        get(path, closed, closed + "2")
    lines = str(error.value).splitlines()
    assert lines[0] == "file.bin could not be downloaded:"
    for line, url in zip(lines[1:], (closed, closed + "2"), strict=True):
        assert line.startswith(f"  {url}: no connection (")
        assert line.endswith(", 3 times in a row")
    assert not list(path.parent.iterdir())


def fill_the_disk(monkeypatch, room):
    """Let a partial file have so many bytes at most."""
    real = Path.open

    class Full(io.BufferedWriter):
        def write(self, data):
            fits = max(0, room - self.tell())
            written = io.BufferedWriter.write(self, data[:fits])
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return written

    def opened(path, mode="r", *args, **options):
        if path.suffix == ".part" and mode in ("ab", "wb"):
            return Full(io.FileIO(path, mode))
        return real(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", opened)


def test_a_full_disk_leaves_nothing_half(path, monkeypatch):
    path.parent.mkdir()
    path.write_bytes(OLD)
    with serving() as server:
        with monkeypatch.context() as patch:
            fill_the_disk(patch, 80_000)
            with pytest.raises(DownloadError, match=r"No space left.*needs 0\.1 MB more there"):
                get(path, server)
        assert path.read_bytes() == OLD
        assert part(path).read_bytes() == CONTENT[:80_000]
        get(path, server)
        assert server.asked[-1] == "bytes=80000-"
    only_the_file_is_there(path)


def test_too_little_room_is_seen_before_anything_is_asked(path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    path.parent.mkdir()
    with serving() as server:
        with pytest.raises(DownloadError, match=r"needs 0\.2 MB more in .* 0\.1 MB are free"):
            get(path, server)
        assert server.asked == []
        part(path).write_bytes(CONTENT[:100_000])  # now the rest has room
        get(path, server)
    only_the_file_is_there(path)


def test_a_folder_that_can_not_be_made_is_named(tmp_path):
    (tmp_path / "data").write_bytes(OLD)
    with pytest.raises(DownloadError, match=r"file\.bin\.part can't be written"):
        get(tmp_path / "data" / "more" / "file.bin", "http://127.0.0.1:1/file")


@pytest.mark.parametrize(
    "urls", [[], ["file:///etc/hosts"], ["http://a/b", "ftp://a/b"], "http://a"]
)
def test_only_http_is_spoken(urls, path):
    with pytest.raises(ValueError, match=r"expected one or more http\(s\) addresses, got"):
        download(urls, path, size=1, sha256="")
    assert not path.parent.exists()


def test_nothing_is_printed_but_on_a_terminal(path, capsys):
    with serving(Answer(only=1000)) as server:
        get(path, server)
    assert capsys.readouterr() == ("", "")
