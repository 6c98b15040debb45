"""run.py, and the files that say what to install: they agree."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.course

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def run():
    spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def split(requirement: str) -> tuple[str, str]:
    """The name, and the bound without spaces."""
    bare = requirement.split(";")[0].strip()
    found = re.match(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)$", bare)
    assert found, requirement
    return found[1].lower(), found[2].replace(" ", "")


def wanted(*extras: str) -> dict[str, str]:
    lists = [
        project()["dependencies"],
        *(project()["optional-dependencies"][e] for e in extras),
    ]
    pairs = dict(split(r) for one in lists for r in one)
    pairs.pop("vdmlite", None)
    return pairs


def test_conda_has_the_same_bounds():
    """environment.yml and pyproject.toml agree (conda's matplotlib-base is without Qt)."""
    conda = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    names = dict(split(d) for d in conda["dependencies"] if isinstance(d, str))
    assert names.pop("python").startswith(project()["requires-python"])
    names.pop("pip")
    names["matplotlib"] = names.pop("matplotlib-base")
    assert names == wanted("data", "ode", "lessons", "dev")
    assert conda["channels"] == ["conda-forge", "nodefaults"]


def pins(name: str) -> list[tuple[str, str]]:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return [split(line) for line in lines if line and not line.startswith("#")]


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version))


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-colab.txt"])
def test_pins_meet_the_bounds(name):
    bounds = wanted("data", "lessons", "codec", "dev")
    pinned = pins(name)
    if name == "constraints.txt":
        assert set(bounds) <= {package for package, _ in pinned}
    for package, pin in pinned:
        assert pin.startswith("=="), package
        if package in bounds:
            low, *others = bounds[package].split(",")
            assert numbers(pin) >= numbers(low.removeprefix(">=")), package
            assert all(pin[2:] != other.removeprefix("!=") for other in others), package


def test_bounds_have_no_ceiling():
    bounds = wanted("data", "lessons", "codec", "dev")
    for package, bound in bounds.items():
        assert "<" not in bound, package
        assert "~" not in bound, package
    assert bounds["jax"] == bounds["jaxlib"] == ">=0.7.2,!=0.10.2"


def test_no_file_names_a_registry():
    for name in ("constraints.txt", "constraints-colab.txt", "pyproject.toml", "run.py"):
        text = (ROOT / name).read_text("utf-8")
        assert "index-url" not in text, name
        assert "find-links" not in text, name


def test_versions_become_pins(run):
    assert run.requirements("locked") == ["-c", "constraints.txt"]
    assert run.requirements("colab") == ["-c", "constraints-colab.txt"]
    assert run.requirements("newest") == ["--upgrade"]
    assert run.requirements("0.10.1") == ["jax==0.10.1", "jaxlib==0.10.1"]
    assert run.constraint_files(run.requirements("colab")) == ["constraints-colab.txt"]
    assert run.constraint_files(run.requirements("newest")) == []


def test_this_python_is_found(run):
    version = ".".join(map(str, sys.version_info[:2]))
    assert run.interpreter("") == sys.executable
    assert run.ask(run.interpreter(version), "import sys; print(sys.version_info[1])") == str(
        sys.version_info[1]
    )


def test_a_python_that_is_not_there_is_named(run):
    with pytest.raises(SystemExit, match=r"no Python 3\.99"):
        run.interpreter("3.99")


def test_an_unknown_lesson_is_named(run):
    with pytest.raises(SystemExit, match="no lesson 77"):
        run.lab(sys.executable, ["77"])
    lessons = [sys.executable, "-m", "vdmlite.course.lessons", "77"]
    done = subprocess.run(lessons, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no lesson 77" in done.stdout


@pytest.mark.parametrize("words", [["fly"], ["test", "03"], ["--speed", "9"]])
def test_a_bad_command_line_is_explained(words):
    command = [sys.executable, "run.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert words[-1] in done.stderr
    assert "usage" in done.stderr


def test_help_names_every_job():
    command = [sys.executable, "run.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    for job in ("tour", "lab", "lessons", "test", "build", "benchmark"):
        assert job in done.stdout


def test_ci_runs_the_readmes_command():
    script = (ROOT / ".ci/run").read_text("utf-8")
    assert "python3 run.py test ||" in script
    assert "python run.py test" in (ROOT / "README.md").read_text("utf-8")
