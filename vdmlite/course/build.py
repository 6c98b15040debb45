"""Build the notebooks from their sources: `python run.py build [names …]`.

    lessons/NN_name.py   ──►  lessons/NN_name.ipynb      executed, and so project_name.py
    solutions/NN_name.py ─┬►  solutions/NN_name.ipynb    executed
                          ├►  exercises/NN_name.ipynb    blanks in place of the solutions
                          └►  vdmlite/course/units/unitNN.py

Sources are Python in jupytext's percent format. In a solution, a cell tagged with the
number of an exercise ("2.1") holds the function to write; what stands between
`### BEGIN SOLUTION the words for the blank` and `### END SOLUTION` becomes a blank.
Cells tagged "author" register the exercise and are in no notebook; cells tagged "imports"
are in the notebooks and in the unit.
"""

import ast
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from ..files import whole_file
from .checkout import ROOT
from .exercise import check_source

READABLE = ("text/plain", "image/png")
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"

SETUP = """\
# Set-up: on Colab or another new machine this installs vdmlite; elsewhere it is there already.
from importlib.util import find_spec

if find_spec("vdmlite") is None:
    import subprocess
    import sys
    from importlib.metadata import distributions

    source = "vdmlite[codec,data,ode,plot] @ git+{repository}"
    # The versions that are here stay: another jax might not find Colab's GPU.
    kept = ("jax", "jaxlib", "numpy")
    pins = {{f"{{d.name}}=={{d.version}}" for d in distributions() if d.name in kept}}
    command = [sys.executable, "-m", "pip", "install", "-q", source, *pins]
    if subprocess.run(command).returncode:
        raise SystemExit("vdmlite was not installed: is there a network? Run this cell again.")

from vdmlite.course import setup

setup()"""


def repository() -> str:
    """Return the address that links and the set-up cell point to, from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return project["project"]["urls"]["Repository"]


def sources(folder: str) -> list[Path]:
    """Return the sources in a folder, in order."""
    return sorted((ROOT / folder).glob("[0-9][0-9]_*.py"))


def projects() -> list[Path]:
    """Return the sources of the projects’ starter notebooks, which stand with the lessons."""
    return sorted((ROOT / "lessons").glob("project_*.py"))


def cells_of(source: Path) -> list[NotebookNode]:
    """Return the cells of a source, each with its tags in `metadata.tags`."""
    cells = jupytext.reads(source.read_text("utf-8"), fmt="py:percent").cells
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags})
    return cells


def number_of(cell: NotebookNode) -> str:
    """Return the number of the exercise that a cell holds, or an empty string."""
    numbers = [t for t in cell.metadata.tags if re.fullmatch(r"\d+\.\d+", t)]
    return numbers[0] if numbers else ""


def solved(text: str) -> str:
    """Return a solution cell without the author's marks."""
    return "\n".join(line for line in text.splitlines() if not line.strip().startswith("### "))


def blanked(text: str, number: str, *, only: int | None = None) -> str:
    """Return a solution cell with its blanks open: all of them, or only one."""
    out, block, what, count = [], [], "", 0
    for line in text.splitlines():
        mark = line.strip()
        if mark.startswith(BEGIN):
            what, block = mark.removeprefix(BEGIN).strip(), []
        elif mark == END:
            if only in (None, count):
                out.append(_blank(block, number, what))
            else:
                out.extend(block)
            what, count = "", count + 1
        elif what:
            block.append(line)
        else:
            out.append(line)
    if not count or what:
        raise ValueError(f"exercise {number}: no blank, or one without {END}")
    return "\n".join(out)


def count_blanks(text: str) -> int:
    """Return how many blanks a solution cell has."""
    return text.count(BEGIN)


def _blank(block: list[str], number: str, what: str) -> str:
    """Return the line that stands for a block, by the block's last statement."""
    code = textwrap.dedent("\n".join(block))
    last = ast.parse(code).body[-1]
    indent = block[0][: len(block[0]) - len(block[0].lstrip())]
    call = f'todo("{number}", "{what}")'
    if isinstance(last, ast.Return):
        return f"{indent}return {call}"
    if isinstance(last, ast.Assign) and len(last.targets) == 1:
        return f"{indent}{ast.unparse(last.targets[0]).strip('()')} = {call}"
    raise ValueError(f"exercise {number}: a blank ends with a return or an assignment")


def notebook(source: Path, kind: str) -> NotebookNode:
    """Return the notebook that a source builds, without outputs.

    `kind` is the folder it is for: "lessons", "solutions" or "exercises".
    """
    title, *rest = cells_of(source)
    path = f"{kind}/{source.stem}.ipynb"
    slug = repository().removeprefix("https://github.com/")
    # Words, not Colab's badge: a picture from afar is broken where there is no network.
    colab = f"[Open in Colab](https://colab.research.google.com/github/{slug}/blob/main/{path})"
    first = new_markdown_cell(f"{title.source}\n\n{colab}", metadata=title.metadata)
    setup = new_code_cell(SETUP.format(repository=repository()), metadata={"tags": ["setup"]})
    cells = [first, setup]
    for cell in rest:
        cells.extend(_for_kind(cell, kind))
    for index, cell in enumerate(cells):
        checks = [t for t in cell.metadata.tags if t.startswith("check-")]
        cell.id = checks[0].replace(".", "-") if checks else f"{source.stem[:2]}-{index:02d}"
    built = new_notebook(cells=cells)
    built.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    return built


def _for_kind(cell: NotebookNode, kind: str) -> Iterator[NotebookNode]:
    if "author" in cell.metadata.tags:
        return
    number = number_of(cell)
    if not number:
        yield cell
        return
    text = blanked(cell.source, number) if kind == "exercises" else solved(cell.source)
    yield new_code_cell(text, metadata=cell.metadata)
    # In a live notebook "Run all" goes on past a check that fails; exercises/conftest.py
    # takes the tag's leniency away from nbval.
    tags = [f"check-{number}", *(["raises-exception"] if kind == "exercises" else [])]
    yield new_code_cell(check_source(number), metadata={"tags": tags})
    if kind == "exercises":
        help_text = f'# hint("{number}")\n# solution("{number}")'
        yield new_code_cell(help_text, metadata={"tags": ["help"]})


def unit(source: Path) -> str:
    """Return the text of the unit module that a solution builds."""
    parts = [f'"""Built from solutions/{source.name}. Do not edit."""']
    for cell in cells_of(source):
        if cell.cell_type == "code" and (
            number_of(cell) or {"author", "imports"} & set(cell.metadata.tags)
        ):
            parts.append(solved(cell.source))
    return "\n\n\n".join(parts) + "\n"


def unit_path(source: Path) -> Path:
    """Return where the unit of a solution lies."""
    return ROOT / f"vdmlite/course/units/unit{source.stem[:2]}.py"


def execute(built: NotebookNode, folder: Path, **environment: str) -> None:
    """Run a notebook in place, in a fresh kernel, and keep only outputs that are safe to read.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    env = {**os.environ, "VDMLITE_STATIC": "1", **environment}
    client = NotebookClient(
        built, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=env, stderr=subprocess.DEVNULL)
    for cell in built.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in map(_readable, cell.outputs) if o]
            cell.metadata.pop("execution", None)


def _readable(output: NotebookNode) -> NotebookNode | None:
    """Drop what is not text or a picture: HTML, scripts, widgets, the error stream."""
    if output.output_type == "stream":
        return output if output.name == "stdout" else None
    if output.output_type in ("display_data", "execute_result"):
        kept = {k: v for k, v in output.data.items() if k in READABLE}
        output.data = nbformat.from_dict(kept)
        return output if set(kept) else None
    return output


def same_cells(built: NotebookNode, path: Path) -> bool:
    """Return whether the committed notebook has the built one's cells, outputs aside."""
    if not path.exists():
        return False
    committed = nbformat.read(path, as_version=4)

    def bare(n: NotebookNode) -> list[tuple]:
        return [
            (c.cell_type, c.id, c.source, list(c.metadata.get("tags", []))) for c in n.cells
        ]

    return bare(built) == bare(committed)


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as file:
        file.write(text.encode())


def lesson_table() -> str:
    """Return the README's table of lessons, from the lessons' own title cells."""
    rows = ["| lesson | time on 2 CPU cores | exercises | open |", "|---|---|---|---|"]
    units = {s.stem for s in sources("solutions")}
    for source in sources("lessons"):
        cell = notebook(source, "lessons").cells[0].source
        title = cell.splitlines()[0].removeprefix("# ")
        time = re.search(r"^\*(.+?) on 2 CPU cores", cell, re.MULTILINE)
        if not time:
            raise ValueError(f"{source.name}: the title cell does not say its time")
        page = f"lessons/{source.stem}.ipynb"
        work = f"[unit](exercises/{source.stem}.ipynb)" if source.stem in units else ""
        colab = cell.splitlines()[-1]
        rows.append(f"| [{title}]({page}) | {time[1].lower()} | {work} | {colab} |")
    return "\n".join(rows)


def with_table(readme: str) -> str:
    """Return the README's text with the table of lessons as it is now."""
    before, mark, rest = readme.partition("<!-- lessons -->\n")
    _, end, after = rest.partition("<!-- /lessons -->")
    if not (mark and end):
        raise ValueError("README.md has no place marked for the table of lessons")
    return before + mark + lesson_table() + "\n" + end + after


def build(names: list[str]) -> None:
    """Build what is stale, or what is named ("03", "03_bound") whether stale or not."""
    readme = ROOT / "README.md"
    write(readme, with_table(readme.read_text("utf-8")))

    def wanted(source: Path) -> bool:
        return not names or any(source.stem.startswith(n) for n in names)

    for source in filter(wanted, sources("solutions")):
        write(unit_path(source), unit(source))
        (ROOT / "exercises").mkdir(exist_ok=True)
        built, path = notebook(source, "exercises"), ROOT / "exercises" / f"{source.stem}.ipynb"
        if names or not same_cells(built, path):
            write(path, nbformat.writes(built) + "\n")
    for kind in ("lessons", "solutions"):
        pages = sources(kind) + (projects() if kind == "lessons" else [])
        for source in filter(wanted, pages):
            built, path = notebook(source, kind), source.with_suffix(".ipynb")
            if names or not same_cells(built, path):
                print(f"running {path.relative_to(ROOT)}", flush=True)
                execute(built, source.parent)
                write(path, nbformat.writes(built) + "\n")


if __name__ == "__main__":
    build(sys.argv[1:])
