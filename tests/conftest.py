"""Settings of all tests. JAX_ENABLE_X64=1 runs the same suite in float64."""

import importlib.util
import os
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""Check types as they are meant: an int will do for a float."""


def _modules() -> list[str]:
    """Name what is checked at run time: all but `course`, whose `check` reads its caller."""
    spec = importlib.util.find_spec("vdmlite")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    root = Path(spec.submodule_search_locations[0])
    names = {path.stem for path in root.iterdir()} - {"course", "__init__", "__pycache__"}
    return [f"vdmlite.{name}" for name in sorted(names)]


install_import_hook(_modules(), "conftest.checked")  # before vdmlite is imported anywhere

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_configure(config):
    """Make warnings errors here, but not for students, whose versions may warn of anything."""
    config.addinivalue_line("filterwarnings", "error")
    # Processes share what they compile, and one may read what another has half written: then
    # jax compiles it anew.
    half_written = "ignore:Error (reading|writing) persistent compilation cache:UserWarning"
    config.addinivalue_line("filterwarnings", half_written)


@pytest.fixture(scope="module", autouse=True)
def _compiled_for_one_file():
    """Let go of what a file compiled: Linux allows a process 65,530 maps of memory, and XLA
    spends several on every function; past them it aborts (`vm.max_map_count`)."""
    yield
    jax.clear_caches()


@pytest.fixture
def key():
    return jax.random.key(0)


def pytest_terminal_summary(terminalreporter):
    """Count the wrong answers that the checks of the exercises were tried on."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    counts = [count for r in reports for name, count in r.user_properties if name == "mutants"]
    if counts:
        caught, equivalent = map(sum, zip(*counts, strict=True))
        terminalreporter.write_line(
            f"exercises: {caught} small changes of the solutions caught, "
            f"{equivalent} declared to change nothing"
        )
