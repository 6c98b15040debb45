"""The command line: every job, from training to samples, and a clear line when it can't."""

import argparse
import dataclasses
import errno
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import engine_process as engine
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest

import vdmlite as vdm
from vdmlite import data
from vdmlite.engine import RECIPES, Settings, Variant, about, cli, devices, load, loop
from vdmlite.engine.cli import main
from vdmlite.engine.log import Log, read_log
from vdmlite.engine.settings import keys_of

pytestmark = pytest.mark.once

KEY = jax.random.key(0)
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


JOBS = ("download", "train", "evaluate", "sample", "compress", "decompress", "info")


@pytest.mark.parametrize("name", JOBS)
def test_help_says_what_every_flag_is_and_gives_an_example(name, capsys):
    assert tuple(jobs()) == JOBS
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"python -m vdmlite {name} " in said.split("options:")[1].replace("- ", "-")
    for action in jobs()[name]._actions:
        assert all(flag in said for flag in action.option_strings)
        assert action.help or action.choices
        if action.option_strings and "--help" not in action.option_strings:
            words = str(action.help)
            assert words.count("(default: ") == (not action.required), action.option_strings
            assert f"(default: {action.default})" in words or not action.default


def test_help_of_all_names_the_jobs_and_gives_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(re.search(rf"^    {name}\s+\w", said, re.M) for name in jobs())
    assert "python -m vdmlite train patches --steps 400" in said


def test_every_setting_has_a_flag_that_changes_it(asked):
    words = (
        "--data patches --steps 7 --batch-size 6 --learning-rate 0.5 --warmup 3 --cooldown "
        "--weight-decay 0.1 --ema 0.5 --augment --accumulate 2 --seed 9 --width 64 --depth 2 "
        "--groups 4 --dropout 0.3 --attention --no-attend-everywhere --bfloat16 --remat --scan "
        "--log-every 2 --save-every 3 --look-every 4 --save-minutes 5 --fsdp"
    )
    assert main(["train", "cifar10", *words.split()]) == 0
    ((settings, images, folder), options) = asked[0]
    knobs = {"width": 64, "depth": 2, "groups": 4, "dropout": 0.3, "attention": True}
    knobs |= {"attend_everywhere": False, "bfloat16": True, "remat": True, "scan": True}
    assert settings == Settings(
        *("cifar10", "patches", 7, 6, 0.5, 3, True, 0.1, 0.5, True, 2, 9, knobs)
    )
    assert images.train.shape == (817, 32, 32, 3)
    assert str(folder) == "runs/cifar10"
    assert options.pop("look")
    assert options == {"pace": loop.Pace(2, 3, 4, 5.0), "fsdp": True}


@pytest.mark.parametrize("name", ["digits", "patches"])
def test_without_flags_the_recipe_is_run(name, asked):
    assert main(["train", name, "--look-every", "0"]) == 0
    assert asked[0][0][0] == RECIPES[name]
    assert asked[0][1]["look"] is None
    assert asked[0][1]["pace"].look > RECIPES[name].steps


# From training to samples


def test_training_leaves_a_checkpoint_a_log_and_three_figures(trained):
    assert sorted(p.name for p in trained.iterdir()) == [
        *(".lock", "gamma.png", "log.jsonl", "loss.png", "samples.png", "step_00000002.vdm"),
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
    images = data.digits().test[::9]  # of 360, from all over the set
    found = vdm.evaluate(model, images, draws=3, batch_size=40, key=keys_of(0).evaluate)
    assert "40 test images (digits), T → ∞, in bits/dim\nunder its own schedule" in said
    names = ("prior", "reconstruction", "diffusion", "together")
    for name, expected in zip(names, found.bits, strict=True):
        (line,) = [line for line in said.splitlines() if line.startswith(f"  {name} ")]
        np.testing.assert_allclose(numbers(line), expected, atol=2e-4)
    assert [p.name for p in (tmp_path / "kept").iterdir()] == ["own.vdm"]
    assert main(words) == 0  # from the draws that are kept
    assert capsys.readouterr().out == said


def test_evaluate_under_a_named_schedule_and_with_finitely_many_steps(trained, capsys):
    words = ["evaluate", str(trained), "--limit", "40", "--draws", "2", "--schedule", "cosine"]
    assert main([*words, "--steps", "5"]) == 0
    said = capsys.readouterr().out
    assert "T = 5, in bits/dim\nunder the cosine schedule" in said
    model, _ = load(trained)
    ends = (float(model.schedule(t)) for t in (0.0, 1.0))
    images, key = data.digits().test[::9], keys_of(0).evaluate
    cosine = model.under(vdm.Cosine(*ends))
    found = vdm.evaluate(cosine, images, timesteps=5, draws=2, batch_size=128, key=key)
    expected = float(vdm.bits_per_dim(found.nats.loss.mean, model.shape))
    (line,) = [line for line in said.splitlines() if "together" in line]
    assert abs(numbers(line)[0] - expected) < 2e-4


def test_the_bound_is_the_same_under_five_schedules(trained, capsys):
    """Within 5 standard errors of each paired difference, from 30 passes."""
    words = ["evaluate", str(trained), "--limit", "40", "--draws", "30", "--invariance"]
    assert main(words) == 0
    *table, said = capsys.readouterr().out.split("under several schedules, ")[1].splitlines()
    assert said.startswith("Inconclusive: the differences are known to ± 0.")
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


OWN = {"own": (0.0, 0.0)}
GAPS = {**OWN, "a": (0.002, 0.004), "b": (-0.003, 0.002), "c": (0.0, 0.0)}


@pytest.mark.parametrize(
    ("gaps", "draws", "target", "said"),
    [
        (GAPS, 8, 0.004, "The same bound: .* is -0.0030 ± 0.0020 bits/dim, 1.5 standard err"),
        (GAPS, 8, 0.002, r"Inconclusive: .* to ± 0.0040 bits/dim only. .* --draws 32 or more"),
        ({**OWN, "a": (13.3, 6.0)}, 2, 0.01, "Inconclusive: .* known to ± 6.0000"),
        ({**GAPS, "d": (-0.5, 0.02)}, 30, 0.01, r"Not the same bound: .* by -0.5000 .*\(d\)"),
        (
            {**OWN, "a": (0.05, 0.005)},
            2,
            0.01,
            "The same bound",
        ),  # 10 errors, known from 2 passes
        ({**OWN, "a": (1e-5, 1e-8)}, 30, 0.01, "The same bound"),  # rounding
    ],
)
def test_a_verdict_is_given_only_where_the_errors_allow_one(gaps, draws, target, said):
    assert re.match(said, cli.verdict(gaps, draws, target))


def test_equal_bounds_are_seldom_called_different():
    """In one of a thousand tables; 4000 tables of five schedules and 4 passes, by chance."""
    passes = np.random.default_rng(0).normal(size=(4000, 5, 4))
    wrong = 0
    for table in passes:
        gaps = {str(i): (a.mean(), a.std(ddof=1) / 2) for i, a in enumerate(table)} | OWN
        wrong += cli.verdict(gaps, 4, 10.0).startswith("Not the same")
    assert wrong <= 12  # 4 are expected


def test_who_follows_its_advice_on_draws_comes_to_a_verdict(trained, capsys):
    """Few draws know their own spread badly, for its tails are heavy: it may ask again."""
    words = ["evaluate", str(trained), "--limit", "40", "--invariance", "--error", "0.05"]
    draws, asked, said = 4, 4, ""
    for _ in range(4):
        assert main([*words, "--draws", str(draws)]) == 0
        *_, said = capsys.readouterr().out.splitlines()
        if not said.startswith("Inconclusive"):
            break
        asked = int(said.rpartition("try --draws ")[2].split()[0])
        assert asked > draws
        draws = asked
    assert asked > 4
    assert said.startswith("The same bound: ")


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


def test_a_run_that_was_stopped_before_its_first_look_is_measured_and_drawn_from(
    tmp_path, monkeypatch, capsys
):
    wait = Log.wait

    def stop(*args):
        wait(*args)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Log, "wait", stop)
        words = ["train", "digits", *TINY, "--steps", "9", "--out", str(tmp_path)]
        assert main(words) == 0
    assert "asked to stop: saved at update 1" in capsys.readouterr().out
    assert ["loss" in line for line in read_log(tmp_path)] == [True]
    assert main(["evaluate", str(tmp_path), "--limit", "8", "--draws", "2"]) == 0
    file = tmp_path / "drawn.png"
    words = ["--steps", "2", "--count", "2", "--out", str(file)]
    assert main(["sample", str(tmp_path), *words]) == 0
    assert file.exists()


# What a recipe or a checkpoint is made of


def test_info_counts_the_published_weights_and_makes_none_of_them(capsys, monkeypatch):
    memory = about.memory
    counts = {
        "cifar10": "30,578,181",
        "cifar10_aug": "122,140,677",
        "cifar10_aug_paper": "139,279,877",
        "imagenet32": "122,137,605",
        "imagenet64": "237,603,845",
    }
    before = sum(a.nbytes for a in jax.live_arrays())
    for name, count in counts.items():
        # One of them is enough for the memory, which takes seconds to trace.
        monkeypatch.setattr(cli, "memory", memory if name == "cifar10" else lambda _: "")
        assert main(["info", name]) == 0
        said = capsys.readouterr().out
        assert f", {count} weights (" in said
        assert re.search(rf"batch_size +{RECIPES[name].batch_size}\n", said)
        if name == "cifar10":
            assert re.search(r"the activations of .* [\d,]+ MB, with --remat [\d,]+ MB", said)
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
    "train digits --save-minutes 0": "argument --save-minutes: must be above 0 and finite",
    "train digits --look-every -1": "a pace is in updates, at least 1 each, .* got Pace",
    "train digits --coordinator host:1": "name the coordinator, .* got host:1, None, None",
    "train digits --process 0": "name the coordinator, .* got None, None, 0",
    "train digits --augment": "digits can't be trained on augmented images: its network",
    "train digits --seed 4294967296": "seed must be at least 0 and below 2..32, got 4294967296",
    "train digits --seed -1": "seed must be at least 0 and below 2..32, got -1",
    "evaluate {trained} --seed 4294967296": "seed must be .*, got 4294967296",
    "evaluate {trained} --seed -1": "seed must be .*, got -1",
    "sample {trained} --seed 4294967296": "seed must be .*, got 4294967296",
    "sample {trained} --seed -1": "seed must be .*, got -1",
    "sample {trained} --out a.jpg": "only PNG is written: must end in .png, got a.jpg",
    "sample {trained} --out a": "only PNG is written: must end in .png, got a",
    "evaluate {trained} --error 0": "argument --error: must be above 0 and finite, got 0.0",
    "evaluate {trained} --draws 0": "argument --draws: must be at least 1, got 0",
    "evaluate {trained} --limit 2 --draws 1": "draws must be at least 2, got 1",
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


SETTINGS = ("--augment", "--cooldown", "--no-cooldown", "--accumulate 2", "--warmup 0")
KNOBS = (
    *("--width 16", "--depth 2", "--groups 4", "--dropout 0.1", "--attention"),
    *("--attend-everywhere", "--bfloat16", "--remat", "--scan"),
)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_takes_an_option_or_refuses_it_in_a_sentence(recipe, monkeypatch, capsys):
    """From options to the bound of one image, by shapes: what can't be traced can't be run."""
    monkeypatch.setattr(cli, "_images", lambda *_: data.digits())
    traced = []

    def run(settings, *_, **__):
        image = np.zeros(eqx.filter_eval_shape(settings.model, key=KEY).shape, np.uint8)

        def bound(key):
            model = settings.model(key=key)
            told = model.given(jnp.ones(()) if settings.augment else None)
            return vdm.vlb(told, image, 0.5, key=key)

        eqx.filter_eval_shape(bound, KEY)
        traced.append(settings)

    monkeypatch.setattr(loop, "run", run)
    small = ["train", recipe, "--width", "8", "--depth", "1", "--no-augment"]
    refused = []
    for option in (*SETTINGS, *KNOBS):
        before = len(traced)
        code = main([*small, *option.split()])
        wrong = capsys.readouterr().err.splitlines()
        assert (code, len(wrong), len(traced) - before) in ((0, 0, 1), (2, 1, 0)), option
        refused += [option] * (code == 2)
    of_unet = ["--augment", *KNOBS[2:]]
    assert refused == (of_unet if recipe == "digits" else [])


def test_what_activations_take_is_about_what_xla_holds_for_them():
    """`info` counts what JAX keeps; a CPU's compiler holds half, and 1.2 of it with remat."""
    size = {"width": 16, "depth": 2}
    for remat in (False, True):
        settings = dataclasses.replace(RECIPES["patches"], knobs={**size, "remat": remat})
        arrays, rest = eqx.partition(settings.model(key=KEY), eqx.is_array)

        def update(arrays, images, rest=rest):
            return vdm.training_gradient(eqx.combine(arrays, rest), images, key=KEY)

        jitted = jax.jit(update, compiler_options=devices.compiler_options())
        held = []
        for n in (2, 4):
            lowered = jitted.lower(arrays, jax.ShapeDtypeStruct((n, 32, 32, 3), np.uint8))
            memory: Any = lowered.compile().memory_analysis()
            held.append(memory.temp_size_in_bytes)
        share = about.KEPT_WITH_REMAT if remat else about.KEPT
        ratio = (held[1] - held[0]) / 2 / (share * about.kept_bytes(settings))
        assert 0.7 < ratio < 1.4


# Around it


def process(*words, **environment) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own, in another environment."""
    # As a user has it: nothing was compiled before, and no warning of XLA's is kept back.
    alone = dict.fromkeys(["JAX_COMPILATION_CACHE_DIR", "TF_CPP_MIN_LOG_LEVEL"])
    alone |= {"JAX_PLATFORMS": "cpu"}
    given = {**os.environ, **alone, **environment}
    given = {name: value for name, value in given.items() if value is not None}
    command = [sys.executable, "-m", "vdmlite", *map(str, words)]
    return subprocess.run(command, capture_output=True, env=given, check=False)


FEW = ["--limit", "8", "--draws", "2", "--batch-size", "8"]


@engine.long
def test_no_result_is_lost_where_a_terminal_knows_no_greek(trained):
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = process("evaluate", trained, *FEW, **plain)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "T -> infinity, in bits/dim" in done.stdout.decode("ascii")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_no_result_is_lost_to_an_encoding(encoding, trained, tmp_path, monkeypatch):
    def said(*words):
        kept = io.BytesIO()
        page = io.TextIOWrapper(kept, encoding, write_through=True)
        monkeypatch.setattr(sys, "stdout", page)
        assert main([*map(str, words)]) == 0
        return kept.getvalue().decode(encoding)

    told = said("evaluate", trained, *FEW)
    assert "T -> infinity, in bits/dim" in told
    assert re.search(r"together +\d+\.\d{4} (\+-|±) \d+\.\d{4}\n", told)
    told = said("train", "digits", *TINY, "--steps", 1, "--out", tmp_path)
    assert re.search("images of 8 [x×] 8 [x×] 1", told)


@engine.long
def test_without_a_gpu_that_was_asked_for_one_sentence_says_so(trained):
    for name in ("cuda", "nothing"):
        done = process("sample", trained, JAX_PLATFORMS=name)
        assert done.returncode == 2
        *_, said = done.stderr.decode().splitlines()
        assert said == f"vdmlite: JAX finds no device; it was told JAX_PLATFORMS={name}"
        assert b"Traceback" not in done.stderr


@pytest.fixture
def homeless(monkeypatch):
    """A user without an entry in passwd, as in many containers, and without HOME."""
    pwd = pytest.importorskip("pwd")

    def nobody(*_):
        raise KeyError("uid not found")

    for name in ("HOME", "VDMLITE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(pwd, "getpwnam", nobody)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_only_what_needs_it_is_refused_in_a_sentence(
    trained, capsys, tmp_path, monkeypatch
):
    for name in jobs():
        with pytest.raises(SystemExit) as end:
            main([name, "--help"])
        assert end.value.code == 0
    assert main(["info", "digits"]) == 0
    out = ["--steps", "1", "--count", "1", "--out", str(tmp_path / "a.png")]
    assert main(["sample", str(trained), *out]) == 0
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    cli._start_jax()  # what is compiled is not kept then
    capsys.readouterr()
    for words in (["download", "cifar10"], ["train", "cifar10"]):
        assert main(words) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert said.endswith("no home directory to keep data in: set VDMLITE_DATA to a folder")
    with pytest.raises(SystemExit):
        main(["sample", "~/run"])
    assert "there is no home directory for ~/run" in capsys.readouterr().err


def test_the_home_directory_is_known_in_every_path(tmp_path, monkeypatch, asked, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    paths = []
    for name, job in jobs().items():
        for action in job._actions:
            for read, end in ((cli._path, ""), (cli._png, ".png")):
                if action.type is not read:
                    continue
                assert read("~/r" + end) == tmp_path / f"r{end}"
                paths.append((name, action.dest))
            assert action.type is not Path
    assert len(paths) == 14
    assert main(["train", "digits", "--out=~/r"]) == 0
    assert asked[0][0][2] == tmp_path / "r"
    (tmp_path / "r").mkdir()
    assert main(["info", "~/r"]) == 2
    assert f"there are no checkpoints in {tmp_path / 'r'}" in capsys.readouterr().err


def test_a_full_disk_is_told_with_the_name_of_the_file(trained, tmp_path, capsys, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    sampled = ["sample", str(trained), "--steps", "1", "--count", "1"]
    measured = ["evaluate", str(trained), "--limit", "4", "--draws", "2", "--batch-size", "4"]
    for words, file in (
        ([*sampled, "--out", str(tmp_path / "a.png")], tmp_path / "a.png"),
        ([*measured, "--keep", str(tmp_path)], tmp_path / "own.vdm"),
    ):
        assert main(words) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith("vdmlite: [Errno 28] ")
        assert said.endswith(f"No space left on device: {str(file)!r}")


def test_too_little_memory_and_control_c_end_without_a_traceback(monkeypatch, capsys):
    for error, code, said in (
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"), 2, "too little memo"),
        (KeyboardInterrupt(), 130, ""),
    ):

        def run(*_, error=error, **__):
            raise error

        monkeypatch.setattr(loop, "run", run)
        assert main(["train", "digits"]) == code
        assert said in capsys.readouterr().err


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
    cli._start_jax()
    folder = changes.get("jax_compilation_cache_dir")
    assert folder == (None if backend == "cpu" else str(empty / "compiled"))


@pytest.mark.parametrize("variant", Variant)
def test_imagenet_is_read_as_the_variant_and_size_that_were_named(variant, monkeypatch, asked):
    read = []

    def imagenet(*args, **kwargs):
        read.append((args, kwargs))
        return data.patches()

    monkeypatch.setattr(cli.imagenet, "imagenet", imagenet)
    words = ["--folder", "there", "--variant", variant.name.lower()]
    assert main(["train", "imagenet64", *words]) == 0
    (((folder, size), kwargs),) = read
    assert (str(folder), size, kwargs) == ("there", 64, {"variant": variant})
    assert asked[0][0][0] == RECIPES["imagenet64"]
