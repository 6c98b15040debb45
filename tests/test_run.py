"""run.py, and the files that say what to install: they agree."""

import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import pytest
import yaml

from vdmlite.course import build

pytestmark = pytest.mark.course

ROOT = Path(__file__).parents[1]
EXTRAS = ("plot", "data", "ode", "codec", "lessons", "site", "dev")


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
    """environment.yml and pyproject.toml agree (conda's matplotlib-base is without Qt).

    What pip has to bring there is in the form of a requirements file, where a line is one
    requirement, with no options but `--editable`.
    """
    conda = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    names = dict(split(d) for d in conda["dependencies"] if isinstance(d, str))
    assert names.pop("python").startswith(project()["requires-python"])
    names.pop("pip")
    names["matplotlib"] = names.pop("matplotlib-base")
    (by_pip,) = [d["pip"] for d in conda["dependencies"] if isinstance(d, dict)]
    assert by_pip.pop() == "--editable ."
    names |= dict(map(split, by_pip))
    assert names == wanted(*EXTRAS)
    assert conda["channels"] == ["conda-forge", "nodefaults"]


def test_lessons_and_developers_have_every_extra():
    extras = project()["optional-dependencies"]
    assert set(extras) == set(EXTRAS)
    words = " ".join(re.findall(r"vdmlite\[(.+?)\]", " ".join(extras["lessons"])))
    assert set(re.findall(r"\w+", words)) == {"plot", "data", "ode", "codec"}
    assert "vdmlite[lessons]" in extras["site"]
    assert "vdmlite[site]" in extras["dev"]


def test_notebooks_install_what_lessons_import():
    """On Colab, which has Jupyter itself; its JAX meets our bounds, and so stays."""
    (asked,) = re.findall(r"vdmlite\[(.+?)\] @ git", build.SETUP)
    assert asked.split(",") == ["codec", "data", "ode", "plot"]


def pins(name: str) -> list[tuple[str, str]]:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return [split(line) for line in lines if line and not line.startswith("#")]


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version))


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-colab.txt"])
def test_pins_meet_the_bounds(name):
    bounds = wanted(*EXTRAS)
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
    bounds = wanted(*EXTRAS)
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


@pytest.mark.parametrize(
    "words",
    [
        ["fly"],
        ["test", "03"],
        ["--speed", "9"],
        ["tour", "--", "--port=9"],
        ["lab", "--port=9"],
        ["lab", "03", "--allow-root"],
    ],
)
def test_a_bad_command_line_is_explained(words):
    command = [sys.executable, "run.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert words[-1] in done.stderr
    assert "usage" in done.stderr
    if words[0] == "lab":
        assert "options for Jupyter follow two dashes" in done.stderr


def test_options_for_jupyter_follow_two_dashes(run):
    assert run.split(["lab", "03"]) == (["lab", "03"], [])
    assert run.split(["lab", "--", "-y", "--", "x"]) == (["lab"], ["-y", "--", "x"])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no root")
def test_root_is_told_what_to_do(run, monkeypatch, capfd):
    """Jupyter refuses root, and `lab` says how to go on; anyone else just sees the error."""
    for user, options, told in ((0, [], True), (0, ["--allow-root"], False), (1, [], False)):
        monkeypatch.setattr("os.geteuid", lambda user=user: user)
        monkeypatch.setattr(run, "attend", lambda command: 1)
        assert run.lab(sys.executable, [], options) == 1
        assert ("lab -- --allow-root" in capfd.readouterr().out) == told


@pytest.fixture
def lab(tmp_path):
    """A lab as `run.py` starts it, in a group of processes of its own, and how to ask it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import run, sys; sys.exit(run.lab(sys.executable, ['03'], sys.argv[1:]))"
    options = ["--no-browser", "--allow-root", "-y", "--ServerApp.ip=127.0.0.1"]
    options += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    options += ["--IdentityProvider.token=secret"]
    own = {f"JUPYTER_{k}_DIR": str(tmp_path) for k in ("CONFIG", "DATA", "RUNTIME")}
    log = tmp_path / "log"

    def ask(path: str) -> str:
        query = f"http://127.0.0.1:{port}/{path}?token=secret"
        with urllib.request.urlopen(query, timeout=20) as answer:
            return answer.geturl() if path == "" else answer.read().decode()

    import pty  # not on Windows

    # Jupyter handles ctrl-C itself only where it has a terminal. Elsewhere Python's own
    # KeyboardInterrupt comes, and is lost if the interpreter is collecting garbage just then.
    keyboard, terminal = pty.openpty()
    with log.open("w") as file:
        command = [sys.executable, "-c", code, *options]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **own},
            stdin=terminal,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        for _ in range(120):
            try:
                ask("api")
                break
            except OSError:
                assert process.poll() is None, log.read_text("utf-8")
                time.sleep(0.5)
        yield process, ask, log
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        os.close(keyboard)
        os.close(terminal)


def alive(group: int) -> bool:
    """Return whether a group of processes has any left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("ending", ["ctrl-C", "SIGTERM"])
def test_the_lab_shows_the_course_and_ends_without_noise(lab, ending):
    process, ask, log = lab

    def names(folder: str, kind: str) -> set[str]:
        content = json.loads(ask(f"api/contents/{folder}"))["content"]
        return {entry["name"] for entry in content if entry["type"] == kind}

    assert ask("").split("?")[0].endswith("/lab/tree/lessons/03_discrete_bound.ipynb")
    assert {"lessons", "exercises", "solutions", "vdmlite"} <= names("", "directory")
    for folder in ("lessons", "exercises", "solutions"):
        committed = {path.name for path in (ROOT / folder).glob("*.ipynb")}
        assert names(folder, "notebook") == committed
        assert not any(re.match(r"\d\d_", name) for name in names(folder, "file"))
    # The package is there to be read, as text.
    assert {"process.py", "bound.py"} <= names("vdmlite", "file")
    assert "__pycache__" not in names("vdmlite", "directory")

    if ending == "ctrl-C":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(60)
    code, words = process.poll(), log.read_text("utf-8")
    assert code == 0, words
    assert "Traceback" not in words, words
    # What Jupyter had started may end a moment after it.
    for _ in range(200):
        if not alive(process.pid):
            break
        time.sleep(0.1)
    assert not alive(process.pid)


@pytest.mark.parametrize("alphabet", ["utf-8", "ascii"])
def test_help_names_every_job(alphabet):
    """Also where a pipe would have another alphabet, as on Windows."""
    command, env = [sys.executable, "run.py", "--help"], {"PYTHONIOENCODING": alphabet}
    done = subprocess.run(
        command,
        capture_output=True,
        cwd=ROOT,
        check=True,
        env={**os.environ, **env},
        encoding="utf-8",
    )
    for job in ("tour", "lab", "lessons", "test", "build", "site", "benchmark"):
        assert job in done.stdout


def test_ci_runs_the_readmes_command():
    script = (ROOT / ".ci/run").read_text("utf-8")
    assert "python3 run.py test ||" in script
    assert "python run.py test" in (ROOT / "README.md").read_text("utf-8")
