"""The log of a run: a bar on the screen, and a file with a line for every few updates."""

import codecs
import io
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool
from tqdm import tqdm

from .._types import Scalar
from ..bound import VLB
from ..files import naming, whole_file
from .settings import Settings

_PLAIN = {"×": "x", "±": "+-", "→": "->", "∞": "infinity", "γ": "gamma", "…": "...", "ε": "eps"}
_PLAIN |= {"·": "-", "≤": "<=", "≥": ">=", "−": "-", "✓": "ok", "✗": "no"}


class Report(eqx.Module):
    """The numbers of an update: the bound of its batch in bits/dim, the gradient's norm."""

    terms: VLB
    gradient_norm: Scalar
    sound: Bool[Array, ""]
    """Whether all was finite, in this update and in every one before."""


def spell_out() -> None:
    """Let no result be lost to an encoding: what a stream can't show is spelt in others."""
    codecs.register_error("vdmlite", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="vdmlite")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in lost), error.end


def say(words: str) -> None:
    """Print a line at once, above a progress bar if there is one.

    If nobody can read it any more, after `| head` or a lost connection, this and all further
    lines are dropped: that must not end a run.
    """
    if (screen := sys.stdout) is None:
        return
    try:
        tqdm.write(words)
        screen.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), screen.fileno())


class Log:
    """The lines of a run, on the screen and in its file; of the first process alone."""

    def __init__(self, folder: Path, step: int, settings: Settings, *, active: bool):
        self.file, self.settings, self.active = folder / "log.jsonl", settings, active
        self.waiting: list[Report] = []
        self.since = time.monotonic()
        self.bar = tqdm(
            total=settings.steps,
            initial=step,
            desc=settings.recipe,
            unit=" updates",
            dynamic_ncols=True,
            disable=None if active else True,
        )
        if active:
            kept = [line for line in read_log(folder) if line["step"] <= step]
            with whole_file(self.file) as file:
                file.writelines(json.dumps(line).encode() + b"\n" for line in kept)
        if step >= settings.steps:
            self.say(f"nothing is left to do: the run is at update {step}")

    def wait(self, report: Report) -> None:
        """Take a report, whose numbers the device may still be computing."""
        self.waiting.append(report)
        self.bar.update()

    def write(self, step: int) -> bool:
        """Write the mean of the waiting reports as a line; return whether all were sound."""
        reports: list[Report] = [jax.tree.map(np.asarray, r) for r in self.waiting]
        seconds, self.since, self.waiting = time.monotonic() - self.since, time.monotonic(), []
        unsound = [r for r in reports if not r.sound]
        self.last = (unsound or reports)[0]
        if unsound:
            return False
        mean: Report = jax.tree.map(lambda *a: float(np.mean(a)), *reports)
        loss = mean.terms.prior + mean.terms.reconstruction + mean.terms.diffusion
        speed = len(reports) * self.settings.batch_size / seconds
        self._append(
            step=step,
            loss=loss,
            prior=mean.terms.prior,
            reconstruction=mean.terms.reconstruction,
            diffusion=mean.terms.diffusion,
            gradient_norm=mean.gradient_norm,
            images_per_second=speed,
        )
        words = f"{loss:.3f} bits/dim, {speed:.0f} images/s"
        self.bar.set_postfix_str(words, refresh=False)
        if self.bar.disable:
            self.say(f"update {step} of {self.settings.steps}: {words}")
        return True

    def note(self, step: int, make: Callable[[], dict[str, Any]]) -> None:
        """Write what `make` returns as a line; its time does not count as training time."""
        if self.active:
            found = make()
            self._append(step=step, **found)
            self.say(f"update {step}: " + ", ".join(f"{k} {v:.4g}" for k, v in found.items()))
        self.since = time.monotonic()

    def say(self, words: str) -> None:
        """Print a line above the bar."""
        if self.active:
            say(words)

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()

    def _append(self, **line: Any) -> None:
        if self.active:
            with naming(self.file), self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's log; one that a kill cut short is left out."""
    file, lines = folder / "log.jsonl", []
    if file.exists():
        for line in file.read_text("utf-8").splitlines():
            with suppress(json.JSONDecodeError):
                lines.append(json.loads(line))
    return lines
