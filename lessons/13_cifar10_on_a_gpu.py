# %% [markdown]
# # 13 · CIFAR-10 on a GPU
#
# *Three minutes on 2 CPU cores · 100 minutes to study · after lesson 12 · VDM §6 and appendix B · files `vdmlite/engine/`*
#
# **The idea.** A long run is a short run that loses nothing. The same few lines train a toy for a minute on a laptop and the full
# model for days on several GPUs. The reason: each update is a function of the state before it and of two numbers, the seed and its
# own number. What can be computed again need not be kept. What must be kept fits into one file.
#
# **After this lesson you can**
# - train the published model, stop it whenever you like, and go on as if nothing had happened;
# - say what each line of the recipe is for, and show what averaging the weights is worth;
# - show on an image model you trained yourself that the bound does not see the schedule;
# - work out, before you rent a machine, how many hours and how much memory a run will take;
# - train CIFAR-10 on Colab's GPU, over as many days and machines as it takes.

# %%
import dataclasses
import importlib
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import vdmlite
from vdmlite import bits_per_dim, engine
from vdmlite.course import claim, pick, pretrained, show
from vdmlite.engine import checkpoint
from vdmlite.engine.batches import augment, rows_of, spread
from vdmlite.engine.figures import look_at
from vdmlite.engine.log import read_log
from vdmlite.engine.loop import start_state
from vdmlite.viz import COLORS, LINES, MARKERS
from vdmlite.viz import images as tile

keys = jax.random.split(jax.random.key(13), 8)
turn_key, look_key, average_key, invariance_key, curve_key, round_key, size_key, draw_key = keys
temporary = tempfile.TemporaryDirectory()
home = Path(temporary.name)

# %% [markdown]
# ## The images
#
# CIFAR-10 (Krizhevsky 2009) has 50,000 colour photographs to train on and 10,000 to test with, 32×32 pixels each, of 256 levels. Its
# pictures were gathered from the web and nobody has said under which licence they stand, so the course does not ship them. One
# command fetches them, 144 MB from Hugging Face, checks every byte against digests that are known beforehand, and decodes
# them once:
#
# ```sh
# python -m vdmlite download cifar10
# ```
#
# Until then this lesson makes do with the patches of three photographs that you know from lesson 11. They have the same shape, but
# bits per dimension on one set say nothing about the other.

# %%
# engine.fetch_cifar10()  # the same command, from here: 144 MB
images, words = engine.cifar10_or_patches()
print(words.replace(str(Path.home()), "~"))
real = len(images.train) == 50_000
shape = images.train.shape[1:]
print(f"{len(images.train)} images to train, {len(images.test)} to test, of shape {shape}")

# %% [markdown]
# ## The recipe
#
# Everything that makes a run stands in one record, `Settings`. The published ones are in `RECIPES["cifar10"]`. Beside them is
# what this page trains: a network of less than a hundredth of the size, small batches, and a rate twenty times as high, for we have
# a minute and not a week. The published network has its turn at the end of the page, on a GPU.

# %%
published = engine.RECIPES["cifar10"]
settings = dataclasses.replace(
    engine.RECIPES["patches"],
    data="cifar10" if real else "patches",
    steps=pick(smoke=4, laptop=400, full=2000),
    learning_rate=4e-3,
    cooldown=False,
    knobs=pick(smoke={"width": 8, "depth": 1}, laptop={}),
)
print(f"{'':15s}{'here':>9s}{'published':>12s}")
for field in dataclasses.fields(published):
    here, there = getattr(settings, field.name), getattr(published, field.name)
    print(
        f"{field.name:15s}{here!s:>9s}{there!s:>12s}   {field.metadata.get('help', 'more for the network')}"
    )

# %% [markdown]
# - **AdamW.** Adam divides each weight's step by the recent size of its gradient, so that all weights move about equally fast. The W
#   stands for *decay*: besides, each weight shrinks a little at every update. Biases do not, nor does the schedule. (In the
#   authors' program it does, which pulls the clean end γ₀ steadily towards 0.)
# - **Warm-up.** Adam's notion of the size of a gradient is poor at first. So the rate rises from 0 over the first hundred updates.
# - **EMA**, an exponential moving average. The weights never come to rest; each batch pulls them a little this way and that. A
#   second copy of them follows slowly, and the pulls cancel: $\bar w \leftarrow k\, \bar w + (1 - k)\, w$ after each update. That
#   copy is what is evaluated and drawn from, never what is trained.
# - **Dropout**, a knob of the network: while training, a tenth of the numbers inside each block is set to 0, another tenth each time.
#   A set of 50,000 images can be learnt by heart; this makes it harder.
#
# How long does an average with $k = 0.9999$ remember the untrained weights? Their share is $0.9999^n$ after $n$ updates. Our engine
# takes $k = \min(0.9999,\ (1 + n)/(10 + n))$, where $n$ counts the updates so far. Then the share falls like
# $1/\binom{n + 9}{9}$, and the average spans about the last ninth of the run, until 0.9999 is reached.

# %%
print("share of the untrained weights in the average")
print("updates     k = 0.9999     with our warm-up of k")
for n in (400, 10_000, 50_000):
    print(f"{n:7,d} {0.9999**n:14.3f} {1 / math.comb(n + 9, 9):20.0e}")
print(f"0.9999 is reached at update {(0.9999 * 10 - 1) / (1 - 0.9999):,.0f}")

# %% [markdown]
# So the published average is of little use before ten thousand updates, when a third of it is still untrained. Ours is of use from
# the start.
#
# ### More images than there are
#
# The settings `cifar10_aug` flip and turn the images while training: half of them are mirrored, half of them turned by 90, 180
# or 270 degrees. This makes more of the same 50,000, but turned photographs are not what the test images look like. So the network is
# *told*: a flag, 1 if anything was done, goes in beside γ. When we evaluate, the flag is 0. The network learns what the two kinds have
# in common and keeps them apart where they differ. In the paper this, with a network twice as wide and more attention, takes CIFAR-10
# from 2.65 to 2.49 bits per dimension. (There the colour channels were swapped, too; the authors' program does not do so, and we
# follow the program.)

# %%
turned, flags = jax.vmap(lambda k: augment(jnp.asarray(images.train[196]), key=k))(
    jax.random.split(turn_key, 8)
)
figure, axes = plt.subplots(figsize=(8, 1.5))
tile(axes, turned, levels=256, title="one image, eight draws; the flag below")
for i, flag in enumerate(flags):
    axes.text(33 * i + 16, 39, f"{flag:.0f}", ha="center", va="center")
show(
    figure,
    "One photograph in eight versions, some mirrored, some turned by a quarter or a half. Below each the flag, "
    "0 where the image is as it was and 1 elsewhere.",
)

# %% [markdown]
# ## A batch is a function
#
# Which images does update 1,000,000 see? In most programs you would have to run the first 999,999 to find out, because the order
# comes from a stream of random numbers, or from a queue. Here it is a function. An *epoch* is one pass through the set. In each, the
# images are in an order that depends on the seed and the number of the epoch alone, and every update has its place in that order:

# %%
print("update       epoch   first of its 128 images")
for step in (0, 389, 390, 1_000_000):
    rows = rows_of(step, 50_000, 128, seed=1)
    print(f"{step:9,d} {step // (50_000 // 128):8,d}   {rows[:6]}")

# %% [markdown]
# (390 batches of 128 make an epoch; the 80 images left over wait for another epoch's order.) The noise, the times and the dropout
# of an update come from a key that the seed and its number make: again a function. What remains is the **state**: the weights, their
# average, Adam's two running means, and the number of the update. Who has this state and the settings has all.
#
# ## The run
#
# `engine.run` is the whole loop. Every so many updates it writes a line into its log, saves a checkpoint into its folder, and calls
# the function `look` with the average model, whose bound on the test images we want to see. It saves by the clock as well, whenever
# ten minutes have passed: nobody wants to lose more than that. (At full size the folder is `runs/lesson_13`, which outlives this
# page. Stop the cell whenever you like; run the page again, and it goes on.)

# %%
test_images = images.test[: pick(smoke=8, laptop=126, full=256)]
batch_size = pick(smoke=8, laptop=126)
pace = engine.Pace(
    log=pick(smoke=2, laptop=25, full=100),
    save=pick(smoke=4, laptop=200, full=1000),
    look=pick(smoke=4, laptop=100, full=1000),
)


def bits(nats):
    return float(bits_per_dim(nats, shape))


def look(average, folder, step):
    found = vdmlite.evaluate(average, test_images, draws=3, batch_size=batch_size, key=look_key)
    return dict(zip(("test_loss", "test_error"), map(float, found.bits.loss), strict=True))


folder = pick(smoke=home, laptop=home, full=Path("runs/lesson_13")) / settings.recipe
state = engine.run(settings, images, folder, pace=pace, look=look)
lines = read_log(folder)
training = [(line["step"], line["loss"]) for line in lines if "loss" in line]
tested = [(line["step"], line["test_loss"]) for line in lines if "test_loss" in line]
finished = int(state.step) == settings.steps


def claim_of_run(text, measured, **mark):
    """Make a claim about this run, once it has come to its end."""
    if finished:
        claim("13", text, measured, **mark, trained=True)
    else:
        print(f"{text}: {measured:.3g} (stopped at update {state.step}: not judged)")


if tested:
    claim_of_run("test bits per dimension after this run", tested[-1][1], at_most=4.0)

# %% [markdown]
# ## What the average is worth
#
# The same test images, times and noise, once for the last weights and once for their average:

# %%
pair = {"last weights": state.vdm, "their average": state.average}
found = {
    name: vdmlite.evaluate(
        vdm,
        test_images,
        draws=pick(smoke=2, laptop=6),
        batch_size=batch_size,
        key=average_key,
    )
    for name, vdm in pair.items()
}
for name, one in found.items():
    print(f"{name:14s} {one.bits.loss:.3f}")
saved, error = map(bits, found["last weights"].minus(found["their average"]).loss)
print(f"difference     {saved:.3f} ± {error:.3f} test bits per dimension")
claim_of_run("test bits per dimension saved by averaging the weights", saved, at_least=0.05)

# %% [markdown]
# That is a gift: it costs a copy of the weights, and no update more. With a rate that falls to 0 at the end (`cooldown`), the weights
# come to rest by themselves, and the average has less to give. The published run keeps its rate, so that it can always be prolonged.
#
# ## What it draws
#
# Three sheets: test photographs; what the average model draws after this run; and what the model of lesson 11 draws, which has the
# same network and ten times as many updates behind it.

# %%
n_drawn, draw_steps = pick(smoke=2, laptop=8), pick(smoke=2, laptop=50)
sheets = {
    "test photographs": spread(images.test, n_drawn),
    f"drawn after {int(state.step)} updates": vdmlite.draw(
        state.average, n_drawn, steps=draw_steps, key=draw_key
    ),
    "drawn by lesson 11's model, 4000 updates": vdmlite.draw(
        pretrained.load("patches"), n_drawn, steps=draw_steps, key=draw_key
    ),
}
figure, axes = plt.subplots(3, 1, figsize=(8, 3.9))
for ax, (title, sheet) in zip(axes, sheets.items(), strict=True):
    tile(ax, sheet, levels=256, columns=n_drawn, title=title)
show(
    figure,
    "Three rows of eight pictures. Above: a cat's fur, its eye, a blurred background. Middle: coloured speckles a few pixels wide. "
    "Below: larger patches of brown, grey and black, with soft edges, light and shade, like cloth or stone; nothing that has a name.",
)

# %% [markdown]
# After 400 updates the model knows which colours are common, and that neighbouring pixels are alike. After 4000 its patches are
# larger and have edges, light and shade. (Two pictures in a column begin with the same noise.) Neither has drawn a thing that
# has a name, and 817 patches of three photographs are too few to learn one from. The bound hears of it late: most of its bits are
# spent on the grain of a picture, as lesson 12 showed, and by far fewer on what it is a picture of.
#
# ## One model, five schedules
#
# Lesson 06 exchanged the schedule of models that came with the course. Now take the model that we have just trained: five
# schedules between its own ends of γ, each with the same test images. As there, flow matching, cosine and β-linear stay out on a
# laptop. An error curve, measured at a few noise levels, tells beforehand how the variance of one draw will compare, and to bring
# the error down to that of the linear schedule takes so many times more draws.

# %%


class Wiggle(vdmlite.AbstractSchedule):
    """A schedule that hurries and dawdles three times, from lesson 06."""

    gamma_min: float
    gamma_max: float

    def gamma(self, t):
        share = t - 0.9 * jnp.sin(6 * jnp.pi * t) / (6 * jnp.pi)
        return self.gamma_min + (self.gamma_max - self.gamma_min) * share


def schedules_between(low, high):
    """Return schedules from γ = low to high, by their names."""
    return {
        "γ-linear": vdmlite.FixedLinear(low, high),
        "wiggle": Wiggle(low, high),
        "Karras": vdmlite.Karras(low, high),
        "Karras, ρ = 4": vdmlite.Karras(low, high, rho=4.0),
        "Karras, ρ = 3": vdmlite.Karras(low, high, rho=3.0),
        "flow matching": vdmlite.FlowMatching(low, high),
        "cosine": vdmlite.Cosine(low, high),
        "β-linear": vdmlite.BetaLinear(low, high),
    }


model = state.average
ends = float(model.schedule(0.0)), float(model.schedule(1.0))
curve = vdmlite.error_curve(
    model,
    test_images,
    np.linspace(*ends, pick(smoke=3, laptop=28)),
    draws=pick(smoke=4, laptop=36),
    batch_size=batch_size,
    key=curve_key,
)
predicted = {
    name: curve.variance(schedule) for name, schedule in schedules_between(*ends).items()
}
print(f"γ from {ends[0]:.2f} to {ends[1]:.2f}")
print("variance of one draw against that of γ-linear, as predicted from the error curve")
for name, variance in predicted.items():
    print(f"{name:14s} {variance / predicted['γ-linear']:6.1f}")

# %%
FIVE = dict(zip(predicted, (2, 2, 2, 3, 4), strict=False))  # times for each image in a pass


def under_schedules(model, some, times):
    """Print and return a model's bound under the schedules that `times` names."""
    schedules = schedules_between(float(model.schedule(0.0)), float(model.schedule(1.0)))
    found = {
        name: vdmlite.evaluate(
            model.under(schedules[name]),
            some,
            draws=pick(smoke=2, laptop=8),
            times=count,
            batch_size=batch_size,
            key=invariance_key,
        )
        for name, count in times.items()
    }
    linear = found["γ-linear"]
    print("schedule        bound         against γ-linear    variance of a draw   ratio")
    for name, one in found.items():
        gap, error = map(bits, one.minus(linear).loss)
        print(
            f"{name:14s} {one.bits.loss.mean:6.3f} ± {one.bits.loss.error:.3f}   {gap:+.3f} ± {error:.3f}"
            f"   {one.variance / (math.prod(shape) * math.log(2)) ** 2:14.1f}"
            f"   {one.variance / linear.variance:9.1f}"
        )
    return found


times = pick(
    smoke={"γ-linear": 1, "Karras": 1},
    laptop=FIVE,
    full=dict(zip(predicted, (4, 8, 8, 16, 16, 64, 128, 128), strict=True)),
)
found = under_schedules(model, test_images, times)
linear = found["γ-linear"]
gaps = {name: tuple(map(bits, one.minus(linear).loss)) for name, one in found.items()}
others = [gap for name, gap in gaps.items() if name != "γ-linear"]
claim_of_run(
    "largest difference of two bounds (standard errors)",
    max(abs(gap) / error for gap, error in others),
    at_most=3,
)
claim_of_run(
    "largest of these errors (share of the bound)",
    max(error for _, error in others) / linear.bits.loss.mean,
    at_most=0.015,
)
claim_of_run(
    "largest variance over that of γ-linear",
    max(one.variance for one in found.values()) / linear.variance,
    at_least=4,
)

# %% [markdown]
# The bounds agree within their errors, and the variances do not agree at all. Nothing about this is special to models that
# somebody picked: any network that is told γ will do, after any number of updates.
#
# ## The key picture
#
# On the left the run. Its dots lie below the line for two reasons: the average is better than the last weights, and the test
# photograph is an easier one. In the middle and on the right its average model, under five schedules.

# %%
figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(11, 3.6), width_ratios=(1.3, 1, 0.8)
)
left.plot(*np.transpose(training), color=COLORS[0], ls="-", label="training batches")
if tested:
    left.plot(
        *np.transpose(tested), MARKERS[1], color=COLORS[1], ls="", label="test images, average"
    )
left.set(xlabel="updates", ylabel="bits per dimension", title="a run …")
left.legend()
for i, (name, (gap, error)) in enumerate(gaps.items()):
    style = {"color": COLORS[i % 7], "marker": MARKERS[i % 7], "ls": ""}
    middle.errorbar(gap, i, xerr=3 * error, capsize=3, **style)
    right.plot(found[name].variance / linear.variance, i, **style)
middle.set_yticks(range(len(gaps)), list(gaps))
right.set_yticks(range(len(gaps)), [])
for axes in (middle, right):
    axes.set_ylim(len(gaps) - 0.5, -0.5)
middle.locator_params(axis="x", nbins=5)
middle.axvline(0, color="0.4", ls="-", lw=0.8)
middle.set(
    xlabel="bits per dimension\nagainst γ-linear, ± 3 errors",
    title="… its bound, whatever the pace",
)
right.set(xscale="log", xlabel="variance of one draw,\nγ-linear = 1", title="… its scatter")
right.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
right.minorticks_off()
show(
    figure,
    "Left: bits per dimension of the training batches fall from about 10 to 4 within 400 updates, with four dots for the "
    "test images, the last lowest. Middle: for five schedules the difference of the bound from that under γ-linear, with "
    "bars of three standard errors that all cover zero. Right: the variance of one draw, from 1 for γ-linear up to "
    "about 7.",
)

# %% [markdown]
# ## Pulling the plug
#
# Machines fail, and rented ones are taken away. On the polite signal that a cluster sends before it does so (SIGTERM), on ctrl-C
# and on the stop button of a notebook, `engine.run` saves and returns. Here is the impolite case. We start a small run, the digits
# of lesson 11, as a program of its own. As soon as its first checkpoint is there we kill it, without a warning. Then we give the same
# command again. Meanwhile another run goes through undisturbed. (All on the CPU, so that the comparison means the same on every
# machine.)

# %%
command = [sys.executable, "-m", "vdmlite", "train", "digits", "--steps", "60"]
command += ["--save-every", "20", "--log-every", "20", "--look-every", "0"]
command += pick(smoke=["--width", "8", "--depth", "1"], laptop=[])


def start(name, devices=1):
    """Start the command in a process of its own, with so many (virtual) devices."""
    flags = os.environ.get("XLA_FLAGS", "")
    flags += f" --xla_force_host_platform_device_count={devices}"
    surroundings = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    return subprocess.Popen(
        [*command, "--out", str(home / name)],
        env=surroundings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Wait for a process, and stop if it failed."""
    _, trouble = process.communicate()
    if process.returncode:
        raise RuntimeError(trouble)


def checkpoint_at(name, step):
    return home / name / f"step_{step:08d}.vdm"


straight, stopped = start("straight"), start("stopped")
while not checkpoint_at("stopped", 20).exists() and stopped.poll() is None:
    time.sleep(0.01)
stopped.kill()
stopped.wait()
print("killed; what is left:", *sorted(path.name for path in (home / "stopped").iterdir()))
finish(straight)
finish(start("stopped"))


# %%
def differing_bits(one, other):
    """Count the bits in which two files of one length differ."""
    a, b = (np.frombuffer(path.read_bytes(), np.uint8) for path in (one, other))
    return int(np.unpackbits(a ^ b).sum())


last = checkpoint_at("straight", 60)
print(f"a checkpoint has {8 * last.stat().st_size:,} bits")
update = differing_bits(checkpoint_at("straight", 40), last)
print(f"updates 40 and 60 of the straight run differ in {update:,} of them")
claim("13", "bits in which the resumed run's last checkpoint differs from the straight run's",
      differing_bits(checkpoint_at("stopped", 60), last), at_most=0)  # fmt: skip

# %% [markdown]
# Not one bit: the weights, their average and Adam's memory are the same. From the result nobody could
# tell that the run was killed.
#
# On a GPU, one thing can come between. Its compiler tries several ways of computing a convolution and takes the fastest, and the
# next time it may take another, which adds up the same numbers in another order. Then the last digits differ and, after many
# updates, more than that. It is another run of the same kind: same images, same noise. What you can ask for is
# `XLA_FLAGS=--xla_gpu_deterministic_ops=true`, at some cost in speed; we had no GPU to try it on.
#
# ### Whole, or refused
#
# A checkpoint that is subtly wrong is worse than none. So a file is first written under another name, and renamed when all of it
# has reached the disk. And it ends with a SHA-256 digest of all that stands before: a number of 256 bits that any change of the file
# would alter. We flip a single bit in a copy:

# %%
shutil.copytree(home / "straight", home / "damaged")
path = checkpoint_at("damaged", 60)
content = bytearray(path.read_bytes())
content[len(content) // 2] ^= 1
path.write_bytes(content)
try:
    engine.load(path)
except vdmlite.storage.CheckpointError as refusal:
    print("CheckpointError:", str(refusal).replace(str(path.parent), "…"))
with warnings.catch_warnings(record=True) as noted:
    warnings.simplefilter("always")
    whole_one = checkpoint.latest(home / "damaged")
assert whole_one is not None
newest, about = whole_one
print("warning:", str(noted[0].message).replace(str(path.parent), "…"))
print(f"the run would go on from {newest.name}, update {about['step']}")

# %% [markdown]
# ## Many devices
#
# A GPU is a chip that does thousands of multiplications at once. For JAX it is one *device*. With eight of them, each gets an eighth
# of the batch and a copy of the weights. Each computes the gradient of its part, the eight are averaged, and all make the same
# update. In JAX one says only where things lie. The devices form a *mesh*, here a row of eight; the batch is divided along it, and
# the weights are copied. The compiler finds out what has to be sent. The lines of the program are the same as for one device.
#
# Eight GPUs are more than most of us have, but a CPU can pretend:

# %%
finish(start("eight", devices=8))


def weights_of(path):
    """Return the weights in a checkpoint, from its own settings, as one long row."""
    _, its_settings = engine.load(path)
    like = eqx.filter_eval_shape(start_state, its_settings)
    arrays = eqx.filter(vdmlite.load(path, like).vdm, eqx.is_array)
    return np.concatenate([np.ravel(a) for a in jax.tree.leaves(arrays)])


one, eight = (weights_of(checkpoint_at(name, 20)) for name in ("straight", "eight"))
_, its_settings = engine.load(last)
fresh = eqx.filter(start_state(its_settings).vdm, eqx.is_array)
before = np.concatenate([np.ravel(a) for a in jax.tree.leaves(fresh)])
print(f"in 20 updates the weights moved by up to {np.abs(one - before).max():.1e}")
claim("13", "largest difference of a weight after 20 updates on 8 devices and on 1",
      np.abs(one - eight).max(), at_most=1e-6)  # fmt: skip

# %% [markdown]
# Sums in another order, so other last digits, and no more. Real GPUs are used in the same way:
#
# ```sh
# python -m vdmlite train cifar10 --bfloat16 --scan         # all GPUs of this machine; if it has one, add --accumulate 4
# srun python -m vdmlite train cifar10 --distributed        # all machines of a SLURM job, a process each
# python -m vdmlite train cifar10 --coordinator HOST:PORT --processes 2 --process 0     # by hand: here,
# python -m vdmlite train cifar10 --coordinator HOST:PORT --processes 2 --process 1     # and there
# ```
#
# With `--fsdp` ("fully sharded") the weights and Adam's memory are divided over the devices, too, and sent round when they are
# needed: less memory on each, more traffic between them. `--scan` lets the compiler see one block for all that are alike, where
# the full network has 67, so that it is done sooner. `--accumulate 4` works off a batch in four parts, one after the other, on a
# device that cannot hold it at once.
#
# ## Half the bits, but never for z
#
# A number in **bfloat16** takes 16 bits in place of 32. It has the range of a float32, so nothing overflows, but only 8 binary digits
# of precision, against 24. GPUs since the A100 have units that multiply such numbers many times faster; a T4 has none. With the knob
# `bfloat16` the convolutions inside our network multiply in it, while weights and norms stay in float32.
#
# One thing is never rounded: the latent z. Its Fourier features (lesson 11) magnify it by $2\pi \cdot 128 = 804$, and its error
# with it.

# %%
z = np.asarray(jax.random.uniform(round_key, (100_000,), minval=-1.0, maxval=1.0), np.float32)
exact = np.sin(2 * np.pi * 128 * z.astype(np.float64))
for dtype in (jnp.float32, jnp.bfloat16):
    # Rounded, then carried on in double precision: nothing else is to blame.
    rounded = np.asarray(jnp.asarray(z, dtype).astype(jnp.float32), np.float64)
    # The phase of a float32 is rounded once more, when it is multiplied.
    phase = np.float32(2 * np.pi * 128) * rounded.astype(np.float32)
    wrong = np.abs(np.sin(phase.astype(np.float64)) - exact)
    print(
        f"z in {jnp.dtype(dtype).name:9s} error of sin(2π·128·z): "
        f"root mean square {np.sqrt(np.mean(wrong**2)):.1e}, at most {wrong.max():.1e}"
    )

# %% [markdown]
# The sine itself has a root mean square of 0.7, so with z in bfloat16 most of what the feature says is wrong. The model would be
# blind inside a level, just where its features were to help.
#
# ## How much memory
#
# The weights, their average and Adam's two means are four arrays of the same size. But most memory goes to the way back: to
# compute gradients, each operation must remember what went into it. JAX can tell how much that is without computing anything,
# from shapes alone: `jax.vjp` returns the way back as a function, and what the function holds is what was remembered. The
# compiler can do better, as it recomputes what is cheap; for our small network we can ask it, too.


# %%
def loss(arrays, rest, batch, key):
    return jnp.mean(vdmlite.batch_vlb(eqx.combine(arrays, rest), batch, key=key).loss)


def remembered(make, count):
    """Return the bytes that the way back holds for a batch, by shapes alone."""

    def back(key):
        arrays, rest = eqx.partition(make(key=key), eqx.is_inexact_array)
        batch = jnp.zeros((count, 32, 32, 3), jnp.uint8)
        return jax.vjp(lambda a: loss(a, rest, batch, key), arrays)[1]

    held = jax.tree.leaves(jax.eval_shape(back, size_key))
    return sum(a.size * a.dtype.itemsize for a in held if a.dtype != size_key.dtype)


def for_each_image(make):
    """Return the megabytes for one image more."""
    return (remembered(make, 2) - remembered(make, 1)) / 1e6


like = eqx.filter_eval_shape(published.model, key=size_key)
sizes = [a for a in jax.tree.leaves(like) if isinstance(a, jax.ShapeDtypeStruct)]
weights = sum(a.size for a in sizes)
print(f"{weights:,} weights; with average and Adam {4 * 4 * weights / 1e6:.0f} MB")
published_each = {}
print("published, in bfloat16   MB an image   GB for 128   GB for 32")
for remat in (False, True):
    knobs = {"bfloat16": True, "scan": True, "remat": remat}
    each = for_each_image(dataclasses.replace(published, knobs=knobs).model)
    published_each[remat] = each
    print(f"   remat {remat!s:5s} {each:21.0f} {0.128 * each:12.1f} {0.032 * each:11.1f}")

arrays, rest = eqx.partition(settings.model(key=size_key), eqx.is_inexact_array)
way_back = jax.jit(jax.grad(lambda a, batch: loss(a, rest, batch, size_key)))
compiled = way_back.lower(arrays, images.train[:16]).compile()
each = for_each_image(settings.model)
analysis = compiled.memory_analysis()
needed = analysis.temp_size_in_bytes / 16e6 if analysis else np.nan
print(f"ours: {each:.1f} MB an image by shapes, {needed:.1f} MB when compiled for this machine")

# %% [markdown]
# 78.6 GB for a batch: that is more than most cards have. There are two ways out.
#
# - The knob **remat** ("rematerialise") remembers only what stands between the blocks, and computes their insides a second time on
#   the way back: a tenth of the memory, for a third more work.
# - The setting **accumulate** works off a batch in parts, one after the other, and adds up their gradients. In four parts it takes a
#   quarter of the memory and no more work, as long as 32 images keep the device busy.
#
# (These sizes are by shapes. Without `remat` the compiler keeps about half as much. With it, about a fifth more, for
# a block that is computed anew needs room as well.)
#
# ## How many hours
#
# Lesson 12 counted the work of an update: for each image 6 FLOP (floating-point operations) for each weight of a kernel and each of
# the 1024 positions, two on the way forward and four on the way back, and a little more for the attention.
# With `remat` the way forward is made twice, so there are 8, and everything takes four thirds as long.
#
# A GPU has a *peak*, which its maker prints and no program reaches; 30 % is a fair share to reckon with. **The table is computed, not
# measured:** we had no GPU. Change `share` to what you see.

# %%
kernels = sum(a.size for a in sizes if a.ndim == 4)
scores = (
    2 * 1024 * 128
)  # of attention, for each position: query times key, weights times values
per_image = 6 * 1024 * (kernels + scores)
print(f"{kernels * 1024 / 1e9:.1f} + {scores * 1024 / 1e9:.1f} billion multiplications forward")
print(f"{per_image / 1e9:.0f} GFLOP for each image of an update")

share = 0.3
peaks = {"T4": 8.1e12, "L4": 121e12, "A100": 312e12, "H100": 989e12}  # FLOP/s
speeds = {name: share * peak / per_image for name, peak in peaks.items()}
print(
    f"\nat {share:.0%} of peak              minutes       updates an hour       days for 10 million"
)
print("             images/s   an epoch   without and with remat   without remat")
for name, speed in speeds.items():
    updates = speed * 3600 / 128
    print(
        f"{name:8s}{speed:13.0f} {50_000 / speed / 60:10.1f} {updates:12,.0f} {0.75 * updates:11,.0f}"
        f" {1e7 / updates / 24:14.0f}"
    )

# %% [markdown]
# (Peaks are those of bfloat16 without sparsity, as NVIDIA states them. The T4, which Colab gives away, has no units for bfloat16:
# its row is float32, and `bfloat16` would slow it down. It has units for float16, but numbers of that type end at 65,504 and below
# 0.00006 lose digits, so that gradients need care that our engine does not take. The norms between convolutions move many bytes and
# multiply little, so 30 % may be too hopeful.)
#
# ## What to expect
#
# An hour of an A100 without `remat` is worth about sixteen thousand updates, a six-hundredth of the published run. How far does that
# lead? Two points are known to us: 2.65 bits per dimension after ten million updates (the paper), and 2.72 after two million (the
# PyTorch version by addtt, as its README says). They are not quite of one curve, for the two programs differ a little, in their
# Fourier features for one. If the bound falls like a power of the number of updates,
# $b(n) = F + (2.72 - F)\,(n / 2\,\text{million})^{-\beta}$, two points leave the floor $F$ open, where it would end after infinitely
# many updates. We try floors from 0, which is absurdly low, up to 2.58.

# %%
known = {2e6: 2.72, 1e7: 2.65}
floors = (0.0, 2.5, 2.58)
n = np.geomspace(5e3, 1e7, 200)


def guess(n, floor):
    (first, high), (second, low) = known.items()
    beta = np.log((high - floor) / (low - floor)) / np.log(second / first)
    return floor + (high - floor) * (n / first) ** -beta


slopes = {"between the reported points": np.log(2.72 / 2.65) / np.log(5)}
if len(training) > 1:
    (n_1, early), (n_2, late) = training[(len(training) - 1) // 2], training[-1]
    slopes[f"our run, updates {n_1} to {n_2}"] = np.log(early / late) / np.log(n_2 / n_1)
for name, slope in slopes.items():
    print(f"{name:30s} bits fall like n to the power −{slope:.3f}")
figure, axes = plt.subplots(figsize=(7.5, 3.6))
axes.fill_between(n, guess(n, floors[0]), guess(n, floors[-1]), color="0.85", lw=0)
for i, floor in enumerate(floors):
    axes.plot(n, guess(n, floor), color=COLORS[i], ls=LINES[i], label=f"floor {floor:g}")
axes.plot(list(known), list(known.values()), MARKERS[0], color="black", ls="", label="reported")
for hour in (1, 10):
    updates = hour * 3600 * speeds["A100"] / 128
    axes.axvline(updates, color="0.4", ls=":", lw=1)
    axes.text(updates, 4.45, f" {hour} h", va="top")
    low, high = guess(updates, floors[0]), guess(updates, floors[-1])
    print(
        f"{hour:2d} hours of an A100, {updates:9,.0f} updates: a guess from {low:.1f} to {high:.1f}"
    )
axes.set(
    xscale="log",
    ylim=(2.5, 4.5),
    xlabel="updates of 128 images (dotted: hours of an A100, computed)",
    ylabel="test bits per dimension",
    title="power laws through two reported points: a guess",
)
axes.legend()
show(
    figure,
    "Three power laws through the two reported points, 2.72 bits after 2 million updates and 2.65 after 10 million. To the "
    "left they part: at 16 thousand updates, an hour of an A100, the shaded range is from 2.9 to 3.7, at ten hours from "
    "2.8 to 3.0.",
)

# %% [markdown]
# This reaches a hundred times further down than the lower of two points, so take it as a guess with a wide range. Nor does the
# beginning of a run help: our own was still falling far more steeply at its end. What is sure is the shape of the bargain.
# The first hours take most of the way, and the last hundredths of a bit take weeks.
#
# ## On Colab, or on one GPU of your own
#
# Six cells follow, to be run in their order. On a machine without a GPU they only say what they would do. Every number of hours or
# gigabytes in them is **computed**, as above; none was measured.
#
# Colab lends a machine for some hours and then takes it away, with all that is on it. So what must last goes to your Google Drive.

# %%
# 1 of 6: is there a GPU?
device = jax.devices()[0]
gpu = device.platform == "gpu"
if gpu:
    limit = (device.memory_stats() or {}).get("bytes_limit", 0)
    print(f"{device.device_kind}, of which JAX may use {limit / 1e9:.0f} GB")
else:
    print("No GPU here: cells 2 to 6 only say what they would do.")
    print("On Colab: Runtime > Change runtime type > T4 GPU, or A100 if you pay; then Run all.")

# %%
# 2 of 6: a folder that outlives the machine. On Colab your Drive, which asks for your permission.
on_colab = "google.colab" in sys.modules
keep = Path("runs")
if gpu and on_colab:
    importlib.import_module("google.colab.drive").mount("/content/drive")
    keep = Path("/content/drive/MyDrive/vdmlite")
print(
    f"Runs {'go' if gpu else 'would go'} to {keep}{'' if on_colab else ' (on Colab: to your Drive)'}."
)

# %%
# 3 of 6: the photographs, fetched once into the same folder.
if gpu:
    engine.fetch_cifar10(keep / "data")
    photographs = engine.cifar10(keep / "data")
    print(f"{len(photographs.train):,} photographs to train are in {keep / 'data'}")
else:
    print(f"CIFAR-10 would be fetched to {keep / 'data'}: 144 MB, once.")

# %% [markdown]
# Two recipes. A card with units for bfloat16 and 40 GB, as Colab's A100, can train the published network, in four parts of 32
# images. For a T4 that network is out of reach: the table above has 976 days. It can train one with 8 blocks each way in place of 32.
# The authors of DiffEnc (Nielsen and others, 2024) report 2.783 bits per dimension for VDM at this depth, after a far longer run than
# a T4's free hours. The last column adds their difference from 2.65 to the guess of the figure.

# %%
# 4 of 6: what fits, and what ten hours of it are worth.
plans = {
    "T4": dataclasses.replace(published, accumulate=4, knobs={"depth": 8, "scan": True}),
    "A100": dataclasses.replace(
        published, accumulate=4, knobs={"bfloat16": True, "scan": True}
    ),
}
end_of = {"T4": 2.783, "A100": 2.65}  # reported, after long runs


def images_per_second(name):
    """Return how many images a device trains on in a second, computed as above."""
    like = eqx.filter_eval_shape(plans[name].model, key=size_key)
    sizes = [a for a in jax.tree.leaves(like) if isinstance(a, jax.ShapeDtypeStruct)]
    kernels = sum(a.size for a in sizes if a.ndim == 4)
    return share * peaks[name] / (6 * 1024 * (kernels + scores))


pace_of = {name: images_per_second(name) for name in plans}
each_of = {"T4": for_each_image(plans["T4"].model), "A100": published_each[False]}
print("        images/s   updates      memory   bits per dimension")
print(
    "        computed   in 10 h    computed   after 10 h, a guess     after long runs, reported"
)
for name, plan in plans.items():
    n_10 = 10 * 3600 * pace_of[name] / 128
    extra = end_of[name] - 2.65
    low, high = (guess(n_10, floor) + extra for floor in (floors[0], floors[-1]))
    print(
        f"{name:5s} {pace_of[name]:10.0f} {n_10:9,.0f} {0.032 * each_of[name]:8.1f} GB"
        f"   {low:.1f} to {high:.1f} {end_of[name]:23.3f}"
    )
mine = "T4"
if any(kind in device.device_kind for kind in ("A100", "H100")):
    mine = "A100"
print(f"recipe for this machine: that of the {mine}; change `mine` if you know better")

# %% [markdown]
# **Before you start the run, read the table:** after ten hours of a T4 the model is still far from the reported one.
# Say in `hours` how many hours the run may have in all, over all machines; with 0 nothing is trained. (They are
# counted at the computed speed of a T4 or an A100, whichever recipe is used. On a faster card the run ends sooner.
# The lines that the run prints show the true one.) The run saves every ten minutes, and when you press the stop button.
#
# If Colab takes the machine away, take another one, on another day if need be, and run the page from its top. Cells 2 and 3 find what
# is in your Drive, and cell 5 goes on from the newest checkpoint. To train for longer, enter more hours: the rate of these recipes is
# constant, so the end can always be put off. (Not so with a `cooldown`, as the small recipes `digits` and `patches` have it: there
# every rate depends on the number of steps, and the engine refuses to change it.)

# %%
# 5 of 6: the run, or the rest of it.
hours = 0  # in all

folder_of_mine = keep / f"cifar10_like_{mine}"
there = checkpoint.latest(folder_of_mine)
state_of_it = f"at update {there[1]['step']:,}" if there else "no run yet"
print(f"{folder_of_mine}: {state_of_it}")
steps = max(1, round(hours * 3600 * pace_of[mine] / 128))
if gpu and hours:
    print(f"{steps:,} updates in all; the first one waits minutes for the compiler")
    engine.run(
        dataclasses.replace(plans[mine], steps=steps),
        photographs,
        folder_of_mine,
        pace=engine.Pace(log=50, save=1000, look=2000, minutes=10),
        look=look_at(photographs),  # with samples.png in the run's folder
    )
else:
    print("Nothing is trained here: there is no GPU, or hours is 0.")

# %%
# 6 of 6: your own checkpoint under five schedules.
passes = 256 * 8 * sum(FIVE.values())
minutes = passes / (3 * pace_of[mine]) / 60  # a forward pass is a third of an update's work
print(f"{passes:,} forward passes, about {minutes:.0f} minutes of a {mine} (computed)")
if gpu and checkpoint.latest(folder_of_mine):
    own, _ = engine.load(folder_of_mine)
    started = time.monotonic()
    under_schedules(own, spread(photographs.test, 256), FIVE)
    print(f"it took {(time.monotonic() - started) / 60:.1f} minutes")
else:
    print("There is no checkpoint of a run on a GPU to look at.")

# %% [markdown]
# The command line does the same on any machine, without a page:
#
# ```sh
# python -m vdmlite train cifar10 --bfloat16 --scan --accumulate 4 --steps 16000     # about an hour of an A100, computed
# python -m vdmlite evaluate runs/cifar10 --invariance
# python -m vdmlite sample runs/cifar10
# ```
#
# ## Ask yourself
#
# 1. Your run is killed at update 7,300 of 10,000; checkpoints are written every 1,000. What is lost, and what does it cost? What
#    does the clock change, if an update takes two seconds?
# 2. Why does the engine keep only the number of the update, and not the state of the generator of random numbers?
# 3. A friend averages his weights with $k = 0.9999$ from the first update on, and finds after 5,000 updates that the average is
#    much worse than the last weights. What happened?
# 4. Why is the bound's invariance no reason to train under any schedule you like?
# 5. On an H100 you see 1,000 images a second. Which share of the peak is that?
#
# <details><summary>Answers</summary>
#
# 1. The 300 updates since update 7,000, and the time for them. On the CPU the end is the same to the last bit. If an update takes two
#    seconds, the clock saves after 300 updates, before the count does: never are more than these ten minutes lost.
# 2. Because nothing is drawn from a generator with a state: each update makes its key from the seed and its number.
# 3. After 5,000 updates the untrained weights still have a share of $0.9999^{5000} = 0.61$.
# 4. The *mean* is the same under each, but training sees single draws. Their variance was up to seven times as large here, and about
#    75 times under the schedules that we left out; a noisier gradient needs more updates.
# 5. $1000 \cdot 160 \cdot 10^9 / (989 \cdot 10^{12}) = 16\,\%$.
# </details>
#
# ## Take along
#
# > **Make every update a function of the seed, its number and the state; then a run can be stopped, moved and spread over machines, and
# > loses nothing. Count FLOP and bytes before you rent.**
#
# In the package: `engine.run`, `engine.Settings`, `engine.RECIPES`, `engine.load`, `engine.checkpoint`, and `python -m vdmlite`.
# Exercises: `exercises/13_cifar10_on_a_gpu.ipynb`. Next: real bits, with a lossless codec.
