"""The package's shape: floors, sizes, names, and classes that are abstract or final."""

import ast
import importlib
import inspect
import re
import types
from pathlib import Path

import oracles
import pytest

import vdmlite

pytestmark = pytest.mark.once

ROOT = Path(vdmlite.__file__).parent
BESIDE = ("course",)
FILES = sorted(p for p in ROOT.rglob("*.py") if p.relative_to(ROOT).parts[0] not in BESIDE)
ENGINE = [p for p in FILES if p.relative_to(ROOT).parts[0] in ("engine", "__main__.py")]
NEIGHBOURS = [p for p in FILES if p.relative_to(ROOT).parts[0] == "neighbours"]
CODEC = [p for p in FILES if p.relative_to(ROOT).parts[0] == "codec"]
NETWORKS = [p for p in FILES if p.relative_to(ROOT).parts[0] == "nn"]
CORE = [p for p in FILES if p not in ENGINE + NEIGHBOURS + CODEC]
PICTURES = ROOT / "viz.py"  # for lessons; nothing in the core imports it
FLOORS = {
    **dict.fromkeys(["_types", "extras", "files"], 0),
    **dict.fromkeys(["gaussian", "schedule", "storage", "nn.fourier"], 1),
    **dict.fromkeys(["process", "data", "nn.mlp", "nn.conv"], 2),
    **dict.fromkeys(["prediction", "decoder", "nn.unet"], 3),
    **dict.fromkeys(["denoiser", "nn"], 4),
    "model": 5,
    **dict.fromkeys(["bound", "sampling", "viz"], 6),
    **dict.fromkeys(["evaluation", "gradient", "recipes"], 7),
    **dict.fromkeys(["curve", "training"], 8),
    "": 9,  # __init__, the table of contents
    **dict.fromkeys(
        [
            f"neighbours.{n}"
            for n in (
                "evolution",
                "few_steps",
                "fisher",
                "flow",
                "guidance",
                "langevin",
                "logistic",
                "ode",
                "progressive",
                "weighting",
            )
        ],
        10,
    ),
    "neighbours": 10,
    **dict.fromkeys(
        [f"neighbours.{n}" for n in ("axial", "hierarchy", "learned_loss", "super_resolution")],
        11,
    ),
    "codec.laws": 10,
    "codec.stack": 11,
    "codec.moves": 12,
    "codec.vdm": 13,
    "codec.archive": 14,
    "codec": 15,
    **dict.fromkeys(
        [f"neighbours.{n}" for n in ("axial_code", "bit_swap", "local_bits_back")], 16
    ),
    **dict.fromkeys(["engine.published", "engine.checkpoint", "engine.devices"], 10),
    **dict.fromkeys(["engine.download", "engine.datasets", "engine.datasets.reading"], 10),
    **dict.fromkeys([f"engine.datasets.{n}" for n in ("cifar10", "imagenet")], 11),
    **dict.fromkeys(["engine.settings", "engine.batches", "engine.lock"], 11),
    **dict.fromkeys(["engine.about", "engine.log"], 12),
    **dict.fromkeys(["engine.loop", "engine.figures"], 13),
    "codec.command": 16,
    "engine.cli": 17,
    "engine": 18,
    "__main__": 19,
}
TREES = {p: ast.parse(p.read_text(encoding="utf-8")) for p in FILES}
each_file = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Name every module of the package that a file imports, at any depth of its code."""
    package = ["vdmlite", *path.relative_to(ROOT).parts[:-1]]
    found = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from . import data` names a module, `from .data import ring` does not.
            inner = {f"{base}.{a.name}" for a in node.names}
            names = {module(p) for p in FILES}
            parts = {n for n in inner if n.removeprefix("vdmlite.") in names}
            found |= parts | ({base} if len(parts) < len(inner) else set())
    ours = {n for n in found if n.split(".")[0] == "vdmlite"}
    return {n.removeprefix("vdmlite").removeprefix(".") for n in ours}


def definitions(kinds, files=FILES) -> list:
    return [node for p in files for node in ast.walk(TREES[p]) if isinstance(node, kinds)]


def test_there_is_a_core_to_look_at():
    assert len(CORE) > 15
    assert imports(ROOT / "model.py") >= {
        "_types",
        "decoder",
        "denoiser",
        "process",
        "schedule",
    }
    assert imports(ROOT / "nn" / "mlp.py") == {"_types", "nn.fourier"}


@each_file
def test_a_file_imports_from_lower_floors_only(path):
    assert module(path) in FLOORS, f"give {module(path)} a floor"
    floor = FLOORS[module(path)]
    for name in imports(path):
        if (module(path), name) == ("codec.command", "course"):
            continue  # for the models that are shipped
        assert name.split(".")[0] not in BESIDE, f"{module(path)} imports {name}"
        assert FLOORS[name] < floor, f"{module(path)} (floor {floor}) imports {name}"
        assert path not in ENGINE or "neighbours" not in name, f"{module(path)} imports {name}"
        assert name != "viz" or path in ENGINE, f"{module(path)} imports {name}"


def test_no_floor_is_vacant():
    assert set(FLOORS) == {module(p) for p in FILES}


@pytest.mark.parametrize(
    ("name", "files", "most"),
    [
        ("core", CORE, 2870),
        ("networks", NETWORKS, 550),
        ("engine", ENGINE, 2760),
        ("codec", CODEC, 1200),
        ("systems around it", NEIGHBOURS, 3200),
    ],
)
def test_the_package_is_small(name, files, most):
    beside = NETWORKS if name == "core" else []
    counted = [p for p in files if p != PICTURES and p not in beside]
    lines = sum(len(p.read_text(encoding="utf-8").splitlines()) for p in counted)
    assert lines <= most, f"the {name} has {lines} lines, of at most {most}"


def test_functions_are_short():
    long = [(f.name, f.end_lineno - f.lineno + 1) for f in definitions(Function)]
    assert [(name, n) for name, n in long if n > 50] == []


@each_file
def test_public_names_have_docstrings(path):
    def public(body) -> list:
        nodes = [n for n in body if isinstance(n, Definition) and not n.name.startswith("_")]
        return nodes + [m for n in nodes if isinstance(n, ast.ClassDef) for m in public(n.body)]

    assert ast.get_docstring(TREES[path])
    assert [n.name for n in public(TREES[path].body) if not ast.get_docstring(n)] == []


def test_classes_are_abstract_or_final():
    classes = {c.name: c for c in definitions(ast.ClassDef)}
    for c in classes.values():
        abstract = [
            f.name
            for f in c.body
            if isinstance(f, Function)
            and any(ast.unparse(d).endswith("abstractmethod") for d in f.decorator_list)
        ]
        assert c.name.startswith("Abstract") == bool(abstract), c.name
        for base in map(ast.unparse, c.bases):
            assert base not in classes or base.startswith("Abstract"), f"{c.name}({base})"


def test_no_super_and_no_isinstance_on_our_own_types():
    """What it was given the core asks in one place, `check_kind`, to refuse it."""
    assert "super" not in {ast.unparse(call.func) for call in definitions(ast.Call)}
    classes = {c.name for c in definitions(ast.ClassDef)}
    for call in definitions(ast.Call, CORE):
        name = ast.unparse(call.func)
        if name in ("isinstance", "issubclass"):
            asked = {n.split(".")[-1] for n in re.findall(r"[\w.]+", ast.unparse(call.args[1]))}
            assert not asked & classes, ast.unparse(call)


def test_the_table_of_contents():
    """Every import is `X as X`; no module shares its name with an export."""
    tree = TREES[ROOT / "__init__.py"]
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    for node in nodes:
        for a in node.names:
            assert a.asname == a.name, f"import {a.name} as {a.name}"
            assert hasattr(vdmlite, a.name)
    modules = {p.stem for p in ROOT.iterdir() if p.suffix == ".py"} | {"nn"}
    for name in modules - {"__init__"}:
        assert isinstance(getattr(vdmlite, name, types.ModuleType(name)), types.ModuleType), (
            name
        )


@pytest.mark.parametrize("kind", ["Schedule", "Denoiser", "Decoder"])
def test_every_final_class_is_in_its_registry(kind):
    """What isn't registered isn't tested."""
    names = [f"vdmlite.{module(p)}".rstrip(".") for p in CORE]
    modules = [importlib.import_module(n) for n in names]
    finals = {
        name
        for m in modules
        for name, c in inspect.getmembers(m, inspect.isclass)
        if issubclass(c, getattr(vdmlite, f"Abstract{kind}")) and not inspect.isabstract(c)
        if not name.startswith("_")
    }
    assert finals == set(getattr(oracles, f"{kind.upper()}S"))


def test_every_reading_is_in_its_registry():
    readings = {n for n in vars(vdmlite.prediction) if n.startswith("from_")}  # type: ignore
    assert readings == {f"from_{name}" for name in oracles.READINGS}
