"""The command line: `python -m vdmlite download|train|evaluate|sample|compress|…`."""

import argparse
import dataclasses
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .. import (
    AbstractSchedule,
    Estimate,
    Evaluation,
    bits_per_dim,
    data,
    draw,
    evaluate,
    schedule,
)
from . import devices, loop
from .about import about, memory
from .batches import spread
from .datasets import cifar10, imagenet
from .datasets.reading import DEFAULT, folder
from .download import DownloadError
from .log import say, spell_out
from .settings import DATA, RECIPES, Settings, keys_of

SCHEDULES: dict[str, Callable[[float, float], AbstractSchedule]] = {
    "linear": schedule.FixedLinear,
    "karras": schedule.Karras,
    "flow": schedule.FlowMatching,
    "cosine": schedule.Cosine,
    "beta": schedule.BetaLinear,
}
"""The schedules of `evaluate`; they get the ends of γ of the model's own schedule."""

_KNOBS = {
    "width": "number of channels of every block",
    "depth": "number of blocks before the middle; one more follow it",
    "groups": "groups of channels, each normalised by itself",
    "dropout": "share of the activations that is dropped in each block",
}
_SWITCHES = {
    "attention": "attention in the middle (slow on a CPU)",
    "attend_everywhere": "attention after every block as well",
    "bfloat16": "multiply in bfloat16: for GPUs from A100 on, and TPUs; not for a T4",
    "remat": "compute most activations twice: far less memory, a third more time",
    "scan": "compile one block for all: for GPUs and TPUs",
}


def main(words: Sequence[str] | None = None) -> int:
    """Do what the words ask for; return 0, or 2 or 3 after saying what went wrong."""
    spell_out()
    asked = _parser().parse_args(words)
    try:
        asked.do(asked)
    except (ValueError, OSError, ImportError, DownloadError, FloatingPointError) as error:
        print(f"vdmlite: {error}", file=sys.stderr)
        return 3 if isinstance(error, FloatingPointError) else 2
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        words = "too little memory; to train with less: --remat, --bfloat16, --accumulate N"
        print(f"vdmlite: {words}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _start_jax() -> None:
    """Make sure that JAX has a device; keep what it compiles for later runs, but on a CPU.

    JAX itself warns against code that was compiled on another CPU.
    """
    try:
        backend = jax.default_backend()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"JAX finds no device; it was told JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS')}"
        ) from error
    if backend != "cpu":
        with suppress(FileNotFoundError):  # no home: compiled anew each time
            jax.config.update("jax_compilation_cache_dir", str(folder() / "compiled"))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


def _download(asked: argparse.Namespace) -> None:
    train, test = cifar10.fetch_cifar10(asked.folder, source=asked.source)
    say(f"CIFAR-10 is in {train} and {test}")


def _train(asked: argparse.Namespace) -> None:
    machines = asked.coordinator, asked.processes, asked.process
    if asked.distributed or any(word is not None for word in machines):
        devices.start(*machines)
    _start_jax()
    settings = _overridden(RECIPES[asked.recipe], asked)
    images, folder = _images(settings.data, asked), asked.out or Path("runs") / asked.recipe
    if jax.process_index() == 0:
        say(about(settings))
        say(
            f"On {jax.device_count()} × {jax.devices()[0].device_kind}, images: "
            f"{len(images.train)} to train, {len(images.test)} to test ({settings.data}). "
            f"Everything goes to {folder}; the first update waits for the compiler."
        )
    looks = asked.look_every or settings.steps + 1
    pace = loop.Pace(asked.log_every, asked.save_every, looks, asked.save_minutes)
    look = None
    if asked.look_every:
        from .figures import look_at  # only now: matplotlib is an extra

        look = look_at(images, seed=settings.seed)
    loop.run(settings, images, folder, pace=pace, fsdp=asked.fsdp, look=look)


def _evaluate(asked: argparse.Namespace) -> None:
    _start_jax()
    key = keys_of(asked.seed).evaluate
    vdm, settings = loop.load(asked.checkpoint)
    images = _images(asked.data or settings.data, asked).test
    images = spread(images, asked.limit or len(images))
    ends = [float(vdm.schedule(t)) for t in (0.0, 1.0)]
    others = {name: make(*ends) for name, make in SCHEDULES.items()}
    first = asked.schedule or "own"
    schedules: dict[str, AbstractSchedule] = {"own": vdm.schedule, **others}
    names = [first, *(others if asked.invariance else [])]
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
    found = {
        name: evaluate(
            vdm.under(schedules[name]),
            images,
            timesteps=asked.steps,
            draws=asked.draws,
            times=asked.times,
            batch_size=asked.batch_size,
            file=asked.keep and asked.keep / f"{name}.vdm",
            key=key,
        )
        for name in dict.fromkeys(names)
    }
    times = "T → ∞" if asked.steps is None else f"T = {asked.steps}"
    say(f"{len(images)} test images ({asked.data or settings.data}), {times}, in bits/dim")
    say(f"under its {first} schedule" if first == "own" else f"under the {first} schedule")
    for name in ("prior", "reconstruction", "diffusion"):
        say(f"  {name:<16}{_aligned(getattr(found[first].bits, name))}")
    say(f"  {'together':<16}{_aligned(found[first].bits.loss)}")
    if asked.invariance:
        _print_invariance(found, first, vdm.shape, ends)
        say(verdict(_gaps(found, first, vdm.shape), asked.draws, asked.error))


def _print_invariance(
    found: dict[str, Evaluation], first: str, shape: tuple[int, ...], ends: list[float]
) -> None:
    """Print the bound of each schedule, its paired difference to the first, its variance."""
    unit = float(np.prod(shape)) * np.log(2)
    say(
        f"\nThe same model under several schedules, all from γ = {ends[0]:.2f} to {ends[1]:.2f}"
    )
    say(f"  {'':<10}{'bits/dim':>18}{f'less {first}':>20}{'variance':>11}{'ratio':>8}")
    for name, (gap, error) in _gaps(found, first, shape).items():
        one = found[name]
        say(
            f"  {name:<10}{_aligned(one.bits.loss):>18}{gap:>11.4f} ± {error:.4f}"
            f"{one.variance / unit**2:>11.3g}{one.variance / found[first].variance:>8.2f}"
        )


def _gaps(
    found: dict[str, Evaluation], first: str, shape: tuple[int, ...]
) -> dict[str, Estimate]:
    """Return the difference of each bound to the first, in bits/dim."""
    return {
        name: bits_per_dim(one.minus(found[first]).loss, shape) for name, one in found.items()
    }


def verdict(gaps: Mapping[str, tuple[Any, Any]], draws: int, target: float) -> str:
    """Say whether bounds are the same, from the differences to one of them.

    `gaps` are these differences, also that of the one to itself, and their standard errors in
    bits/dim, from the spread of `draws` passes. Bounds are the same if no difference is
    significant, and all are known to `target`. The rounding of float32, about 1e-4 bits/dim,
    is no difference.
    """
    freedom = draws - 1
    scores = {
        name: abs(float(gap)) / math.hypot(error, 1e-4) for name, (gap, error) in gaps.items()
    }
    name = max(scores, key=lambda n: scores[n])
    (gap, error), score = gaps[name], scores[name]
    # Student's t: the chance of such a score between equal bounds, in any of the comparisons.
    tail = jax.scipy.special.betainc(freedom / 2, 0.5, freedom / (freedom + score**2))
    difference = f"{gap:.4f} ± {error:.4f} bits/dim, {score:.1f} standard errors ({name})"
    if (len(gaps) - 1) * float(tail) < 0.001:
        return f"Not the same bound: they differ by {difference}."
    worst = max(error for _, error in gaps.values())
    if worst > target:
        enough = math.ceil(draws * (worst / target) ** 2)
        return (
            f"Inconclusive: the differences are known to ± {worst:.4f} bits/dim only. To know "
            f"them to ± {target:g}, try --draws {enough} or more."
        )
    return f"The same bound: the most significant difference is {difference}."


def _aligned(found: Estimate) -> str:
    return f"{found.mean:9.4f} ± {found.error:.4f}"


def _sample(asked: argparse.Namespace) -> None:
    from .figures import save_figure, sheet

    _start_jax()
    key = keys_of(asked.seed).sample
    vdm, settings = loop.load(asked.checkpoint)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw(vdm, asked.count, steps=asked.steps, key=key)
    levels = getattr(vdm.decoder, "levels", 256)
    save_figure(sheet(drawn, levels, f"{settings.recipe}, {asked.steps} steps"), asked.out)
    say(f"{asked.count} images in {asked.out}")


def _compress(asked: argparse.Namespace) -> None:
    from ..codec.command import compress_file  # only now: constriction is an extra

    _start_jax()
    options = {name: getattr(asked, name) for name in ("model", "steps", "lanes", "force")}
    compress_file(asked.images, asked.out, optimal=asked.grid == "optimal", **options)


def _decompress(asked: argparse.Namespace) -> None:
    from ..codec.command import decompress_file

    _start_jax()
    decompress_file(asked.archive, asked.out, model=asked.model, force=asked.force)


def _info(asked: argparse.Namespace) -> None:
    if str(asked.what) in RECIPES:
        settings = RECIPES[str(asked.what)]
    elif asked.what.exists():
        _, settings = loop.load(asked.what)
    else:
        raise FileNotFoundError(
            f"{asked.what} is no file or folder, nor a recipe, which are {', '.join(RECIPES)}"
        )
    say(about(settings))
    say(memory(settings))


def _images(name: str, asked: argparse.Namespace) -> data.Images:
    if name in ("digits", "patches"):
        return getattr(data, name)()
    if name == "cifar10":
        return cifar10.cifar10(asked.folder)
    if asked.folder is None or asked.variant is None:
        raise ValueError(
            f"{name} is read from files you have: give --folder and --variant, one of "
            f"{', '.join(v.name.lower() for v in imagenet.Variant)}"
        )
    variant = imagenet.Variant[asked.variant.upper()]
    return imagenet.imagenet(asked.folder, int(name[-2:]), variant=variant)


def _overridden(settings: Settings, asked: argparse.Namespace) -> Settings:
    """Return a recipe's settings with those that were asked for."""
    given = {k: v for k, v in vars(asked).items() if v is not None}
    knobs = {k: given[k] for k in (*_KNOBS, *_SWITCHES) if k in given}
    fields = {f.name for f in dataclasses.fields(Settings)} - {"recipe", "knobs"}
    changes = {k: v for k, v in given.items() if k in fields}
    return dataclasses.replace(settings, **changes, knobs={**settings.knobs, **knobs})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vdmlite",
        description="Fetch data; train a variational diffusion model, measure it, sample it.",
        epilog="Two minutes on a laptop: python -m vdmlite train patches --steps 400",
    )
    jobs = parser.add_subparsers(title="jobs", required=True, metavar="JOB")
    _add_download(jobs)
    _add_train(jobs)
    _add_evaluate(jobs)
    _add_sample(jobs)
    _add_compress(jobs)
    _add_decompress(jobs)
    info = _add_job(jobs, "info", "what a recipe or a checkpoint is made of", "info cifar10")
    words = f"a checkpoint, its folder, or one of {', '.join(RECIPES)}"
    info.add_argument("what", type=_path, help=words)
    info.set_defaults(do=_info)
    return parser


def _add_job(jobs: Any, name: str, words: str, example: str) -> argparse.ArgumentParser:
    epilog = f"For example: python -m vdmlite {example}"
    return jobs.add_parser(name, help=words, description=words, epilog=epilog)


def _option(job: Any, flag: str, words: str, without: Any = None, **more: Any) -> None:
    """Add an option, with its default in its help, or with what happens `without` it."""
    shown = more.get("default") if without is None else without
    job.add_argument(flag, help=f"{words} (default: {shown})", **more)


def _switch(job: Any, flag: str, words: str) -> None:
    _option(job, flag, words, "no", action="store_true")


def _count(word: str) -> int:
    """Read a number that is at least 1, for argparse."""
    if (number := int(word)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _above_0(word: str) -> float:
    """Read a number above 0, for argparse."""
    if not 0 < (number := float(word)) < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0 and finite, got {number}")
    return number


def _path(word: str) -> Path:
    """Read a path, in which ~ is the home directory, for argparse."""
    try:
        return Path(word).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"there is no home directory for {word}") from error


def _png(word: str) -> Path:
    """Read the path of a PNG file, for argparse."""
    if not word.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"only PNG is written: must end in .png, got {word}")
    return _path(word)


def _add_folder(job: argparse.ArgumentParser) -> None:
    _option(job, "--folder", "where data is", DEFAULT, type=_path)
    names = [v.name.lower() for v in imagenet.Variant]
    words = (
        f"ImageNet: which downsampling your files are; the paper's numbers are on {names[0]}"
    )
    _option(job, "--variant", words, "none; ImageNet needs it", choices=names)


def _add_download(jobs: Any) -> None:
    words = "fetch CIFAR-10, checked, and decode it once"
    job = _add_job(jobs, "download", words, "download cifar10")
    job.add_argument("name", choices=["cifar10"])
    _option(job, "--folder", "where to", DEFAULT, type=_path)
    _option(job, "--source", "files you have", "download them", type=_path)
    job.set_defaults(do=_download)


def _add_train(jobs: Any) -> None:
    job = jobs.add_parser(
        "train",
        help="train a recipe, or go on with it",
        description="Train a recipe. Called again with the same --out, it goes on from the "
        "newest checkpoint, exactly. Ctrl-C, SIGTERM and a lost connection save first.",
        epilog="Several GPUs of one machine are used without any option. On SLURM: srun python "
        "-m vdmlite train cifar10 --distributed. By hand, on each machine: --coordinator "
        "HOST:PORT --processes N --process I.",
    )
    job.add_argument("recipe", choices=list(RECIPES))
    _option(job, "--out", "the run's folder", "runs/RECIPE", type=_path)
    recipes = "the recipe's"
    settings = job.add_argument_group("settings (those of a recipe: `info RECIPE`)")
    for field in dataclasses.fields(Settings):
        flag, words = "--" + field.name.replace("_", "-"), field.metadata["help"]
        if field.type is bool:
            action = argparse.BooleanOptionalAction
            _option(settings, flag, words, recipes, default=None, action=action)
        elif field.name == "data":
            _option(settings, flag, words, recipes, choices=DATA)
        elif field.type in (int, float):
            _option(settings, flag, words, recipes, type=field.type, metavar="N")
    net = job.add_argument_group("the network (see vdmlite.nn.UNet)")
    for name, words in _KNOBS.items():
        kind = float if name == "dropout" else _count
        _option(net, f"--{name}", words, recipes, type=kind, metavar="N")
    for name, words in _SWITCHES.items():
        flag, action = "--" + name.replace("_", "-"), argparse.BooleanOptionalAction
        _option(net, flag, words, recipes, default=None, action=action)
    pace = job.add_argument_group("pace, in updates but for minutes")
    for name, kind, default, words in (
        ("log", _count, 50, "a line for the log"),
        ("save", _count, 1000, "a checkpoint; the newest three are kept"),
        ("look", int, 5000, "figures, and the bound on test images; 0 for never"),
    ):
        _option(pace, f"--{name}-every", words, default=default, type=kind, metavar="N")
    words = "a checkpoint as well after so many minutes"
    _option(pace, "--save-minutes", words, default=10.0, type=_above_0, metavar="N")
    many = job.add_argument_group("devices")
    _switch(many, "--fsdp", "divide the weights over the devices as well")
    _switch(many, "--distributed", "join a cluster that JAX knows")
    one = "one process"
    _option(many, "--coordinator", "the first machine", one, metavar="HOST:PORT")
    _option(many, "--processes", "number of processes of the run", one, type=int, metavar="N")
    _option(many, "--process", "number of this process, from 0", one, type=int, metavar="I")
    _add_folder(job)
    job.set_defaults(do=_train)


def _add_evaluate(jobs: Any) -> None:
    words = "the bound on the test images, with its error"
    job = _add_job(jobs, "evaluate", words, "evaluate runs/patches --invariance")
    job.add_argument("checkpoint", type=_path, help="a checkpoint, or a run's folder")
    _option(job, "--steps", "T, the number of reverse steps", "T → ∞", type=_count)
    words = "another schedule between the same ends"
    _option(job, "--schedule", words, "the model's own", choices=list(SCHEDULES))
    _switch(job, "--invariance", "compare the bound under all these schedules, with a verdict")
    words = "standard error in bits/dim that the verdict needs"
    _option(job, "--error", words, default=0.01, type=_above_0)
    words = "keep the draws there; an interrupted command goes on from them"
    _option(job, "--keep", words, "draws are not kept", type=_path, metavar="FOLDER")
    _option(job, "--draws", "passes over the images", default=8, type=_count)
    _option(job, "--times", "draws of t for each image in a pass", default=1, type=_count)
    _option(job, "--limit", "only so many images, from all over the set", "all", type=_count)
    _option(
        job, "--batch-size", "images at a time; it changes no result", default=128, type=_count
    )
    _option(job, "--data", "other images", "those it was trained on", choices=DATA)
    _option(job, "--seed", "seed of the times and the noise", default=0, type=int)
    _add_folder(job)
    job.set_defaults(do=_evaluate)


def _add_sample(jobs: Any) -> None:
    job = _add_job(jobs, "sample", "draw images", "sample runs/patches --steps 100")
    job.add_argument("checkpoint", type=_path, help="a checkpoint, or a run's folder")
    _option(job, "--steps", "reverse steps", default=250, type=_count)
    _option(job, "--count", "images", default=16, type=_count)
    _option(job, "--seed", "another one draws other images", default=0, type=int)
    _option(job, "--out", "a PNG file", default=Path("samples.png"), type=_png)
    job.set_defaults(do=_sample)


def _add_compress(jobs: Any) -> None:
    example = "compress images.npy --model digits -o images.vdmz"
    job = _add_job(
        jobs, "compress", "compress images without loss, by a model's bound", example
    )
    words = "a .npy file of integers (n, height, width, channels), or a folder of PNG or WebP"
    job.add_argument("images", type=_path, help=words)
    _add_files(job, "the compressed file")
    _option(
        job, "--steps", "T, the number of steps that the bound is of", default=64, type=_count
    )
    words = "noise levels: even, or those that make the bound least"
    _option(job, "--grid", words, default="even", choices=["even", "optimal"])
    words = "images side by side; more are faster, and each lane borrows its first bits"
    _option(job, "--lanes", words, "one for each 100 images", type=_count)
    job.set_defaults(do=_compress)


def _add_decompress(jobs: Any) -> None:
    example = "decompress images.vdmz --model digits -o images.npy"
    job = _add_job(jobs, "decompress", "restore what was compressed, bit for bit", example)
    job.add_argument("archive", type=_path, help="what `compress` wrote")
    _add_files(job, "a .npy file")
    job.set_defaults(do=_decompress)


def _add_files(job: argparse.ArgumentParser, out: str) -> None:
    words = "digits or patches, which are shipped, a run's folder, or a checkpoint"
    job.add_argument("--model", required=True, help=words)
    job.add_argument("-o", "--out", required=True, type=_path, help=out)
    _switch(job, "--force", "replace an older file")
