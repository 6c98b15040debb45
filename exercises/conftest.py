"""Makes nbval a fair judge of exercises, and prints a score board.

Run `pytest --nbval-lax exercises/`, or name one notebook. Every check is held against what
the course expects, not against what the notebook has saved; a check that was edited or
deleted is missing, not passed. The board counts every exercise of the notebooks asked for,
and says of each that could not be run why.
"""

import re
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from queue import Empty

import pytest
from nbformat.v4 import new_output
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile

from vdmlite.course.exercise import Exercise, check_source, praise, unit_exercises

MARKS = {
    "solved": "✓",
    "not right yet": "✗",
    "not filled in": "○",
    "missing": "?",
    "not run": "!",
}
MISSING = "its check is missing or was changed: take the cell from the original"
NOT_RUN = "could not be run: "
FOLDER = Path(__file__).parent


class Kernel(RunningKernel):
    """A kernel that is not waited for once it has died."""

    cell = ""

    def execute_cell_input(self, cell_input: str, allow_stdin: bool | None = None) -> str:
        """Send a cell, and remember how it begins."""
        self.cell = cell_input.strip().partition("\n")[0]
        return super().execute_cell_input(cell_input, allow_stdin)

    def get_message(self, stream: str, timeout: float | None = None) -> dict:
        """Return the next message; look every second whether the kernel still lives."""
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            left = end - time.monotonic()
            try:
                return super().get_message(stream, max(0, min(1, left)))
            except Empty:
                if not self.is_alive():
                    raise RuntimeError(NOT_RUN + self.death) from None
                if left <= 1:
                    raise

    @property
    def death(self) -> str:
        """The words for its end."""
        return f"its kernel died in the cell that begins with {self.cell!r}"


class Stand(pytest.Item):
    """Stands for a check that cannot be run, or for a notebook that is none of ours."""

    def __init__(self, *, why: str, aside: bool = False, **rest):
        super().__init__(**rest)
        self.why, self.aside = why, aside

    def runtest(self) -> None:
        """Fail, or stand aside."""
        (pytest.skip if self.aside else pytest.fail)(self.why)

    def repr_failure(self, excinfo) -> str:  # noqa: ARG002
        """Say it in a line."""
        return f"{self.name}: {self.why}"

    def reportinfo(self):
        """Name the notebook."""
        return self.path, None, self.name


class Notebook(IPyNbFile):
    """A notebook in this folder, run with the Python that runs pytest."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield its cells, with each check held against the course, and stands for the rest."""
        self.cells: list[IPyNbCell] = []
        page = self.path.relative_to(FOLDER).as_posix()
        exercises = exercises_of(self.path)
        if not exercises:
            why = "it is no notebook of the course, and was left aside"
            stand = Stand.from_parent(self, name=page, why=why, aside=True)
            stand.user_properties.append(("note", (page, why)))
            yield stand
            return
        why = MISSING
        try:
            self.cells = list(super().collect())
        except Exception as error:  # whatever a file holds that is no notebook
            why = f"{NOT_RUN}it is not a notebook ({type(error).__name__})"
        yield from self.cells
        saved = saved_kernel(self) if self.cells else "python3"
        for exercise in exercises:
            checks = [
                c for c in self.cells if c.cell.source.strip() == check_source(exercise.id)
            ]
            for check in checks:
                judge_by_the_course(check, exercise)
            if not checks:
                stand = Stand.from_parent(self, name=f"check {exercise.id}", why=why)
                checks = [stand]
                yield stand
            for item in checks:
                item.user_properties.append(("exercise", (page, exercise.id)))
                if saved not in ("python3", "python"):
                    note = f"it was saved with the kernel {saved!r}, and run with this Python"
                    item.user_properties.append(("note", (page, note)))

    def setup(self) -> None:
        """Start the kernel, if there is something to run."""
        if not self.cells:
            return
        wait = self.config.option.nbval_kernel_startup_timeout
        try:
            self.kernel = Kernel(CURRENT_ENV_KERNEL_NAME, str(self.path.parent), wait)
        except Exception as error:  # a kernel can fail in many ways
            pytest.fail(f"{NOT_RUN}its kernel did not start ({error})", pytrace=False)
        self.setup_sanitize_files()


def exercises_of(path: Path) -> list[Exercise]:
    """Return the exercises that belong to a notebook, by its name; none for a stranger."""
    unit = re.match(r"(\d\d)_", path.name)
    if not unit or not find_spec(f"vdmlite.course.units.unit{unit[1]}"):
        return []
    return unit_exercises(int(unit[1]))


def saved_kernel(notebook: Notebook) -> str:
    """Return the name of the kernel that a notebook was saved with."""
    spec = notebook.nb.metadata.get("kernelspec", {})
    return str(spec.get("name", "python3") if isinstance(spec, dict) else spec)


def judge_by_the_course(item: IPyNbCell, exercise: Exercise) -> None:
    """Let no saved output, tag or comment soften the check."""
    item.options.update(check=True, check_exception=False, skip=False)
    item.cell.outputs = [new_output("stream", name="stdout", text=praise(exercise) + "\n")]
    item.cell.execution_count = 1


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Iterator:
    """Take the notebooks that nbval has found."""
    found = yield
    ours = any(isinstance(one, IPyNbFile) for one in found)
    return [Notebook.from_parent(parent, path=file_path)] if ours else found


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Remember what was asked for: some of it may never be reached."""
    config.stash[ASKED] = [p for item in items for p in item.user_properties]


ASKED = pytest.StashKey[list[tuple]]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Judge each cell by itself, after a slow one too, but none after its kernel's death."""
    if isinstance(item.parent, Notebook):
        kernel = item.parent.kernel
        item.parent.timed_out = False
        if kernel and not kernel.is_alive():
            pytest.fail(NOT_RUN + kernel.death, pytrace=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> Iterator:
    """Print the score board, and what is to be said of whole notebooks, after all the rest."""
    result = yield
    rows, notes = board(terminalreporter.stats, config.stash.get(ASKED, []))
    if not rows and not notes:
        return result
    terminalreporter.section("score board")
    for (page, number), state in sorted(rows.items()):
        terminalreporter.write_line(f"{MARKS[state]} {number:<5} {state:<14} {page}")
    for page, note in sorted(notes):
        terminalreporter.write_line(f"{page}: {note}")
    counts = {s: list(rows.values()).count(s) for s in MARKS}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    if rows:
        terminalreporter.write_line(f"{counts['solved']} of {len(rows)} solved ({told})")
    return result


def board(stats: dict, asked: list[tuple]) -> tuple[dict[tuple, str], set[tuple]]:
    """Return the state of each exercise, and notes, from pytest's reports."""
    unreached = {tuple(which) for name, which in asked if name == "exercise"}
    rows = dict.fromkeys(unreached, "not run")
    notes = {tuple(note) for name, note in asked if name == "note"}
    kinds = ("passed", "failed", "error", "skipped")
    for report in (r for kind in kinds for r in stats.get(kind, [])):
        said = getattr(report, "user_properties", [])
        notes |= {tuple(note) for name, note in said if name == "note"}
        for which in (tuple(which) for name, which in said if name == "exercise"):
            rows[which], why = verdict(report)
            unreached.discard(which)
            if why:
                notes.add((which[0], why))
    for page, _ in unreached:
        notes.add((page, f"{NOT_RUN}pytest stopped before it, or was told to leave it out"))
    return rows, notes


def verdict(report: pytest.TestReport) -> tuple[str, str]:
    """Return the state that a report tells of, and why if the check could not be run."""
    text = str(report.longrepr or "")
    why = re.search(f"{NOT_RUN}.*", text)
    if report.passed:
        return "solved", ""
    if why:
        return "not run", why[0]
    if "name 'check' is not defined" in text:
        return "not run", f"{NOT_RUN}its cells of imports, at the top, are missing or fail"
    if MISSING in text:
        return "missing", ""
    return "not filled in" if "is not filled in yet" in text else "not right yet", ""
