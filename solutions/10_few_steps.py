# %% [markdown]
# # 10 · Few steps, chosen optimally: exercises
#
# *Six exercises, about 70 minutes · belongs to lesson 10*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment
# the hint. Every check stands alone: go on to the next one whenever you like. The last exercise is a **build**:
# harder, and your own.
#
# A *grid* is a list of noise levels γ, rising from the clean end to the noisy one; γ is minus the logarithm of the
# signal-to-noise ratio, $u = e^{-\gamma}$. The model walks down a grid from noise to data, one step between
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
    u = jnp.exp(-gammas)
    return gammas, 5 * u / (4 + u) * jax.random.uniform(M_key, (n,), minval=0.7, maxval=1.0)


def some_map(key):
    """The best lengths to six towns over two roads, and the roads, one from each to each."""
    roads = jax.random.uniform(key, (6, 6), minval=0.2)
    return jnp.asarray(few_steps.shortest_paths(np.asarray(roads), 2).cost[2]), roads


def some_table(key):
    """Where each minimum came from, on a map of nine towns with roads both ways, and K."""
    road_key, steps_key = jax.random.split(key)
    table = few_steps.shortest_paths(np.asarray(jax.random.uniform(road_key, (9, 9))), 6)
    return jnp.asarray(table.previous), int(jax.random.randint(steps_key, (), 3, 7))


def a_fine_curve(key, n=800):
    """The exact error at many levels for a mixture of scales, and an excess in nats."""
    keys = jax.random.split(key, 4)
    ends = jax.random.uniform(keys[0], (2,), minval=-1.0, maxval=1.0) + jnp.array([-4.0, 2.0])
    gammas = jnp.linspace(*ends, n)
    u = jnp.exp(-gammas)
    a, b = jax.random.uniform(keys[1], (2,), minval=1.0, maxval=9.0)
    excess = jax.random.uniform(keys[3], minval=0.02, maxval=0.5)
    return gammas, u / (a + u) + 0.5 * u / (0.2 * b + u), excess


def some_images(key):
    """Levels of γ, the error of six images at each, a grid among them, and a dimension."""
    gammas, M = some_curve(key, 8)
    each = M[None] * (1 + 0.4 * jax.random.normal(jax.random.fold_in(key, 1), (6, 1)))
    own = jax.random.uniform(jax.random.fold_in(key, 2), (6, 8), minval=0.8, maxval=1.2)
    return gammas, each * own, jnp.array([0, 2, 3, 5, 7]), 12


def promise_by_the_package(gammas, m, way, D):
    """The mean and its error, each image's grid priced by `edge_costs`."""
    way = np.asarray(way)
    costs = [few_steps.edge_costs(np.asarray(gammas), np.asarray(row)) for row in m]
    bits = vdmlite.bits_per_dim(jnp.stack([c[way[:-1], way[1:]].sum() for c in costs]), (D,))
    return bits.mean(), bits.std(ddof=1) / np.sqrt(len(m))


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
            "in SNR the price is width times height, (u_i − u_j) · ½ M_j/u_j",
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
# ## 10.2 · One round of the table
# *difficulty ●●○ · 8 minutes*
#
# Think of the candidates as towns and of the prices as lengths of roads: `roads[i, j]` is the length of the road from
# town $i$ to town $j$. For $k - 1$ roads all is known already: `C[i]` is the length of the best way from town 0 to
# town $i$ over exactly $k - 1$ roads. Now for $k$:
#
# $$ C^{\text{new}}_j = \min_i \bigl( C_i + \text{roads}_{ij} \bigr) . $$
#
# Return the new lengths, and for each town $j$ the town $i$ that the best way comes from. Do it for all towns at
# once. `a.min(0)` takes the minimum of each column, over the rows; `a.argmin(0)` says in which row it is. (In this
# exercise there is a road from every town to every town, itself included, and the way back has another length. The
# minimum is over all $i$.)


# %% tags=["10.2"]
def one_round(C, roads):
    """Return (the best lengths over one road more, the town that each comes from)."""
    ### BEGIN SOLUTION in row i and column j, the best way to i and then the road to j
    through = C[:, None] + roads
    ### END SOLUTION
    ### BEGIN SOLUTION the best length to each town j
    new = through.min(0)
    ### END SOLUTION
    ### BEGIN SOLUTION the town i before j on that way
    came_from = through.argmin(0)
    ### END SOLUTION
    return new, came_from


# %% tags=["author"]
exercise(
    "10.2",
    one_round,
    inputs=some_map,
    hints=[
        "C_i belongs to row i, whatever the column. Which shape of C does that: C[None, :] or "
        "C[:, None]?",
        "j is to be kept and i to be chosen. Which axis counts the i?",
    ],
    slips=[
        (
            "C[:, None] + roads",
            "C[None, :] + roads",
            "This adds the way to j, where the new road ends. What comes before the road from "
            "i to j is the way to i, a column.",
        ),
        (
            "C[:, None] + roads",
            "roads",
            "That is the shortest last road alone; the way to where it begins, C_i, counts "
            "too.",
        ),
        (
            "through.min(0)",
            "through.min(1)",
            "This minimum runs over j, axis 1: it is the best way that goes on from i, not "
            "the best that arrives at j.",
        ),
        (
            "through.min(0)",
            "jnp.minimum(C, through.min(0))",
            "This keeps the old way where it is shorter, and that has one road less: exactly "
            "k are asked for.",
        ),
        (
            "through.min(0)",
            "C[through.argmin(0)]",
            "The length stops one town early: the last road is missing.",
        ),
        (
            "through.argmin(0)",
            "through.argmin(1)",
            "That says for each i where to go next; you are asked for each j where the way "
            "comes from, axis 0.",
        ),
        (
            "through.argmin(0)",
            "roads.argmin(0)",
            "That is the town with the shortest road to j; it may be far away itself. Look "
            "where the sum is least.",
        ),
    ],
    laws=[
        (
            "with only town 0 reached so far, C = (0, ∞, ∞), the new lengths are those of the "
            "roads from it",
            lambda f: (
                f(
                    jnp.array([0.0, jnp.inf, jnp.inf]),
                    jnp.array([[0.5, 1.0, 4.0], [2.0, 0.1, 0.2], [3.0, 0.3, 0.4]]),
                ),
                (jnp.array([0.5, 1.0, 4.0]), jnp.zeros(3)),
            ),
        ),
    ],
    ships=lambda C, roads: tuple(
        part[3] for part in few_steps.shortest_paths(np.asarray(roads), 3)
    ),
)

# %% [markdown]
# ## 10.3 · Walking back
# *difficulty ●●○ · 8 minutes*
#
# The table is full. `came_from[k, j]` is the town before $j$ on the best way from town 0 to $j$ over exactly $k$
# roads (row 0 means nothing). Return the whole way to the *last* town over exactly `K` roads: an array of `K + 1`
# towns, from town 0 to the last. (Roads lead in all directions here, so a way may come back to a town.) Begin at the
# end. Note that the way to the town before has one road less, so its own entry stands in the row above, $k - 1$.


# %% tags=["10.3"]
def walk_back(came_from, K):
    """Return the towns of the best way of K roads, from the first to the last."""
    ### BEGIN SOLUTION the number of the last town
    last = came_from.shape[1] - 1
    ### END SOLUTION
    ### BEGIN SOLUTION the rows of the table to look at, in the order of walking back
    rows = range(K, 0, -1)
    ### END SOLUTION
    way = [last]
    for k in rows:
        ### BEGIN SOLUTION the town before the one that was added last
        before = came_from[k, way[-1]]
        ### END SOLUTION
        way.append(int(before))
    ### BEGIN SOLUTION the same towns, from the first to the last
    forward = way[::-1]
    ### END SOLUTION
    return jnp.array(forward)


# %% tags=["author"]
exercise(
    "10.3",
    walk_back,
    inputs=some_table,
    hints=[
        "The table has a column for each town, and towns count from 0.",
        "Which row says how the last town was reached over K roads? And which row the town "
        "before it? range(a, b, -1) counts down from a and stops before b.",
        "way[-1] is the town added last, and way[::-1] the list turned round.",
    ],
    slips=[
        (
            "came_from.shape[1] - 1",
            "came_from.shape[1]",
            "Towns count from 0, so the last of N towns is N − 1.",
        ),
        (
            "came_from.shape[1] - 1",
            "came_from.shape[0] - 1",
            "The rows of the table are numbers of roads; the towns are its columns.",
        ),
        (
            "range(K, 0, -1)",
            "range(K - 1, -1, -1)",
            "One row too high: the last town is reached over K roads, so the first row to "
            "look at is K, and row 0 means nothing.",
        ),
        (
            "range(K, 0, -1)",
            "range(1, K + 1)",
            "Walking back, the ways get shorter: begin with row K and count down.",
        ),
        (
            "came_from[k, way[-1]]",
            "came_from[K, way[-1]]",
            "This looks at row K every time; the way to the town before has one road less, so "
            "go up a row at each step.",
        ),
        (
            "came_from[k, way[-1]]",
            "came_from[k, last]",
            "This asks at the last town every time; ask at the town that you have just come "
            "to, way[-1].",
        ),
        (
            "way[::-1]",
            "way",
            "That is the way back, from the last town to the first: turn it round.",
        ),
        (
            "way[::-1]",
            "sorted(way)",
            "Sorting does it only on a map whose roads never lead to a lower number; here a "
            "way goes back and forth: turn it round.",
        ),
    ],
    laws=[
        (
            "a way of one road goes from town 0 straight to the last",
            lambda f: (f(jnp.zeros((2, 5), int), 1), jnp.array([0, 4])),
        ),
        (
            "a way may lead back: 0, 3, 1, 4",
            lambda f: (
                f(jnp.zeros((4, 5), int).at[3, 4].set(1).at[2, 1].set(3), 3),
                jnp.array([0, 3, 1, 4]),
            ),
        ),
    ],
    ships=lambda came_from, K: few_steps.ShortestPaths(
        np.zeros(came_from.shape), np.asarray(came_from)
    ).path(K),
)

# %% [markdown]
# ## 10.4 · A promise and its error
# *difficulty ●●○ · 10 minutes*
#
# The errors were measured with $n$ images: `m[a, j]` is $\lVert \varepsilon - \hat\varepsilon \rVert^2$ of image `a`
# at `gammas[j]`. `way` holds the places of a grid among the candidates, rising, so that its levels are `gammas[way]`.
# What does the measurement promise for the diffusion loss of this grid? Return its mean over the images and the
# standard error of that mean, in bits per dimension. An image has `D` dimensions, and a bit is $\log 2$ nats.
#
# The standard error of a mean of $n$ independent numbers is their standard deviation over $\sqrt n$; `a.std(ddof=1)`
# is the standard deviation as estimated from a sample. Mind what is independent here: images are. The errors of one
# image at two levels are not.


# %% tags=["10.4"]
def promise(gammas, m, way, D):
    """Return (the mean diffusion loss of a grid, its standard error) in bits per dimension."""
    ### BEGIN SOLUTION for each of the K steps, ½ (e^(γ_j − γ_i) − 1)
    weights = 0.5 * jnp.expm1(jnp.diff(gammas[way]))
    ### END SOLUTION
    ### BEGIN SOLUTION each image's diffusion loss in nats, of shape (n,)
    each = m[:, way[1:]] @ weights
    ### END SOLUTION
    ### BEGIN SOLUTION the same in bits per dimension
    bits = each / (D * jnp.log(2))
    ### END SOLUTION
    ### BEGIN SOLUTION the standard error of the mean
    error = bits.std(ddof=1) / jnp.sqrt(len(m))
    ### END SOLUTION
    return bits.mean(), error


# %% tags=["author"]
exercise(
    "10.4",
    promise,
    inputs=some_images,
    hints=[
        "jnp.diff(a) is each entry less the one before; it has one entry less than a.",
        "Every step pays the error of its noisy end: those are the levels of the grid but the "
        "first. m[:, b] takes the columns b, "
        "and @ multiplies along the last axis and sums.",
        "Sum over the steps of one image first, then take the standard deviation over the "
        "images.",
    ],
    slips=[
        (
            "jnp.expm1(jnp.diff(gammas[way]))",
            "jnp.diff(gammas[way])",
            "That is the price of very short steps; a long one costs e^(γ_j − γ_i) − 1 in "
            "place of γ_j − γ_i, which is more.",
        ),
        (
            "0.5 * jnp.expm1",
            "jnp.expm1",
            "The half of each step's price is missing.",
        ),
        (
            "m[:, way[1:]]",
            "m[:, way[:-1]]",
            "That takes the errors at the clean ends of the steps; the guess is made at the "
            "noisy end, where the step begins.",
        ),
        (
            "m[:, way[1:]]",
            "m[:, 1 : len(way)]",
            "These are the errors of the first few candidates; the levels of the grid are at "
            "the places in way.",
        ),
        (
            "each / (D * jnp.log(2))",
            "each / D",
            "These are nats per dimension; divide by log 2 to have bits.",
        ),
        (
            "each / (D * jnp.log(2))",
            "each / jnp.log(2)",
            "That is for the whole image: divide by its dimensions.",
        ),
        (
            "each / (D * jnp.log(2))",
            "each * jnp.log(2) / D",
            "That turns bits into nats: a bit is only log 2 of a nat, so there are more bits "
            "than nats.",
        ),
        (
            "bits.std(ddof=1) / jnp.sqrt(len(m))",
            "bits.var(ddof=1) / jnp.sqrt(len(m))",
            "The variance is the square of what is asked for.",
        ),
        (
            "bits.std(ddof=1) / jnp.sqrt(len(m))",
            "bits.std(ddof=1)",
            "That is the scatter of single images; their mean is known better, by the root of "
            "their number.",
        ),
        (
            "bits.std(ddof=1) / jnp.sqrt(len(m))",
            "bits.std(ddof=1) / len(m)",
            "Variances of independent numbers add up, so the error falls with the root of n, "
            "not with n.",
        ),
        (
            "bits.std(ddof=1)",
            "bits.std()",
            "This divides by n where n − 1 is due, because the mean is estimated from the "
            "same images: ddof=1.",
        ),
        (
            "bits.std(ddof=1)",
            "jnp.sqrt(jnp.sum((weights * m[:, way[1:]].std(0, ddof=1)) ** 2)) / (D * "
            "jnp.log(2))",
            "This adds the errors of the levels as if they were independent, but all levels "
            "were measured on the same images: "
            "form each image's sum first.",
        ),
    ],
    laws=[
        (
            "two images with the same errors leave no error of the mean",
            lambda f: (
                f(jnp.array([0.0, 1.0, 2.0]), jnp.ones((2, 3)), jnp.array([0, 1, 2]), 4)[1]
                + 1.0,
                jnp.asarray(1.0),
            ),
        ),
    ],
    ships=promise_by_the_package,
)

# %% [markdown]
# ## 10.5 · How many steps?
# *difficulty ●●● · 11 minutes*
#
# In SNR $u = e^{-\gamma}$ the price of a step is width times height, $(u_i - u_j)\, f(u_j)$ with
# $f(u) = \tfrac12\, M / u$. What a grid costs more than infinitely many steps is its **excess**, and the best grid of
# $K$ steps has
#
# $$ \text{excess} \approx \frac AK , \qquad A = \tfrac12 \Bigl( \int \sqrt{|f'(u)|}\; du \Bigr)^2 \quad \text{nats}. $$
#
# `M` is the error at many levels `gammas`, rising and close together. Then $\sqrt{|f'|}\, |du|$ from each level to
# the next is nearly $\sqrt{|\Delta f|\, |\Delta u|}$, with the differences of $f$ and of $u$ between the two, and no
# derivative is needed. (`jnp.gradient` would do as well: one per cent is allowed.) Return $A$, and how
# many steps hold the excess down to `excess` nats, not rounded.


# %% tags=["10.5"]
def steps_needed(gammas, M, excess):
    """Return (A in nats, the number of steps for an excess in nats)."""
    ### BEGIN SOLUTION the SNR at each level
    u = jnp.exp(-gammas)
    ### END SOLUTION
    ### BEGIN SOLUTION f at each level
    f = 0.5 * M / u
    ### END SOLUTION
    ### BEGIN SOLUTION √|f′| |du| from each level to the next
    pieces = jnp.sqrt(jnp.abs(jnp.diff(f) * jnp.diff(u)))
    ### END SOLUTION
    ### BEGIN SOLUTION the constant A
    A = 0.5 * jnp.sum(pieces) ** 2
    ### END SOLUTION
    ### BEGIN SOLUTION the steps needed
    steps = A / excess
    ### END SOLUTION
    return A, steps


# %% tags=["author"]
line = jnp.linspace(1.0, 3.0, 50)[::-1]  # SNRs, so that the γ's rise
fine = jnp.linspace(-2.0, 2.0, 400)
two_halves = (
    "A half is missing. There are two: f is half the squared error of x, and the excess of a "
    "step is "
    "a triangle, half of width times height."
)

exercise(
    "10.5",
    steps_needed,
    inputs=a_fine_curve,
    tolerance=1e-2,
    hints=[
        "Divide M by the SNR: the error of the noise is SNR times the error of x.",
        "jnp.diff gives the differences between neighbours. f and u run in opposite "
        "directions, hence the absolute value.",
        "The integral is the sum of the pieces; the whole of it is squared.",
    ],
    slips=[
        (
            "jnp.exp(-gammas)",
            "jnp.exp(gammas)",
            "That is one over the SNR: γ is minus its logarithm.",
        ),
        (
            "0.5 * M / u",
            "0.5 * M",
            "That is the height over γ. Over u the same area has the height ½ M/u, since du = "
            "−u dγ.",
        ),
        (
            "0.5 * M / u",
            "M / u",
            two_halves,
        ),
        (
            "jnp.diff(f) * jnp.diff(u)",
            "jnp.diff(f) / jnp.diff(u)",
            "That is √|f′| without du: each piece of the integral lacks its factor |Δu|.",
        ),
        (
            "jnp.sqrt(jnp.abs(jnp.diff(f) * jnp.diff(u)))",
            "jnp.abs(jnp.diff(f))",
            "That is |f′| |du|, and its sum only the height that f falls through; the root of "
            "f′ is asked for.",
        ),
        (
            "0.5 * jnp.sum(pieces) ** 2",
            "0.5 * jnp.sum(pieces**2)",
            "The square belongs outside the integral: this sum gets ever smaller as the "
            "levels get closer.",
        ),
        (
            "0.5 * jnp.sum(pieces) ** 2",
            "jnp.sum(pieces) ** 2",
            two_halves,
        ),
        (
            "A / excess",
            "excess / A",
            "Turned over: a smaller excess needs more steps.",
        ),
        (
            "A / excess",
            "jnp.sqrt(A / excess)",
            "The excess falls like 1/K, not like 1/K²: by this law a tenth of it takes ten "
            "times the steps.",
        ),
    ],
    laws=[
        (
            "where f falls along a straight line, A is half its fall times the range of u",
            lambda f: (
                f(-jnp.log(line), 2 * line * (5.0 - 0.7 * line), jnp.asarray(1.0))[0],
                jnp.asarray(0.5 * (0.7 * 2.0) * 2.0),
            ),
        ),
        (
            "for Gaussian data of standard deviation ½, A is ¼ log² of the ratio of 4 + u at "
            "the two ends",
            lambda f: (
                f(fine, jnp.exp(-fine) / (4 + jnp.exp(-fine)), jnp.asarray(1.0))[0],
                0.25 * jnp.log((4 + jnp.exp(2.0)) / (4 + jnp.exp(-2.0))) ** 2,
            ),
        ),
    ],
)

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
#     u = np.exp(-gammas)
#     f = 0.5 * M / u  # the height of a step's rectangle, over the SNR u
#     # length[j]: of the best way to town j that was found so far
#     length = np.full(N, np.inf)
#     length[0] = 0.0
#     came_from = np.zeros((K + 1, N), int)
#     for k in range(1, K + 1):
#         for j in range(1, N):
#             for i in range(j):
#                 longer = length[i] + (u[i] - u[j]) * f[j]
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
    u = np.exp(-gammas)
    f = 0.5 * M / u
    length = np.full(N, np.inf)
    length[0] = 0.0
    came_from = np.zeros((K + 1, N), int)
    for k in range(1, K + 1):
        before = length  # over k − 1 roads; the new row must not be read while it is written
        length = np.full(N, np.inf)
        for j in range(1, N):
            through = before[:j] + (u[:j] - u[j]) * f[j]
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
            "(u[:j] - u[j]) * f[j]",
            "(u[:j] - u[j]) * f[:j]",
            "This takes the height at the clean end of the step, i; the guess is made at the "
            "noisy end, j. The program had that right.",
        ),
        (
            "f = 0.5 * M / u",
            "f = 0.5 * M",
            "That is the height over γ; over u it is ½ M/u. The program had that right.",
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
    u = np.exp(-gammas)
    return np.sum((u[:-1] - u[1:]) * 0.5 / (4 + u[1:]))


# %% [markdown]
# ## Now import it
#
# What you wrote is in `vdmlite.neighbours.few_steps`: `edge_costs` (10.1, with ∞ in place of 0), `shortest_paths`,
# which goes through all the rounds (10.2), and the method `path` of what it returns (10.3). `vdmlite.error_curve`
# measures the errors, and `few_steps.best_grid` goes from that curve to the best grid in one call, as 10.6 does. The
# promise with its error (10.4) and the law (10.5) are in the lesson only: each is four lines.
