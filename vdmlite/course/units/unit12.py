"""Built from solutions/12_the_network.py. Do not edit."""


from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from vdmlite.course import check, hint, solution, todo
from vdmlite.nn import UNet


import inspect
import itertools

import vdmlite
from vdmlite.course import exercise
from vdmlite.engine import published
from vdmlite.nn.unet import Attention, GroupNorm


def counted(width, depth, everywhere):
    """The number of weights of the package's model, from its shapes."""
    make = partial(published.cifar10, width=width, depth=depth, attend_everywhere=everywhere)
    shapes = jax.tree.leaves(eqx.filter_eval_shape(make, key=jax.random.key(0)))
    return sum(int(np.prod(a.shape)) for a in shapes if isinstance(a, jax.ShapeDtypeStruct))


def some_image(key):
    """An image of 4×6 positions, faint enough for the 10⁻⁶ to count, and a norm's numbers."""
    h_key, mean_key, size_key, scale_key, bias_key, groups_key = jax.random.split(key, 6)
    mean, scale, bias = (jax.random.normal(k, (12,)) for k in (mean_key, scale_key, bias_key))
    size = jnp.exp(0.5 * jax.random.normal(size_key, (12,)))
    h = 1e-3 * (mean[None, None] + size[None, None] * jax.random.normal(h_key, (4, 6, 12)))
    return h, scale, bias, (2, 3, 4, 6)[int(jax.random.randint(groups_key, (), 0, 4))]


def package_norm(h, scale, bias, groups):
    """The package's GroupNorm with these numbers."""
    norm = GroupNorm(len(scale), groups)
    return eqx.tree_at(lambda n: (n.scale, n.bias), norm, (scale, bias))(h)


def shifted_alike(norm, shift):
    """What the norm returns, in two groups of two, with a number added to each channel."""
    h = jax.random.normal(jax.random.key(0), (4, 6, 4))
    return norm(h + jnp.broadcast_to(shift, h.shape), jnp.ones(4), jnp.zeros(4), 2)


def shifted_alone():
    """Two channels of +0.1 and −0.1 in turn, one of which was shifted by +1, the other by −1."""
    stripes = 0.1 * (-1.0) ** jnp.arange(4)
    return jnp.array([[[1.0, -1.0]]]) + jnp.broadcast_to(stripes[:, None, None], (4, 6, 2))


def package_level(gamma, flag, width):
    """What goes into the two dense layers of the package's network."""
    net = UNet(3, width=width, depth=1, attention=False, key=jax.random.key(0))
    return eqx.tree_at(lambda n: n.embed, net, ()).embedding(gamma, flag)


def some_positions(key):
    """Five positions of four channels, and the matrices of queries, keys and values."""
    h_key, *keys = jax.random.split(key, 4)
    return jax.random.normal(h_key, (5, 4)), *(jax.random.normal(k, (4, 4)) for k in keys)


def package_attention(h, w_query, w_key, w_value):
    """What the package's attention adds, without its norm and with an exit that does nothing."""
    attention = Attention(4, groups=2, key=jax.random.key(0))
    kernels = [w[None, None] for w in (w_query, w_key, w_value, jnp.eye(4))]
    attention = eqx.tree_at(
        lambda a: [a.norm, *(c.kernel for c in (a.query, a.key, a.value, a.out))],
        attention,
        [lambda h: h, *kernels],
    )
    return attention(h[:, None])[:, 0] - h


def in_another_order(gather):
    """What turned positions gather, and the same turned afterwards."""
    h, *matrices = some_positions(jax.random.key(0))
    return gather(h[::-1], *matrices), gather(h, *matrices)[::-1]


def from_curve(gamma_0, gamma_1, mean_square):
    """The same loss from the package's curve of errors."""
    gammas = np.linspace(float(gamma_0), float(gamma_1), 4001)
    alpha2, sigma = vdmlite.alpha2(gammas), vdmlite.sigma(gammas)
    error = np.asarray((1 - sigma) ** 2 + alpha2 * mean_square, np.float64)
    return vdmlite.ErrorCurve(gammas, error, 0 * error, error**2).loss / np.log(2)


def count_weights(width, depth, everywhere):
    """Return the number of weights."""
    C, L = width, depth
    entry = 9 * 15 * C + C
    dense = ((C + 1) * 4 * C + 4 * C) + (4 * C * 4 * C + 4 * C)
    last = 2 * C + (9 * C * 3 + 3)
    ends = 2  # γ_0 and γ_1
    block = 22 * C**2 + 6 * C
    joined = 33 * C**2 + 9 * C
    attention = 4 * C**2 + 6 * C
    attentions = 2 * L + 2 if everywhere else 1
    blocks = (L + 2) * block + (L + 1) * joined
    return entry + dense + blocks + attentions * attention + last + ends


exercise(
    "12.1",
    count_weights,
    inputs=lambda key: (
        4 * int(jax.random.randint(key, (), 2, 33)),
        int(jax.random.randint(jax.random.fold_in(key, 1), (), 1, 7)),
        bool(jax.random.key_data(key)[-1] % 2),
    ),
    hints=[
        "A block from C to C has two norms, two convolutions of 3×3 positions and a matrix of C × 4C. Add up their weights.",
        "In a block from 2C three things are larger or new: its first norm, its first convolution, and the way round.",
        "Everywhere means after each of the L blocks in and each of the L + 1 blocks back, and the middle keeps its one.",
    ],
    slips=[
        (
            "22 * C**2 + 6 * C",
            "18 * C**2 + 6 * C",
            "The projection of the embedding is missing: a matrix of C × 4C.",
        ),
        (
            "22 * C**2 + 6 * C",
            "22 * C**2 + 4 * C",
            "2C are missing in a block from C to C: two norms have 4C weights, and each convolution adds C shifts.",
        ),
        (
            "33 * C**2 + 9 * C",
            "31 * C**2 + 8 * C",
            "A block from 2C channels also has the convolution on its way round, 2C² + C.",
        ),
        (
            "33 * C**2 + 9 * C",
            "33 * C**2 + 7 * C",
            "The first norm of a block from 2C channels has 4C weights, not 2C.",
        ),
        (
            "33 * C**2 + 9 * C",
            "42 * C**2 + 9 * C",
            "Only the first convolution starts from 2C channels: the second goes from C to C, 9C² and not 18C².",
        ),
        (
            "4 * C**2 + 6 * C",
            "3 * C**2 + 5 * C",
            "An attention has four convolutions: query, key, value, and the one at its end.",
        ),
        (
            "4 * C**2 + 6 * C",
            "4 * C**2 + 4 * C",
            "An attention begins with a norm, which has 2C weights.",
        ),
        (
            "2 * L + 2",
            "2 * L + 1",
            "Everywhere, there are L on the way in, L + 1 on the way back and the one in the middle.",
        ),
        (
            "2 * L + 2",
            "2 * L + 3",
            "The middle has one attention, even where every other block has one behind it.",
        ),
    ],
    laws=[
        (
            "the model of CIFAR-10, 128 wide and 32 deep, has 30,578,181 weights",
            lambda f: (f(128, 32, False), 30_578_181),
        ),
        (
            "the model of ImageNet 64×64, 256 wide and 64 deep, has 237,603,845",
            lambda f: (f(256, 64, False), 237_603_845),
        ),
    ],
    ships=counted,
    # Counts in single precision, of eight digits, are right as well.
    tolerance=1e-7,
)


def group_norm(h, scale, bias, groups):
    """Return h normalised, of the same shape."""
    height, width, channels = h.shape
    grouped = h.reshape(height, width, groups, channels // groups)
    mean = jnp.mean(grouped, (0, 1, 3), keepdims=True)
    variance = jnp.var(grouped, (0, 1, 3), keepdims=True)
    normal = (grouped - mean) / jnp.sqrt(variance + 1e-6)
    return scale[None, None] * normal.reshape(h.shape) + bias[None, None]


exercise(
    "12.2",
    group_norm,
    inputs=some_image,
    hints=[
        "Which of the four axes tells the groups apart? Average over all others.",
        "Bring the normalised groups back to the shape of h. scale[None, None] has shape (1, 1, channels): one number a channel, on the last axis.",
    ],
    slips=[
        (
            "(0, 1, 3)",
            "(0, 1)",
            "This normalises each channel by itself, as if it were a group of its own: it would wipe out the embedding of γ. "
            "Average over the channels of the group too, axis 3.",
        ),
        (
            "(0, 1, 3)",
            "(0, 1, 2, 3)",
            "This takes one mean and one variance for all channels; each group has its own, so leave axis 2 alone.",
        ),
        (
            "(0, 1, 3)",
            "(2, 3)",
            "This normalises each position over its channels; the mean is over all positions and the channels of a group.",
        ),
        (
            "(0, 1, 3)",
            "3",
            "The mean is over the positions, axes 0 and 1, as well.",
        ),
        (
            "jnp.var(grouped, (0, 1, 3), keepdims=True)",
            "jnp.var(grouped, (0, 1, 3), keepdims=True, ddof=1)",
            "The variance here is the plain mean of squared distances: divide by their number, not by one less.",
        ),
        (
            "jnp.sqrt(variance + 1e-6)",
            "(jnp.sqrt(variance) + 1e-6)",
            "The small number belongs under the root: where a group is all but constant it makes a difference.",
        ),
        (
            "jnp.sqrt(variance + 1e-6)",
            "(variance + 1e-6)",
            "Divide by the standard deviation, the root of the variance.",
        ),
        (
            "jnp.sqrt(variance + 1e-6)",
            "jnp.sqrt(variance)",
            "Without the small number, a group of which all numbers are equal is divided by zero.",
        ),
        (
            "normal.reshape(h.shape) + bias[None, None]",
            "(normal.reshape(h.shape) + bias[None, None])",
            "The bias is added last: it is not multiplied by the scale.",
        ),
    ],
    laws=[
        (
            "a shift that all channels of a group have alike is lost",
            lambda f: (
                shifted_alike(f, jnp.array([3.0, 3.0, -1.0, -1.0])),
                shifted_alike(f, 0.0),
            ),
        ),
        (
            "one of its own for each channel is not: two channels of ±0.1 that are shifted by +1 and −1 come out "
            "as 0.995 and −0.995 on average",
            lambda f: (
                jnp.mean(f(shifted_alone(), jnp.ones(2), jnp.zeros(2), 1), (0, 1)),
                jnp.array([1.0, -1.0]) / jnp.sqrt(1.01),
            ),
        ),
    ],
    ships=package_norm,
    # True is 1, and what isn't 0 is true.
    equivalent=[
        "mean = jnp.mean(grouped, (0, 1, 3), keepdims=2)",
        "variance = jnp.var(grouped, (0, 1, 3), keepdims=2)",
    ],
)


def embed(gamma, flag, width):
    """Return the sinusoids of the noise level, and the flag."""
    half = width // 2
    u = (gamma + 13.3) / 18.3
    frequencies = 10.0 ** (-4 * jnp.arange(half) / (half - 1))
    angles = 1000 * u * frequencies
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles), flag[None]])


exercise(
    "12.3",
    embed,
    inputs=lambda key: (
        # Trained ends may lie beyond both ends of the scale.
        jax.random.choice(key, jnp.array([-15.1, -14.2, -11.7, -3.4, 6.6, 3.9, 5.8])),
        jax.random.bernoulli(jax.random.fold_in(key, 1)).astype(float),
        4 * int(jax.random.randint(jax.random.fold_in(key, 2), (), 2, 9)),
    ),
    hints=[
        "From −13.3 to 5 it is 18.3 far.",
        "jnp.arange(half) is 0, 1, …, half − 1; the last of them has to give the exponent −4.",
        "Sines first, all of them.",
    ],
    slips=[
        (
            "(gamma + 13.3) / 18.3",
            "gamma",
            "γ goes in as a share of the way from −13.3 to 5, not as it is.",
        ),
        (
            "(gamma + 13.3) / 18.3",
            "(gamma - 13.3) / 18.3",
            "u is 0 at γ = −13.3, so 13.3 is added.",
        ),
        (
            "(gamma + 13.3) / 18.3",
            "jnp.clip((gamma + 13.3) / 18.3, 0, 1)",
            "Do not cut the scale off: a schedule whose ends are trained goes beyond −13.3 and 5, and there, too, the network has to "
            "tell one γ from another.",
        ),
        (
            "(half - 1)",
            "half",
            "The last frequency has to be 10⁻⁴ exactly: its k is C/2 − 1, so divide by that.",
        ),
        (
            "-4 * jnp",
            "4 * jnp",
            "The frequencies fall from 1 to 10⁻⁴: the exponent is negative.",
        ),
        (
            "1000 * u * frequencies",
            "u * frequencies",
            "Without the 1000 not even the fastest sine gets round once: neighbouring γ look alike.",
        ),
        (
            "1000 * u * frequencies",
            "2 * jnp.pi * 1000 * u * frequencies",
            "There is no 2π here: the frequencies are in radians.",
        ),
        (
            "[jnp.sin(angles), jnp.cos(angles), flag[None]]",
            "[jnp.cos(angles), jnp.sin(angles), flag[None]]",
            "The cosines come first here; published weights expect the sines first.",
        ),
        (
            "jnp.concatenate([jnp.sin(angles), jnp.cos(angles), flag[None]])",
            "jnp.append(jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1).reshape(-1), flag)",
            "Sines and cosines take turns here; all sines come first, then all cosines.",
        ),
        (
            "[jnp.sin(angles), jnp.cos(angles), flag[None]]",
            "[flag[None], jnp.sin(angles), jnp.cos(angles)]",
            "The flag comes last.",
        ),
    ],
    laws=[
        (
            "at γ = −13.3 all sines are 0 and all cosines 1",
            lambda f: (
                f(jnp.asarray(-13.3), jnp.asarray(0.0), 12),
                jnp.array([0.0] * 6 + [1.0] * 6 + [0.0]),
            ),
        ),
        (
            "the slowest sine goes on beyond both ends, as trained ends do: at γ = −14 and γ = 6 its angle is 0.1 u",
            lambda f: (
                jnp.stack([f(jnp.asarray(g), jnp.asarray(0.0), 8)[3] for g in (-14.0, 6.0)]),
                jnp.sin(0.1 * jnp.array([-0.7, 19.3]) / 18.3),
            ),
        ),
    ],
    ships=package_level,
    # Angles near 1000 are known to 6e-5 in single precision, and frequencies can be written in several ways.
    tolerance=1e-3,
)


def gather(h, w_query, w_key, w_value):
    """Return what each position gathers from all."""
    query, key, value = h @ w_query, h @ w_key, h @ w_value
    C = h.shape[-1]
    logits = query @ key.T / jnp.sqrt(C)
    weights = jax.nn.softmax(logits, axis=-1)
    return weights @ value


exercise(
    "12.4",
    gather,
    inputs=some_positions,
    hints=[
        "All products of a row of one matrix with a row of another are one matrix product, if one of the two is transposed.",
        "The weights of one position i add up to 1. So over which of the two axes is the sum?",
        "Each row of the result is a sum of values, weighted by one row of weights.",
    ],
    slips=[
        (
            "query @ key.T / jnp.sqrt(C)",
            "query @ key.T",
            "The exponents are to be divided by √C; without it, with many channels, one position takes nearly all the weight.",
        ),
        (
            "jnp.sqrt(C)",
            "C",
            "Divide by √C, not by C: the weights here are too even.",
        ),
        (
            "query @ key.T",
            "key @ query.T",
            "Queries and keys are exchanged: entry (i, j) belongs to query i and key j.",
        ),
        (
            "axis=-1",
            "axis=0",
            "This normalises over i, those who gather; what one position i gathers has weights that add up to 1 over j.",
        ),
        (
            "jax.nn.softmax(logits, axis=-1)",
            "jnp.exp(logits)",
            "The weights of each position have to add up to 1.",
        ),
        (
            "jax.nn.softmax(logits, axis=-1)",
            "jax.nn.softmax(logits, axis=None)",
            "This lets all pairs of positions compete; the weights of each single position i have to add up to 1.",
        ),
        (
            "weights @ value",
            "weights.T @ value",
            "Transposed, position i gathers by the weights that others gave to it.",
        ),
        (
            "weights @ value",
            "weights @ h",
            "What is gathered are the values, h W_v, not h itself.",
        ),
    ],
    laws=[
        (
            "with queries of zero every position gathers the plain mean of all values",
            lambda f: (
                f(jnp.eye(3) + 0.5, jnp.zeros((3, 3)), jnp.eye(3), 2 * jnp.eye(3)),
                jnp.full((3, 3), 5 / 3),
            ),
        ),
        (
            "in another order the same positions gather the same, in that order",
            in_another_order,
        ),
    ],
    ships=package_attention,
    # Of two axes, axis 1 is the last.
    equivalent=["weights = jax.nn.softmax(logits, axis=1)"],
)


def bits_before_training(gamma_0, gamma_1, mean_square):
    """Return the diffusion loss of ε̂ = z, in bits per dimension."""
    gammas = jnp.linspace(gamma_0, gamma_1, 4001)
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gammas)), jnp.sqrt(jax.nn.sigmoid(gammas))
    error = (1 - sigma) ** 2 + alpha**2 * mean_square
    nats = 0.5 * jnp.trapezoid(error, gammas)
    return nats / jnp.log(2)


exercise(
    "12.5",
    bits_before_training,
    inputs=lambda key: (
        jax.random.uniform(key, minval=-13.0, maxval=-6.0),
        jax.random.uniform(jax.random.fold_in(key, 1), minval=1.0, maxval=6.0),
        jax.random.uniform(jax.random.fold_in(key, 2), minval=0.1, maxval=0.9),
    ),
    hints=[
        "ε − z = (1 − σ) ε − α x. Square it and take the mean: the mixed term has mean zero, since noise and data are independent.",
        "Two parts remain, one of the noise and one of the data. What is the mean square of each?",
        "A nat is more than a bit, so there are more bits than nats: divide by log 2.",
    ],
    slips=[
        (
            "(1 - sigma) ** 2 + alpha**2 * mean_square",
            "jnp.ones_like(gammas)",
            "That is the error of ε̂ = 0, at every γ; the guess here is z.",
        ),
        (
            "(1 - sigma) ** 2 + alpha**2 * mean_square",
            "1 + sigma**2 + alpha**2 * mean_square",
            "z contains the very noise that is to be guessed: ε − σε = (1 − σ)ε, so the part of the noise is (1 − σ)².",
        ),
        (
            "(1 - sigma) ** 2 + alpha**2 * mean_square",
            "(1 - sigma) ** 2",
            "The data's part of z is wrong as a guess of the noise, too: α² times its mean square.",
        ),
        (
            "(1 - sigma) ** 2 + alpha**2 * mean_square",
            "(1 - sigma**2) + alpha**2 * mean_square",
            "(1 − σ)² is not 1 − σ².",
        ),
        (
            "alpha**2 * mean_square",
            "alpha**2 * mean_square**2",
            "`mean_square` is a mean of squares already.",
        ),
        (
            "(1 - sigma) ** 2 + alpha**2 * mean_square",
            "(1 - sigma + alpha * jnp.sqrt(mean_square)) ** 2",
            "The mixed term has mean zero, for noise and data are independent: add the two mean squares.",
        ),
        (
            "alpha**2 * mean_square",
            "alpha * mean_square",
            "Squaring αx squares α as well.",
        ),
        (
            "0.5 * jnp.trapezoid",
            "jnp.trapezoid",
            "The ½ before the integral is missing.",
        ),
        (
            "jnp.trapezoid(error, gammas)",
            "jnp.mean(error)",
            "The mean over γ has to be multiplied by the length of the stretch: it is an area that counts.",
        ),
        (
            "nats / jnp.log(2)",
            "nats",
            "These are nats; divide by log 2 to have bits.",
        ),
        (
            "nats / jnp.log(2)",
            "nats * jnp.log(2)",
            "Multiplied by log 2, bits would be fewer than nats: divide.",
        ),
    ],
    laws=[
        (
            "from −13.3 to 5 and with mean square ¼ it is the lesson's 9.995, where the integral was done by hand",
            lambda f: (
                f(jnp.asarray(-13.3), jnp.asarray(5.0), jnp.asarray(0.25)),
                jnp.asarray(9.99492),
            ),
        ),
    ],
    ships=from_curve,
    # A hand-made rule of integration whose step is the difference of two gammas in single precision is right to 2e-4.
    tolerance=1e-3,
)


class Parts(NamedTuple):
    """The parts of a network."""

    width: int
    dense: tuple[Callable, ...]
    entry: Callable
    down: tuple[Callable, ...]
    middle: tuple[Callable, ...]
    up: tuple[Callable, ...]
    norm: Callable
    exit: Callable


def small_network(seed):
    """Return a network of the package with random numbers in every layer, and its parts."""
    make = partial(UNet, 3, width=8, depth=2, attention=False)
    shapes, form = jax.tree.flatten(eqx.filter_eval_shape(make, key=jax.random.key(0)))
    random = np.random.default_rng(seed)
    net = jax.tree.unflatten(
        form, [0.3 * jnp.array(random.normal(size=a.shape)) for a in shapes]
    )
    ways = net.down, net.middle, net.up
    return net, Parts(8, net.embed, net.conv_in, *ways, net.norm, net.conv_out)


def guess(parts, z, gamma, flag):
    """Return ε̂ for one latent z, which is what the network of these parts returns."""
    half = parts.width // 2
    frequencies = 10.0 ** (-4 * jnp.arange(half) / (half - 1))
    angles = 1000 * (gamma + 13.3) / 18.3 * frequencies
    told = jnp.concatenate([jnp.sin(angles), jnp.cos(angles), flag[None]])
    for dense in parts.dense:
        told = jax.nn.silu(dense(told))

    turns = jnp.multiply.outer(z, jnp.array([2.0**6, 2.0**7]))
    angles = 2 * jnp.pi * turns.reshape(*z.shape[:2], -1)
    h = parts.entry(jnp.concatenate([z, jnp.sin(angles), jnp.cos(angles)], -1))

    kept = [h]
    for block in parts.down:
        h = block(h, told)
        kept.append(h)
    for block in parts.middle:
        h = block(h, told)
    for block in parts.up:
        h = block(jnp.concatenate([h, kept.pop()], -1), told)

    return parts.exit(jax.nn.silu(parts.norm(h))) + z


FAULTS = {
    "the features": ("[2.0**6, 2.0**7]", "[2.0**7, 2.0**8]"),
    "what is kept": (
        "        h = block(h, told)\n        kept.append(h)\n",
        "        kept.append(h)\n        h = block(h, told)\n",
    ),
    "the middle": ("parts.middle:\n        h = block", "parts.middle:\n        h = h + block"),
}
CURES = {
    "the features": "The features go round twice as often as they should: the paper counts in turns of π, the program in turns of 2π.",
    "what is kept": "Count what is kept: the entry's output is there twice, and what comes out of the last block on the way in is missing.",
    "the middle": "In the middle h is added once more, although a block returns it already, by the arrow round it.",
}


def with_faults(names):
    """The slip of leaving these faults in."""
    # Without the author's marks, as in `Exercise.source`.
    lines = inspect.getsource(guess).rstrip().splitlines()
    whole = "\n".join(line for line in lines if not line.strip().startswith("### "))
    wrong = whole
    for name in names:
        wrong = wrong.replace(*FAULTS[name])
    if len(names) == 1:
        return whole, wrong, "One fault is left. " + CURES[names[0]]
    left = {2: "Two faults are left", 3: "That is the program as it was"}[len(names)]
    return whole, wrong, f"{left}. {CURES[names[0]]}"


def latents(key):
    """The parts of a network, a latent of 4×4 positions, its noise level and a flag."""
    _, parts = small_network(int(jax.random.randint(key, (), 0, 1000)))
    z_key, gamma_key, flag_key = jax.random.split(jax.random.fold_in(key, 1), 3)
    z = jax.random.normal(z_key, (4, 4, 3))
    gamma = jax.random.uniform(gamma_key, minval=-14.0, maxval=6.0)
    return parts, z, gamma, jax.random.bernoulli(flag_key).astype(float)


def put_together(parts, z, gamma, flag):
    """What the package's network of these parts returns."""
    net, _ = small_network(0)
    given = [parts.dense, parts.entry, parts.down, parts.middle, parts.up, parts.norm]
    return eqx.tree_at(
        lambda n: [n.embed, n.conv_in, n.down, n.middle, n.up, n.norm, n.conv_out],
        net,
        [*given, parts.exit],
    )(z, gamma, flag)


exercise(
    "12.6",
    guess,
    inputs=latents,
    hints=[
        "In a network just made, the last convolution is zero, so that whatever happens before it is not seen. With random numbers in "
        "every layer you can compare: first `told` with net.embedding, then what goes into the entry with fourier_features.",
        "Both may be right or wrong before the first block. What comes after is best done on paper: write down, for two blocks on the "
        "way in, what is in `kept` when the way back begins, and what a block returns if its own layers return 0.",
    ],
    slips=[with_faults(names) for n in (1, 2, 3) for names in itertools.combinations(FAULTS, n)]
    + [
        (
            "kept.pop()",
            "kept.pop(0)",
            "Skips are joined last first, like a pile: the last block is given what came right behind the entry.",
        ),
        (
            "[h, kept.pop()]",
            "[kept.pop(), h]",
            "The line that joins was right: published weights expect h first, and what was kept behind it.",
        ),
        (
            "parts.exit(jax.nn.silu(parts.norm(h))) + z",
            "parts.exit(jax.nn.silu(parts.norm(h)))",
            "The last line was right: before training it makes the guess ε̂ = z.",
        ),
        (
            "told = jax.nn.silu(dense(told))",
            "told = dense(told)",
            "The dense layers were right: each is followed by a silu.",
        ),
    ],
    laws=[
        (
            "with an exit of zeros it is ε̂ = z, as the program was with its faults: they show in a trained network alone",
            lambda f: (
                f(
                    small_network(0)[1]._replace(exit=lambda h: 0 * h[..., :3]),
                    jnp.ones((4, 4, 3)),
                    jnp.asarray(0.0),
                    jnp.asarray(0.0),
                ),
                jnp.ones((4, 4, 3)),
            ),
        ),
    ],
    ships=put_together,
    # As in 12.3: angles near 1000 are known to 6e-5.
    tolerance=2e-3,
)
