"""Run vdmlite's jobs, each in an environment that this file builds first.

    python run.py                 the tour: the course in miniature, on real data
    python run.py lab [03]        JupyterLab, on lesson 00 or the one you name; options for
                                  Jupyter follow two dashes: lab 03 -- --port=9999
    python run.py lessons [03 …]  every lesson, or some, with their claims in a table
    python run.py test [--quick]  lint, types, tests and notebooks; what CI runs
    python run.py build [03 …]    the notebooks, from their sources (for authors)
    python run.py site [--open]   the course as a website, in build/site/html
    python run.py benchmark       speed and variance: tables and a figure, some minutes

Options before or after the job:
    --python 3.13       another interpreter than the one that runs this file
    --versions WHICH    "locked" (constraints.txt, the default), "newest", "colab"
                        (constraints-colab.txt), or a version of jax such as 0.10.1
"""

import argparse
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
WINDOWS = os.name == "nt"
OLDEST = (3, 11)
DOUBLE = "tests in double precision"
SINGLE = ("course", "long", "once")
"""The marks of tests that are the same in any precision."""
FAST_TO_COMPILE = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_use_fusion_emitters=false",
)
"""Tests compile far more than they compute; XLA's share of `test_axial.py` fell from 25.8 to
11.1 s by the last of these alone."""


def main() -> int:
    """Read the command line, prepare the environment, do the job."""
    if sys.version_info < OLDEST:
        print(f"vdmlite needs Python {OLDEST[0]}.{OLDEST[1]} or newer, this is {sys.version}")
        return 2
    # Windows has alphabets without γ for what goes to a file or a pipe.
    os.environ["PYTHONUTF8"] = "1"  # for all that is run from here
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    jobs = ("tour", "lab", "lessons", "test", "build", "site", "benchmark")
    parser.add_argument("job", nargs="?", default="tour", choices=jobs)
    parser.add_argument("names", nargs="*", help="numbers of lessons, such as 03")
    parser.add_argument("--python", default="", metavar="X.Y")
    parser.add_argument("--versions", default="locked", metavar="WHICH")
    parser.add_argument("--quick", action="store_true", help="test: the core alone")
    parser.add_argument("--open", action="store_true", help="site: show it in the browser")
    words, options = split(sys.argv[1:])
    asked, unknown = parser.parse_known_intermixed_args(words)
    if unknown:
        hint = "; options for Jupyter follow two dashes" if asked.job == "lab" else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    if options and asked.job != "lab":
        parser.error(f"{asked.job} passes no options on, got {' '.join(options)}")
    if asked.names and asked.job in ("tour", "test", "site", "benchmark"):
        parser.error(f"{asked.job} takes no names, got {' '.join(asked.names)}")
    if asked.open and asked.job != "site":
        parser.error(f"{asked.job} opens nothing: --open belongs to site")
    os.chdir(ROOT)
    try:
        python = environment(asked.python, asked.versions)
    except subprocess.CalledProcessError as error:
        print(f"the environment could not be built: {error}\nIs there a network? Run it again.")
        return 1
    if asked.job == "test":
        return test(python, quick=asked.quick)
    if asked.job == "benchmark":
        scripts = sorted(ROOT.glob("benchmarks/*.py"))
        return max(subprocess.run([python, script]).returncode for script in scripts)
    if asked.job == "lab":
        return lab(python, asked.names, options)
    if asked.job == "site":
        return attend([python, str(ROOT / "docs/make.py"), *["--open"][: asked.open]])
    return subprocess.run(
        [python, "-m", f"vdmlite.course.{asked.job}", *asked.names]
    ).returncode


def split(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words before two dashes, and those after them."""
    cut = words.index("--") if "--" in words else len(words)
    return words[:cut], words[cut + 1 :]


def environment(version: str, versions: str) -> str:
    """Return the Python of an up-to-date environment, built if need be."""
    base = interpreter(version)
    name = ".venv" if not version and versions == "locked" else f".venv-{version}-{versions}"
    folder = ROOT / name.replace("--", "-")
    python = folder / ("Scripts/python.exe" if WINDOWS else "bin/python")
    pins = requirements(versions)
    texts = [(ROOT / f).read_text("utf-8") for f in ("pyproject.toml", *constraint_files(pins))]
    exact = ask(base, "import sys; print(sys.version)")
    stamp = hashlib.sha256("\n".join([*texts, *pins, exact]).encode()).hexdigest()
    mark = folder / "vdmlite.stamp"
    if python.exists() and mark.exists() and mark.read_text("utf-8") == stamp:
        return str(python)
    print(f"building the environment {folder.name} (once; about 1 GB)", flush=True)
    started = time.monotonic()
    wanted = ["--quiet", "--editable", ".[dev]", *pins]
    uv = shutil.which("uv")
    by_uv = [
        [uv, "venv", "--quiet", "--clear", "--python", base, folder],
        [uv, "pip", "install", "--python", python, *wanted],
    ]
    # pip knows of proxies and indexes that uv does not, such as those of pip.conf.
    if not uv or any(subprocess.run(command).returncode for command in by_uv):
        subprocess.run([base, "-m", "venv", "--clear", folder], check=True)
        install = [python, "-m", "pip", "install", "--disable-pip-version-check"]
        subprocess.run([*install, *wanted], check=True)
    # Written last: an interrupted installation leaves no stamp and is begun anew.
    mark.write_text(stamp, "utf-8")
    print(f"done in {time.monotonic() - started:.0f} s", flush=True)
    return str(python)


def interpreter(version: str) -> str:
    """Return the path of a Python of the version asked for, or of this one."""
    if not version:
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))) / "versions"
    kept = sorted(pyenv.glob(f"{version}.*/bin/python"))
    commands = [[f"python{version}"], ["py", f"-{version}"], [sys.executable]]
    for command in [*commands, *([str(path)] for path in kept)]:
        try:
            found = ask(*command, "import sys; print(*sys.version_info[:2], sep='.')")
            if found == version:
                return ask(*command, "import sys; print(sys.executable)")
        except (OSError, subprocess.CalledProcessError):
            continue
    sys.exit(
        f"no Python {version} was found (looked for python{version}, py -{version}, pyenv)"
    )


def ask(*command_and_code: str) -> str:
    """Return what a Python prints for a line of code."""
    *command, code = command_and_code
    env = {**os.environ, "PYTHONUTF8": "1"}
    output = subprocess.run(
        [*command, "-c", code], check=True, capture_output=True, encoding="utf-8", env=env
    )
    return output.stdout.strip()


def requirements(versions: str) -> list[str]:
    """Return the arguments that pin what is installed."""
    if versions == "locked":
        return ["-c", "constraints.txt"]
    if versions == "colab":
        return ["-c", "constraints-colab.txt"]
    if versions == "newest":
        return ["--upgrade"]
    return [f"jax=={versions}", f"jaxlib=={versions}"]


def constraint_files(pins: list[str]) -> list[str]:
    """Return the files among the arguments that pin."""
    return [p for p in pins if p.endswith(".txt")]


def lab(python: str, names: list[str], options: Sequence[str] = ()) -> int:
    """Open JupyterLab on a lesson, with the whole course beside it."""
    wanted = (names or ["00"])[0]
    found = sorted(ROOT.glob(f"lessons/{wanted}*.ipynb"))
    if not found:
        sys.exit(f"there is no lesson {wanted}")
    page = found[0].relative_to(ROOT).as_posix()
    settings = [
        # A notebook on the command line would make its own folder the root.
        f"--ServerApp.root_dir={ROOT}",
        f"--LabApp.default_url=/lab/tree/{page}",
        # The sources of the notebooks, and what Python leaves behind, are only in the way.
        f"--ContentsManager.hide_globs={['[0-9][0-9]_*.py', 'project_*.py', '__pycache__']}",
    ]
    code = attend([python, "-m", "jupyterlab", *settings, *options])
    root = not WINDOWS and os.geteuid() == 0
    if code and root and "--allow-root" not in options:
        print("You are root, as in many containers: python run.py lab -- --allow-root")
    return code


def attend(command: list[str]) -> int:
    """Run a command that answers ctrl-C itself, and take it along when told to end."""
    child = subprocess.Popen(command)
    # Set only now: a child inherits signals that are ignored, and so would its kernels.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    return child.wait()


def test(python: str, *, quick: bool) -> int:
    """Run every stage of the tests, and print which of them passed."""
    pytest = [python, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile"]
    notebooks = [*pytest, "--nbval-lax", "--nbval-cell-timeout", "600"]
    # Every process would load nbval, and every worker import files of which it runs nothing.
    tests = [*pytest, "-p", "no:nbval"]
    if quick:
        stages = {
            # Other versions warn of other things: that is not for us to mend.
            "tests": [*tests, "-W", "default", "-m", "quick", *marked("quick")],
            "notebooks": [*notebooks, *some("lessons/02*"), *some("solutions/02*")],
        }
    else:
        stages = {
            "lint": [python, "-m", "ruff", "check", "."],
            "format": [python, "-m", "ruff", "format", "--check", "."],
            "spelling": [python, "-m", "codespell_lib", "."],
            "types": [python, "-m", "basedpyright"],
            "tests": [*tests, "tests"],
            DOUBLE: [*tests, "-m", f"not {' and not '.join(SINGLE)}", *not_marked(SINGLE)],
            "notebooks": [*notebooks, "lessons", "solutions"],
        }
    # XLA ends the process at a flag that its version has not.
    fast = [flag for flag in FAST_TO_COMPILE if starts(python, flag)]
    flags = " ".join([os.environ.get("XLA_FLAGS", ""), *fast]).strip()
    smoke = {"VDMLITE_SIZE": "smoke", "VDMLITE_STATIC": "1", "MPLBACKEND": "agg"}
    smoke |= {"XLA_FLAGS": flags, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    smoke |= {"TF_CPP_MIN_LOG_LEVEL": "3"}  # XLA warns whenever code of this machine is loaded
    results = {}
    with tempfile.TemporaryDirectory() as compiled:  # once for all processes of the run
        smoke |= {"JAX_COMPILATION_CACHE_DIR": compiled}
        for name, command in stages.items():
            print(f"\n── {name}", flush=True)
            started = time.monotonic()
            double = {"JAX_ENABLE_X64": "1"} if name == DOUBLE else {}
            code = subprocess.run(command, env={**os.environ, **smoke, **double}).returncode
            results[name] = (code == 0, time.monotonic() - started)
    print()
    for name, (passed, seconds) in results.items():
        print(f"{'passed' if passed else 'FAILED'}  {seconds:5.0f} s  {name}")
    failures = sum(not passed for passed, _ in results.values())
    print(f"stages: {len(results) - failures} passed, {failures} failed")
    return 1 if failures else 0


def starts(python: str, flag: str) -> bool:
    """Return whether JAX starts with a flag of XLA's."""
    env = {**os.environ, "XLA_FLAGS": flag, "JAX_PLATFORMS": "cpu"}
    command = [python, "-c", "import jax; jax.devices()"]
    return not subprocess.run(command, env=env, capture_output=True).returncode


def marked(mark: str) -> list[str]:
    """Return the files of tests that speak of a mark."""
    files = sorted(ROOT.glob("tests/test_*.py"))
    return [str(p) for p in files if f"pytest.mark.{mark}" in p.read_text("utf-8")]


def not_marked(marks: tuple[str, ...]) -> list[str]:
    """Return the files of tests, without those that have one of the marks as a whole."""
    lines = {f"pytestmark = pytest.mark.{mark}" for mark in marks}
    files = sorted(ROOT.glob("tests/test_*.py"))
    return [str(p) for p in files if lines.isdisjoint(p.read_text("utf-8").splitlines())]


def some(pattern: str) -> list[str]:
    """Return the notebooks that match a pattern."""
    return [str(p) for p in sorted(ROOT.glob(pattern + ".ipynb"))]


if __name__ == "__main__":
    sys.exit(main())
