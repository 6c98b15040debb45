"""Measuring a whole data set: honest errors, repeatable draws, resumption, the curve m(γ)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import EPS, SCHEDULES, agrees, close, mixture, oracle_model
from scipy import integrate

import vdmlite as vdm
from vdmlite import VDM, FixedLinear, GaussianDecoder, MixtureDenoiser, evaluation


def exact_bound(data, std=0.5, ends=(-5.0, 4.0)) -> float:
    """The continuous bound of the oracle at given data, by quadrature, in nats each."""

    def rate(gamma):
        a2, s2 = 1 / (1 + np.exp(gamma)), 1 / (1 + np.exp(-gamma))
        v = a2 * std**2 + s2  # ε − ε̂ = (α² std² ε − α σ x)/v
        return 0.5 * ((a2 * std**2) ** 2 + a2 * s2 * np.mean(data**2)) / v**2

    a2, s2 = 1 / (1 + np.exp(ends[1])), 1 / (1 + np.exp(-ends[1]))
    prior = 0.5 * (s2 + a2 * np.mean(data**2) - 1 - np.log(s2))
    reconstruction = 0.5 * np.log(2 * np.pi * np.e) + ends[0] / 2
    return data.shape[1] * (prior + reconstruction + integrate.quad(rate, *ends)[0])


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(1).normal(0, 0.5, (50, 2)).astype(jnp.result_type(float))


@pytest.fixture(scope="module")
def model():
    return oracle_model(schedule=FixedLinear(-5.0, 4.0), shape=(2,))


def same(one, other, ulps=1024):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=ulps * EPS)


@pytest.mark.parametrize("times", [1, 3])
def test_batches_of_any_size_change_nothing(model, data, times, key):
    whole, *others = (
        vdm.evaluate(model, data, draws=2, times=times, batch_size=size, key=key)
        for size in (50, 16, 7, 10_000)
    )
    for other in others:
        same(whole, other)
    assert whole.mean.loss.shape == whole.loss_error.shape == ()
    assert whole.passes.loss.shape == (2,)
    assert whole.size == 50 * times


def test_a_ragged_last_batch_is_not_compiled_again(model, data, key):
    seen = []

    class Counting(vdm.AbstractDenoiser):
        def __call__(self, z, gamma, *, key=None):
            del key
            seen.append(z)
            return vdm.from_eps(0.5 * z, z, gamma)

    counting = VDM(model.schedule, Counting(), GaussianDecoder(), (2,))
    vdm.evaluate(counting, data, draws=2, batch_size=16, key=key)
    assert len(seen) == 1


def test_every_image_is_seen_at_even_times(data, key, monkeypatch):
    """Each pass sees each example `times` times, 1/times apart; the whole pass is a comb."""
    calls = []
    draws = evaluation._draws

    def spy(vdm, data, times, index, *rest):
        calls.append((np.asarray(data), times, index))
        return draws(vdm, data, times, index, *rest)

    monkeypatch.setattr(evaluation, "_draws", spy)
    vdm.evaluate(
        oracle_model(schedule=FixedLinear(-5.0, 4.0), shape=(2,)),
        data,
        draws=2,
        times=4,
        batch_size=400,
        key=key,
    )
    ((rows, times, index),) = calls
    assert sorted(index) == list(range(400))
    for first in (0, 200):
        comb = np.sort(times[first : first + 200])
        np.testing.assert_allclose(comb[1:] - comb[:-1], 1 / 200, atol=8 * EPS)
        for example in (0, 17):
            mine = first + example + 50 * np.arange(4)
            assert np.array_equal(rows[mine], np.repeat(data[example : example + 1], 4, 0))
            own = np.sort(times[mine])
            np.testing.assert_allclose(own[1:] - own[:-1], 0.25, atol=8 * EPS)
    assert abs(times[0] - times[200]) > 1e-3  # each pass has its own shift


def test_an_evaluation_and_its_errors_are_honest(model, data):
    """Over 300 keys the mean is the truth, and the mean error² is the variance of the mean."""
    found = [
        vdm.evaluate(model, data, draws=2, batch_size=100, key=k)
        for k in jax.random.split(jax.random.key(5), 300)
    ]
    losses = np.array([float(e.mean.loss) for e in found])
    agrees(losses, exact_bound(data))
    # Each side has a relative standard error of sqrt(2/300) = 0.08; dividing by n is off by 2.
    ratio = np.mean([float(e.loss_error) ** 2 for e in found]) / losses.var(ddof=1)
    assert 0.65 < ratio < 1.5
    assert found[0].error.prior < 64 * EPS  # nothing is drawn for the prior term
    spread = np.mean([e.spread_variance for e in found]) / (2 * 50 * losses.var(ddof=1))
    assert 0.65 < spread < 1.5


def test_the_variance_is_that_of_independent_draws(model, data, key):
    time_key, which_key, noise_key = jax.random.split(key, 3)
    n = 1 << 15
    times = jax.random.uniform(time_key, (n,))
    rows = jnp.asarray(data)[jax.random.randint(which_key, (n,), 0, 50)]
    draw = jax.jit(jax.vmap(lambda x, t, k: vdm.vlb(model, x, t, key=k).loss))
    losses = np.asarray(draw(rows, times, jax.random.split(noise_key, n)))
    found = vdm.evaluate(model, data, draws=100, times=4, batch_size=20_000, key=key)
    # The variance of a sample variance is (κ − 1) σ⁴/n, κ the kurtosis.
    kurtosis = np.mean((losses - losses.mean()) ** 4) / losses.var() ** 2
    error = np.sqrt((kurtosis - 1) * (1 / n + 1 / 20_000))
    assert abs(found.variance / losses.var() - 1) < 5 * error
    assert found.spread_variance < found.variance


def test_paired_differences_see_more_than_each_alone(model, data, key):
    """Two models that differ little: the same noise in both takes most of the error away."""
    near = eqx.tree_at(lambda m: m.denoiser.data.std, model, jnp.asarray(0.6))
    one, other = (
        vdm.evaluate(m, data, draws=8, batch_size=400, key=key) for m in (near, model)
    )
    gap, error = one.minus(other)
    assert gap > 3 * error
    assert error < 0.3 * one.loss_error
    assert other.minus(other) == (0.0, 0.0)


def test_one_model_under_many_schedules(key):
    """The bounds agree within 4 paired errors, the variances do not agree at all."""
    mix = mixture()
    x = jax.vmap(lambda k: mix.sample(key=k))(jax.random.split(key, 500))
    model = VDM(FixedLinear(-7.0, 5.0), MixtureDenoiser(mix), GaussianDecoder(), (2,))
    schedules = {name: make(-7.0, 5.0) for name, make in SCHEDULES.items()}
    found = vdm.compare_schedules(model, schedules, x, draws=40, batch_size=4000, key=key)
    assert set(found) == set(SCHEDULES)
    first = found["FixedLinear"]
    for name, other in found.items():
        gap, error = other.minus(first)
        assert abs(gap) <= 4 * error + 1e-5, name
        assert error < 0.03 * abs(other.mean.diffusion)
    curve = vdm.error_curve(model, x, np.linspace(-7, 5, 97), draws=2000, key=key)
    assert abs(curve.loss - first.mean.diffusion) < 5 * first.error.diffusion + 0.02
    for name in ("FixedLinear", "Cosine", "BetaLinear"):
        bound = found[name].variance  # of the whole bound; reconstruction has D/2 = 1 of it
        assert curve.variance(schedules[name]) == pytest.approx(bound - 1, rel=0.2)
    assert found["Cosine"].variance > 1.5 * first.variance
    assert curve.least_variance < curve.variance(schedules["FixedLinear"])


# A file that keeps the draws


def interrupted(monkeypatch, after: int):
    """Let the given number of batches through, then stop as a power cut would."""
    draws, count = evaluation._draws, []

    def stop(*args):
        count.append(1)
        if len(count) > after:
            raise KeyboardInterrupt
        return draws(*args)

    monkeypatch.setattr(evaluation, "_draws", stop)
    monkeypatch.setattr(evaluation, "SAVE_EVERY", 0.0)


@pytest.mark.parametrize("batch_size", [16, 40])
def test_an_interrupted_evaluation_goes_on_exactly(
    model, data, key, tmp_path, monkeypatch, batch_size
):
    settings = {"draws": 4, "times": 2, "key": key}
    whole = vdm.evaluate(model, data, batch_size=16, **settings)
    file = tmp_path / "draws.npz"
    with monkeypatch.context() as patch:
        interrupted(patch, after=3)
        with pytest.raises(KeyboardInterrupt):
            vdm.evaluate(model, data, batch_size=16, file=file, **settings)
    with np.load(file) as kept:
        assert kept["terms"].shape == (3, 48)
    again = vdm.evaluate(model, data, batch_size=batch_size, file=file, **settings)
    same(whole, again)
    if batch_size == 16:
        assert eqx.tree_equal(whole, again)
    with monkeypatch.context() as patch:
        interrupted(patch, after=0)  # nothing is left to draw
        assert eqx.tree_equal(
            again, vdm.evaluate(model, data, batch_size=16, file=file, **settings)
        )
    assert [f.name for f in tmp_path.iterdir()] == ["draws.npz"]


def test_a_file_of_something_else_is_refused(model, data, key, tmp_path):
    file, settings = tmp_path / "draws.npz", {"draws": 2, "batch_size": 50}
    vdm.evaluate(model, data, file=file, key=key, **settings)
    others = [
        (model.under(vdm.Cosine(-5.0, 4.0)), data, {}),
        (eqx.tree_at(lambda m: m.denoiser.data.std, model, jnp.asarray(0.4)), data, {}),
        (model, data[::-1], {}),
        (model, data, {"steps": 4}),
        (model, data, {"times": 2}),
        (model, data, {"key": jax.random.key(9)}),
    ]
    for other, some, changed in others:
        options = {"key": key, **settings, **changed}
        with pytest.raises(ValueError, match=r"draws\.npz is of another model"):
            vdm.evaluate(other, some, file=file, **options)


def test_a_file_knows_how_a_network_is_read(key):
    """Settings that are no arrays, such as the reading, are part of the model."""
    net = eqx.nn.MLP(2, 2, 8, 1, key=key)  # its activations are functions, with an address

    def model(reading):
        denoiser = vdm.NetDenoiser(lambda z, gamma, key: net(z), reading)
        return VDM(FixedLinear(-5.0, 4.0), denoiser, GaussianDecoder(), (2,))

    one, other = (evaluation._fingerprint((model(r), net)) for r in (vdm.from_v, vdm.from_eps))
    assert one != other
    assert one == evaluation._fingerprint((model(vdm.from_v), eqx.nn.MLP(2, 2, 8, 1, key=key)))


# Dropout


class Dropping(eqx.Module):
    """A network with nothing but dropout, which works where there is a key."""

    dropout: eqx.nn.Dropout

    def __call__(self, z, gamma, *, key=None):
        del gamma
        return 0.5 * self.dropout(z, key=key)


def test_nothing_is_dropped_where_a_model_is_measured(model, data, key):
    """Where it is trained and its bound is drawn, though, half of z is."""

    def with_dropout(rate: float) -> VDM:
        denoiser = vdm.NetDenoiser(Dropping(eqx.nn.Dropout(rate)), vdm.from_eps)
        return VDM(model.schedule, denoiser, model.decoder, model.shape)

    drops, keeps = with_dropout(0.5), with_dropout(0.0)
    options = {"draws": 2, "key": key}
    bounds = [vdm.evaluate(m, data, **options) for m in (drops, keeps)]
    assert eqx.tree_equal(*bounds)
    curves = [vdm.error_curve(m, data, np.array([0.0, 2.0]), **options) for m in (drops, keeps)]
    assert eqx.tree_equal(*curves)
    many = vdm.compare_schedules(drops, {"same": drops.schedule}, data, **options)
    assert eqx.tree_equal(many["same"], bounds[0])
    drawn = [vdm.batch_vlb(m, jnp.asarray(data), key=key).diffusion for m in (drops, keeps)]
    assert np.abs(drawn[0] - drawn[1]).max() > 0.1


# The curve m(γ)


def test_the_curve_on_paper(key):
    """For x ~ N(0, s²): m = c‖ξ‖² with c = s²e^{−γ}/(1 + s²e^{−γ}), so E m² = c²(D² + 2D)."""
    x = 0.5 * jax.random.normal(key, (4000, 3))
    gammas = np.linspace(-6.0, 5.0, 221)
    model = oracle_model(schedule=FixedLinear(-6.0, 5.0), shape=(3,))
    curve = vdm.error_curve(model, x, gammas, draws=4000, batch_size=8192, key=key)
    c = 0.25 * np.exp(-gammas) / (1 + 0.25 * np.exp(-gammas))
    assert np.all(np.abs(curve.mean - 3 * c) < 5 * curve.error)
    np.testing.assert_allclose(curve.error, c * np.sqrt(6 / 4000), rtol=0.15)
    np.testing.assert_allclose(curve.square, 15 * c**2, rtol=0.15)
    exact = vdm.ErrorCurve(gammas, 3 * c, curve.error, 15 * c**2)
    loss = 1.5 * (np.log1p(0.25 * np.exp(6.0)) - np.log1p(0.25 * np.exp(-5.0)))
    np.testing.assert_allclose(exact.loss, loss, rtol=1e-4)
    middle = 1.5 * (np.log1p(0.25 * np.exp(6.0)) - np.log1p(0.25 * np.exp(0.5))) / loss
    np.testing.assert_allclose(exact.spent[[0, 110, 220]], [0, middle, 1], rtol=1e-3)
    # p* ∝ c, so the best E[ℓ²] is (15/9) L²; the straight schedule has ¼ · 11 ∫ 15c² dγ.
    np.testing.assert_allclose(exact.least_variance, (15 / 9 - 1) * loss**2, rtol=1e-3)
    straight = 0.25 * 11 * np.trapezoid(15 * c**2, gammas) - loss**2
    np.testing.assert_allclose(exact.variance(FixedLinear(-6.0, 5.0)), straight, rtol=1e-3)


def test_the_curve_sees_each_example_equally_often(data, key):
    """A denoiser that always says x = 0 is off by the example: m = SNR ‖x‖² for each."""
    zero = vdm.EmpiricalDenoiser(jnp.zeros((1, 2)))
    model = VDM(FixedLinear(-1.0, 1.0), zero, GaussianDecoder(), (2,))
    curve = vdm.error_curve(model, data, np.zeros(1), draws=100, batch_size=30, key=key)
    close(curve.mean, [np.mean(np.sum(data**2, 1))], ulps=256)


# What is refused


def test_what_is_refused(model, data, key):
    gammas = np.array([0.0, 1.0])
    curve = vdm.ErrorCurve(gammas, gammas, gammas, gammas)
    refused = [
        (lambda: vdm.evaluate(model, data, draws=1, key=key), "at least 2 draws, got 1"),
        (lambda: vdm.evaluate(model, data[0], key=key), "a batch for this model"),
        (lambda: vdm.evaluate(model, data / 0, key=key), "must be finite"),
        (lambda: vdm.evaluate(model, data[:0], key=key), "0 examples, 1 times each"),
        (lambda: vdm.evaluate(model, data, times=0, key=key), "50 examples, 0 times each"),
        (lambda: vdm.evaluate(model, data, batch_size=0, key=key), "in batches of 0"),
        (lambda: vdm.error_curve(model, data, gammas[::-1], key=key), "must rise"),
        (lambda: vdm.error_curve(model, data, gammas, draws=1, key=key), "1 draws"),
        (lambda: vdm.error_curve(model, data[:0], gammas, key=key), "0 examples"),
        (lambda: vdm.error_curve(model, data, gammas[:0], key=key), "0 values of γ"),
        (lambda: vdm.error_curve(model, data, gammas, batch_size=0, key=key), "batches of 0"),
        (
            lambda: curve.variance(FixedLinear(-2.0, 1.0)),
            "γ = 0 to 1, the .* -2 to 1",
        ),
        (lambda: vdm.compare_schedules(model, {}, data, file="f", key=key), "one schedule"),
        (lambda: vdm.evaluate(model, data, file="none/f.npz", key=key), "no folder none"),
    ]
    for call, message in refused:
        with pytest.raises(ValueError, match=message), np.errstate(all="ignore"):
            call()


def test_errors_of_passes_are_agreed_on(model, data, key):
    found = vdm.evaluate(model, data, draws=16, batch_size=800, key=key)
    agrees(found.passes.loss, found.mean.loss, errors=1e-3)
    close(found.loss_error, np.std(found.passes.loss, ddof=1) / 4, ulps=256)
