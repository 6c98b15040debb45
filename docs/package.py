"""What there is to document: the package's modules in reading order, from their own text."""

import ast
import inspect
import re
import textwrap
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from course import ROOT, Lesson

PACKAGE = ROOT / "vdmlite"
GROUPS = {
    "": "The core",
    "nn": "Networks",
    "codec": "Lossless compression",
    "neighbours": "Systems around the model",
    "engine": "The engine of long runs",
    "engine.datasets": "Data sets of the engine",
    "course": "What notebooks need",
}
"""The folders of the package in reading order, and what is in them."""
WORDS = PACKAGE / "_types.py"
"""The words that signatures are written in: to be read, and imported by no one."""
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Module:
    """A file of the package, read as text."""

    path: Path

    @property
    def parts(self) -> tuple[str, ...]:
        """The words of its name within the package: none for the package itself."""
        parts = self.path.relative_to(PACKAGE).with_suffix("").parts
        return parts[:-1] if parts[-1] == "__init__" else parts

    @property
    def name(self) -> str:
        """The name that Python imports."""
        return ".".join(("vdmlite", *self.parts))

    @property
    def group(self) -> str:
        """The folder that it lies in, with dots."""
        return ".".join(self.path.relative_to(PACKAGE).parent.parts)

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.path.read_text("utf-8"))

    @property
    def first_line(self) -> str:
        """The docstring's first sentence, or what there is of it on the first line."""
        return (ast.get_docstring(self.tree) or "").splitlines()[0]

    def kinds(self) -> dict[str, str]:
        """Return what is defined here, by name: a function, a class, or data."""
        kinds = {}
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                kinds[node.name] = "function"
            elif isinstance(node, ast.ClassDef):
                kinds[node.name] = "class"
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                # A type variable is a word of signatures, and nothing to use.
                if "TypeVar(" not in ast.unparse(node):
                    kinds |= {t.id: "data" for t in targets if isinstance(t, ast.Name)}
        return kinds

    def public(self) -> list[str]:
        """Return the names that are defined here without an underscore, in order."""
        return [name for name in self.kinds() if not name.startswith("_")]

    def defined(self) -> dict[str, ast.stmt]:
        """Return the definitions by name; those in a class as "Class.name"."""
        found: dict[str, ast.stmt] = {}
        for node in self.tree.body:
            if isinstance(node, Definition):
                found[node.name] = node
            if isinstance(node, ast.ClassDef):
                inner = [n for n in node.body if isinstance(n, Definition)]
                found |= {f"{node.name}.{n.name}": n for n in inner}
        return found

    def members(self, name: str) -> list[str]:
        """Return what a class has of methods, and of fields with a docstring of their own."""
        node = self.defined()[name]
        assert isinstance(node, ast.ClassDef)
        names = []
        for child, below in zip(node.body, [*node.body[1:], ast.Pass()], strict=True):
            if isinstance(child, ast.FunctionDef):
                names.append(child.name)
            if isinstance(child, ast.AnnAssign) and is_text(below):
                names.append(ast.unparse(child.target))
        return [n for n in dict.fromkeys(names) if not n.startswith("_")]

    def kin(self, name: str) -> list[str]:
        """Return the abstract classes that a class says it is one of."""
        node = self.defined()[name]
        assert isinstance(node, ast.ClassDef)
        bases = [re.sub(r"\[.*", "", ast.unparse(base)).split(".")[-1] for base in node.bases]
        return [base for base in bases if base.startswith("Abstract")]

    def data(self, name: str) -> tuple[str, str]:
        """Return the value of what was assigned, and the docstring below it."""
        for node, below in zip(self.tree.body, [*self.tree.body[1:], ast.Pass()], strict=True):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if name in map(ast.unparse, targets):
                    value = ast.unparse(node.value)
                    return value, inspect.cleandoc(text_of(below))
        raise ValueError(f"{self.name} assigns no {name}")

    def imports(self) -> set[str]:
        """Return what this file imports from its own folder, when it is imported itself."""
        near = [n for n in self.tree.body if isinstance(n, ast.ImportFrom) and n.level == 1]
        return {(n.module or "").split(".")[0] for n in near}

    def lessons(self, every: dict[int, Lesson]) -> list[Lesson]:
        """Return the lessons whose first lines name this file, or its folder."""
        file, stem = self.path.relative_to(PACKAGE).as_posix(), self.path.name

        def named(name: str) -> bool:
            return file.startswith(name) if name.endswith("/") else name in (file, stem)

        return [lesson for lesson in every.values() if any(map(named, lesson.files))]


def modules(every: dict[int, Lesson]) -> list[Module]:
    """Return the public modules in reading order.

    Within a folder it is the order that the folder's docstring gives, if it says that it gives
    one. Else it is the lessons', and a file comes after those that it imports.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    # What the wheel leaves out is for authors alone.
    left_out = project["tool"]["hatch"]["build"]["targets"]["wheel"]["exclude"]
    found = []
    for group in GROUPS:
        folder = PACKAGE / group.replace(".", "/")
        files = [p for p in folder.glob("[!_]*.py") if f"vdmlite/{p.name}" not in left_out]
        files = [p for p in files if p.relative_to(ROOT).as_posix() not in left_out]
        files += [WORDS] if folder == PACKAGE else []
        here = {p.stem: Module(p) for p in files}
        told = order(ast.get_docstring(Module(folder / "__init__.py").tree) or "")

        def depth(name: str, here: dict[str, Module] = here) -> int:
            below = here[name].imports() & here.keys()
            return 1 + max((depth(n) for n in below), default=0)

        def place(name: str, here: dict[str, Module] = here, told: list[str] = told) -> tuple:
            where = told.index(name) if name in told else len(told)
            numbers = [lesson.number for lesson in here[name].lessons(every)]
            return (where, min(numbers, default=99), depth(name), name)

        found += [here[name] for name in sorted(here, key=place)]
    folders = {p.parent for p in PACKAGE.rglob("__init__.py")} - {PACKAGE / "course/units"}
    missing = {".".join(p.relative_to(PACKAGE).parts) for p in folders} - GROUPS.keys()
    if missing:
        raise ValueError(f"docs/package.py: give {', '.join(missing)} a place in GROUPS")
    return found


def order(told: str) -> list[str]:
    """Return the modules that a docstring puts in order: a table's first column, or code."""
    after = told.partition("order")[2]
    rows = re.findall(r"(?m)^ {4}((?:\w+, )*\w+) {2,}", after)
    return [*", ".join(rows).split(", "), *re.findall(r"`(\w+)`", after)]


def exports() -> dict[str, str]:
    """Return what the `__init__` files re-export: `vdmlite.VDM` is `vdmlite.model.VDM`."""
    pairs = {}
    for path in PACKAGE.rglob("__init__.py"):
        module = Module(path)
        for node in module.tree.body:
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
                origin = f"{module.name}.{node.module}"
                pairs |= {f"{module.name}.{a.name}": f"{origin}.{a.name}" for a in node.names}
    return pairs


def is_text(node: ast.stmt) -> bool:
    """Return whether a statement is a text alone, as a docstring is."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def text_of(node: ast.stmt) -> str:
    """Return the text of a statement that is one, else an empty one."""
    return str(ast.literal_eval(node.value)) if is_text(node) else ""  # type: ignore


def signature(thing: object, node: ast.stmt) -> tuple[str, str] | None:
    """Return how a thing is called and what it returns, in the words of its source, if any.

    The words `Scalar` and `Float[Array, "*shape"]` say more than the types that they stand for.
    """
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return arguments(node), unquoted(node.returns) if node.returns else ""
    assert isinstance(node, ast.ClassDef)
    assert isinstance(thing, type)
    own = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    if own:
        return arguments(own[0]), ""
    fields = getattr(thing, "__dataclass_fields__", None)
    names = [f.name for f in fields.values() if f.init] if fields else []
    names = names or list(getattr(thing, "_fields", ()))
    told = {}
    for kind in reversed(thing.__mro__):
        if kind.__module__.startswith("vdmlite"):
            (tree,) = ast.parse(inspect.getsource(kind)).body
            told |= {
                ast.unparse(n.target): n
                for n in tree.body  # type: ignore
                if isinstance(n, ast.AnnAssign) and "ClassVar" not in ast.unparse(n.annotation)
            }
    words = [field(told[name]) for name in names if name in told]
    return (f"({', '.join(words)})", "") if words else None


def arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return the arguments of a function, without `self`."""
    words = ast.unparse(node.args)
    return f"({re.sub(r'^(self|cls)(, )?', '', words)})"


def field(node: ast.AnnAssign) -> str:
    """Return a field as an argument: its name, its type, and its default if it has one."""
    value = node.value
    if isinstance(value, ast.Call) and ast.unparse(value.func).endswith("field"):
        value = next((k.value for k in value.keywords if k.arg == "default"), None)
    default = f" = {ast.unparse(value)}" if value else ""
    return f"{ast.unparse(node.target)}: {unquoted(node.annotation)}{default}"


def unquoted(annotation: ast.expr) -> str:
    """Return a type as text, also one that had to be quoted since it was not there yet."""
    quoted = isinstance(annotation, ast.Constant) and isinstance(annotation.value, str)
    return ast.literal_eval(annotation) if quoted else ast.unparse(annotation)


def as_rest(text: str) -> str:
    """Return a docstring in the form that Sphinx reads: to its reader it is Markdown."""
    text = re.sub(r"(?s)(?:^|\n)Raises:\n((?:[ ]{4}.*\n?|\n)+)", raises, text + "\n")
    out: list[str] = []
    for paragraph in re.split(r"\n{2,}", text.rstrip()):
        if paragraph.startswith("    "):
            out.append(".. code-block:: text\n\n" + paragraph)
        elif paragraph.startswith("|"):
            out.append(table(paragraph))
        else:
            out.append(re.sub(r"(`[^`]*`)|([^`]+)", plain, paragraph))
    return "\n\n".join(out)


def plain(match: re.Match) -> str:
    """Return code as it is, and of other text all that would be a mark, but for emphasis."""
    if match[1]:
        return match[1]
    marks = r"(?m)(^\* |(?<![\w*])\*{1,2}[^\s*][^*]*\*{1,2}(?![\w*]))|([*|])"
    return re.sub(marks, lambda m: m[1] or f"\\{m[2]}", match[2])


def raises(match: re.Match) -> str:
    """Return a section of exceptions as a list of fields."""
    fields: list[str] = []
    for line in textwrap.dedent(match[1]).splitlines():
        if line.startswith(" "):
            fields[-1] += f" {line.strip()}"
        elif line:
            kind, _, words = line.partition(": ")
            fields.append(f":raises {kind}: {words}")
    return "\n\n" + "\n".join(fields) + "\n"


def table(text: str) -> str:
    """Return a Markdown table as Sphinx's list of lists."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()
    ]
    out = [".. list-table::", "   :header-rows: 1", ""]
    for row in [rows[0], *rows[2:]]:
        out += [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(row)]
    return "\n".join(out)
