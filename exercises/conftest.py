"""Makes nbval a fair judge of exercises, and prints a score board.

Run `pytest --nbval-lax exercises/`, or name one notebook. Every check is held against what
the course expects, not against what the notebook has saved; a check that was edited or
deleted is missing, not passed.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat.v4 import new_output

from vdmlite.course.exercise import Exercise, praise, unit_exercises

STATES = ("solved", "not right yet", "not filled in", "missing")


class MissingCheck(pytest.Item):
    """Stands for a check that the notebook no longer has as it was shipped."""

    def runtest(self):
        """Fail."""
        pytest.fail("its check is missing or was changed: take the cell from the original")

    def repr_failure(self, excinfo):  # noqa: ARG002
        """Say it in a line."""
        return f"{self.name}: its check is missing or was changed"

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
            found = [c for c in cells if _is_check(c.cell.source, exercise)]
            for cell in found:
                _judge_by_the_course(cell, exercise)
            for item in found or [_missing(cells[0].parent, exercise)]:
                item.user_properties.append(("exercise", (path.name, exercise.id)))
                if item not in items:
                    items.append(item)


def _is_check(source: str, exercise: Exercise) -> bool:
    return source.strip() == f'check("{exercise.id}")'


def _judge_by_the_course(item: pytest.Item, exercise: Exercise) -> None:
    """Let no saved output, tag or comment soften the check."""
    item.options.update(check=True, check_exception=False, skip=False)
    item.cell.outputs = [new_output("stream", name="stdout", text=praise(exercise) + "\n")]
    item.cell.execution_count = 1


def _missing(parent: pytest.Collector, exercise: Exercise) -> pytest.Item:
    return MissingCheck.from_parent(parent, name=f"check {exercise.id}")


def pytest_terminal_summary(terminalreporter) -> None:
    """Print the score board."""
    rows = dict(_rows(terminalreporter.stats))
    if not rows:
        return
    terminalreporter.section("score board")
    for (notebook, number), state in sorted(rows.items()):
        mark = {"solved": "✓", "not right yet": "✗", "not filled in": "○"}.get(state, "?")
        terminalreporter.write_line(f"{mark} {number:<5} {state:<14} {notebook}")
    counts = {s: list(rows.values()).count(s) for s in STATES}
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
        elif "its check is missing" in text:
            state = "missing"
        else:
            state = "not filled in" if "is not filled in yet" in text else "not right yet"
        yield tuple(which), state
