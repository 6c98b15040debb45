"""Committed notebooks are what their sources build, safe to open, and honest when graded."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from vdmlite.course import build

pytestmark = pytest.mark.course

LESSONS = build.sources("lessons")
UNITS = build.sources("solutions")
EXECUTED = [s.with_suffix(".ipynb") for s in (*LESSONS, *UNITS)]


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def text_of(notebook) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


@pytest.mark.parametrize("source", LESSONS + UNITS, ids=name)
def test_is_what_its_source_builds(source):
    kinds = ["lessons"] if source in LESSONS else ["solutions", "exercises"]
    for kind in kinds:
        path = build.ROOT / kind / f"{source.stem}.ipynb"
        assert build.same_cells(build.notebook(source, kind), path), "run: python run.py build"
    if source in UNITS:
        path = build.unit_path(source)
        assert path.read_text("utf-8") == build.unit(source), "run: python run.py build"


def test_nothing_is_left_over():
    """Every notebook and unit has a source."""
    stems = {f"{kind}/{s.stem}.ipynb" for s in UNITS for kind in ("solutions", "exercises")}
    stems |= {f"lessons/{s.stem}.ipynb" for s in LESSONS}
    found = {
        name(p)
        for k in ("lessons", "solutions", "exercises")
        for p in (build.ROOT / k).glob("*.ipynb")
    }
    assert found == stems
    units = {p.name for p in build.unit_path(UNITS[0]).parent.glob("unit*.py")}
    assert units == {build.unit_path(s).name for s in UNITS}


@pytest.mark.parametrize("path", EXECUTED, ids=name)
def test_outputs_are_whole_and_safe(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < 700_000
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        assert cell.execution_count, cell.id
        for output in cell.outputs:
            assert output.output_type != "error", cell.id
            if output.output_type == "stream":
                assert output.name == "stdout", cell.id
                assert str(build.ROOT) not in output.text, cell.id
            else:
                assert set(output.data) <= set(build.READABLE), cell.id


@pytest.mark.parametrize("path", EXECUTED, ids=name)
def test_every_figure_has_words(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            for kind in ("image/png", "image/gif"):
                if kind in output.get("data", {}):
                    alt = output.metadata[kind]["alt"]
                    assert len(alt) > 40, (cell.id, alt)
                    assert output.data["text/plain"] == f"Figure: {alt}"


@pytest.mark.parametrize("source", LESSONS, ids=name)
def test_lesson_has_its_parts(source):
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    text = text_of(notebook)
    number = source.stem[:2]
    assert text.startswith(f"# {number} · ")
    assert "After this lesson you can" in text
    assert "<details><summary>" in text
    assert re.search(r"^> \*\*", text, re.M), "the line to take along"
    assert "minute" in notebook.cells[0].source or "seconds" in notebook.cells[0].source
    assert f"lessons/{source.stem}.ipynb" in notebook.cells[0].source, "the Colab badge"
    if number != "00":
        printed = "".join(
            o.get("text", "") for c in notebook.cells for o in c.get("outputs", [])
        )
        assert f"Claim {number} · " in printed
        assert "FAILS" not in printed


@pytest.mark.parametrize("source", UNITS, ids=name)
def test_shipped_exercises_have_no_outputs(source):
    notebook = nbformat.read(build.ROOT / f"exercises/{source.stem}.ipynb", as_version=4)
    for cell in notebook.cells:
        assert not cell.get("outputs"), cell.id
        assert cell.get("execution_count") is None, cell.id


def grade(folder: Path, *paths: Path) -> tuple[dict[str, str], int, str]:
    """Run nbval as a student does; return the score board, the failures, and all it printed."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "-p",
        "no:cacheprovider",
        "-q",
        "--rootdir",
        str(folder),
        "-c",
        os.devnull,
        *map(str, paths or [folder]),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    rows = re.findall(r"^[✓✗○?] (\d+\.\d+) +(\D+?)  +\d\d_", done.stdout, re.M)
    failed = re.search(r"(\d+) failed", done.stdout)
    return dict(rows), int(failed[1]) if failed else 0, done.stdout + done.stderr


def test_as_shipped_exactly_the_checks_fail():
    board, failed, printed = grade(build.ROOT / "exercises")
    numbers = {build.number_of(c) for s in UNITS for c in build.cells_of(s)} - {""}
    assert set(board) == numbers, printed
    assert set(board.values()) == {"not filled in"}
    assert failed == len(numbers)
    assert f"0 of {len(numbers)} solved" in printed


@pytest.fixture
def folder(tmp_path):
    shutil.copy(build.ROOT / "exercises/conftest.py", tmp_path)
    return tmp_path


def unit_two(**answers: str):
    """The notebook of unit 2 with some answers filled in."""
    source = next(s for s in UNITS if s.stem.startswith("02"))
    notebook = build.notebook(source, "exercises")
    for cell in notebook.cells:
        for number in cell.metadata.get("tags", []):
            if f"e{number}".replace(".", "_") in answers:
                cell.source = answers[f"e{number}".replace(".", "_")]
    return notebook


def right(number: str) -> str:
    source = next(s for s in UNITS if s.stem.startswith("02"))
    cell = next(c for c in build.cells_of(source) if build.number_of(c) == number)
    return build.solved(cell.source)


def save(notebook, folder: Path, *, run: bool = False) -> Path:
    path = folder / "02_forward_process.ipynb"
    if run:
        build.execute(notebook, folder)
    nbformat.write(notebook, path)
    return path


def test_one_right_answer_turns_exactly_one_check(folder):
    save(unit_two(e2_1=right("2.1")), folder)
    board, failed, printed = grade(folder)
    assert board.pop("2.1") == "solved", printed
    assert set(board.values()) == {"not filled in"}
    assert failed == len(board)


def test_saved_outputs_persuade_nobody(folder):
    """A wrong answer fails when it was run and saved, and when its outputs are cleared."""
    wrong = right("2.1").replace("jnp.sqrt", "")
    for run in (True, False):
        save(unit_two(e2_1=wrong, e2_2=right("2.2")), folder, run=run)
        board, _, printed = grade(folder)
        assert board["2.1"] == "not right yet", printed
        assert board["2.2"] == "solved"
        assert "the scales are their square roots" in printed


def test_checks_that_were_tampered_with_are_reported(folder):
    notebook = unit_two(**{f"e2_{i}": right(f"2.{i}") for i in (1, 2, 3, 4)})
    by_source = {cell.source: cell for cell in notebook.cells}
    notebook.cells.remove(by_source['check("2.1")'])
    by_source['check("2.2")'].source = 'print("✓ 2.2 diffuse is right.")'
    by_source['check("2.3")'].source = 'check("2.3")'
    by_source['check("2.4")'].metadata["tags"] = ["nbval-skip", "raises-exception"]
    by_source[right("2.4")].source = right("2.4").replace("jnp.sqrt", "")
    save(notebook, folder)
    board, failed, printed = grade(folder)
    assert board == {
        "2.1": "missing",
        "2.2": "missing",
        "2.3": "solved",
        "2.4": "not right yet",
    }, printed
    assert failed == 3


def test_a_home_made_check_persuades_nobody(folder):
    notebook = unit_two()
    notebook.cells[3].source += "\ndef check(number):\n    print('✓', number)\n"
    save(notebook, folder)
    board, _, printed = grade(folder)
    assert "solved" not in board.values(), printed
