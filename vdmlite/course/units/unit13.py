"""Built from solutions/13_cifar10_on_a_gpu.py. Do not edit."""


import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo


import math
from functools import partial

import equinox as eqx
import numpy as np
import optax

import vdmlite
from vdmlite.course import exercise
from vdmlite.engine import published
from vdmlite.engine.batches import rows_of


def some_batches(key):
    """Sums of nats of four batches of unequal size, how many images each has, their shape."""
    nats_key, count_key, shape_key = jax.random.split(key, 3)
    counts = jax.random.permutation(count_key, jnp.array([2, 5, 16, 31]))
    height, width = map(int, jax.random.randint(shape_key, (2,), 4, 9))
    each = 2000 * (0.5 + jax.random.uniform(nats_key, (4,)))
    return counts * each, counts, (height, width, 3)


def some_weights(key):
    """An average of three weights, the weights after an update, its number, and a decay."""
    average_key, weights_key, number_key = jax.random.split(key, 3)
    # Late enough for the decay to be the smaller share, or before that.
    number = jax.random.randint(number_key, (), 0, 40)
    late = jax.random.bernoulli(jax.random.fold_in(number_key, 1))
    decay = jnp.where(late, 0.3, 0.9)
    return (
        jax.random.normal(average_key, (3,)),
        jax.random.normal(weights_key, (3,)),
        jnp.where(late, number + 20, number),
        decay,
    )


def averaged_by_the_package(average, weights, n, decay):
    """The average after an update that leads to the given weights."""

    def model(mean):
        data = vdmlite.Gaussian(mean, jnp.asarray(1.0))
        schedule, decoder = vdmlite.FixedLinear(-5.0, 5.0), vdmlite.GaussianDecoder()
        return vdmlite.VDM(schedule, vdmlite.GaussianDenoiser(data), decoder, (3,))

    still = optax.set_to_zero()
    state = vdmlite.init(model(weights), still)
    state = vdmlite.TrainState(state.vdm, model(average), state.opt_state, jnp.asarray(n))
    grads = eqx.filter(state.vdm, eqx.is_inexact_array)
    after = vdmlite.apply_gradient(state, still, grads, decay=float(decay))
    denoiser = after.average.denoiser
    assert isinstance(denoiser, vdmlite.GaussianDenoiser)
    return denoiser.data.mean


def share_of_the_start(f, updates):
    """What is left of the first weights, 1, when all later ones are 0."""
    left = jnp.asarray(1.0)
    for n in range(updates):
        left = f(left, jnp.asarray(0.0), n, 0.9999)
    return left


def shuffled(size, seed, epoch):
    """The order of an epoch's images."""
    return np.random.default_rng((seed, epoch)).permutation(size)


def some_update(key):
    """The number of an update, a size that batches don't divide, and the order of an epoch."""
    step, batch, left, seed = jax.random.randint(
        key, (4,), jnp.array([12, 5, 1, 0]), jnp.array([40, 9, 5, 99])
    )
    size = 4 * int(batch) + int(left)
    return int(step), size, int(batch), partial(shuffled, size, int(seed))


def from_the_network_itself(width, depth, batch, updates, peak, share):
    """Hours, with the kernels counted in the published network of that size."""
    like = eqx.filter_eval_shape(
        published.cifar10, key=jax.random.key(0), width=int(width), depth=int(depth)
    )
    kernels = sum(a.size for a in jax.tree.leaves(like) if getattr(a, "ndim", 0) == 4)
    return 6 * kernels * 1024 * batch * updates / (share * peak) / 3600


def by_pushes(rate, decay):
    """The same ratio from what a single push does, squared and added up over time."""
    weight, average, squares = -float(rate), 0.0, np.zeros(2)
    for _ in range(20_000):
        average = float(decay) * average + (1 - float(decay)) * weight
        squares += weight**2, average**2
        weight *= 1 - float(rate)
    return squares[1] / squares[0]


def seen_in_a_run(rate, decay, updates=200_000):
    """The ratio of the two mean squares in a run of such updates."""
    weight, average, squares = 0.0, 0.0, np.zeros(2)
    for noise in np.random.default_rng(13).normal(size=updates):
        weight -= rate * (weight + noise)
        average = decay * average + (1 - decay) * weight
        squares += weight**2, average**2
    return squares[1] / squares[0]


def by_shares(gradients, counts):
    """The mean gradient and its norm, with NumPy's weighted average."""
    mean = np.average(np.asarray(gradients, np.float64), axis=0, weights=np.asarray(counts))
    return mean, np.linalg.norm(mean)


def log_lines(sums, counts, shape):
    """Return (bits per dimension of each batch, those of all images together)."""
    height, width, channels = shape
    D = height * width * channels
    each = sums / counts / (D * jnp.log(2))
    together = jnp.sum(sums) / jnp.sum(counts) / (D * jnp.log(2))
    return each, together


exercise(
    "13.1",
    log_lines,
    inputs=some_batches,
    hints=[
        "A pixel holds one number for each channel, and each of them has its price.",
        "From the sum to the mean of a batch: divide by its count, once. From nats to bits: divide by log 2.",
        "All images count alike: add up the nats of all batches, and the images of all batches, and divide at the end.",
    ],
    slips=[
        (
            "height * width * channels",
            "height * width",
            "The channels are forgotten: a colour pixel is three numbers, so this is three times too high.",
        ),
        (
            "sums / counts / (D * jnp.log(2))",
            "sums / (D * jnp.log(2))",
            "`sums` are sums over the images of a batch: divide by their number.",
        ),
        (
            "sums / counts / (D * jnp.log(2))",
            "sums / counts / counts / (D * jnp.log(2))",
            "The mean over the batch is taken twice.",
        ),
        (
            "jnp.log(2)",
            "jnp.log10(2)",
            "That is the decimal logarithm of 2; nats go with the natural one, jnp.log.",
        ),
        (
            "/ (D * jnp.log(2))",
            "/ D * jnp.log(2)",
            "This multiplies by log 2: a nat is more than a bit, so divide.",
        ),
        (
            "together = jnp.sum(sums) / jnp.sum(counts) / (D * jnp.log(2))",
            "together = jnp.mean(each)",
            "The mean of the batches' means counts an image of a small batch for more than one of a large batch.",
        ),
    ],
    laws=[
        (
            "8 bits for each of 3072 numbers are 8 bits per dimension, in a batch of 2 and one of 126",
            lambda f: (
                f(
                    8 * 3072 * jnp.log(2) * jnp.array([2, 126]),
                    jnp.array([2, 126]),
                    (32, 32, 3),
                ),
                (jnp.array([8.0, 8.0]), jnp.asarray(8.0)),
            ),
        ),
    ],
    ships=lambda sums, counts, shape: (
        vdmlite.bits_per_dim(sums / counts, shape),
        vdmlite.bits_per_dim(jnp.sum(sums) / jnp.sum(counts), shape),
    ),
)


def new_average(average, weights, n, decay):
    """Return the average after the update that led to these weights."""
    keep = jnp.minimum(decay, (1 + n) / (10 + n))
    return keep * average + (1 - keep) * weights


exercise(
    "13.2",
    new_average,
    inputs=some_weights,
    hints=[
        "Two shares compete, and the smaller one wins.",
        "What is kept of the average and what is taken from the weights add up to 1.",
    ],
    slips=[
        (
            "keep * average + (1 - keep) * weights",
            "keep * weights + (1 - keep) * average",
            "The roles are swapped: `keep` is the share of the old average, and in the long run it is close to 1.",
        ),
        (
            "jnp.minimum(decay, (1 + n) / (10 + n))",
            "decay",
            "Without the warm-up the untrained weights stay in the average for thousands of updates.",
        ),
        (
            "jnp.minimum(",
            "jnp.maximum(",
            "The larger share is kept, and that is `decay` from the start; take the smaller one.",
        ),
        (
            "(1 + n) / (10 + n)",
            "n / (9 + n)",
            "Off by one: n counts the updates before this one. At the first, n = 0 and a tenth is kept, not nothing.",
        ),
        (
            "(1 + n) / (10 + n)",
            "(2 + n) / (11 + n)",
            "Off by one: n does not count this update itself.",
        ),
        (
            "jnp.minimum(decay, (1 + n) / (10 + n))\n    return keep * average + (1 - keep) * weights",
            "decay\n    return (keep * average + (1 - keep) * weights) / (1 - decay ** (n + 1))",
            "That is Adam's correction. Here the share that is kept is smaller in the beginning, and nothing is divided.",
        ),
    ],
    laws=[
        (
            "weights that stand still are their own average",
            lambda f: (
                f(jnp.array([2.0, -1.0]), jnp.array([2.0, -1.0]), 7, 0.99),
                jnp.array([2.0, -1.0]),
            ),
        ),
        (
            "after n updates the share of the first weights is one over the binomial coefficient (n + 9 over 9)",
            lambda f: (share_of_the_start(f, 12), jnp.asarray(1 / math.comb(21, 9))),
        ),
    ],
    ships=averaged_by_the_package,
    # The smaller of two numbers is the same whichever comes first.
    equivalent=["keep = jnp.minimum((1 + n) / (10 + n), decay)"],
)


def rows(step, size, batch_size, order):
    """Return the numbers of the images that an update sees."""
    per_epoch = size // batch_size
    epoch, place = divmod(step, per_epoch)
    return order(epoch)[place * batch_size : (place + 1) * batch_size]


exercise(
    "13.3",
    rows,
    inputs=some_update,
    hints=[
        "50,000 images in batches of 128 make 390 whole batches; update 390 is the first of epoch 1.",
        "How many epochs are over, and how many updates of this one? A quotient and a remainder, but by what?",
        "In its epoch's order, update number 0 begins at 0 and number 1 at batch_size. Where does number `place`?",
    ],
    slips=[
        (
            "per_epoch = size // batch_size",
            "per_epoch = -(-size // batch_size)",
            "This rounds up, so that each epoch ends with a batch that is too small: the images left over are not to be seen.",
        ),
        (
            "divmod(step, per_epoch)",
            "divmod(step, size)",
            "The remainder is taken by the number of images: an epoch has size // batch_size updates.",
        ),
        (
            "divmod(step, per_epoch)",
            "(step * batch_size // size, step % per_epoch)",
            "The images left over belong to no epoch; counted in images, epochs come to begin later and later.",
        ),
        (
            "order(epoch)",
            "order(0)",
            "Every epoch comes in the same order.",
        ),
        (
            "order(epoch)",
            "order(step)",
            "Another order at each update: within an epoch some images would come twice and others not at all.",
        ),
        (
            "order(epoch)[place * batch_size : (place + 1) * batch_size]",
            "np.arange(size)[place * batch_size : (place + 1) * batch_size]",
            "These are places in the order, always the same ones; look up in order(epoch) which images stand there.",
        ),
        (
            "place * batch_size : (place + 1) * batch_size",
            "place : place + batch_size",
            "Neighbouring updates overlap: update number `place` begins after place * batch_size images.",
        ),
        (
            "place * batch_size : (place + 1) * batch_size]",
            "place::per_epoch][:batch_size]",
            "The batches are dealt out like cards here. A batch is a stretch of the order, one batch after the other.",
        ),
    ],
    laws=[
        (
            "in an epoch no image comes twice",
            lambda f: (
                len(
                    {
                        int(i)
                        for step in range(5, 10)
                        for i in f(step, 23, 4, partial(shuffled, 23, 1))
                    }
                ),
                20,
            ),
        ),
    ],
    ships=lambda step, size, batch_size, order: rows_of(
        step, size, batch_size, seed=order.args[1]
    ),
)


def hours(width, depth, batch, updates, peak, share):
    """Return the hours that a run of VDM's network takes."""
    C = width
    ends = 15 * 9 * C + 3 * 9 * C + 4 * C**2
    inward = (depth + 2) * 18 * C**2
    outward = (depth + 1) * 29 * C**2
    per_image = 6 * 1024 * (ends + inward + outward)
    return per_image * batch * updates / (share * peak) / 3600


exercise(
    "13.4",
    hours,
    inputs=lambda key: (
        32 * int(jax.random.randint(key, (), 1, 5)),
        int(jax.random.randint(jax.random.fold_in(key, 1), (), 1, 6)),
        float(jax.random.randint(jax.random.fold_in(key, 2), (), 8, 200)),
        float(jax.random.randint(jax.random.fold_in(key, 3), (), 1000, 90_000)),
        float(1e13 * (1 + jax.random.uniform(jax.random.fold_in(key, 4)))),
        float(0.1 + 0.5 * jax.random.uniform(jax.random.fold_in(key, 5))),
    ),
    hints=[
        "Two 3×3 convolutions from C to C have 2 · 9 · C² weights.",
        "A block on the way out has three kernels, of which two begin with 2C channels; add up k²ab.",
        "Forward 2 FLOP for each weight and position, back 4 more.",
        "FLOP in all, over FLOP a second, are seconds.",
    ],
    slips=[
        (
            "6 * 1024",
            "2 * 1024",
            "That is the way forward alone; the way back takes twice as much again.",
        ),
        (
            "6 * 1024",
            "3 * 1024",
            "Multiplications alone are counted: with each goes an addition, so that there are 2 FLOP.",
        ),
        (
            "6 * 1024",
            "6",
            "Each weight is used at each of the 1024 positions.",
        ),
        (
            "per_image * batch * updates",
            "per_image * updates",
            "The batch is forgotten: an update sees `batch` images.",
        ),
        (
            "(share * peak)",
            "peak",
            "No program reaches the peak; divide by what it does reach, share * peak.",
        ),
        (
            "/ (share * peak)",
            "* share / peak",
            "A smaller share of the peak takes longer, so divide by it.",
        ),
        (
            "/ 3600",
            "/ 60",
            "These are minutes.",
        ),
        (
            "29 * C**2",
            "27 * C**2",
            "The 1×1 convolutions past the blocks are missing: 2C · C weights each.",
        ),
        (
            "(depth + 2) * 18",
            "depth * 18",
            "The two blocks in the middle are missing.",
        ),
        (
            "(depth + 1) * 29",
            "depth * 29",
            "There is one block more on the way out than on the way in.",
        ),
    ],
    laws=[
        (
            "ten million updates of the published network, of 128 images each, take 602 hours of an A100 (312 "
            "TFLOP/s) at 30 % of its peak",
            lambda f: (jnp.round(f(128, 32, 128.0, 1e7, 312e12, 0.3)), jnp.asarray(602.0)),
        ),
        (
            "twice the width takes nearly four times as long",
            lambda f: (
                jnp.round(
                    f(256, 32, 128.0, 1e7, 1e15, 0.3) / f(128, 32, 128.0, 1e7, 1e15, 0.3), 1
                ),
                jnp.asarray(4.0),
            ),
        ),
    ],
    ships=from_the_network_itself,
)


def join(gradients, counts):
    """Return (the mean gradient over all images, its norm)."""
    total = jnp.sum(counts[:, None] * gradients, axis=0)
    mean = total / jnp.sum(counts)
    norm = jnp.sqrt(jnp.sum(mean**2))
    return mean, norm


exercise(
    "13.5",
    join,
    inputs=lambda key: (
        jax.random.normal(key, (3, 4)),
        jax.random.permutation(jax.random.fold_in(key, 1), jnp.array([2, 7, 16])),
    ),
    hints=[
        "A part's sum is its mean times its count; sums can simply be added.",
        "axis=0 adds up the rows and leaves an array with one entry for each weight.",
        "First the mean, then the norm: part of what the parts say cancels in the mean.",
    ],
    slips=[
        (
            "total / jnp.sum(counts)",
            "jnp.mean(gradients, axis=0)",
            "The mean of means is right only for equal parts: here an image of a small part counts for more than one of a large part.",
        ),
        (
            "total / jnp.sum(counts)",
            "total / len(counts)",
            "The sum is over all images: divide by their number, not by that of the parts.",
        ),
        (
            "total / jnp.sum(counts)",
            "total",
            "That is the sum over the images; the gradient of the batch is their mean.",
        ),
        (
            "counts[:, None] * gradients",
            "gradients",
            "These are the parts' means: before they are added up, each must be multiplied by its number of images.",
        ),
        (
            "jnp.sqrt(jnp.sum(mean**2))",
            "jnp.mean(jnp.sqrt(jnp.sum(gradients**2, axis=1)))",
            "The mean of the parts' norms is larger than the norm of the mean: what points different ways cancels.",
        ),
        (
            "jnp.sqrt(jnp.sum(mean**2))",
            "jnp.sum(mean**2)",
            "The root is missing.",
        ),
        (
            "jnp.sqrt(jnp.sum(mean**2))",
            "jnp.sqrt(jnp.mean(mean**2))",
            "The norm has a sum of squares, not their mean.",
        ),
        (
            "jnp.sqrt(jnp.sum(mean**2))",
            "jnp.sum(counts * jnp.sqrt(jnp.sum(gradients**2, axis=1))) / jnp.sum(counts)",
            "The mean of the parts' norms is larger than the norm of their mean. Average first, then take the norm.",
        ),
    ],
    laws=[
        (
            "with equal parts it is the mean of the parts",
            lambda f: (
                f(jnp.array([[1.0, 2.0], [3.0, -4.0]]), jnp.array([8, 8]))[0],
                jnp.array([2.0, -1.0]),
            ),
        ),
        (
            "where the batch is cut makes no difference: 1 and 3 images, or 2 and 2",
            lambda f: (
                f(jnp.array([[1.0, 0.0], [3.0, 5.0]]), jnp.array([1, 3]))[0],
                f(jnp.array([[1.5, 2.5], [3.5, 5.0]]), jnp.array([2, 2]))[0],
            ),
        ),
    ],
    ships=by_shares,
)


def worth(rate, decay):
    """Return the expected loss of the average over that of the weight, in the long run."""
    alike = decay * (1 - rate)
    return (1 - decay) / (1 + decay) * (1 + alike) / (1 - alike)


exercise(
    "13.6",
    worth,
    inputs=lambda key: (
        jax.random.uniform(key, minval=0.05, maxval=0.9),
        jax.random.uniform(jax.random.fold_in(key, 1), minval=0.3, maxval=0.97),
    ),
    hints=[
        "One update takes E[w²] to (1 − rate)² E[w²] + rate². In the long run it takes it to itself: an equation for E[w²].",
        "a is made of a and w, so E[a²] needs E[wa] as well. Write down what one update does to each of the three numbers.",
        "Without paper: begin with three zeros, apply the update of the three numbers until nothing changes, and divide.",
    ],
    slips=[
        (
            " * (1 + alike) / (1 - alike)",
            "",
            "That is right if each weight were independent of the one before; they are alike, so averaging helps less.",
        ),
        (
            "decay * (1 - rate)",
            "decay * rate",
            "From one update to the next w keeps the share 1 − rate of itself, not the share rate.",
        ),
        (
            "decay * (1 - rate)",
            "1 - rate",
            "This leaves the decay out of how w and a go together: a remembers, too.",
        ),
        (
            "return (1 - decay) / (1 + decay) * (1 + alike) / (1 - alike)",
            "return 1 / ((1 - decay) / (1 + decay) * (1 + alike) / (1 - alike))",
            "Upside down: asked is the average's loss over the weight's, which is below 1.",
        ),
        (
            "return (1 - decay) / (1 + decay) * (1 + alike) / (1 - alike)",
            "return jnp.sqrt((1 - decay) / (1 + decay) * (1 + alike) / (1 - alike))",
            "That is the ratio of the two widths; a loss goes with their squares.",
        ),
        (
            "return (1 - decay) / (1 + decay) * (1 + alike) / (1 - alike)",
            "return 1 - (1 - decay) / (1 + decay) * (1 + alike) / (1 - alike)",
            "That is the share of the loss that the average takes away; asked is the share that is left.",
        ),
        (
            "return (1 - decay) / (1 + decay) * (1 + alike) / (1 - alike)",
            "return rate / (2 - rate) * (1 - decay) / (1 + decay) * (1 + alike) / (1 - alike)",
            "That is E[a²] itself: divide it by E[w²].",
        ),
        (
            "(1 + alike) / (1 - alike)",
            "1 / (1 - alike)",
            "In E[a²] the mixed term, 2 decay (1 − decay)(1 − rate) E[wa], comes twice: is the 2 missing?",
        ),
    ],
    laws=[
        (
            "with a decay of 0 the average is the weight itself",
            lambda f: (f(jnp.asarray(0.3), jnp.asarray(0.0)), jnp.asarray(1.0)),
        ),
        (
            "a run of 200,000 updates at rate 0.2 and decay 0.9 shows it, to three in a hundred",
            lambda f: (
                jnp.abs(seen_in_a_run(0.2, 0.9) / f(jnp.asarray(0.2), jnp.asarray(0.9)) - 1)
                < 0.03,
                jnp.asarray(True),
            ),
        ),
    ],
    ships=by_pushes,
    # Whoever iterates stops somewhere.
    tolerance=1e-3,
)
