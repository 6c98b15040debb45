"""Makes nbval a fair judge of exercises, and prints a score board.

Run `pytest --nbval-lax exercises/`, or name one notebook. Every check is held against what
the course expects, not against what the notebook has saved; a check that was edited or
deleted is missing, not passed.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat.v4 import new_output

from vdmlite.course.exercise import Exercise, check_source, praise, unit_exercises

MARKS = {"solved": "✓", "not right yet": "✗", "not filled in": "○", "missing": "?"}
MISSING = "its check is missing or was changed: take the cell from the original"


class MissingCheck(pytest.Item):
    """Stands for a check that the notebook no longer has as it was shipped."""

    def runtest(self):
        """Fail."""
        pytest.fail(MISSING)

    def repr_failure(self, excinfo):  # noqa: ARG002
        """Say it in a line."""
        return f"{self.name}: {MISSING}"

    def reportinfo(self):
        """Name the notebook."""
        return self.path, None, self.name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hold every check against the course, and add a failure for each that is missing."""
    notebooks: dict[Path, list[pytest.Item]] = {}
    for item in items:
        if hasattr(item, "cell") and item.path.parent == Path(__file__).parent:
            notebooks.setdefault(item.path, []).append(item)
    for path, cells in notebooks.items():
        for exercise in unit_exercises(int(path.name[:2])):
            wanted = check_source(exercise.id)
            found = [c for c in cells if c.cell.source.strip() == wanted]
            for cell in found:
                _judge_by_the_course(cell, exercise)
            if not found:
                name = f"check {exercise.id}"
                found = [MissingCheck.from_parent(cells[0].parent, name=name)]
                items.extend(found)
            for item in found:
                item.user_properties.append(("exercise", (path.name, exercise.id)))


def _judge_by_the_course(item: pytest.Item, exercise: Exercise) -> None:
    """Let no saved output, tag or comment soften the check."""
    item.options.update(check=True, check_exception=False, skip=False)
    item.cell.outputs = [new_output("stream", name="stdout", text=praise(exercise) + "\n")]
    item.cell.execution_count = 1


def pytest_terminal_summary(terminalreporter) -> None:
    """Print the score board."""
    rows = dict(_rows(terminalreporter.stats))
    if not rows:
        return
    terminalreporter.section("score board")
    for (notebook, number), state in sorted(rows.items()):
        terminalreporter.write_line(f"{MARKS[state]} {number:<5} {state:<14} {notebook}")
    counts = {s: list(rows.values()).count(s) for s in MARKS}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    terminalreporter.write_line(f"{counts['solved']} of {len(rows)} solved ({told})")


def _rows(stats: dict) -> Iterator[tuple[tuple[str, str], str]]:
    for report in (r for kind in ("passed", "failed") for r in stats.get(kind, [])):
        which = dict(getattr(report, "user_properties", [])).get("exercise")
        if which is None:
            continue
        text = str(report.longrepr or "")
        if report.passed:
            state = "solved"
        elif MISSING in text:
            state = "missing"
        else:
            state = "not filled in" if "is not filled in yet" in text else "not right yet"
        yield tuple(which), state
