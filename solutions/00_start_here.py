# %% [markdown]
# # 00 · Start here: one exercise, to see how they work
#
# *One exercise, 3 minutes · belongs to lesson 00 · every later unit ends with a* build*, which is harder*
#
# Write the body of the function where it says `todo`, run the cell, then run the check below it. Try it wrong first: run
# the check on the open blank, then on an answer with a mistake in it, and read what it says. Below the check, uncomment
# `hint` or `solution` and run that cell.

# %% tags=["imports"]
import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
from vdmlite.course import exercise

# %% [markdown]
# ## 0.1 · In units of the width
# *difficulty ●○○ · 3 minutes*
#
# How many standard deviations does each entry of `x` lie above the mean? Return an array of the shape of `x`, which may
# also be a single number; `mean` and `std` are numbers. Arithmetic works on whole arrays, so there is no loop.


# %% tags=["0.1"]
def standardise(x, mean, std):
    """Return x in standard deviations from the mean."""
    ### BEGIN SOLUTION the distance from the mean, in units of std
    return (x - mean) / std
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "0.1",
    standardise,
    inputs=lambda key: (
        3 * jax.random.normal(key, (4,)),
        jax.random.uniform(key, minval=0.5, maxval=2.0),
        10 ** jax.random.uniform(jax.random.fold_in(key, 1), minval=-8.0, maxval=0.5),
    ),
    hints=[
        "First take the mean away, then divide.",
        "Mind the brackets: in x − mean / std only the mean would be divided.",
    ],
    slips=[
        (
            "(x - mean) / std",
            "x - mean / std",
            "Only the mean is divided by std: put brackets around the difference.",
        ),
        (
            "(x - mean) / std",
            "(mean - x) / std",
            "The sign is turned: entries above the mean should come out positive.",
        ),
        (
            "/ std",
            "/ (std + 1e-6)",
            "The small number added to std changes the answer where std is small; it is never 0 here, so "
            "leave it out.",
        ),
        (
            "x - mean",
            "jnp.abs(x - mean)",
            "An entry below the mean lies a negative number of widths above it: no absolute value.",
        ),
        (
            "/ std",
            "/ std**2",
            "You divided by the variance; a standard deviation is its square root.",
        ),
        (
            "(x - mean)",
            "(x - x.mean())",
            "`mean` is given. The mean of the entries of x is another number.",
        ),
    ],
    laws=[
        (
            "two widths above the mean is 2",
            lambda f: (
                f(jnp.asarray(5.0), jnp.asarray(3.0), jnp.asarray(1.0)),
                jnp.asarray(2.0),
            ),
        )
    ],
)

# %% [markdown]
# That is all there is to it. On to lesson 01.
