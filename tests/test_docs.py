"""What the README and its companions say is true."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml

import vdmlite
from vdmlite.course import build

pytestmark = pytest.mark.course

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]


def blocks() -> list[str]:
    """Return the README's examples, in order."""
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.quick
def test_the_readmes_example_agrees_with_the_closed_form(capsys):
    code = blocks()[0]
    before = jax.config.read("jax_enable_x64")
    try:
        scope: dict = {}
        exec(compile(code, "README.md", "exec"), scope)
        assert abs(scope["computed"] - scope["closed_form"]) < 2e-6
        assert abs(scope["computed"] - 0.725801) < 2e-6
    finally:
        jax.config.update("jax_enable_x64", before)
    assert capsys.readouterr().out == "0.72580 nats, in closed form 0.72580\n"


def test_the_readmes_examples_of_your_own_data_run(tmp_path, monkeypatch, capsys):
    """As they stand, one after the other, but for the number of updates and steps."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    np.save("images.npy", random.integers(0, 16, (400, 8, 8, 1)))
    np.save("labels.npy", random.integers(0, 10, 400))
    np.save("signals.npy", random.normal(size=(400, 64)).astype(np.float32))
    scope: dict = {}
    for code, shape in zip(blocks()[1:], ((16, 8, 8, 1), (10, 8, 8, 1), (16, 64)), strict=True):
        short = code.replace("range(1000)", "range(2)").replace("steps=100", "steps=2")
        assert short.count("range(2)") == 1
        exec(compile(short, "README.md", "exec"), scope)
        assert scope["drawn"].shape == shape
        assert int(scope["state"].step) == 2
    assert "bits per dimension" in capsys.readouterr().out


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


WORKFLOWS = {p.stem: p.read_text("utf-8") for p in (ROOT / ".github/workflows").glob("*.yml")}


def steps(name: str) -> list[dict]:
    jobs = yaml.safe_load(WORKFLOWS[name])["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_reads_only_and_pins_its_actions(name):
    text = WORKFLOWS[name]
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    actions = [step["uses"] for step in steps(name) if "uses" in step]
    assert actions
    for action in actions:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action), action
        assert re.search(rf"{action} # v\d+\.\d+\.\d+$", text, re.M), action
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    assert "pull_request_target" not in text
    assert "github.event" not in text
    assert "secrets." not in text


def test_ci_looks_at_the_systems_that_the_readme_names():
    (job,) = yaml.safe_load(WORKFLOWS["ci"])["jobs"].values()
    legs = job["strategy"]["matrix"]["include"]
    assert job["runs-on"] == "${{ matrix.system }}"
    assert {leg["system"].split("-")[0] for leg in legs} == {"ubuntu", "macos", "windows"}
    assert "on Linux, macOS or Windows" in README
    assert steps("ci")[-1]["run"] == "python run.py test ${{ matrix.options }}"
    for leg in legs:
        assert re.fullmatch(r"(--quick)?( --versions (newest|colab))?", leg["options"])


def test_a_release_is_attested_and_published_by_another_job_without_a_secret():
    jobs = yaml.safe_load(WORKFLOWS["release"])["jobs"]
    build_job, publish = jobs["build"], jobs["publish"]
    assert build_job["permissions"]["attestations"] == "write"
    assert publish["needs"] == "build"
    assert publish["environment"] == "pypi"
    assert publish["permissions"] == {"id-token": "write"}
    assert not any("run" in step for step in publish["steps"])
    used = [step["uses"].split("@")[0] for step in steps("release") if "uses" in step]
    assert used.index("actions/attest-build-provenance") < used.index("actions/upload-artifact")
    assert used[-1] == "pypa/gh-action-pypi-publish"


def test_the_site_is_published_by_a_job_that_runs_nothing_of_ours():
    jobs = yaml.safe_load(WORKFLOWS["site"])["jobs"]
    assert {"run": "python run.py site"} in jobs["build"]["steps"]
    assert "permissions" not in jobs["build"]
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["permissions"] == {"pages": "write", "id-token": "write"}
    assert not any("run" in step for step in jobs["publish"]["steps"])
    upload = jobs["build"]["steps"][-1]
    assert upload["with"]["path"] == "build/site/html"


@pytest.mark.parametrize(
    ("tag", "top", "passes"),
    [
        ("v{}", "## [{}] - 2027-01-31", True),
        ("v9.9.9", "## [{}] - 2027-01-31", False),
        ("v{}", "## [{}] - unreleased", False),
        ("v{}", "## [9.9.9] - 2027-01-31", False),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="releases are made under Linux")
def test_a_release_is_refused_unless_tag_version_and_changelog_agree(
    tag, top, passes, tmp_path
):
    (check,) = [s["run"] for s in steps("release") if "GITHUB_REF_NAME" in s.get("run", "")]
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text("utf-8"))
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{top.format(build_version())}\n")
    env = {**os.environ, "GITHUB_REF_NAME": tag.format(build_version())}
    # As GitHub runs it.
    done = subprocess.run(["bash", "-e", "-c", check], cwd=tmp_path, env=env, check=False)
    assert (done.returncode == 0) == passes


def test_the_changelogs_top_section_is_of_this_version():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    top = re.findall(r"^## \[(.+?)\] - (unreleased|\d{4}-\d\d-\d\d)$", text, re.M)[0]
    assert top[0] == build_version()
    assert text.count("\n## ") == text.count("\n## [")


def test_hooks_before_a_commit_are_commands_of_our_own_environment():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    (repo,) = config["repos"]
    assert repo["repo"] == "local"
    assert len({hook["id"] for hook in repo["hooks"]}) == 4
    for hook in repo["hooks"]:
        assert hook["language"] == "system"
        python, dash, module, *words = hook["entry"].split()
        assert (python, dash) == ("python", "-m")
        assert find_spec(module), module
        if module == "pytest":
            file, name = words[-3], words[-1]
            assert f"def test_{name}(" in (ROOT / file).read_text("utf-8")
        elif module == "ruff":
            ask = [sys.executable, "-m", *hook["entry"].split()[2:], "--help"]
            assert subprocess.run(ask, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "source", build.sources("lessons") + build.sources("solutions"), ids=lambda s: s.stem
)
def test_no_word_goes_stale(source):
    """A lesson doesn't tell how far the course has come, nor of lessons that are far off."""
    text = source.read_text("utf-8")
    stale = r"(written|finished|ready) so far|\bplanned\b|coming soon|more follow|to be written"
    assert not re.search(stale, text, re.IGNORECASE)
    last = int(build.sources("lessons")[-1].stem[:2])
    for numbers in re.findall(r"\blessons? (\d\d?)(?:(?:–| to | and )(\d\d))?", text):
        # The next one may be announced.
        assert max(int(n or 0) for n in numbers) <= last + 1, numbers
