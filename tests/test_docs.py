"""What the README and its companions say is true."""

import re
from pathlib import Path

import jax
import pytest
import yaml

import vdmlite
from vdmlite.course import build

pytestmark = pytest.mark.course

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]


@pytest.mark.quick
def test_the_readmes_example_agrees_with_the_closed_form(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    before = jax.config.read("jax_enable_x64")
    try:
        scope: dict = {}
        exec(compile(code, "README.md", "exec"), scope)
        assert abs(scope["computed"] - scope["closed_form"]) < 2e-6
        assert abs(scope["computed"] - 0.725801) < 2e-6
    finally:
        jax.config.update("jax_enable_x64", before)
    assert capsys.readouterr().out == "0.72580 nats, in closed form 0.72580\n"


def test_the_table_of_lessons_is_current():
    assert build.with_table(README) == README, "run: python run.py build"


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text("utf-8"))
    for link in links:
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link


@pytest.mark.parametrize("source", build.sources("lessons"), ids=lambda s: s.stem)
def test_lessons_mention_files_that_exist(source):
    text = source.read_text("utf-8")
    for file in re.findall(r"`(\w+)\.py`", text.split("\n\n")[0]):
        found = [*ROOT.glob(f"vdmlite/{file}.py"), *ROOT.glob(f"vdmlite/*/{file}.py")]
        assert found, file
    for page in re.findall(r"`(exercises/\d\d_\w+\.ipynb)`", text):
        assert (ROOT / page).exists(), page


def test_the_citation_is_whole():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == build_version()
    assert citation["references"][0]["title"] == "Variational Diffusion Models"
    assert citation["repository-code"] == build.repository()


def build_version() -> str:
    found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    assert found
    return found[1]


NOTATION = {
    "SNR": "snr",
    "α": "alpha",
    "σ": "sigma",
    "q(z_t | x)": "marginal",
    "q(z_t | z_s)": "transition",
    "q(z_s | z_t, x)": "posterior",
    "prior": "prior_loss",
    "reconstruction": "reconstruction_loss",
    "L_T": "discrete_diffusion_loss",
    "L_∞": "continuous_diffusion_loss",
    "VLB": "vlb",
    "BPD": "bits_per_dim",
}


@pytest.mark.parametrize("word", NOTATION)
def test_the_papers_words_have_their_names(word):
    assert callable(getattr(vdmlite, NOTATION[word]))


def test_the_workflow_reads_only_and_pins_its_actions():
    text = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    uses = re.findall(r"uses: (\S+)", text)
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action), action
    assert "persist-credentials: false" in text
    assert "pull_request_target" not in text
    assert "github.event" not in text
