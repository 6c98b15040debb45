"""The claim of lesson 06 under other seeds than its own: one trained model, five schedules."""

import jax
import numpy as np
import pytest
from oracles import SCHEDULES

import vdmlite as vdm
from vdmlite import data
from vdmlite.course import pretrained

pytestmark = pytest.mark.course


@pytest.mark.parametrize("seed", [101, 303])
def test_the_bound_of_the_digits_model_does_not_see_the_schedule(seed):
    """Within 3 standard errors of the paired difference, each below 1 % of the bound."""
    model, images = pretrained.load("digits"), data.digits()
    ends = float(model.schedule(0.0)), float(model.schedule(1.0))
    names = ("FixedLinear", "Karras", "FlowMatching", "Cosine", "BetaLinear")
    found = vdm.compare_schedules(
        model,
        {name: SCHEDULES[name](*ends) for name in names},
        images.test,
        draws=24,
        times=4,
        batch_size=2880,
        key=jax.random.key(seed),
    )
    first = found["FixedLinear"]
    for name in names[1:]:
        gap, error = found[name].minus(first).loss
        assert abs(gap) < 3 * error, name
        assert error < 0.01 * found[name].nats.loss.mean
    variances = np.array([found[name].variance for name in names])
    assert np.all(np.diff(variances) > 0)
    assert variances[-1] > 5 * variances[0]
