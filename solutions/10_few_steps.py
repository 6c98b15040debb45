# %% [markdown]
# # 10 · Few steps, chosen optimally: exercises
#
# *Six exercises, about 80 minutes · belongs to lesson 10*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment
# the hint. Every check stands alone: go on to the next one whenever you like. The last exercise is a **build**:
# harder, and your own.
#
# A *grid* is a list of noise levels γ, rising from the clean end to the noisy one; γ is minus the logarithm of the
# signal-to-noise ratio, $S = e^{-\gamma}$. The model walks down a grid from noise to data, one step between
# neighbours. A step from $\gamma_j$ down to the cleaner $\gamma_i$ costs
#
# $$ c_{ij} = \tfrac12\, \bigl(e^{\gamma_j - \gamma_i} - 1\bigr)\; M_j \quad \text{nats},
# \qquad M_j = \mathbb E\, \lVert \varepsilon - \hat\varepsilon(z_{\gamma_j};\, \gamma_j) \rVert^2 , $$
#
# where $M_j$ is the mean squared error of the model's guess of the noise at $\gamma_j$. The diffusion loss of a grid
# is the sum of its steps. (The roads of a map, below, are numbered from clean to noisy, and the walk of the model
# goes the other way. It is the same steps, told from the other end.)

# %% tags=["imports"]
import jax
import jax.numpy as jnp
import numpy as np

from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
import vdmlite
from vdmlite.course import exercise
from vdmlite.neighbours import few_steps


def some_curve(key, n=6):
    """Rising levels of γ, and an error at each that falls towards noise, but not evenly."""
    gamma_key, M_key = jax.random.split(key)
    gammas = -3.0 + jnp.cumsum(jax.random.uniform(gamma_key, (n,), minval=0.3, maxval=1.4))
    S = jnp.exp(-gammas)
    return gammas, 5 * S / (4 + S) * jax.random.uniform(M_key, (n,), minval=0.7, maxval=1.0)


def a_fine_curve(key, n=800):
    """The exact error at many levels for a mixture of scales, a bent schedule, and an excess in nats."""
    keys = jax.random.split(key, 5)
    ends = jax.random.uniform(keys[0], (2,), minval=-1.0, maxval=1.0) + jnp.array([-4.0, 2.0])
    gammas = jnp.linspace(*ends, n)
    S = jnp.exp(-gammas)
    a, b = jax.random.uniform(keys[1], (2,), minval=1.0, maxval=9.0)
    bend = jax.random.uniform(keys[2], minval=0.3, maxval=3.0)
    place = jnp.linspace(0, 1, n)
    t = jnp.log1p(bend * place) / jnp.log1p(bend)
    excess = jax.random.uniform(keys[3], minval=0.02, maxval=0.5)
    return gammas, S / (a + S) + 0.5 * S / (0.2 * b + S), t, excess


def some_images(key):
    """Levels of γ, the error of six images at each, two grids among them, and a dimension."""
    gammas, M = some_curve(key, 8)
    each = M[None] * (1 + 0.4 * jax.random.normal(jax.random.fold_in(key, 1), (6, 1)))
    own = jax.random.uniform(jax.random.fold_in(key, 2), (6, 8), minval=0.8, maxval=1.2)
    return gammas, each * own, jnp.array([0, 3, 7]), jnp.array([0, 2, 3, 5, 7]), 12


def compared_by_the_package(gammas, m, one, other, D):
    """The saving and its error, each image's grids priced by `edge_costs`."""
    costs = [few_steps.edge_costs(np.asarray(gammas), np.asarray(row)) for row in m]
    ways = [np.asarray(way) for way in (one, other)]
    nats = np.array([[c[way[:-1], way[1:]].sum() for c in costs] for way in ways])
    bits = vdmlite.bits_per_dim(nats[0] - nats[1], (D,))
    error = bits.std(ddof=1) / np.sqrt(len(m))
    return bits.mean(), error, len(m) * (3 * error / bits.mean()) ** 2


# %% [markdown]
# ## 10.1 · All the steps there could be
# *difficulty ●○○ · 8 minutes*
#
# `gammas` are $N$ candidates, rising, and `M` the error measured at each. Return the $(N, N)$ matrix whose entry in
# row $i$ and column $j$ is $c_{ij}$, the price of the step from $\gamma_j$ down to $\gamma_i$. There is no step
# unless $\gamma_i < \gamma_j$: put 0 there. (Whoever looks for the cheapest steps puts ∞ there later.) `jnp.expm1(a)`
# is $e^a - 1$, exact for tiny $a$ too; `jnp.where(condition, a, b)` takes `a` where the condition holds and `b`
# elsewhere. `gammas[None, :]` is a row, `gammas[:, None]` a column, and a row less a column is a matrix.


# %% tags=["10.1"]
def edge_costs(gammas, M):
    """Return the matrix of the prices c_ij in nats, 0 where there is no step."""
    ### BEGIN SOLUTION the matrix of γ_j − γ_i, row i and column j
    rise = gammas[None, :] - gammas[:, None]
    ### END SOLUTION
    ### BEGIN SOLUTION the prices, as if there were a step everywhere
    price = 0.5 * jnp.expm1(rise) * M[None, :]
    ### END SOLUTION
    ### BEGIN SOLUTION the prices, with 0 where there is no step
    return jnp.where(rise > 0, price, 0.0)
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "10.1",
    edge_costs,
    inputs=some_curve,
    hints=[
        "j counts columns, i counts rows. Which shape has one number for each column?",
        "The error is that of the noisy end γ_j, where the step begins: one number for each "
        "column.",
        "There is a step where the rise γ_j − γ_i is positive.",
    ],
    slips=[
        (
            "gammas[None, :] - gammas[:, None]",
            "gammas[:, None] - gammas[None, :]",
            "This is γ_i − γ_j, the matrix turned over: the price of a step needs noisy end "
            "less clean end, γ_j − γ_i.",
        ),
        (
            "M[None, :]",
            "M[:, None]",
            "That takes the error at the clean end γ_i; the step begins at the noisy end γ_j, "
            "and the guess is made there.",
        ),
        (
            "0.5 * jnp.expm1(rise)",
            "jnp.expm1(rise)",
            "The half is missing: a KL of two Gaussians has ½ before the squared distance of "
            "their means.",
        ),
        (
            "jnp.expm1(rise)",
            "jnp.exp(rise)",
            "Without the −1 a step that goes nowhere would cost ½ M. The price is that of a "
            "difference of SNRs.",
        ),
        (
            "jnp.expm1(rise)",
            "rise",
            "That is the price of a very short step; a long one costs e^(γ_j − γ_i) − 1 in "
            "place of γ_j − γ_i, which is more.",
        ),
        (
            "jnp.where(rise > 0, price, 0.0)",
            "price",
            "Below the diagonal γ_i exceeds γ_j. There is no step up towards noise, and no "
            "step with a negative price.",
        ),
    ],
    laws=[
        (
            "in SNR the price is width times height, (S_i − S_j) · ½ M_j/S_j",
            lambda f: (
                f(jnp.array([-1.0, 0.5]), jnp.array([9.0, 0.3]))[0, 1],
                0.5 * (jnp.exp(1.0) - jnp.exp(-0.5)) * 0.3 / jnp.exp(-0.5),
            ),
        ),
        (
            "a tiny step costs ½ M times its length in γ, without losing digits",
            lambda f: (
                f(jnp.array([0.0, 1e-5]), jnp.array([1.0, 0.8]))[0, 1] * 1e5,
                jnp.asarray(0.4),
            ),
        ),
    ],
    ships=lambda gammas, M: np.nan_to_num(
        few_steps.edge_costs(np.asarray(gammas), np.asarray(M)), posinf=0.0
    ),
)

# %% [markdown]
# ## 10.2 · Twice as many roads
# *difficulty ●●○ · 10 minutes*
#
# Think of the candidates as towns and of the prices as lengths of roads. The lesson's table starts in town 0 and takes one
# road more in each round. Here somebody knows more: `A[i, j]` is the length of the best way from town $i$ to town $j$ over
# exactly $k$ roads, for *every* pair of towns. Return the same for exactly $2k$ roads, and for each pair the town in
# the middle of its best way, the one that is reached after $k$ roads. So ten rounds do for 1024 roads.
#
# Why may the two halves be chosen apart from each other? (In this exercise there is a road from every town to every town,
# itself included, and the way back has another length. `a.min(1)` takes the minimum along axis 1, and `a.argmin(1)` says
# where it is.)


# %% tags=["10.2"]
def doubled(A):
    """Return (the best lengths over twice as many roads, the towns in the middle), both (N, N)."""
    ### BEGIN SOLUTION for each i, m and j the best way from i to m and on from m to j
    through = A[:, :, None] + A[None, :, :]
    ### END SOLUTION
    ### BEGIN SOLUTION the best lengths over twice as many roads
    lengths = through.min(1)
    ### END SOLUTION
    ### BEGIN SOLUTION the towns in the middle
    middle = through.argmin(1)
    ### END SOLUTION
    return lengths, middle


# %% tags=["author"]
def many_roads(f):
    """The best lengths from town 0 over 8 roads, by three doublings and by the package's rounds."""
    roads = jax.random.uniform(jax.random.key(10), (7, 7), minval=0.2)
    lengths = roads
    for _ in range(3):
        lengths = f(lengths)[0]
    return lengths[0], few_steps.shortest_paths(np.asarray(roads), 8).cost[8]


FORWARD = jnp.array([[jnp.inf, 1.0, 5.0], [jnp.inf, jnp.inf, 2.0], [jnp.inf] * 3])

exercise(
    "10.2",
    doubled,
    inputs=lambda key: (jax.random.uniform(key, (5, 5), minval=0.2),),
    hints=[
        "What comes after the middle does not care how we got there. So for one pair and one middle the best length is a sum of two entries of A.",
        "Make an array with three axes, for i, the middle m and j. Which entry of A has i and m, and which m and j?",
        "A[:, :, None] has one more axis at the end, A[None, :, :] one at the front. Which of the three is chosen, and is gone afterwards?",
    ],
    slips=[
        (
            "A[:, :, None] + A[None, :, :]",
            "A[:, :, None] + A[:, None, :]",
            "Both ways set out from town i. The second sets out where the first ended, in the middle.",
        ),
        (
            "A[:, :, None] + A[None, :, :]",
            "A[:, :, None] + A.T[None, :, :]",
            "The second half is turned round: it leads from j to the middle. Roads have two directions.",
        ),
        (
            "A[:, :, None] + A[None, :, :]",
            "A.T[:, :, None] + A[None, :, :]",
            "The first half is turned round: it leads from the middle to i. Roads have two directions.",
        ),
        (
            "A[:, :, None] + A[None, :, :]",
            "jnp.maximum(A[:, :, None], A[None, :, :])",
            "A way is as long as both halves together, not as the longer of them.",
        ),
        (
            "through.min(1)",
            "2 * A",
            "That goes the same way length twice. After k roads one stands in another town, and may choose anew.",
        ),
        (
            "through.min(1)",
            "jnp.minimum(A, through.min(1))",
            "Exactly 2k roads are asked for: a shorter way over k roads does not count.",
        ),
        (
            "middle = through.argmin(1)",
            "middle = through.argmin(0)",
            "This axis counts the towns i where ways begin. The middle is counted by axis 1.",
        ),
        (
            "middle = through.argmin(1)",
            "middle = through.argmin(1).T",
            "Row i, column j: the first town of a way is counted by rows.",
        ),
        (
            "middle = through.argmin(1)",
            "middle = through.argmin(1) + 1",
            "Towns count from 0.",
        ),
        (
            "A[:, :, None] + A[None, :, :]",
            "jnp.where(jnp.eye(len(A)), 0.0, A)[:, :, None] + A[None, :, :]",
            "Staying in a town is no way over k roads: each half has exactly k.",
        ),
        (
            "middle = through.argmin(1)",
            "middle = jnp.broadcast_to(A.argmin(1)[:, None], A.shape)",
            "The best first half may lead to a bad second one: choose the town in the middle for both together.",
        ),
        (
            ":, None] + A[None, :, :]",
            "None, :] + A[None, :, :]",
            "Both ways end in town j here. The first ends in the middle, and the second sets out from there.",
        ),
        (
            "lengths = through.min(1)\n    middle = through.argmin(1)",
            "near = A.argmin(1)\n    lengths = A.min(1)[:, None] + A[near]\n    middle = near[:, None] + 0 * through.argmin(1)",
            "The nearest town after k roads need not lie on the best way over 2k: try every town as the middle.",
        ),
    ],
    laws=[
        (
            "three doublings are eight roads, as eight rounds of the package find them",
            many_roads,
        ),
        (
            "where roads only lead forward, over 1 + 1 roads the last town is reached through the one between",
            lambda f: (
                (f(FORWARD)[0][0, 2], f(FORWARD)[1][0, 2]),
                (jnp.asarray(3.0), jnp.asarray(1)),
            ),
        ),
    ],
)

# %% [markdown]
# ## 10.3 · Unfold the way
# *difficulty ●●○ · 12 minutes*
#
# The doubling of 10.2 was done several times, and each time the towns in the middle were kept: `middle[0][i, j]` is the
# town in the middle of the best way from $i$ to $j$ over 2 roads, `middle[1][i, j]` that over 4 roads, and so on, each time
# twice as many. Return the whole best way from town 0 to the *last* town over as many roads as the last of these tables is
# for: an array of towns that begins with 0. (Roads lead in all directions here, so a way may come back to a town.)


# %% tags=["10.3"]
def unfold(middle):
    """Return the towns of the best way, from the first to the last."""
    middle = np.asarray(middle)
    way = np.array([0, middle.shape[1] - 1])  # the ends are known
    ### BEGIN SOLUTION the tables, in the order in which they are needed
    tables = middle[::-1]
    ### END SOLUTION
    for table in tables:
        ### BEGIN SOLUTION the towns between each two neighbours, one fewer than there are towns
        between = table[way[:-1], way[1:]]
        ### END SOLUTION
        ### BEGIN SOLUTION the way with these towns put in
        way = np.append(np.stack([way[:-1], between], axis=1), way[-1])
        ### END SOLUTION
    return way


# %% tags=["author"]
def some_middles(key):
    """The middles of the best ways over 2, 4 … roads on a map of seven towns."""
    return (middles(jax.random.uniform(key, (7, 7), minval=0.2), 2 + int(key_bit(key))),)


def key_bit(key):
    return jax.random.bernoulli(jax.random.fold_in(key, 1))


def middles(roads, rounds):
    """The tables of middles after so many doublings."""
    lengths, found = roads, []
    for _ in range(rounds):
        lengths, middle = doubled(lengths)
        found.append(middle)
    return jnp.stack(found)


exercise(
    "10.3",
    unfold,
    inputs=some_middles,
    hints=[
        "Of the longest way you know both ends. Which table has the town half-way between them?",
        "Now there are two halves, each with known ends. Which table is for ways of half as many roads?",
        "In each turn every pair of neighbours gets a town between: from 2 towns to 3, then to 5, to 9.",
    ],
    slips=[
        (
            "middle[::-1]",
            "middle",
            "The first table is for two roads. Begin with the last one, which halves the whole way.",
        ),
        (
            "middle[::-1]",
            "middle[-1:]",
            "That finds one town, half-way. Each half is to be halved again, down to single roads.",
        ),
        (
            "middle[::-1]",
            "middle[:0:-1]",
            "The table for two roads is left out, and with it every other town.",
        ),
        (
            "table[way[:-1], way[1:]]",
            "table[way[1:], way[:-1]]",
            "A piece leads from i to j; these are the middles of the ways back.",
        ),
        (
            "table[way[:-1], way[1:]]",
            "table[0, way[1:]]",
            "Only the first piece begins in town 0. Each piece has ends of its own.",
        ),
        (
            "np.stack([way[:-1], between], axis=1)",
            "np.stack([between, way[1:]], axis=1)",
            "The middle stands before the end of its piece, and behind its beginning.",
        ),
        (
            "np.append(np.stack([way[:-1], between], axis=1), way[-1])",
            "np.append(np.concatenate([way[:-1], between]), way[-1])",
            "All old towns stand in front of all new ones here: each new one belongs between its two neighbours.",
        ),
        (
            "np.append(np.stack([way[:-1], between], axis=1), way[-1])",
            "np.sort(np.append(way, between))",
            "Towns are in the order of the way, which goes back and forth.",
        ),
        (
            "np.append(np.stack([way[:-1], between], axis=1), way[-1])",
            "np.stack([way[:-1], between], axis=1).ravel()",
            "The last town gets lost.",
        ),
        (
            "between = table[way[:-1], way[1:]]",
            "between = middle[-1][way[:-1], way[1:]]",
            "After the first halving the pieces are shorter: each turn has a table of its own.",
        ),
    ],
    laws=[
        (
            "it is the way of eight roads that the package walks back",
            lambda f: (
                f(middles(jax.random.uniform(jax.random.key(3), (7, 7), minval=0.2), 3)),
                few_steps.shortest_paths(
                    np.asarray(jax.random.uniform(jax.random.key(3), (7, 7), minval=0.2)), 8
                ).path(8),
            ),
        ),
    ],
)

# %% [markdown]
# ## 10.4 · Is it better, or was it luck?
# *difficulty ●●○ · 12 minutes*
#
# The errors were measured with $n$ images: `m[a, j]` is $\lVert \varepsilon - \hat\varepsilon \rVert^2$ of image `a` at
# `gammas[j]`. Two grids are compared. `one` and `other` hold the places of their levels among the candidates, rising, so
# that the levels of the first are `gammas[one]`. They need not have equally many steps. An image has `D` dimensions.
# Return, in bits per dimension,
#
# - `saved`: what the diffusion loss of `other` is less than that of `one`, as a mean over the images;
# - `error`: the standard error of that number;
#
# and `images`: with how many images in all (not rounded) would the same saving be three standard errors?
#
# Images are independent of each other. What is not? `a.std(ddof=1)` is a standard deviation as estimated from a sample.


# %% tags=["10.4"]
def comparison(gammas, m, one, other, D):
    """Return (saved, error) in bits per dimension, and the number of images for three errors."""

    def bits(way):
        """Each image's diffusion loss on a grid, of shape (n,), in bits per dimension."""
        ### BEGIN SOLUTION the loss of each image
        weights = 0.5 * jnp.expm1(jnp.diff(gammas[way]))
        return m[:, way[1:]] @ weights / (D * jnp.log(2))
        ### END SOLUTION

    ### BEGIN SOLUTION what each image saves, or their mean
    gain = bits(one) - bits(other)
    ### END SOLUTION
    ### BEGIN SOLUTION the standard error of the mean
    error = gain.std(ddof=1) / jnp.sqrt(len(m))
    ### END SOLUTION
    ### BEGIN SOLUTION the number of images that would be enough
    images = len(m) * (3 * error / gain.mean()) ** 2
    ### END SOLUTION
    return gain.mean(), error, images


# %% tags=["author"]
exercise(
    "10.4",
    comparison,
    inputs=some_images,
    hints=[
        "The loss of one image on one grid is a sum over the steps, and every step pays the error of its noisy end.",
        "Each image is priced on both grids. Some images are dear on both: what of that is left in the difference?",
        "A standard error falls with the root of the number of images, while the saving stays.",
    ],
    slips=[
        (
            "gain.std(ddof=1) / jnp.sqrt(len(m))",
            "jnp.hypot(bits(one).std(ddof=1), bits(other).std(ddof=1)) / jnp.sqrt(len(m))",
            "That would be right for two sets of images. These are the same images: an image that is dear on one grid is dear on the other. Take the differences first.",
        ),
        (
            "gain.std(ddof=1) / jnp.sqrt(len(m))",
            "gain.std(ddof=1)",
            "That is how single images scatter. Their mean is surer, by a root of n.",
        ),
        (
            "gain.std(ddof=1) / jnp.sqrt(len(m))",
            "gain.std(ddof=1) / len(m)",
            "Divide by the root of n.",
        ),
        (
            "gain.std(ddof=1) / jnp.sqrt(len(m))",
            "gain.std() / jnp.sqrt(len(m))",
            "Of a sample the standard deviation is estimated with n − 1: ddof=1.",
        ),
        (
            "bits(one) - bits(other)",
            "bits(other) - bits(one)",
            "The sign: saved is what `other` costs less.",
        ),
        (
            "m[:, way[1:]]",
            "m[:, way[:-1]]",
            "A step pays the error at its noisy end, where it begins.",
        ),
        (
            "m[:, way[1:]]",
            "m[:, 1 : len(way)]",
            "These are the first levels of all. The grid's own stand at the places `way`.",
        ),
        (
            "jnp.diff(gammas[way])",
            "jnp.diff(gammas)[way[1:] - 1]",
            "A step leads from one level of the grid to the next, over all candidates between.",
        ),
        (
            "0.5 * jnp.expm1",
            "jnp.expm1",
            "The half in front of the price is missing.",
        ),
        (
            "/ (D * jnp.log(2))",
            "/ D",
            "These are nats: a bit is log 2 of a nat.",
        ),
        (
            "/ (D * jnp.log(2))",
            "/ jnp.log(2)",
            "That is for the whole image: divide by its dimensions.",
        ),
        (
            "(3 * error / gain.mean()) ** 2",
            "(3 * error / gain.mean())",
            "Four times the images only halve the error: the number goes with the square.",
        ),
        (
            "len(m) * (3 * error / gain.mean()) ** 2",
            "(3 * error / gain.mean()) ** 2",
            "The error is already that of n images: so many times n are needed.",
        ),
        (
            "(3 * error / gain.mean()) ** 2",
            "(gain.mean() / (3 * error)) ** 2",
            "Upside down: where the saving is small more images are needed.",
        ),
        (
            "bits(one) - bits(other)",
            "(bits(one) - bits(other)) / bits(one)",
            "That is a share. Asked for are bits per dimension.",
        ),
    ],
    laws=[
        (
            "if every image costs twice as many bits as the one before it scatters much, but a grid compared with itself has no error",
            lambda f: (
                f(
                    jnp.array([0.0, 1.0, 2.0]),
                    jnp.array([[1.0], [2.0], [4.0]]) * jnp.ones((3, 3)),
                    jnp.array([0, 1, 2]),
                    jnp.array([0, 1, 2]),
                    4,
                )[1]
                + 1.0,
                jnp.asarray(1.0),
            ),
        ),
    ],
    ships=compared_by_the_package,
)

# %% [markdown]
# ## 10.5 · How many steps does your schedule need?
# *difficulty ●●● · 14 minutes*
#
# The lesson has a formula for the best grid. Now take the grids of any *schedule*: $K$ steps, even in time. `t` is the time
# at each of many levels `gammas`, rising and close together, from 0 to 1, and `M` is the error at each. What a grid costs
# more than infinitely many steps is its **excess**. Return how many steps hold it down to `excess` nats, not rounded,
#
# - for the even steps in time of this schedule;
# - for the best grid that there is between the same ends.
#
# In SNR $S = e^{-\gamma}$ the price of a step is width times height, $(S_i - S_j)\, h(S_j)$ with
# $h(S) = \tfrac12\, M / S$, and its excess is a triangle over the curve $h$. How wide is a step of the schedule at a given
# level? Derivatives are not needed: between neighbouring levels all things are differences, $\Delta S$, $\Delta h$, $\Delta t$.
# One per cent is allowed.


# %% tags=["10.5"]
def steps_needed(gammas, M, t, excess):
    """Return the numbers of steps for an excess in nats: (of the schedule, of the best grid)."""
    S = jnp.exp(-gammas)
    ### BEGIN SOLUTION |Δh| · |ΔS| between neighbouring levels
    h = 0.5 * M / S
    pieces = jnp.abs(jnp.diff(h) * jnp.diff(S))
    ### END SOLUTION
    ### BEGIN SOLUTION K times the excess of K even steps in time
    of_schedule = 0.5 * jnp.sum(pieces / jnp.diff(t))
    ### END SOLUTION
    ### BEGIN SOLUTION K times the excess of the best K steps
    of_best = 0.5 * jnp.sum(jnp.sqrt(pieces)) ** 2
    ### END SOLUTION
    return of_schedule / excess, of_best / excess


# %% tags=["author"]
fine = jnp.linspace(-2.0, 2.0, 400)
two_halves = "A half is missing. There are two: h is half the squared error of x, and the excess of a step is a triangle."


def gaussian(gammas):
    """The error for Gaussian data of standard deviation ½."""
    return jnp.exp(-gammas) / (4 + jnp.exp(-gammas))


def measured_steps(f, K=2000):
    """What f says K even steps in time cost too much, and what they do, as a share; t is bent."""

    def nats(gammas):
        return np.sum(0.5 * np.expm1(np.diff(gammas)) / (1 + 4 * np.exp(gammas[1:])))

    time = np.linspace(0, 1, K + 1)
    levels = -2 + 4 * (0.3 * time + 0.7 * time**2)
    exact = 0.5 * np.log((4 + np.exp(2.0)) / (4 + np.exp(-2.0)))
    places = np.interp(np.asarray(fine), levels, time)
    excess = float(nats(levels) - exact)
    return f(fine, gaussian(fine), jnp.asarray(places, jnp.float32), excess)[0] / K, 1.0


exercise(
    "10.5",
    steps_needed,
    inputs=a_fine_curve,
    tolerance=1e-2,
    hints=[
        "A step of the width w in S has the excess ½ |h'| w². With K even steps in time, how wide is a step where the time grows by Δt while S falls by |ΔS|?",
        "There, K Δt steps fall on the stretch ΔS, each |ΔS|/(K Δt) wide, and h falls by |Δh| in all. So what is the stretch's part of the excess?",
        "For the best grid: the lesson's integral of √|h'|, and √(|Δh| |ΔS|) is √|h'| |ΔS|.",
    ],
    slips=[
        (
            "pieces / jnp.diff(t)",
            "pieces * jnp.diff(t)",
            "Where the schedule stays long, Δt is large, there are many steps, and the excess is small: divide.",
        ),
        (
            "pieces / jnp.diff(t)",
            "pieces / jnp.diff(t) ** 2",
            "Once too often: each step's triangle has 1/Δt², but K Δt steps fall on the stretch.",
        ),
        (
            "pieces / jnp.diff(t)",
            "pieces * len(t)",
            "That is a schedule whose time grows evenly from level to level. This one has a pace of its own, Δt.",
        ),
        (
            "pieces / jnp.diff(t)",
            "pieces",
            "These are the triangles of steps from each of the given levels to the next. How many even steps in time fall on each stretch?",
        ),
        ("0.5 * jnp.sum(pieces / jnp.diff(t))", "jnp.sum(pieces / jnp.diff(t))", two_halves),
        ("0.5 * jnp.sum(jnp.sqrt(pieces)) ** 2", "jnp.sum(jnp.sqrt(pieces)) ** 2", two_halves),
        (
            "jnp.sum(jnp.sqrt(pieces)) ** 2",
            "jnp.sum(pieces)",
            "Take the root of each piece, then the sum, then the square.",
        ),
        (
            "jnp.sum(jnp.sqrt(pieces)) ** 2",
            "jnp.sum(jnp.sqrt(pieces))",
            "The integral of √|h′| is squared.",
        ),
        (
            "0.5 * M / S",
            "M / S",
            two_halves,
        ),
        (
            "0.5 * M / S",
            "0.5 * M",
            "The height over S is half the error of x, which is M divided by the SNR.",
        ),
        (
            "0.5 * M / S",
            "0.5 * M * S",
            "The height over S is half the error of x: M *divided* by the SNR.",
        ),
        (
            "return of_schedule / excess, of_best / excess",
            "return of_schedule, of_best",
            "These are the constants. The excess is the constant over K: solve for K.",
        ),
        (
            "return of_schedule / excess, of_best / excess",
            "return of_schedule * excess, of_best * excess",
            "A smaller excess takes more steps.",
        ),
    ],
    laws=[
        (
            "two thousand even steps of a bent schedule cost too much what you say, for Gaussian data",
            measured_steps,
        ),
        (
            "for these data the best grid has ¼ log² of the ratio of 4 + S at the two ends, over the excess",
            lambda f: (
                f(fine, gaussian(fine), (fine + 2) / 4, jnp.asarray(0.5))[1],
                0.5 * jnp.log((4 + jnp.exp(2.0)) / (4 + jnp.exp(-2.0))) ** 2,
            ),
        ),
        (
            "a schedule that is even in log(4 + S) needs no more than the best",
            lambda f: f(fine, gaussian(fine), even_in_the_log(fine), jnp.asarray(1.0)),
        ),
    ],
)


def even_in_the_log(gammas):
    """The time of the schedule for which log(4 + S) falls evenly."""
    fallen = jnp.log(4 + jnp.exp(-gammas))
    return (fallen[0] - fallen) / (fallen[0] - fallen[-1])


# %% [markdown]
# ## 10.6 · Build: thirty lines with a bug
# *difficulty ●●● · 25 minutes · build*
#
# Somebody wrote the whole thing in one go, in plain NumPy: the best grid of exactly $K$ steps among the candidates,
# and its price. It runs, and is wrong.
#
# ```python
# def plan(gammas, M, K):
#     N = len(gammas)
#     S = np.exp(-gammas)
#     h = 0.5 * M / S  # the height of a step's rectangle, over the SNR S
#     # length[j]: of the best way to town j that was found so far
#     length = np.full(N, np.inf)
#     length[0] = 0.0
#     came_from = np.zeros((K + 1, N), int)
#     for k in range(1, K + 1):
#         for j in range(1, N):
#             for i in range(j):
#                 longer = length[i] + (S[i] - S[j]) * h[j]
#                 if longer < length[j]:
#                     length[j] = longer
#                     came_from[k, j] = i
#     way = [N - 1]
#     for k in range(K, 0, -1):
#         way.append(int(came_from[k, way[-1]]))
#     way.reverse()
#     return gammas[np.array(way)], length[N - 1]
# ```
#
# On the Gaussian curve of the lesson, `gammas = np.linspace(-3, 3, 61)` and
# `M = np.exp(-gammas) / (4 + np.exp(-gammas))`, it says that two steps should begin at γ = −3, −3 and end at 3. And
# the price that it names does not change with `K`.
#
# Copy it into the cell, find the cause, and mend it. Test the mended program before you run the check: the price must
# be the sum of the steps of the grid that it returns; three levels are few enough to try all places of the middle
# one. Where `M` is measured, the curve is not smooth, and the best way over exactly $K$ roads may be longer than one
# over fewer: it is asked for all the same. (`gammas` and `M` are NumPy arrays.)


# %% tags=["10.6"]
def plan(gammas, M, K):
    """Return (the levels of the best grid of exactly K steps, rising, and its price in nats)."""
    ### BEGIN SOLUTION the mended program
    N = len(gammas)
    S = np.exp(-gammas)
    h = 0.5 * M / S
    length = np.full(N, np.inf)
    length[0] = 0.0
    came_from = np.zeros((K + 1, N), int)
    for k in range(1, K + 1):
        before = length  # over k − 1 roads; the new row must not be read while it is written
        length = np.full(N, np.inf)
        for j in range(1, N):
            through = before[:j] + (S[:j] - S[j]) * h[j]
            came_from[k, j] = through.argmin()
            length[j] = through[came_from[k, j]]
    way = [N - 1]
    for k in range(K, 0, -1):
        way.append(int(came_from[k, way[-1]]))
    way.reverse()
    return gammas[np.array(way)], length[N - 1]
    ### END SOLUTION


# %% tags=["author"]
def a_plan(key):
    """Candidates with a rough curve, in double precision, and a number of steps."""
    curve_key, rough_key, steps_key = jax.random.split(key, 3)
    gammas, M = (np.asarray(a, float) for a in some_curve(curve_key, 11))
    rough = np.asarray(jax.random.uniform(rough_key, (11,), minval=0.3), float)
    return gammas, M * rough, int(jax.random.choice(steps_key, jnp.array([2, 3, 8])))


def plan_by_the_package(gammas, M, K):
    paths = few_steps.shortest_paths(few_steps.edge_costs(gammas, M), K)
    return gammas[paths.path(K)], paths.cost[K, -1]


def priced(f, K):
    """The price that f names for a measured curve, and the sum of the steps of its grid."""
    gammas, M, _ = a_plan(jax.random.key(2))
    grid, price = f(gammas, M, K)
    heights = np.interp(grid, gammas, M)
    return price, np.sum(0.5 * np.expm1(np.diff(np.asarray(grid))) * heights[1:])


BELL = np.linspace(-3, 3, 31)

exercise(
    "10.6",
    plan,
    inputs=a_plan,
    hints=[
        "Print `length` after every k. After k = 1, which towns can be reached over one road, "
        "and how long is it? Compare.",
        "In the lesson's formula row k is made of row k − 1. Which values does the line with "
        "`longer` read while k = 1?",
        "A town keeps its old length when no longer way is shorter: but a way over fewer "
        "roads is no way over k roads, not even to town 0.",
    ],
    slips=[
        (
            "before = length  # over k − 1 roads; the new row must not be read while it is written\n        length = np.full(N, np.inf)\n",
            "before = length\n",
            "This is the bug: the row is read while it is written, so that a way of one round "
            "has as many roads as it likes.",
        ),
        (
            "        length = np.full(N, np.inf)\n        for j",
            "        length = length.copy()\n        for j",
            "The new row begins as a copy of the old one. Town 0 then stays at length 0, as "
            "if one could wait there: a way of K roads may have fewer.",
        ),
        (
            "(S[:j] - S[j]) * h[j]",
            "(S[:j] - S[j]) * h[:j]",
            "This takes the height at the clean end of the step, i; the guess is made at the "
            "noisy end, j. The program had that right.",
        ),
        (
            "h = 0.5 * M / S",
            "h = 0.5 * M",
            "That is the height over γ; over S it is ½ M/S. The program had that right.",
        ),
        (
            "range(K, 0, -1)",
            "range(K - 1, -1, -1)",
            "The walk back begins in row K; row 0 means nothing. The program had that right.",
        ),
        (
            "length[N - 1]",
            "before[N - 1]",
            "That is the price of the best grid with one step fewer.",
        ),
    ],
    laws=[
        (
            "the price is the sum of the steps of the grid",
            lambda f: tuple(zip(*(priced(f, K) for K in (1, 2, 5, 10)), strict=True)),
        ),
        (
            "for Gaussian data and K = 3 no other choice of two levels is cheaper: all were "
            "tried",
            lambda f: (
                f(BELL, np.exp(-BELL) / (4 + np.exp(-BELL)), 3)[1],
                min(
                    gaussian_price(BELL[[0, i, j, 30]])
                    for i in range(1, 30)
                    for j in range(i + 1, 30)
                ),
            ),
        ),
    ],
    ships=plan_by_the_package,
    equivalent=[
        "N = len(M)",
        "came_from = np.zeros((K + 2, N), int)",
        "way.append(came_from[k, way[-1]])",
        "return (gammas[way], length[N - 1])",
    ],
)


def gaussian_price(gammas):
    """The diffusion loss of a grid for Gaussian data of standard deviation ½."""
    S = np.exp(-gammas)
    return np.sum((S[:-1] - S[1:]) * 0.5 / (4 + S[1:]))


# %% [markdown]
# ## Now import it
#
# `vdmlite.neighbours.few_steps` has `edge_costs` (10.1, with ∞ in place of 0) and `shortest_paths`, which goes round by
# round and walks back by its `path`: one road more in each round gives the answer for *every* number of steps, which the
# doubling of 10.2 and 10.3 does not. `vdmlite.error_curve` measures the errors, `evaluate` compares schedules on the same
# draws as 10.4 does, and `few_steps.best_grid` goes from a curve to the best grid in one call, as 10.6.
