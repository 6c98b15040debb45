# %% [markdown]
# # 00 · Start here
#
# *A few seconds on 2 CPU cores · 30 minutes to study · before everything else · files `gaussian.py`, `course/`*
#
# **The course.** A diffusion model learns to make new examples of something, images say, by learning to take noise away.
# A *variational* diffusion model, or VDM (Kingma, Salimans, Poole and Ho 2021), can also say how probable an example is.
# This number can be right or wrong. So the course is built like an experiment. We begin with data whose probabilities
# are known, derive each formula, check it against the known answer, and only then train a network. Lessons 01 to 10 are
# about the method, mostly in one and two dimensions; from lesson 11 on we work with images. You need calculus,
# probability and Python. You need not know diffusion, JAX or Equinox; the last two come now.
#
# **After this lesson you can**
# - read the JAX and Equinox in this course: arrays, keys, `vmap`, `grad`, `jit`, modules;
# - fit a small model by gradient descent;
# - use the checks and hints, and run any lesson small or large.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import vdmlite
from vdmlite.course import check, pick, show, size
from vdmlite.course.exercise import NotYet
from vdmlite.viz import COLORS, LINES

# %% [markdown]
# ## JAX in ten minutes
#
# JAX is NumPy that can be differentiated and compiled. `jax.numpy`, by custom `jnp`, has the functions of NumPy under
# the same names. Four things are different.
#
# **Arrays never change.** An array is a value, as the number 3 is. Instead of writing into one you make a new one.

# %%
a = jnp.array([1.0, 2.0, 3.0])
b = a.at[0].set(10.0)
print("a", a, " b", b)

# %% [markdown]
# **Random numbers need a key.** There is no hidden generator that moves on behind your back. A draw takes a *key*, and
# the same key gives the same numbers, today and tomorrow. For several independent draws, *split* the key first. Never use
# one key for two purposes: the two would not be independent.

# %%
key = jax.random.key(0)
print("same key, same numbers: ", jax.random.normal(key, (3,)), jax.random.normal(key, (3,)))

first_key, second_key = jax.random.split(jax.random.key(2))
print(
    "split keys, new numbers:",
    jax.random.normal(first_key, (3,)),
    jax.random.normal(second_key, (3,)),
)

# %% [markdown]
# **Write for one example, map over many.** `jax.vmap(f)` makes of a function for one example a function for a batch, all
# at once and not in a loop. Nearly every function of this package is for one example; you will see `vmap` on
# the outside.


# %%
def squared_length(x):
    """The squared length of one vector."""
    return jnp.sum(x**2)


batch = jnp.array([[3.0, 4.0], [1.0, 0.0], [1.0, 1.0]])
print("one example:", squared_length(batch[0]), "  a batch:", jax.vmap(squared_length)(batch))

# %% [markdown]
# Where `vmap` is to map over some arguments only, say which: `jax.vmap(f, in_axes=(0, None))` walks along the first
# argument and gives the same second one to everybody.
#
# **Functions are differentiated, and compiled.** `jax.grad(f)` is the function that returns the gradient of `f` with
# respect to its first argument; `f` must return one number. `jax.jit(f)` computes what `f` computes, but is compiled
# for the machine the first time it is called with arrays of a given shape: slow once, then fast. To compile it, JAX runs
# `f` once with stand-ins for the arrays and records what is done to them. This is called *tracing*. A stand-in has a
# shape but no value, so an `if` on a value inside a jitted function is an error.

# %%
slope = jax.jit(jax.grad(squared_length))
print("gradient of x² + y² at (3, 4):", slope(batch[0]))

# %% [markdown]
# ## Equinox: a model is a record of arrays
#
# `grad` differentiates with respect to the first argument, and a model has many arrays. So we put them in one record. An
# Equinox *module* is a class that lists its fields; JAX understands it wherever it understands an array. JAX's own
# `jit` and `grad` want nothing but arrays in it. Their twins `eqx.filter_jit` and `eqx.filter_grad` take any module: they
# trace its arrays, or differentiate with respect to them, and leave everything else alone.
#
# Here is a bell curve with two arrays to train. Note the log: a width must be positive, and $e^{\text{anything}}$ is.


# %%
class Bell(eqx.Module):
    """A Gaussian in one dimension."""

    mean: jax.Array
    log_std: jax.Array

    def log_prob(self, x):
        """log of the density at one number x."""
        std = jnp.exp(self.log_std)
        return -0.5 * ((x - self.mean) / std) ** 2 - self.log_std - 0.5 * jnp.log(2 * jnp.pi)


bell = Bell(jnp.array(-1.0), jnp.array(1.0))
print("fields:", bell.mean, bell.log_std, "  log density at 0.3:", bell.log_prob(0.3))

# The package has this density too: vdmlite.Gaussian, for any shape. Here they agree.
ours = vdmlite.Gaussian(bell.mean, jnp.exp(bell.log_std))
np.testing.assert_allclose(bell.log_prob(0.3), ours.log_prob(jnp.array(0.3)), rtol=1e-5)

# %% [markdown]
# A module is a value too, and so is everything computed from it: a training step takes a model and returns a *new* model.
# In this package a field that is an array is trained, and a field that is a plain Python number is not.
#
# ## A fit, from data to curve
#
# Draw some data, and look for the bell under which it is most probable. The *loss* is what each example costs on average,
# $-\log p(x)$. Its unit is the *nat*, since the logarithm is the natural one; in base 2 it would be the bit. Gradient
# descent walks downhill. `eqx.filter_value_and_grad(loss)` is `jax.value_and_grad` for modules: it returns the loss and its
# slope for every array of the bell, as another bell.

# %%
data_key, _ = jax.random.split(jax.random.key(1))
data = 2.0 + 0.7 * jax.random.normal(data_key, (500,))


def loss(bell):
    """Mean cost of an example, in nats."""
    return -jnp.mean(jax.vmap(bell.log_prob)(data))


@eqx.filter_jit
def step(bell):
    """One step downhill: the loss, and a new bell."""
    value, slope = eqx.filter_value_and_grad(loss)(bell)
    return value, jax.tree.map(lambda p, s: p - 0.1 * s, bell, slope)


bells, losses = [bell], []
for _ in range(pick(smoke=200, laptop=400)):
    value, bell = step(bell)
    bells.append(bell)
    losses.append(float(value))

print(
    f"fitted:     mean {bell.mean:.3f}   std {jnp.exp(bell.log_std):.3f}   loss {loss(bell):.3f} nats"
)
print(f"closed form: mean {data.mean():.3f}   std {data.std():.3f}")
np.testing.assert_allclose(bell.mean, data.mean(), atol=1e-3)
np.testing.assert_allclose(jnp.exp(bell.log_std), data.std(), atol=1e-3)

# %% [markdown]
# `jax.tree.map` in `step` does one thing to every array of a module, here "parameter minus a tenth of its slope". For a
# Gaussian the best fit is known: the mean and standard deviation of the data. It is what the descent found. Whenever the
# right answer is known, this course checks against it.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.3))
xs = jnp.linspace(-4, 5, 300)
left.hist(data, bins=30, density=True, color="0.85")
for i, steps in enumerate((0, 40, 55, len(losses))):
    curve = jnp.exp(jax.vmap(bells[steps].log_prob)(xs))
    left.plot(xs, curve, color=COLORS[i], linestyle=LINES[3 - i], label=f"after {steps} steps")
left.set(xlabel="x", ylabel="density", title="data (grey) and the bell")
left.legend(loc="upper left")
right.plot(losses)
right.set(xlabel="step", ylabel="nats per example", title="the loss, first 100 steps")
right.set_xlim(-2, 100)
show(
    figure,
    "Left: a grey histogram of data around 2, and the bell at four moments of the fit; it starts "
    "wide and too far left, moves right and narrows until it follows the histogram. Right: the "
    "loss in the first 100 steps falls, faster and faster for about sixty, and is flat after eighty.",
)

# %% [markdown]
# ## One switch for the size
#
# Every lesson runs in three sizes. `smoke` only shows that every cell runs. `laptop` is what you read here; it takes at
# most four minutes on two CPU cores. `full` is for a machine with a GPU. It is the same as `laptop` in most lessons;
# lesson 13 then trains for longer. JAX decides: where it finds a GPU the size is `full`, elsewhere
# `laptop`. To choose for yourself, set the environment variable `VDMLITE_SIZE` before the notebook starts. In a
# lesson, `pick(smoke=…, laptop=…, full=…)` is the value for the size at hand; without `full=` it is the laptop's. Claims
# about trained models are not judged at size `smoke`, where nothing is trained for long.

# %%
assert size() in ("smoke", "laptop", "full")
print("steps of the fit above:", pick(smoke=200, laptop=400))

# %% [markdown]
# ## Exercises: blanks, checks, hints
#
# The exercises are notebooks of their own, in `exercises/`. Each has functions with blanks, which look like this:
# `return todo("0.1", "the distance from the mean, in units of std")`. Put your expression there in place of `todo(…)`,
# run the cell, and run the check below it. A function that returns two things ends with `return a, b`. A check tries
# your function on inputs of its own: shape first, then values, then a law that a right answer obeys. It knows the usual
# slips, and if yours is one of them it says so. Exercise 0.1 asks for $x$ in standard deviations from the mean. Here is
# what you see if brackets are forgotten, and if a sum is returned where an array is wanted.


# %%
def without_brackets(x, mean, std):
    """A slip: only the mean is divided."""
    return x - mean / std


def one_number(x, mean, std):
    """Another one: the shape is wrong."""
    return jnp.sum(x - mean) / std


for answer in (without_brackets, one_number):
    standardise = answer
    try:
        check("0.1")
    except NotYet as message:
        print(message, "\n")

# %% [markdown]
# (In an exercise notebook you don't write `try`; the message comes by itself.) A right answer gets a ✓ and a law.
# `hint("0.1")` prints a nudge, `hint("0.1", 2)` a stronger one, `solution("0.1")` one right answer (the number stands in
# quotes); looking is not cheating. Checks don't depend on each other, and "Run all" goes on past an open blank, so you
# can skip what you like. Try it: `exercises/00_start_here.ipynb`, three minutes.
#
# ## How to read a lesson
#
# - Each lesson has **one idea**, stated at the top, **one key picture**, and questions at the end with folded answers.
# - **Claims** are checked when the notebook runs. A line like
#   `Claim 02 · posterior against Bayes' rule …: … (pass mark ≤ 1e-06) · holds` gives the number measured and the mark
#   it had to reach; if a claim failed, the notebook would stop there.
# - **Numbers** in the text come from a cell that prints them. Where chance is involved there is a standard error, and
#   "agree" means within five of them.
# - **Figures** come with a description in words, stored with the picture, for readers who don't see it; and no line is
#   told by its colour alone.
# - Formulas are written out by hand first; then we import the package's version and check that the two agree.
#
# ## The symbols of the course
#
# To look up later; nothing here has to make sense yet. Time $t$ runs from 0, where the data is almost clean, to
# 1, where almost all is noise.
#
# | symbol | in code | meaning |
# |---|---|---|
# | $x$ | `x` | the data: one example |
# | $\varepsilon$ | `eps` | standard normal noise of the same shape |
# | $z_t$ | `z`, `z_t` | the latent at time $t$: $z_t = \alpha_t x + \sigma_t \varepsilon$ |
# | $\alpha,\ \alpha^2$ | `alpha`, `alpha2` | scale and power of the signal |
# | $\sigma,\ \sigma^2$ | `sigma`, `sigma2` | scale and power of the noise; $\alpha^2 + \sigma^2 = 1$ |
# | SNR | `snr` | signal-to-noise ratio $\alpha^2/\sigma^2$ |
# | $\gamma$ | `gamma` | noise level, $-\log \mathrm{SNR}$, rises with $t$ |
# | $\gamma_0, \gamma_1$ | `gamma_min`, `gamma_max` | its values at $t = 0$ and $t = 1$ |
# | $s < t$ | `gamma_s`, `gamma_t` | two times, or their noise levels; $s$ is the cleaner |
# | $T$ | `timesteps` | number of steps between $t = 0$ and $t = 1$ |
# | $q(x)$ | `data` | the density of the data |
# | $q(z_t \mid x)$ and so on | `marginal`, `transition`, `posterior` | the forward process: how noise comes in; fixed |
# | $p(\cdot)$ | `VDM` | the model: how noise is taken away; learned |
# | $\hat x,\ \hat\varepsilon$ | `guess.x`, `guess.eps` | the model's guess of $x$ and $\varepsilon$, from $z_t$ and $\gamma_t$ |
# | $v$ | `v` | a mixture of the two, $\alpha \varepsilon - \sigma x$ |
# | score | `score` | $\nabla_z \log q(z)$, the direction in which $z$ becomes more probable |
# | KL | `kl` | Kullback–Leibler divergence, in nats |
# | $\mathcal N(m, s^2)$ | `Gaussian(m, s)` | a normal distribution; the code holds $s$, the standard deviation |
# | $D$ | `math.prod(shape)` | number of dimensions of an example |
#
# ## Ask yourself
#
# 1. You draw noise twice with the same key, `jax.random.normal(key, (2,))`. What is the second draw?
# 2. `f` takes one vector and returns one number. What is the shape of `jax.vmap(f)(batch)` for a batch of shape (7, 3)?
#    And of `jax.vmap(jax.grad(f))(batch)`?
# 3. Why does `Bell` hold `log_std` and not `std`?
#
# <details><summary>Answers</summary>
#
# 1. The first draw again. Split the key for a new one.
# 2. (7,), one number for each example; and (7, 3), one gradient for each example.
# 3. A step of gradient descent may lead anywhere. The exponential of any number is a valid width; a negative `std` is
#    not.
# </details>
#
# ## Take along
#
# > **Write it for one example, give it a key, map it over many; and where the right answer is known, check.**
#
# Next: lesson 01, what a model with hidden variables can say about its data.
