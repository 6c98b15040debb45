"""Gather the site's sources: pages of `docs/`, notebooks, and what is made from their words.

    docs/*.md                 ─┐
    lessons/, exercises/       ├►  build/site/source  ──►  build/site/html
    README, CHANGELOG          │
    the package's docstrings  ─┘

A line such as `<!-- routes -->` in a page of `docs/` stands for what a function here makes.
"""

import copy
import html
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import numpy.typing as npt
from course import (
    PARTS,
    ROOT,
    Lesson,
    Notebook,
    lessons,
    nearest,
    needed,
    projects,
    repository,
    units,
    weeks,
)
from course import text as text_of
from package import GROUPS, Module, as_rest, exports, modules

from vdmlite import data, process

DOCS = ROOT / "docs"
SOURCE = ROOT / "build/site/source"
LAST_CELLS = re.compile(r"\n*\[Open in Colab\]\(\S+\)\s*$")
FIGURES = {"02_forward_process": ("slider(", "gamma.html")}
"""Figures to play with, for a notebook's page: the code that draws the still one, the file."""
WEEKEND = 5
"""The lesson that a weekend leads to: a model of real data, and its bits per dimension."""
COMPRESSION = 14
"""The lesson that the way to compression leads to, and on from."""


def gather() -> Path:
    """Write all sources. A file that is as it was stays untouched: little is built anew."""
    every, work, starters = lessons(), units(), projects()
    shown = (*every.values(), *work.values(), *starters)
    pages = {f"{n.place}.ipynb": page(n, every, work) for n in shown}
    pages |= {"lessons/index.md": lesson_index(every, work, starters)}
    pages |= {"exercises/index.md": exercise_index(work)}
    pages |= api(every)
    pages |= {"changelog.md": of_repository((ROOT / "CHANGELOG.md").read_text("utf-8"))}
    made = {
        "routes": lambda: routes(every),
        "prerequisites": lambda: graph(every),
        "six weeks": lambda: syllabus(up_to(every, "Part II"), 6),
        "twelve weeks": lambda: syllabus(every, 12),
        "claims": lambda: claims(every),
        "figure: gamma": lambda: raw(figure("gamma.html")),
        "figure: draw": lambda: raw(figure("draw.html")),
        "README: Two commands": lambda: section("Two commands"),
        "README: The package in a few lines": lambda: section("The package in a few lines"),
        "README: Your own data in ten lines": lambda: section("Your own data in ten lines"),
        "README: Training for real": lambda: section("Training for real"),
        "README: Exercises": lambda: section("Exercises"),
        "README: licence": lambda: section("Contributing, licence, citation"),
    }
    for path in sorted(DOCS.glob("**/*.md")):
        name = path.relative_to(DOCS).as_posix()
        text = filled(path.read_text("utf-8"), made, name)
        # A page that is written in part begins what is made of the rest.
        pages[name] = text + pages.get(name, "")
    files: dict[str, bytes] = {name: text.encode() for name, text in pages.items()}
    files["tour.png"] = (ROOT / ".github/tour.png").read_bytes()
    for name, content in files.items():
        path = SOURCE / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for path in [p for p in SOURCE.rglob("*") if p.is_file()]:
        if path.relative_to(SOURCE).as_posix() not in files:
            path.unlink()
    return SOURCE


def filled(text: str, made: dict[str, Callable[[], str]], name: str) -> str:
    """Return a page with what belongs in its places.

    Raises:
        ValueError: nothing is made for a place.
    """

    def fill(match: re.Match) -> str:
        if match[1] not in made:
            raise ValueError(f"docs/{name}: nothing is made for <!-- {match[1]} -->")
        return made[match[1]]()

    return re.sub(r"(?m)^<!-- (.+) -->$", fill, text)


def section(heading: str) -> str:
    """Return what the README says under a heading, its links made the site's."""
    parts = re.split(r"(?m)^## (.+)\n", (ROOT / "README.md").read_text("utf-8"))
    return of_repository(parts[parts.index(heading) + 1].strip())


def of_repository(text: str) -> str:
    """Return a text whose links to files without a page lead to the repository."""

    def link(match: re.Match) -> str:
        target = match[1]
        if re.match(r"https?:|#|(lessons|exercises)/", target):
            return match[0]
        return f"]({repository()}/blob/main/{target})"

    return re.sub(r"\]\(([^)\s]+)\)", link, text)


# Notebooks


def page(notebook: Notebook, every: dict[int, Lesson], work: dict[int, Notebook]) -> str:
    """Return a notebook as the site shows it: links in place of Colab's, set-up folded."""
    content = copy.deepcopy(notebook.content)
    cells = content["cells"]
    for cell in cells:
        if "setup" in cell["metadata"].get("tags", []):
            cell["metadata"]["tags"].append("hide-input")
        if cell["cell_type"] == "code":
            outputs = map(without_words, cell["outputs"])
            cell["outputs"] = [o for o in outputs if o.get("text") != ""]
    title, _, rest = LAST_CELLS.sub("", notebook.head).partition("\n")
    cells[0]["source"] = f"{title}\n\n{buttons(notebook, every, work)}\n{rest}"
    if notebook.place.startswith("lessons/") and notebook.path.stem in FIGURES:
        code, file = FIGURES[notebook.path.stem]
        (at,) = [i for i, c in enumerate(cells) if code in text_of(c) and c.get("outputs")]
        source = raw(figure(file))
        cell = {"cell_type": "markdown", "id": "figure", "metadata": {}, "source": source}
        cells.insert(at + 1, cell)
    return json.dumps(content, ensure_ascii=False)


def without_words(output: dict) -> dict:
    """Return an output without the words that are printed below a figure: they are in it."""
    if output["output_type"] == "stream":
        lines = "".join(output["text"])
        output = {
            **output,
            "text": re.sub(r"(?m)^Figure: .+\n(?:(?!Figure: ).+\n)*", "", lines),
        }
    return output


def buttons(notebook: Notebook, every: dict[int, Lesson], work: dict[int, Notebook]) -> str:
    """Return the links below a title: Colab, the file, the other notebook of the pair."""
    links = [f"[Open in Colab]({notebook.colab})"]
    links.append(f"{{download}}`Download notebook <../../../../{notebook.place}.ipynb>`")
    if notebook.place.startswith("lessons/"):
        names = [unit.path.name for unit in work.values()]
        if notebook.path.name in names:
            links.append(f"[Exercises](../exercises/{notebook.path.name})")
    else:
        number = notebook.number
        links.append(f"[Lesson {number:02d}](../lessons/{every[number].path.name})")
    return ":::{container} buttons\n" + "\n".join(links) + "\n:::\n"


# Pages of lessons and exercises


def lesson_index(
    every: dict[int, Lesson], work: dict[int, Notebook], starters: list[Notebook]
) -> str:
    """Return a table of lessons for each part, the projects, and the tree of all pages."""
    text = ""
    for part in PARTS.values():
        rows = [lesson for lesson in every.values() if lesson.part == part]
        hours = sum(lesson.minutes for lesson in rows) / 60
        text += f"\n## {part}\n\n{len(rows)} lessons, about {hours:.0f} hours to study.\n\n"
        text += "| lesson | to study | to run | exercises |\n|---|---|---|---|\n"
        for lesson in rows:
            unit = work.get(lesson.number)
            link = f"[unit](../exercises/{unit.path.name})" if unit else ""
            text += f"| [{lesson.title}]({lesson.path.name}) | {lesson.minutes} min "
            text += f"| {lesson.run_time} | {link} |\n"
    text += "\n## Projects\n\nStarters that run as they are, with a rubric each.\n\n"
    text += "".join(f"- [{one.title}]({one.path.name})\n" for one in starters)
    return text + tree([one.path.stem for one in (*every.values(), *starters)])


def exercise_index(work: dict[int, Notebook]) -> str:
    """Return the list of units, each with the line below its title."""
    text = "\n## The units\n\n"
    for unit in work.values():
        (line,) = re.findall(r"(?m)^\*(.+)\*$", unit.head.split("\n\n")[1])
        text += f"- [{unit.title}]({unit.path.name}): {line}\n"
    return text + tree([unit.path.stem for unit in work.values()])


def tree(names: list[str], caption: str = "") -> str:
    """Return the directive that makes pages the children of this one."""
    title = f":caption: {caption}\n" if caption else ""
    return "\n```{toctree}\n:hidden:\n" + title + "\n" + "\n".join(names) + "\n```\n"


def graph(every: dict[int, Lesson]) -> str:
    """Return the lessons as a list, with arcs at its side from what comes before each.

    Each row is a link, so that the graph can be read without seeing it, and on a telephone.
    """
    numbers, height, x = list(every), 44, 78
    rows, arcs = "", ""
    for i, (number, lesson) in enumerate(every.items()):
        y = height * i + height / 2
        before = nearest(number, every)
        for n in before:
            start = height * numbers.index(n) + height / 2
            reach = min(70, 12 * (i - numbers.index(n)) - 6) if i - numbers.index(n) > 1 else 0
            bend = f"C{x - reach * 1.33:.0f} {start:.0f} {x - reach * 1.33:.0f} {y:.0f}"
            arcs += f'<path d="M{x} {start:.0f}{bend} {x} {y:.0f}"/>'
        arcs += f'<circle cx="{x}" cy="{y:.0f}" r="6"/>'
        words = ", ".join(f"{n:02d}" for n in before)
        after = f"after {words}" if words else "to begin with"
        rows += (
            f'<li><a href="{lesson.path.stem}.html">{html.escape(lesson.title)}</a>'
            f" <span>{after} · {lesson.minutes} min</span></li>"
        )
    size = f'width="92" height="{height * len(every)}"'
    return raw(
        f'<div class="graph"><svg {size} aria-hidden="true">{arcs}</svg><ol>{rows}</ol></div>'
    )


def routes(every: dict[int, Lesson]) -> str:
    """Return three ways through the course, each with its lessons and its hours."""
    after = [n for n in every if COMPRESSION in needed(n, every)]
    paths = {
        "A weekend": (
            needed(WEEKEND, every),
            "From latent variables to a diffusion model of handwritten digits, and its bits.",
        ),
        "Compression": (
            set().union(*(needed(n, every) for n in after)),
            "What makes a model of images a lossless code, and other models that are one.",
        ),
        "Everything": (
            set(every),
            "From the first latent to the systems around the model.",
        ),
    }
    cards = ""
    for name, (numbers, words) in paths.items():
        links = " ".join(link(every[n]) for n in sorted(numbers))
        hours = sum(every[n].minutes for n in numbers) / 60
        cards += f":::{{grid-item-card}} {name}\n{words}\n\n{links}\n\n"
        cards += f"{len(numbers)} lessons, about {hours:.0f} hours.\n:::\n"
    return f"::::{{grid}} 1 1 3 3\n:gutter: 3\n\n{cards}::::"


def link(lesson: Lesson) -> str:
    """Return a link to a lesson, its number alone."""
    return f"[{lesson.number:02d}](lessons/{lesson.path.name})"


# Figures to play with


def figure(file: str) -> str:
    """Return the HTML of a figure, its still picture drawn: the state that it begins in."""
    key = jax.random.key(2)
    text = (DOCS / "figures" / file).read_text("utf-8")
    if "<!-- moons -->" in text:
        x = np.round(data.sample(data.moons(), 300, key=key), 3)
        words = (
            "Scatter plot of the two moons: two arms that noise makes wide until they merge."
        )
        return text.replace("<!-- moons -->", scatter(x, -2.0, words, key))
    points = data.ring(8)
    ring = np.asarray(points.means) * 1.5
    x = np.round(1.5 * data.sample(points, 150, key=key), 3)
    words = (
        "Eight squares in a ring, the data, and 150 dots that gather around them from noise."
    )
    return text.replace("<!-- ring -->", scatter(x, -2.8, words, key, ring))


def scatter(
    x: np.ndarray, gamma: float, words: str, key: jax.Array, squares: npt.ArrayLike = ()
) -> str:
    """Return a picture of points at a noise level; each dot knows where it came from."""
    z = process.alpha(gamma) * x + process.sigma(gamma) * jax.random.normal(key, x.shape)
    shapes = [
        f'<circle r=".04" cx="{z0:.3f}" cy="{-z1:.3f}" data-x="{x0:g} {x1:g}"/>'
        for (x0, x1), (z0, z1) in zip(x.tolist(), z.tolist(), strict=True)
    ]
    shapes += [
        f'<rect x="{a - 0.07:.3f}" y="{-b - 0.07:.3f}" width=".14" height=".14"/>'
        for a, b in np.reshape(squares, (-1, 2)).tolist()
    ]
    return f'<svg viewBox="-3 -3 6 6" role="img" aria-label="{words}">{"".join(shapes)}</svg>'


def raw(text: str) -> str:
    """Return the directive that puts HTML on a page."""
    return f"```{{raw}} html\n{text.strip()}\n```"


# For lecturers


def up_to(every: dict[int, Lesson], part: str) -> dict[int, Lesson]:
    """Return the lessons of the parts up to one that begins with these words."""
    (last,) = [title for title in PARTS.values() if title.startswith(f"{part} ")]
    titles = list(PARTS.values())
    kept = titles[: titles.index(last) + 1]
    return {number: lesson for number, lesson in every.items() if lesson.part in kept}


def syllabus(every: dict[int, Lesson], count: int) -> str:
    """Return a table of weeks of about equal length."""
    rows = list(every.values())
    begins = [*weeks([lesson.minutes for lesson in rows], count), len(rows)]
    text = "| week | lessons | to study |\n|---|---|---|\n"
    for week, (low, high) in enumerate(itertools.pairwise(begins), 1):
        links = "; ".join(f"[{n.title}](lessons/{n.path.name})" for n in rows[low:high])
        hours = sum(lesson.minutes for lesson in rows[low:high]) / 60
        text += f"| {week} | {links} | {hours:.1f} hours |\n"
    return text


def claims(every: dict[int, Lesson]) -> str:
    """Return the table of all claims: what was measured here, and what is demanded anywhere."""
    text = "| lesson | claim | here | must be |\n|---|---|---|---|\n"
    for lesson in every.values():
        for words, number, mark in lesson.claims():
            plain = re.sub(r"([|*_$`\\])", r"\\\1", words)
            text += f"| {link(lesson)} | {plain} | {number} | {mark} |\n"
    return text


# The API reference


def api(every: dict[int, Lesson]) -> dict[str, str]:
    """Return a page for each module, and the table of them."""
    pages, table, known = {}, "", modules(every)
    shown = {new: old for old, new in exports().items()}
    first: dict[str, Lesson] = {}
    for lesson in every.values():
        for name in lesson.calls():
            first.setdefault(exports().get(name, name), lesson)
    for group, title in GROUPS.items():
        rows = [module for module in known if module.group == group]
        table += f"\n## {title}\n\n| module | what is in it | lessons |\n|---|---|---|\n"
        for module in rows:
            pages[f"api/{module.name}.rst"] = module_page(module, every, shown, first)
            links = " ".join(
                f"[{n.number:02d}](../lessons/{n.path.name})" for n in module.lessons(every)
            )
            words = re.sub(r"([|*_$\\])", r"\\\1", module.first_line)
            table += f"| [{module.name}]({module.name}.rst) | {words} | {links} |\n"
        table += tree([module.name for module in rows], title)
    return pages | {"api/index.md": table}


def module_page(
    module: Module, every: dict[int, Lesson], shown: dict[str, str], first: dict[str, Lesson]
) -> str:
    """Return the page of a module: every public name, in the order of the file."""
    name = module.name
    text = f"{name}\n{'=' * len(name)}\n\n"
    links = [f":doc:`/lessons/{n.path.stem}`" for n in module.lessons(every)]
    if links:
        text += f"*Built in* {', '.join(links)}\n\n"
    text += f".. automodule:: {name}\n   :no-members:\n\n.. currentmodule:: {name}\n\n"
    for own, kind in module.kinds().items():
        if own.startswith("_"):
            continue
        full = f"{name}.{own}"
        if kind == "data":
            value, words = module.data(own)
            text += f".. py:data:: {full}\n"
            text += f"   :value: {value}\n" if len(value) < 88 else ""
            text += "\n" + indented(as_rest(words))
        else:
            text += f".. auto{kind}:: {full}\n"
        if kind == "class":
            members = ", ".join(module.members(own))
            text += f"   :members: {members}\n" if members else ""
            text += "   :special-members: __call__\n   :member-order: bysource\n"
        notes = [f"a kind of `{base}`" for base in module.kin(own)] if kind == "class" else []
        notes += [f"also `{shown[full]}`"] if full in shown else []
        notes += [f"first in :doc:`/lessons/{first[full].path.stem}`"] if full in first else []
        if notes:
            line = "; ".join(notes)
            text += f"\n   .. rst-class:: notes\n\n   {line[0].upper()}{line[1:]}\n"
        text += "\n"
    return text


def indented(text: str) -> str:
    """Return a text that belongs to a directive."""
    return "".join(f"   {line}\n" if line else "\n" for line in text.splitlines())
