"""The command line: `python -m vdmlite download|train|evaluate|sample|info`."""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .. import (
    AbstractSchedule,
    BetaLinear,
    Cosine,
    Evaluation,
    FixedLinear,
    FlowMatching,
    Karras,
    bits_per_dim,
    data,
    draw,
    evaluate,
)
from . import datasets, devices, loop
from .download import DownloadError
from .figures import look_at, save_figure, sheet
from .settings import DATA, RECIPES, Settings

SCHEDULES: dict[str, Callable[[float, float], AbstractSchedule]] = {
    "linear": FixedLinear,
    "karras": Karras,
    "flow": FlowMatching,
    "cosine": Cosine,
    "beta": BetaLinear,
}
"""What `evaluate` can put a model under, between the model's own ends of γ."""

_KNOBS = {
    "width": "channels of every block",
    "depth": "blocks to the middle, and one more back",
    "groups": "of channels that are normalised together",
    "dropout": "share of the activations that is dropped in each block",
}
_SWITCHES = {
    "attention": "in the middle (slow on a CPU)",
    "attend_everywhere": "after every block too",
    "half": "multiply in bfloat16: for GPUs from A100 on, and TPUs",
    "remat": "compute activations twice, to store few: a third more time, far less memory",
    "scan": "compile one block for all: for GPUs and TPUs",
}


def main(words: Sequence[str] | None = None) -> int:
    """Do what the words ask for; return 0, or 2 after saying what is wrong with them."""
    asked = _parser().parse_args(words)
    try:
        asked.do(asked)
    except (ValueError, OSError, ImportError, DownloadError) as error:
        print(f"vdmlite: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"vdmlite: {error}", file=sys.stderr)
        return 3
    return 0


def _keep_what_is_compiled() -> None:
    """Let later runs find what this one compiles; a CPU's code JAX itself mistrusts."""
    if jax.default_backend() != "cpu":
        jax.config.update("jax_compilation_cache_dir", str(datasets.folder() / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


def _download(asked: argparse.Namespace) -> None:
    train, test = datasets.fetch_cifar10(asked.folder, source=asked.source)
    print(f"CIFAR-10 is in {train} and {test}")


def _train(asked: argparse.Namespace) -> None:
    machines = asked.coordinator, asked.processes, asked.process
    if asked.distributed or any(word is not None for word in machines):
        devices.start(*machines)
    _keep_what_is_compiled()
    settings = _overridden(RECIPES[asked.recipe], asked)
    images, folder = _images(settings.data, asked), asked.out or Path("runs") / asked.recipe
    if jax.process_index() == 0:
        print(_about(settings))
        print(
            f"On {jax.device_count()} × {jax.devices()[0].device_kind}, images: "
            f"{len(images.train)} to train, {len(images.test)} to test ({settings.data}). "
            f"Everything goes to {folder}; the first update waits for the compiler."
        )
    pace = loop.Pace(asked.log_every, asked.save_every, asked.look_every or settings.steps + 1)
    look = look_at(images) if asked.look_every else None
    loop.run(settings, images, folder, pace=pace, fsdp=asked.fsdp, look=look)


def _evaluate(asked: argparse.Namespace) -> None:
    _keep_what_is_compiled()
    vdm, settings = loop.load(asked.checkpoint)
    images = _images(asked.data or settings.data, asked).test[: asked.limit]
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
            steps=asked.steps,
            draws=asked.draws,
            times=asked.times,
            batch_size=asked.batch_size,
            file=asked.keep and asked.keep / f"{name}.npz",
            key=jax.random.key(asked.seed),
        )
        for name in dict.fromkeys(names)
    }
    times = "T → ∞" if asked.steps is None else f"T = {asked.steps}"
    print(f"{len(images)} test images ({asked.data or settings.data}), {times}, in bits/dim")
    print(f"under its {first} schedule" if first == "own" else f"under the {first} schedule")
    for name in ("prior", "reconstruction", "diffusion"):
        both = getattr(found[first].mean, name), getattr(found[first].error, name)
        mean, error = (float(bits_per_dim(a, vdm.shape)) for a in both)
        print(f"  {name:<16}{mean:9.4f} ± {error:.4f}")
    print(f"  {'together':<16}{_bound(found[first], vdm.shape)}")
    if asked.invariance:
        _print_invariance(found, first, vdm.shape, ends)


def _print_invariance(
    found: dict[str, Evaluation], first: str, shape: tuple[int, ...], ends: list[float]
) -> None:
    """Print the bound of each schedule, its paired difference to the first, its variance."""
    unit = float(np.prod(shape)) * np.log(2)
    print(
        f"\nThe same model under several schedules, all from γ = {ends[0]:.2f} to {ends[1]:.2f}"
    )
    print(f"  {'':<10}{'bits/dim':>18}{f'less {first}':>20}{'variance':>11}{'ratio':>8}")
    for name, one in found.items():
        gap, error = (float(bits_per_dim(a, shape)) for a in one.minus(found[first]))
        print(
            f"  {name:<10}{_bound(one, shape):>18}{gap:>11.4f} ± {error:.4f}"
            f"{one.variance / unit**2:>11.3g}{one.variance / found[first].variance:>8.2f}"
        )


def _bound(found: Evaluation, shape: tuple[int, ...]) -> str:
    mean, error = (float(bits_per_dim(a, shape)) for a in (found.mean.loss, found.loss_error))
    return f"{mean:9.4f} ± {error:.4f}"


def _sample(asked: argparse.Namespace) -> None:
    _keep_what_is_compiled()
    vdm, settings = loop.load(asked.checkpoint)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw(vdm, asked.count, steps=asked.steps, key=jax.random.key(asked.seed))
    levels = getattr(vdm.decoder, "levels", 256)
    save_figure(sheet(drawn, levels, f"{settings.recipe}, {asked.steps} steps"), asked.out)
    print(f"{asked.count} images in {asked.out}")


def _info(asked: argparse.Namespace) -> None:
    if asked.what in RECIPES:
        settings = RECIPES[asked.what]
    elif Path(asked.what).exists():
        _, settings = loop.load(asked.what)
    else:
        raise FileNotFoundError(
            f"{asked.what} is no file or folder, nor a recipe, which are {', '.join(RECIPES)}"
        )
    print(_about(settings))


def _about(settings: Settings) -> str:
    """Describe a run: its model, its settings."""
    vdm = eqx.filter_eval_shape(lambda: settings.model(key=jax.random.key(0)))

    def count(tree: Any) -> int:
        return sum(a.size for a in jax.tree.leaves(tree) if hasattr(a, "size"))

    weights, positions = count(vdm), vdm.shape[0] * vdm.shape[1]
    kernels = sum(a.size for a in jax.tree.leaves(vdm) if getattr(a, "ndim", 0) == 4)
    lines = [
        f"{settings.recipe}: images of {' × '.join(map(str, vdm.shape))}, "
        f"{weights:,} weights ({count(vdm.schedule):,} in the schedule)",
        f"  about {6e-9 * kernels * positions:.3g} GFLOP an image and update; weights, their "
        f"average and Adam's moments take {16e-6 * weights:,.0f} MB",
    ]
    for field in dataclasses.fields(settings):
        if field.name != "recipe":
            lines.append(f"  {field.name:<15}{getattr(settings, field.name)}")
    return "\n".join(lines)


def _images(name: str, asked: argparse.Namespace) -> data.Images:
    if name in ("digits", "patches"):
        return getattr(data, name)()
    if name == "cifar10":
        return datasets.cifar10(asked.folder)
    if asked.folder is None or asked.variant is None:
        raise ValueError(
            f"{name} is read from files you have: give --folder and --variant, one of "
            f"{', '.join(v.name.lower() for v in datasets.Variant)}"
        )
    variant = datasets.Variant[asked.variant.upper()]
    return datasets.imagenet(asked.folder, int(name[-2:]), variant=variant)


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
    info = _add_job(jobs, "info", "what a recipe or a checkpoint is made of", "info cifar10")
    info.add_argument("what", help=f"a checkpoint, its folder, or one of {', '.join(RECIPES)}")
    info.set_defaults(do=_info)
    return parser


def _add_job(jobs: Any, name: str, words: str, example: str) -> argparse.ArgumentParser:
    epilog = f"For example: python -m vdmlite {example}"
    return jobs.add_parser(name, help=words, description=words, epilog=epilog)


def _count(word: str) -> int:
    """Read a number that is at least 1, for argparse."""
    if (number := int(word)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _add_folder(job: argparse.ArgumentParser) -> None:
    job.add_argument(
        "--folder",
        type=Path,
        help=f"where data is (default: VDMLITE_DATA or {datasets.folder()})",
    )
    names = [v.name.lower() for v in datasets.Variant]
    job.add_argument(
        "--variant",
        choices=names,
        help="ImageNet only: which downsampling your files are; the paper's numbers are on "
        f"{names[0]}",
    )


def _add_download(jobs: Any) -> None:
    words = "fetch CIFAR-10, checked, and decode it once"
    job = _add_job(jobs, "download", words, "download cifar10")
    job.add_argument("name", choices=["cifar10"])
    job.add_argument("--folder", type=Path, help=f"where to (default: {datasets.folder()})")
    job.add_argument("--source", type=Path, help="files you have: nothing is downloaded then")
    job.set_defaults(do=_download)


def _add_train(jobs: Any) -> None:
    job = jobs.add_parser(
        "train",
        help="train a recipe, or go on with it",
        description="Train a recipe. Called again with the same --out, it goes on from the "
        "newest checkpoint, exactly. Ctrl-C and SIGTERM save first.",
        epilog="Several GPUs of one machine are used as they are. On SLURM: srun python -m "
        "vdmlite train cifar10 --distributed. By hand, on each machine: --coordinator "
        "HOST:PORT --processes N --process I.",
    )
    job.add_argument("recipe", choices=list(RECIPES))
    job.add_argument("--out", type=Path, help="the run's folder (default: runs/RECIPE)")
    settings = job.add_argument_group("settings (default: the recipe's; see `info RECIPE`)")
    for field in dataclasses.fields(Settings):
        flag, words = "--" + field.name.replace("_", "-"), field.metadata.get("help")
        name = None if field.name == "data" else "N"
        if field.type is bool:
            settings.add_argument(flag, action=argparse.BooleanOptionalAction, help=words)
        elif field.type in (int, float, str) and field.name != "recipe":
            known = DATA if field.name == "data" else None
            settings.add_argument(
                flag, type=field.type, choices=known, metavar=name, help=words
            )
    net = job.add_argument_group("the network (see vdmlite.nn.UNet)")
    for name, words in _KNOBS.items():
        kind = float if name == "dropout" else _count
        net.add_argument(f"--{name}", type=kind, metavar="N", help=words)
    for name, words in _SWITCHES.items():
        flag = "--" + name.replace("_", "-")
        net.add_argument(flag, action=argparse.BooleanOptionalAction, help=words)
    pace = job.add_argument_group("pace, in updates")
    for name, kind, default, words in (
        ("log", _count, 50, "a line for the log"),
        ("save", _count, 1000, "a checkpoint; the newest three are kept"),
        ("look", int, 5000, "figures, and the bound on test images; 0 for never"),
    ):
        flag, words = f"--{name}-every", f"{words} (default: {default})"
        pace.add_argument(flag, type=kind, default=default, metavar="N", help=words)
    many = job.add_argument_group("devices")
    many.add_argument(
        "--fsdp", action="store_true", help="divide the weights over them as well"
    )
    many.add_argument("--distributed", action="store_true", help="join a cluster JAX knows")
    many.add_argument("--coordinator", metavar="HOST:PORT", help="the first machine")
    many.add_argument("--processes", type=int, metavar="N", help="of the run, in all")
    many.add_argument("--process", type=int, metavar="I", help="which this one is, from 0")
    _add_folder(job)
    job.set_defaults(do=_train)


def _add_evaluate(jobs: Any) -> None:
    words = "the bound on the test images, with its error"
    job = _add_job(jobs, "evaluate", words, "evaluate runs/patches --invariance")
    job.add_argument("checkpoint", type=Path, help="a checkpoint, or a run's folder")
    job.add_argument("--steps", type=_count, help="T, the reverse steps (default: T → ∞)")
    job.add_argument(
        "--schedule",
        choices=list(SCHEDULES),
        help="another than its own, between the same ends",
    )
    job.add_argument(
        "--invariance", action="store_true", help="under all of these as well, in a table"
    )
    job.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="of draws, to go on from if interrupted"
    )
    job.add_argument("--draws", type=_count, default=8, help="passes over the images")
    job.add_argument("--times", type=_count, default=1, help="times for each image and pass")
    job.add_argument("--limit", type=_count, help="only so many images")
    job.add_argument("--batch-size", type=_count, default=128, help="changes no number")
    job.add_argument("--data", choices=DATA, help="other images than it was trained on")
    job.add_argument("--seed", type=int, default=0, help="of the times and the noise")
    _add_folder(job)
    job.set_defaults(do=_evaluate)


def _add_sample(jobs: Any) -> None:
    job = _add_job(jobs, "sample", "draw images", "sample runs/patches --steps 100")
    job.add_argument("checkpoint", type=Path, help="a checkpoint, or a run's folder")
    job.add_argument("--steps", type=_count, default=250, help="reverse steps")
    job.add_argument("--count", type=_count, default=16, help="images (default: 16)")
    job.add_argument("--seed", type=int, default=0, help="another one, other images")
    job.add_argument("--out", type=Path, default=Path("samples.png"), help="a PNG file")
    job.set_defaults(do=_sample)
