"""Build the site: `python run.py site`. It lands in build/site/html; nothing is fetched.

With --open it is served to this machine alone and opened in the browser; ctrl-C ends that.
"""

import argparse
import http.server
import shutil
import sys
import time
import webbrowser
from functools import partial
from pathlib import Path

from gather import DOCS, ROOT, gather
from sphinx.cmd.build import main as sphinx

HTML = ROOT / "build/site/html"


def build(source: Path, target: Path) -> int:
    """Build the pages in a folder into another one; warnings are errors."""
    kept = target.parent / "doctrees"
    words = ["-b", "html", "-W", "--keep-going", "-q", "-c", DOCS, "-d", kept, source, target]
    return sphinx([str(word) for word in words])


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that does not tell of every file."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def serve(folder: Path) -> None:
    """Serve a folder on this machine's own address, and open it in the browser."""
    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        print(f"{address} (ctrl-C ends it)", flush=True)
        webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main(words: list[str]) -> int:
    """Build, and open what was built if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", action="store_true")
    parser.add_argument("--clean", action="store_true", help="forget what was built before")
    asked = parser.parse_args(words)
    if asked.clean:
        shutil.rmtree(HTML.parent, ignore_errors=True)
    started = time.monotonic()
    code = build(gather(), HTML)
    if not code:
        size = sum(p.stat().st_size for p in HTML.rglob("*") if p.is_file()) / 1e6
        print(f"{HTML}: {size:.0f} MB in {time.monotonic() - started:.0f} s", flush=True)
    if asked.open and not code:
        serve(HTML)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
