"""Committed notebooks are what their sources build, safe to open, and honest when graded."""

import base64
import contextlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import chromium
import nbformat
import pytest

from vdmlite.course import build
from vdmlite.course.exercise import NotFilledIn

pytestmark = pytest.mark.course

LESSONS = build.sources("lessons")
UNITS = build.sources("solutions")
PROJECTS = build.projects()
BLANKS = {build.number_of(c) for s in UNITS for c in build.cells_of(s)} - {""}
TWO = sorted(n for n in BLANKS if n.startswith("2."))
EXECUTED = [s.with_suffix(".ipynb") for s in (*LESSONS, *PROJECTS, *UNITS)]


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def text_of(notebook) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


@pytest.mark.parametrize("source", LESSONS + PROJECTS + UNITS, ids=name)
def test_is_what_its_source_builds(source):
    kinds = ["solutions", "exercises"] if source in UNITS else ["lessons"]
    for kind in kinds:
        path = build.ROOT / kind / f"{source.stem}.ipynb"
        assert build.same_cells(build.notebook(source, kind), path), "run: python run.py build"
    if source in UNITS:
        path = build.unit_path(source)
        assert path.read_text("utf-8") == build.unit(source), "run: python run.py build"


def test_nothing_is_left_over():
    """Every notebook and unit has a source."""
    stems = {f"{kind}/{s.stem}.ipynb" for s in UNITS for kind in ("solutions", "exercises")}
    stems |= {f"lessons/{s.stem}.ipynb" for s in LESSONS + PROJECTS}
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
        outputs = cell.get("outputs", [])
        printed = " ".join("".join(o.get("text", "") for o in outputs).split())
        for output in outputs:
            if "image/png" in output.get("data", {}):
                alt = output.metadata["image/png"]["alt"]
                assert len(alt) > 40, (cell.id, alt)
                assert f"Figure: {' '.join(alt.split())}" in printed


PAGE = [
    """\
import matplotlib.pyplot as plt
from vdmlite.course import animate, show, slider

def draw(width):
    return plt.figure(figsize=(width, 1), facecolor="black")

show(draw(1), "A page that is black all over.")""",
    """\
inks = ["black", "red", "blue"]
animate(lambda c: plt.figure(figsize=(1, 1), facecolor=c), inks, "A film of three pages.")""",
    'slider(draw, 1, 3, "A black page as wide as it is told.")',
    """\
from ipywidgets import Widget
(bar,) = [w for w in list(Widget.widgets.values()) if hasattr(w, "readout_format")]
bar.value = 3""",
]


@pytest.mark.filterwarnings("default")
def test_a_page_to_read_has_pictures_films_stills_and_their_words(tmp_path):
    """What nbconvert makes of a live notebook that was saved, its slider moved."""
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    page = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, PAGE)))
    env = {k: v for k, v in os.environ.items() if k != "VDMLITE_STATIC"}
    NotebookClient(page, timeout=120, kernel_name="python3").execute(env=env)
    text, _ = HTMLExporter(template_name="lab").from_notebook_node(page)
    found = re.findall(r"<img[^>]*data:image/png;base64,([A-Za-z0-9+/=\s]+)", text)
    pictures = [base64.b64decode(data) for data in found]
    assert [b"acTL" in picture for picture in pictures] == [False, True, False]
    widths = [int.from_bytes(picture[16:20], "big") for picture in pictures]
    assert widths[2] > 2.5 * widths[0], "the still is as the slider left it"
    for words in ("page that is black", "film of three", "page as wide"):
        assert re.search(f"Figure: A [a-z ]*{words}", text), words
    (tmp_path / "page.html").write_text(text, "utf-8")
    with chromium.browser() as browser:
        page = browser.new_page()
        page.route(re.compile("^http"), lambda route: route.abort())  # MathJax
        page.goto((tmp_path / "page.html").as_uri())
        shown = page.locator("img").evaluate_all("all => all.map(one => one.naturalWidth)")
        assert shown == widths
        told = page.get_by_text("Figure: A")
        assert told.count() == 3
        assert all(told.nth(i).is_visible() for i in range(3))


STALE = re.compile(
    r"written so far|(?:to|will) be written|not (?:yet )?written|coming soon|more follow"
    r"|under construction|in preparation|\bplanned\b|\b(?:TODO|FIXME|TBD|XXX)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("source", LESSONS + PROJECTS + UNITS, ids=name)
def test_nothing_is_promised_for_later(source):
    """Words that were true while the course was being written."""
    text = source.read_text("utf-8").replace("todo", "")  # the function
    assert not STALE.findall(" ".join(text.split()))


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
    assert f"lessons/{source.stem}.ipynb" in notebook.cells[0].source, "the link to Colab"
    if number != "00":
        printed = "".join(
            o.get("text", "") for c in notebook.cells for o in c.get("outputs", [])
        )
        assert f"Claim {number} · " in printed
        assert "FAILS" not in printed


@pytest.mark.parametrize("source", LESSONS + UNITS, ids=name)
def test_no_picture_comes_from_afar(source):
    """A page is whole where there is no network."""
    kind = source.parent.name
    text = text_of(build.notebook(source, kind))
    assert "[Open in Colab](https://colab.research.google.com/github/" in text
    assert not re.search(r"!\[[^]]*\]\(http|<img[^>]*src=.http", text)


@pytest.mark.parametrize("source", UNITS, ids=name)
def test_a_units_minutes_are_those_of_its_exercises(source):
    head, *rest = (c.source for c in build.notebook(source, "exercises").cells)
    told = int(re.search(r"(\d+) minutes", head)[1])  # pyright: ignore[reportOptionalSubscript]
    parts = re.findall(r"^\*.*difficulty .*?(\d+) minutes", "\n".join(rest), re.M)
    assert len(parts) == sum(n.startswith(f"{int(source.stem[:2])}.") for n in BLANKS)
    assert abs(told - sum(map(int, parts))) <= 5


@pytest.mark.parametrize("source", UNITS, ids=name)
def test_shipped_exercises_have_no_outputs(source):
    notebook = nbformat.read(build.ROOT / f"exercises/{source.stem}.ipynb", as_version=4)
    for cell in notebook.cells:
        assert not cell.get("outputs"), cell.id
        assert cell.get("execution_count") is None, cell.id


def grade(folder: Path, *paths: Path | str) -> tuple[dict[str, str], int, str]:
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
    rows = re.findall(r"^[✓✗○?!] (\d+\.\d+) +(\D+?)  +\d\d_", done.stdout, re.M)
    failed = re.search(r"(\d+) failed", done.stdout)
    return dict(rows), int(failed[1]) if failed else 0, done.stdout + done.stderr


@pytest.mark.parametrize("source", UNITS, ids=name)
def test_as_shipped_exactly_the_checks_fail(source):
    scope = {"__name__": "__main__"}
    for cell in build.notebook(source, "exercises").cells:
        if cell.cell_type != "code":
            continue
        with pytest.raises(NotFilledIn) if is_check(cell) else contextlib.nullcontext():
            exec(cell.source, scope)


def is_check(cell) -> bool:
    return any(tag.startswith("check-") for tag in cell.metadata.get("tags", []))


def test_the_board_counts_what_is_shipped():
    pages = [build.ROOT / f"exercises/{s.stem}.ipynb" for s in UNITS[1:3]]
    numbers = {n for n in BLANKS if n[:2] in ("1.", "2.")}
    board, failed, printed = grade(build.ROOT / "exercises", *pages)
    assert set(board) == numbers, printed
    assert set(board.values()) == {"not filled in"}
    assert failed == len(numbers)
    assert f"0 of {len(numbers)} solved" in printed
    assert printed.rindex("FAILED ") < printed.index("score board"), "the board is last"


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
    notebook = unit_two(**{f"e2_{n[2:]}": right(n) for n in TWO})
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
        **dict.fromkeys(TWO[4:], "solved"),
    }, printed
    assert failed == 3


def test_strangers_and_ruins_are_told_of(folder):
    """Jupyter's own names, other people's notes, and files that hold no notebook."""
    save(unit_two(e2_1=right("2.1")), folder)
    whole = (build.ROOT / "exercises/03_discrete_bound.ipynb").read_text("utf-8")
    (folder / "03_discrete_bound.ipynb").write_text(whole[:3000], "utf-8")
    (folder / "04_predictions.ipynb").write_text("")
    (folder / "Untitled.ipynb").write_text("")
    (folder / "2024-notes.ipynb").write_text(whole, "utf-8")
    (folder / "99_mine.ipynb").write_text(whole, "utf-8")
    board, _, printed = grade(folder)
    assert "INTERNALERROR" not in printed
    numbers = [n for n in sorted(BLANKS) if n[:2] in ("2.", "3.", "4.")]
    assert sorted(board) == numbers, printed
    for number in numbers:
        own = "solved" if number == "2.1" else "not filled in"
        assert board[number] == (own if number[0] == "2" else "not run"), printed
    for page in ("03_discrete_bound", "04_predictions"):
        assert f"{page}.ipynb: could not be run: it is not a notebook" in printed
    for page in ("Untitled", "2024-notes", "99_mine"):
        assert f"{page}.ipynb: it is no notebook of the course" in printed


def test_another_kernels_name_is_no_matter(folder):
    notebook = unit_two(e2_1=right("2.1"))
    notebook.metadata.kernelspec.name = "my-env"
    save(notebook, folder)
    board, _, printed = grade(folder)
    assert board.pop("2.1") == "solved", printed
    assert set(board.values()) == {"not filled in"}
    assert sorted(board) == TWO[1:]
    assert "saved with the kernel 'my-env', and run with this Python" in printed


@pytest.mark.timeout(300)
def test_a_kernels_death_is_no_wait(folder):
    """nbval would wait 2000 s for an answer."""
    deadly = "def diffuse(x, eps, gamma):\n    import os\n    os._exit(1)"
    save(unit_two(e2_1=right("2.1"), e2_2=deadly, e2_3=right("2.3")), folder)
    board, _, printed = grade(folder)
    expected = dict.fromkeys(TWO, "not run") | {"2.1": "solved"}
    assert board == expected, printed
    assert "its kernel died in the cell that begins with 'check(\"2.2\")'" in printed


@pytest.mark.timeout(300)
def test_a_slow_cell_is_alone_in_its_failure(folder):
    endless = "def diffuse(x, eps, gamma):\n    while True:\n        pass"
    path = save(unit_two(e2_1=right("2.1"), e2_2=endless, e2_3=right("2.3")), folder)
    board, _, printed = grade(folder, "--nbval-cell-timeout=20", path)
    rest = dict.fromkeys(TWO, "not filled in")
    assert board == rest | {"2.1": "solved", "2.2": "not right yet", "2.3": "solved"}, printed


def test_what_was_not_reached_is_counted(folder):
    path = save(unit_two(), folder)
    board, _, printed = grade(folder, "--exitfirst", path)
    assert board == dict.fromkeys(TWO, "not run") | {"2.1": "not filled in"}
    assert "pytest stopped before it" in printed


def test_without_the_cells_of_imports_a_check_is_not_run(folder):
    notebook = unit_two()
    notebook.cells = [c for c in notebook.cells if "import check" not in c.source]
    assert len(notebook.cells) == len(unit_two().cells) - 1
    save(notebook, folder)
    board, _, printed = grade(folder)
    assert set(board.values()) == {"not run"}, printed
    assert "its cells of imports" in printed


def test_a_home_made_check_persuades_nobody(folder):
    notebook = unit_two()
    notebook.cells[3].source += "\ndef check(number):\n    print('✓', number)\n"
    save(notebook, folder)
    board, _, printed = grade(folder)
    assert "solved" not in board.values(), printed


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_the_set_up_cell_moves_neither_jax_nor_numpy(tmp_path):
    """On a machine like Colab's, with an older JAX and nothing that holds it there."""
    free = ("PYTHONPATH", "PIP_CONSTRAINT", "VIRTUAL_ENV")
    env = {k: v for k, v in os.environ.items() if k not in free}
    python = tmp_path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def run(*command: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [python, *command], cwd=tmp_path, env=env, capture_output=True, text=True
        )

    venv.create(tmp_path, with_pip=True)
    there = {"jax": "0.7.2", "jaxlib": "0.7.2", "numpy": "2.1.3"}
    pins = [f"{name}=={version}" for name, version in there.items()]
    done = run("-m", "pip", "install", "-q", "scikit-learn", *pins)
    if done.returncode:
        pytest.skip(f"these versions cannot be had here: {done.stderr[-300:]}")
    address = f"git+{build.repository()}"
    cell = build.SETUP.format(repository=build.repository())
    assert address in cell
    (tmp_path / "cell.py").write_text(cell.replace(address, build.ROOT.as_uri()), "utf-8")
    done = run("cell.py")
    assert done.returncode == 0, done.stderr
    assert "vdmlite" in done.stdout
    assert "jax 0.7.2" in done.stdout
    names = list(there)
    code = f"""
from importlib.metadata import version
import constriction, diffrax, matplotlib, skimage, sklearn
print({{name: version(name) for name in {names}}})
import vdmlite.neighbours.ode
"""
    done = run("-W", "ignore", "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(there)
