"""What the lessons say of themselves: the site's pages are made of it, and of no list.

A lesson's first cell has its title, its time, what it comes after and the files it builds. The
committed notebooks are read as text; nothing is executed.
"""

import ast
import json
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = {
    0: "Part I · Diffusion, in two dimensions",
    11: "Part II · Images, and their bits",
    15: "Part III · The systems around it",
}
"""The number of each part's first lesson, and the part's title."""


@dataclass(frozen=True)
class Notebook:
    """A committed notebook, and where it lies."""

    path: Path

    @cached_property
    def content(self) -> dict:
        """The notebook as JSON has it."""
        return json.loads(self.path.read_text("utf-8"))

    @property
    def place(self) -> str:
        """Its folder and name, without the ending: what Sphinx calls a document."""
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def number(self) -> int:
        """The number that the file's name begins with."""
        return int(self.path.name[:2])

    @cached_property
    def head(self) -> str:
        """The first cell."""
        return text(self.content["cells"][0])

    @property
    def title(self) -> str:
        """The title, with the number: "02 · The forward process"."""
        return self.head.splitlines()[0].removeprefix("# ")

    @property
    def colab(self) -> str:
        """The address that the first cell ends with."""
        return found(r"\[Open in Colab\]\((\S+)\)", self.head, self)

    def words(self) -> dict[str, str]:
        """Return the words of each figure, by the picture's data."""
        pictures = {}
        for cell in self.content["cells"]:
            for output in cell.get("outputs", []):
                if "image/png" in output.get("data", {}):
                    data = "".join(output["data"]["image/png"])
                    pictures[data] = output["metadata"]["image/png"]["alt"]
        return pictures

    def printed(self) -> str:
        """Return what the cells printed."""
        outputs = [o for cell in self.content["cells"] for o in cell.get("outputs", [])]
        return "\n".join("".join(o.get("text", "")) for o in outputs)


class Lesson(Notebook):
    """A lesson: what its second line says, and what its code calls by name."""

    @cached_property
    def facts(self) -> str:
        """The lines between the title and the idea, as one line."""
        return " ".join(self.head.partition("**The idea.**")[0].split("\n", 1)[1].split())

    @property
    def run_time(self) -> str:
        """How long it runs on two cores, in words."""
        return found(r"\*(.+?) on 2 CPU cores", self.facts, self).lower()

    @property
    def minutes(self) -> int:
        """How long it takes to study."""
        return int(found(r"(\d+) minutes to study", self.facts, self))

    @property
    def after(self) -> list[int]:
        """The lessons that it comes after, none for the first."""
        if "before everything else" in self.facts:
            return []
        numbers = []
        words = found(r"(?i)after lessons? ([\d–, and]*\d)", self.facts, self)
        for low, high in re.findall(r"(\d+)(?:–(\d+))?", words):
            numbers += range(int(low), int(high or low) + 1)
        return numbers

    @property
    def files(self) -> list[str]:
        """The files of the package that it builds or reads, folders with a "/" at their end."""
        words = found(r"files? (`.+`)", self.facts, self)
        return [name.removeprefix("vdmlite/") for name in re.findall(r"`(.+?)`", words)]

    @property
    def part(self) -> str:
        """The title of its part."""
        return PARTS[max(first for first in PARTS if first <= self.number)]

    def claims(self) -> list[tuple[str, str, str]]:
        """Return each claim's words, the number measured, and the mark it had to make."""
        line = rf"^Claim {self.number:02d} · (.+): (\S+) \(pass mark (.+?)\) · holds$"
        return re.findall(line, self.printed(), re.M)

    def calls(self) -> set[str]:
        """Return the package's names that the code uses, such as `vdmlite.process.alpha`."""
        code = [text(c) for c in self.content["cells"] if c["cell_type"] == "code"]
        trees = [ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", cell)) for cell in code]
        nodes = [node for tree in trees for node in ast.walk(tree)]
        known = {}
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vdmlite"):
                known |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
            if isinstance(node, ast.Import):
                ours = [a for a in node.names if a.name.startswith("vdmlite")]
                known |= {
                    a.asname or "vdmlite": a.name if a.asname else "vdmlite" for a in ours
                }
        used = set(known.values())
        for node in nodes:
            if isinstance(node, ast.Attribute):
                first, _, rest = ast.unparse(node).partition(".")
                if first in known:
                    used.add(f"{known[first]}.{rest}")
        return used


def text(cell: dict) -> str:
    """Return a cell's source as one text."""
    return "".join(cell["source"])


def found(pattern: str, where: str, notebook: Notebook) -> str:
    """Return the one group of a pattern.

    Raises:
        ValueError: it does not occur; the notebook is named.
    """
    match = re.search(pattern, where)
    if not match:
        raise ValueError(f"{notebook.path.name}: its first cell has nothing like {pattern}")
    return match[1]


def lessons() -> dict[int, Lesson]:
    """Return all lessons by number, in order."""
    every = map(Lesson, sorted((ROOT / "lessons").glob("[0-9][0-9]_*.ipynb")))
    return {lesson.number: lesson for lesson in every}


def units() -> dict[int, Notebook]:
    """Return all exercise units by number, in order."""
    every = map(Notebook, sorted((ROOT / "exercises").glob("[0-9][0-9]_*.ipynb")))
    return {unit.number: unit for unit in every}


def projects() -> list[Notebook]:
    """Return the starter notebooks of projects, by name."""
    return [Notebook(path) for path in sorted((ROOT / "lessons").glob("project_*.ipynb"))]


def needed(number: int, every: dict[int, Lesson]) -> set[int]:
    """Return a lesson's number and those of all that it stands on."""
    before = [n for n in every[number].after if n in every]
    return {number}.union(*(needed(n, every) for n in before))


def nearest(number: int, every: dict[int, Lesson]) -> list[int]:
    """Return what a lesson comes after, without what another of these comes after itself."""
    before = [n for n in every[number].after if n in every]
    return [n for n in before if not any(n in needed(m, every) for m in before if m != n)]


def weeks(minutes: list[int], count: int) -> list[int]:
    """Return where each of `count` weeks begins, so that the longest is as short as it can be.

    The shortest longest week of the first n lessons in k weeks follows from that of fewer
    lessons in k − 1.
    """
    best: list[list[tuple[int, list[int]]]] = [[(0, [])] * (len(minutes) + 1)]
    best[0][1:] = [(10**9, [])] * len(minutes)
    for _ in range(count):
        row = [(0, [])]
        for n in range(1, len(minutes) + 1):
            ends = [
                (max(best[-1][m][0], sum(minutes[m:n])), [*best[-1][m][1], m]) for m in range(n)
            ]
            row.append(min(ends, key=lambda pair: pair[0]))
        best.append(row)
    return best[-1][-1][1]


def repository() -> str:
    """Return the address of the repository, from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project["urls"]["Repository"]
