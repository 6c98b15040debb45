"""The command line: every job, from training to samples, and a clear line when it can't."""

import argparse
import re

import jax
import matplotlib.image
import numpy as np
import pytest

import vdmlite as vdm
from vdmlite import data
from vdmlite.engine import RECIPES, Settings, Variant, cli, datasets, devices, load, loop
from vdmlite.engine.cli import main
from vdmlite.engine.log import read_log

TINY = ["--width", "8", "--depth", "1", "--batch-size", "16"]


@pytest.fixture(scope="module", autouse=True)
def empty(tmp_path_factory):
    """Look for data in a folder of the tests, where there is none."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VDMLITE_DATA", str(folder))
        yield folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of two updates, with a look at its end."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    words = ["--steps", "2", "--log-every", "1", "--look-every", "2", "--out", str(folder)]
    assert main(["train", "digits", *TINY, *words]) == 0
    return folder


@pytest.fixture
def asked(monkeypatch):
    """What `train` would run, without running it."""
    calls = []
    monkeypatch.setattr(loop, "run", lambda *a, **k: calls.append((a, k)))
    return calls


def numbers(line: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e[+-]\d+)?", line)]


# Help


def jobs() -> dict[str, argparse.ArgumentParser]:
    (found,) = [a for a in cli._parser()._actions if isinstance(a.choices, dict)]
    return dict(found.choices or {})


@pytest.mark.parametrize("name", ["download", "train", "evaluate", "sample", "info"])
def test_help_says_what_every_flag_is_and_gives_an_example(name, capsys):
    assert list(jobs()) == ["download", "train", "evaluate", "sample", "info"]
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"python -m vdmlite {name} " in said.split("options:")[1].replace("- ", "-")
    for action in jobs()[name]._actions:
        assert all(flag in said for flag in action.option_strings)
        assert action.help or action.choices


def test_help_of_all_names_the_jobs_and_gives_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(re.search(rf"^    {name} +\w", said, re.M) for name in jobs())
    assert "python -m vdmlite train patches --steps 400" in said


def test_every_setting_has_a_flag_that_changes_it(asked):
    words = (
        "--data patches --steps 7 --batch-size 6 --learning-rate 0.5 --warmup 3 --cooldown "
        "--weight-decay 0.1 --ema 0.5 --augment --accumulate 2 --seed 9 --width 64 --depth 2 "
        "--groups 4 --dropout 0.3 --attention --no-attend-everywhere --half --remat --scan "
        "--log-every 2 --save-every 3 --look-every 4 --fsdp"
    )
    assert main(["train", "cifar10", *words.split()]) == 0
    ((settings, images, folder), options) = asked[0]
    knobs = {"width": 64, "depth": 2, "groups": 4, "dropout": 0.3, "attention": True}
    knobs |= {"attend_everywhere": False, "half": True, "remat": True, "scan": True}
    assert settings == Settings(
        *("cifar10", "patches", 7, 6, 0.5, 3, True, 0.1, 0.5, True, 2, 9, knobs)
    )
    assert images.train.shape == (817, 32, 32, 3)
    assert str(folder) == "runs/cifar10"
    assert options.pop("look")
    assert options == {"pace": loop.Pace(2, 3, 4), "fsdp": True}


@pytest.mark.parametrize("name", ["digits", "patches"])
def test_without_flags_the_recipe_is_run(name, asked):
    assert main(["train", name, "--look-every", "0"]) == 0
    assert asked[0][0][0] == RECIPES[name]
    assert asked[0][1]["look"] is None
    assert asked[0][1]["pace"].look > RECIPES[name].steps


# From training to samples


def test_training_leaves_a_checkpoint_a_log_and_three_figures(trained):
    assert sorted(p.name for p in trained.iterdir()) == [
        *("gamma.png", "log.jsonl", "loss.png", "samples.png", "step_00000002.vdm"),
    ]
    lines = read_log(trained)
    assert [line["step"] for line in lines] == [1, 2, 2]
    assert 2 < lines[-1]["test_loss"] < 6  # chance is log₂ 17 = 4.1
    assert 0 < lines[-1]["test_error"] < 1
    for name in ("gamma", "loss", "samples"):
        pixels = matplotlib.image.imread(trained / f"{name}.png")
        assert pixels[..., :3].std() > 0.01


def test_training_says_what_is_trained_and_when_that_is_done(trained, capsys):
    assert main(["train", "digits", *TINY, "--steps", "2", "--out", str(trained)]) == 0
    said = capsys.readouterr().out
    assert "digits: images of 8 × 8 × 1, 1,403 weights (2 in the schedule)" in said
    assert "1437 to train, 360 to test (digits)" in said
    assert said.endswith("nothing is left to do: the run is at update 2\n")
    words = ["train", "digits", *TINY, "--steps", "2", "--seed", "2", "--out", str(trained)]
    assert main(words) == 2
    assert "holds a run with seed 1, not 2" in capsys.readouterr().err


def test_evaluate_prints_the_terms_and_their_errors(trained, capsys, tmp_path):
    words = ["evaluate", str(trained), "--limit", "40", "--draws", "3", "--batch-size", "40"]
    words += ["--keep", str(tmp_path / "kept")]
    assert main(words) == 0
    said = capsys.readouterr().out
    model, settings = load(trained)
    assert settings.recipe == "digits"
    images = data.digits().test[:40]
    found = vdm.evaluate(model, images, draws=3, batch_size=40, key=jax.random.key(0))
    assert "40 test images (digits), T → ∞, in bits/dim\nunder its own schedule" in said
    each = {name: getattr(found.mean, name) for name in ("prior", "diffusion")}
    each |= {"reconstruction": found.mean.reconstruction, "together": found.mean.loss}
    for name, mean in each.items():
        error = found.loss_error if name == "together" else getattr(found.error, name)
        (line,) = [line for line in said.splitlines() if line.startswith(f"  {name} ")]
        expected = [float(vdm.bits_per_dim(a, model.shape)) for a in (mean, error)]
        np.testing.assert_allclose(numbers(line), expected, atol=2e-4)
    assert [p.name for p in (tmp_path / "kept").iterdir()] == ["own.npz"]
    assert main(words) == 0  # from the draws that are kept
    assert capsys.readouterr().out == said


def test_evaluate_under_a_named_schedule_and_with_finitely_many_steps(trained, capsys):
    words = ["evaluate", str(trained), "--limit", "40", "--draws", "2", "--schedule", "cosine"]
    assert main([*words, "--steps", "5"]) == 0
    said = capsys.readouterr().out
    assert "T = 5, in bits/dim\nunder the cosine schedule" in said
    model, _ = load(trained)
    ends = (float(model.schedule(t)) for t in (0.0, 1.0))
    images, key = data.digits().test[:40], jax.random.key(0)
    cosine = model.under(vdm.Cosine(*ends))
    found = vdm.evaluate(cosine, images, steps=5, draws=2, batch_size=128, key=key)
    expected = float(vdm.bits_per_dim(found.mean.loss, model.shape))
    (line,) = [line for line in said.splitlines() if "together" in line]
    assert abs(numbers(line)[0] - expected) < 2e-4


def test_the_bound_is_the_same_under_five_schedules(trained, capsys):
    """Within 5 standard errors of each paired difference, from 30 passes."""
    words = ["evaluate", str(trained), "--limit", "40", "--draws", "30", "--invariance"]
    assert main(words) == 0
    table = capsys.readouterr().out.split("under several schedules, ")[1].splitlines()
    ends = [float(load(trained)[0].schedule(t)) for t in (0.0, 1.0)]
    np.testing.assert_allclose(numbers(table[0]), ends, atol=0.01)
    rows = {line.split()[0]: numbers(line) for line in table[2:]}
    assert list(rows) == ["own", *cli.SCHEDULES]
    assert len(cli.SCHEDULES) == 5
    own = rows.pop("own")
    assert own[2:] == [0, 0, own[4], 1]
    for name, (bound, error, gap, gap_error, variance, ratio) in rows.items():
        assert abs(gap) <= 5 * gap_error + 1e-4, name
        assert abs(bound - own[0] - gap) < 3e-4
        assert ratio == pytest.approx(variance / own[4], rel=0.02, abs=0.01)
        assert error > 0
    assert rows["beta"][5] > 1.5  # which spends its times elsewhere


def test_sample_draws_as_many_images_as_asked_the_same_for_the_same_seed(
    trained, capsys, tmp_path, monkeypatch
):
    drawn = []
    draw = cli.draw

    def spy(*args, **kwargs):
        drawn.append(draw(*args, **kwargs))
        return drawn[-1]

    monkeypatch.setattr(cli, "draw", spy)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        file = tmp_path / "there" / f"{name}.png"
        words = ["--steps", "3", "--count", "5", "--seed", str(seed), "--out", str(file)]
        assert main(["sample", str(trained), *words]) == 0
        assert capsys.readouterr().out == f"5 images in {file}\n"
        assert matplotlib.image.imread(file).shape == (624, 600, 4)
    assert [a.shape for a in drawn] == [(5, 8, 8, 1)] * 3
    assert 0 <= drawn[0].min() < drawn[0].max() <= 16
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


# What a recipe or a checkpoint is made of


def test_info_counts_the_published_weights_and_makes_none_of_them(capsys):
    counts = {
        "cifar10": "30,578,181",
        "cifar10_aug": "122,140,677",
        "cifar10_aug_paper": "139,279,877",
        "imagenet32": "122,137,605",
        "imagenet64": "237,603,845",
    }
    before = sum(a.nbytes for a in jax.live_arrays())
    for name, count in counts.items():
        assert main(["info", name]) == 0
        said = capsys.readouterr().out
        assert f", {count} weights (" in said
        assert re.search(rf"batch_size +{RECIPES[name].batch_size}\n", said)
    assert sum(a.nbytes for a in jax.live_arrays()) - before < 10_000


def test_info_of_a_checkpoint_is_what_it_was_trained_with(trained, capsys):
    for what in (trained, trained / "step_00000002.vdm"):
        assert main(["info", str(what)]) == 0
        said = capsys.readouterr().out
        assert "digits: images of 8 × 8 × 1, 1,403 weights" in said
        assert "knobs          {'depth': 1, 'width': 8}" in said


# What is wrong


REFUSED = {
    "train digit": "invalid choice: 'digit'",
    "info digit": "digit is no file or folder, nor a recipe, which are digits, patches",
    "evaluate nowhere": "No such file or directory: 'nowhere'",
    "sample nowhere.vdm": "No such file or directory: 'nowhere.vdm'",
    "evaluate {folder}": "there are no checkpoints in {folder}",
    "sample {file}": "{file} is no checkpoint of vdmlite",
    "train cifar10": "there is no CIFAR-10 in {data}. .*python -m vdmlite download cifar10",
    "train imagenet32": "imagenet32 is read from files you have: give --folder and --variant",
    "train imagenet64 --folder {folder}": "give --folder and --variant, one of van_den_oord",
    "train imagenet32 --variant chrabaszcz": "imagenet32 is read from files you have",
    "train imagenet32 --folder {folder} --variant x": "invalid choice: 'x'",
    "download cifar10 --source nowhere": "there is no nowhere",
    "train digits --steps 0": "steps must be at least 1, got 0",
    "train digits --steps few": "argument --steps: invalid int value: 'few'",
    "train digits --learning-rate nan": "learning_rate must be above 0 and finite, got nan",
    "train digits --batch-size 2000": "a batch of 2000 is more than the 1437 images there are",
    "train digits --accumulate 3": "a batch of 128 doesn't fall into 3 equal parts",
    "train digits --dropout 0.1": "digits does not take {{'dropout': 0.1}}",
    "train digits --width 0": "argument --width: must be at least 1, got 0",
    "train patches --width 30": "the width must be a multiple of 4 channels, got 30",
    "train digits --log-every 0": "argument --log-every: must be at least 1, got 0",
    "train digits --look-every -1": "a pace is in updates, at least 1 each, got Pace",
    "train digits --coordinator host:1": "name the coordinator, .* got host:1, None, None",
    "train digits --process 0": "name the coordinator, .* got None, None, 0",
    "evaluate {trained} --draws 0": "argument --draws: must be at least 1, got 0",
    "evaluate {trained} --limit 2 --draws 1": "a standard error needs at least 2 draws",
    "evaluate {trained} --data patches --limit 2": r"has shape \(n, 8, 8, 1\), got \(2, 32",
    "sample {trained} --count 0": "argument --count: must be at least 1, got 0",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_wrong_is_said_in_one_line(
    words, trained, empty, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.vdm").write_text("vdmlite")
    (tmp_path / "folder").mkdir()
    names = {"folder": tmp_path / "folder", "file": tmp_path / "text.vdm"}
    names |= {"trained": trained, "data": empty}
    try:
        code = main(words.format(**names).split())
    except SystemExit as end:  # argparse, which prints the usage above
        code = end.code
    said = capsys.readouterr().err.splitlines()
    assert code == 2
    assert re.search(REFUSED[words].format(**names), said[-1])
    assert said[-1].startswith(("vdmlite: ", "python -m vdmlite "))
    assert len(said) == 1 or said[0].startswith("usage: ")


def test_an_update_that_is_not_finite_ends_with_three(monkeypatch, capsys):
    def run(*_, **__):
        raise FloatingPointError("update 5 was not finite")

    monkeypatch.setattr(loop, "run", run)
    assert main(["train", "digits"]) == 3
    assert capsys.readouterr().err == "vdmlite: update 5 was not finite\n"


# Around it


def test_machines_are_joined_before_anything_is_asked_of_jax(monkeypatch, asked):
    started = []
    monkeypatch.setattr(devices, "start", lambda *given: started.append((given, len(asked))))
    by_hand = ["--coordinator", "host:1", "--processes", "2", "--process", "0"]
    for words in ([], ["--distributed"], by_hand):
        assert main(["train", "digits", *words]) == 0
    assert started == [((None, None, None), 1), (("host:1", 2, 0), 2)]


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_what_is_compiled_is_kept_where_data_is_but_not_of_a_cpu(backend, monkeypatch, empty):
    changes = {}
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(jax.config, "update", changes.__setitem__)
    cli._keep_what_is_compiled()
    folder = changes.get("jax_compilation_cache_dir")
    assert folder == (None if backend == "cpu" else str(empty / "compiled"))


@pytest.mark.parametrize("variant", Variant)
def test_imagenet_is_read_as_the_variant_and_size_that_were_named(variant, monkeypatch, asked):
    read = []

    def imagenet(*args, **kwargs):
        read.append((args, kwargs))
        return data.patches()

    monkeypatch.setattr(datasets, "imagenet", imagenet)
    words = ["--folder", "there", "--variant", variant.name.lower()]
    assert main(["train", "imagenet64", *words]) == 0
    (((folder, size), kwargs),) = read
    assert (str(folder), size, kwargs) == ("there", 64, {"variant": variant})
    assert asked[0][0][0] == RECIPES["imagenet64"]
