"""Built from solutions/00_start_here.py. Do not edit."""


import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo


from vdmlite.course import exercise


def standardise(x, mean, std):
    """Return x in standard deviations from the mean."""
    return (x - mean) / std


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
