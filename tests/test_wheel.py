"""The wheel is for users: what is in it, how large it is, and that it works by itself."""

import email
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
FOR_AUTHORS = {f"vdmlite/course/{name}.py" for name in ("build", "lessons", "tour")}
"""They need the repository, so `run.py` alone calls them."""

CODE = """
import sys
from pathlib import Path
import jax, vdmlite, vdmlite.course
from vdmlite.course import checkout, pretrained
from vdmlite.engine.cli import main

assert Path(vdmlite.__file__).is_relative_to(sys.argv[1]), vdmlite.__file__
assert not checkout.is_checkout()
vdmlite.course.setup()
model = pretrained.load("digits")
print("drawn", vdmlite.draw(model, 2, steps=2, key=jax.random.key(0)).shape)
print("refused", pretrained.main(["digits"]))
print("info", main(["info", "digits"]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def names(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def test_it_has_what_a_user_needs_and_no_more(names):
    info = {n for n in names if n.split("/")[0].endswith(".dist-info")}
    tracked = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "vdmlite").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert tracked >= FOR_AUTHORS
    assert names - info == tracked - FOR_AUTHORS
    assert "vdmlite/py.typed" in names
    assert "vdmlite/course/weights/README.md" in names
    assert any(n.endswith("licenses/LICENSE") for n in info)


def test_it_is_small(wheel):
    assert wheel.stat().st_size < 4_200_000


def test_it_asks_for_the_core_alone(wheel, names):
    (path,) = [n for n in names if n.endswith(".dist-info/METADATA")]
    with zipfile.ZipFile(wheel) as file:
        metadata = email.message_from_bytes(file.read(path))
    asked = metadata.get_all("Requires-Dist") or []
    always = {re.split("[^a-z]", a)[0] for a in asked if "extra ==" not in a}
    assert always == {"jax", "jaxlib", "equinox", "optax", "numpy", "jaxtyping", "tqdm"}
    extras = set(metadata.get_all("Provides-Extra") or [])
    assert extras == {"plot", "data", "ode", "codec", "lessons", "site", "dev"}
    assert "Typing :: Typed" in (metadata.get_all("Classifier") or [])


def test_it_works_where_nothing_else_of_the_repository_is(wheel, tmp_path):
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    before = {p: p.stat().st_mtime_ns for p in site.rglob("*") if p.is_file()}
    env = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    env |= {"PYTHONUTF8": "1", "MPLBACKEND": "agg"}
    command = [sys.executable, "-c", CODE, str(site)]
    done = subprocess.run(
        command, cwd=work, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for line in ("drawn (2, 8, 8, 1)", "no copy of the repository", "refused 2", "info 0"):
        assert line in done.stdout
    assert {p: p.stat().st_mtime_ns for p in site.rglob("*") if p.is_file()} == before
    assert list(work.iterdir()) == []
