"""Recipes: models of the size they say, for the data they are for."""

import re

import equinox as eqx
import jax
import numpy as np
import pytest
from oracles import over

import vdmlite as vdm
from vdmlite import data, recipes

pytestmark = pytest.mark.once

RECIPES = {
    name: make
    for name, make in vars(recipes).items()
    if getattr(make, "__module__", "") == recipes.__name__
}


@over(RECIPES)
def test_the_docstring_counts_the_weights(make, key):
    weights = jax.tree.leaves(eqx.filter(make(key=key), eqx.is_inexact_array))
    said = re.search(r"(\d+) thousand weights", make.__doc__)
    assert said is not None
    assert sum(a.size for a in weights) == pytest.approx(1000 * int(said[1]), abs=1000)


def test_toy_takes_points(key):
    for dimensions in (1, 2):
        model = recipes.toy(dimensions, key=key)
        assert model.shape == (dimensions,)
    x = data.sample(data.moons(), 4, key=key)
    assert np.isfinite(
        vdm.batch_vlb(recipes.toy(key=key), jax.numpy.asarray(x), key=key).loss
    ).all()


def test_digits_takes_digits_as_they_come(key):
    model, images = recipes.digits(width=8, depth=1, key=key), data.digits()
    model.check(images.train, batch=True)
    found = vdm.evaluate(model, images.test[:8], draws=2, batch_size=8, key=key)
    # Before training, context says nothing: each pixel alone costs about log2 17 = 4.1 bits.
    assert 2.0 < vdm.bits_per_dim(found.nats.loss.mean, model.shape) < 6.0
    drawn = vdm.sample(model, steps=2, key=key)
    assert drawn.shape == (8, 8, 1)
    model.check(drawn)
