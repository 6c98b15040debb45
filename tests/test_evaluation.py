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

pytestmark = pytest.mark.once


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
    assert whole.nats.loss.mean.shape == whole.nats.loss.error.shape == ()
    assert whole.passes.loss.shape == (2,)
    assert whole.size == 50 * times


def test_a_ragged_last_batch_is_not_compiled_again(model, data, key):
    seen = []

    class Counting(vdm.AbstractDenoiser):
        def guess(self, z, gamma, *, key=None):
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

    def spy(vdm, data, conditions, points, index, key):
        times = (np.asarray(points.gamma_t) + 5) / 9
        calls.append((np.asarray(data), times, index))
        return draws(vdm, data, conditions, points, index, key)

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
    losses = np.array([float(e.nats.loss.mean) for e in found])
    agrees(losses, exact_bound(data))
    # Each side has a relative standard error of sqrt(2/300) = 0.08; dividing by n is off by 2.
    ratio = np.mean([float(e.nats.loss.error) ** 2 for e in found]) / losses.var(ddof=1)
    assert 0.65 < ratio < 1.5
    assert found[0].nats.prior.error < 64 * EPS  # nothing is drawn for the prior term
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
    gap, error = one.minus(other).loss
    assert gap > 3 * error
    assert error < 0.3 * one.nats.loss.error
    assert other.minus(other).loss == (0.0, 0.0)


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
        gap, error = other.minus(first).loss
        assert abs(gap) <= 4 * error + 1e-5, name
        assert error < 0.03 * abs(other.nats.diffusion.mean)
    curve = vdm.error_curve(model, x, np.linspace(-7, 5, 97), draws=2000, key=key)
    assert abs(curve.loss - first.nats.diffusion.mean) < 5 * first.nats.diffusion.error + 0.02
    for name in ("FixedLinear", "Cosine", "BetaLinear"):
        bound = found[name].variance  # of the whole bound; reconstruction has D/2 = 1 of it
        assert curve.variance(schedules[name]) == pytest.approx(bound - 1, rel=0.2)
    assert found["Cosine"].variance > 1.5 * first.variance
    assert curve.least_variance < curve.variance(schedules["FixedLinear"])


# A file that keeps the draws


def interrupted(monkeypatch, after: int):
    """Let the given number of batches through, then stop as a power cut would."""
    in_batches = evaluation.in_batches

    def stop(*args):
        for number, batch in enumerate(in_batches(*args)):
            if number == after:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(evaluation, "in_batches", stop)
    monkeypatch.setattr(evaluation, "SAVE_EVERY", 0.0)


@pytest.mark.parametrize("batch_size", [16, 40])
def test_an_interrupted_evaluation_goes_on_exactly(
    model, data, key, tmp_path, monkeypatch, batch_size
):
    settings = {"draws": 4, "times": 2, "key": key}
    whole = vdm.evaluate(model, data, batch_size=16, **settings)
    file = tmp_path / "draws.vdm"
    with monkeypatch.context() as patch:
        interrupted(patch, after=3)
        with pytest.raises(KeyboardInterrupt):
            vdm.evaluate(model, data, batch_size=16, file=file, **settings)
    assert vdm.read_meta(file)["draws"] == 48
    again = vdm.evaluate(model, data, batch_size=batch_size, file=file, **settings)
    same(whole, again)
    if batch_size == 16:
        assert eqx.tree_equal(whole, again)
    with monkeypatch.context() as patch:
        interrupted(patch, after=0)  # nothing is left to draw
        assert eqx.tree_equal(
            again, vdm.evaluate(model, data, batch_size=16, file=file, **settings)
        )
    assert [f.name for f in tmp_path.iterdir()] == ["draws.vdm"]


def test_a_file_of_something_else_is_refused(model, data, key, tmp_path):
    file = tmp_path / "draws.vdm"
    settings: dict = {"draws": 2}
    vdm.evaluate(model, data, file=file, key=key, **settings)
    others = [
        (model.under(vdm.Cosine(-5.0, 4.0)), data, {}),
        (eqx.tree_at(lambda m: m.denoiser.data.std, model, jnp.asarray(0.4)), data, {}),
        (model, data[::-1], {}),
        (model, data, {"timesteps": 4}),
        (model, data, {"times": 2}),
        (model, data, {"key": jax.random.key(9)}),
    ]
    for other, some, changed in others:
        options = {"key": key, **settings, **changed}
        with pytest.raises(ValueError, match=r"draws\.vdm is of another model"):
            vdm.evaluate(other, some, file=file, **options)


def test_a_file_knows_what_a_network_computes(data, key, tmp_path):
    """What is no array is part of the model too: a reading, a closure, a constant in it."""
    many = np.random.default_rng(0).normal(size=(64, 2)).astype(data.dtype)

    def model(w, reading=vdm.from_eps, weights=many):
        def net(z, gamma, key=None):
            del gamma, key
            return w * z + (z @ weights.T) @ weights

        return VDM(
            FixedLinear(-5.0, 4.0), vdm.NetDenoiser(net, reading), GaussianDecoder(), (2,)
        )

    file, settings = tmp_path / "draws.vdm", {"draws": 2, "key": key}
    first = vdm.evaluate(model(0.5), data, file=file, **settings)
    assert eqx.tree_equal(first, vdm.evaluate(model(0.5), data, file=file, **settings))
    for other in (model(0.0), model(0.5, vdm.from_v), model(0.5, weights=-many)):
        with pytest.raises(ValueError, match="another model"):
            vdm.evaluate(other, data, file=file, **settings)


def test_what_calls_back_into_python_keeps_no_file(data, key, tmp_path):
    def net(z, gamma, key=None):
        del gamma, key
        like = jax.ShapeDtypeStruct(z.shape, z.dtype)
        return jax.pure_callback(lambda z: z, like, z, vmap_method="sequential")

    model = VDM(FixedLinear(-5.0, 4.0), vdm.NetDenoiser(net), GaussianDecoder(), (2,))
    with pytest.raises(ValueError, match="calls back into Python"):
        vdm.evaluate(model, data, draws=2, file=tmp_path / "draws.vdm", key=key)


def test_a_file_of_another_version_is_refused(model, data, key, tmp_path, monkeypatch):
    file, settings = tmp_path / "draws.vdm", {"draws": 2, "key": key}
    vdm.evaluate(model, data, file=file, **settings)
    monkeypatch.setattr(evaluation, "VERSIONS", {**evaluation.VERSIONS, "vdmlite": "0.0.0"})
    with pytest.raises(ValueError, match="or version"):
        vdm.evaluate(model, data, file=file, **settings)


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


def test_a_curve_reads_all_of_the_data_not_its_beginning(key):
    """Data sorted by size: its first rows are another data set."""
    x = np.sort(np.random.default_rng(4).normal(size=(4000, 1)), axis=0)
    delta = vdm.VDM(FixedLinear(-2.0, 2.0), Zero(), GaussianDecoder(), (1,))
    curve = vdm.error_curve(delta, x, np.array([0.0, 1.0]), draws=400, key=key)
    expected = np.mean(x**2) * np.exp(-np.array([0.0, 1.0]))  # ‖ε − ε̂‖² = SNR x²
    assert np.all(np.abs(curve.mean - expected) < 4 * curve.error)


@pytest.mark.parametrize("draws", [40, 400, 4000])
def test_the_error_of_a_curve_is_honest_however_often_an_example_is_drawn(draws, key):
    """Forty examples say no more of all the data when each of them is looked at often."""
    data = np.random.default_rng(5).normal(size=(60, 40, 1))
    zero = vdm.VDM(FixedLinear(-2.0, 2.0), Zero(), GaussianDecoder(), (1,))
    curves = [vdm.error_curve(zero, x, np.zeros(1), draws=draws, key=key) for x in data]
    means, errors = (np.array([getattr(c, n)[0] for c in curves]) for n in ("mean", "error"))
    assert 0.75 < np.sqrt(np.mean(errors**2)) / means.std(ddof=1) < 1.33


class Zero(vdm.AbstractDenoiser):
    """Guesses x̂ = 0."""

    def guess(self, z, gamma, *, key=None):
        del key
        return vdm.from_x(jnp.zeros_like(z), z, gamma)


def test_a_condition_for_each_example(key):
    """A network that knows x from its condition has no error left; from another's it has."""

    def net(z, gamma, condition, *, key=None):
        del key
        return (z - vdm.alpha(gamma) * condition) / vdm.sigma(gamma)

    x = np.random.default_rng(6).normal(size=(30, 2)).astype(jnp.result_type(float))
    model = VDM(FixedLinear(-4.0, 4.0), vdm.NetDenoiser(net), GaussianDecoder(), (2,))
    gammas = np.array([-2.0, 0.0, 2.0])
    for draws in (10, 70):
        curve = vdm.error_curve(model, x, gammas, x, draws=draws, batch_size=32, key=key)
        assert np.all(curve.mean < 1e4 * EPS)
        other = vdm.error_curve(model, x, gammas, x[::-1], draws=draws, key=key)
        assert np.all(other.mean > 0.1)
    found = vdm.evaluate(model, x, x, times=2, batch_size=7, key=key)
    assert found.nats.diffusion.mean < 1e4 * EPS
    assert vdm.evaluate(model, x, x[::-1], key=key).nats.diffusion.mean > 0.1
    drawn = vdm.draw(model, 30, x, steps=50, batch_size=8, key=key)
    np.testing.assert_allclose(drawn, x, atol=0.7)  # e^{γ_0/2} = 0.14 is left of the noise


def test_an_estimate_says_its_error_in_either_unit(model, data, key):
    found = vdm.evaluate(model, data, draws=4, key=key)
    for nats, bits in zip(found.nats, found.bits, strict=True):
        close(bits.mean, nats.mean / (2 * np.log(2)), ulps=64)
        close(bits.error, nats.error / (2 * np.log(2)), ulps=64)
    errors = [term.error for term in found.nats[:3]]
    assert found.nats.loss.error < sum(errors)  # which is no error of anything
    mean, error = found.bits.loss
    assert f"{found.bits.loss:.3f}" == f"{mean:.3f} ± {error:.3f}"


def test_an_evaluation_is_compiled_once_for_all_schedules(data, key):
    traced = []

    def net(z, gamma, *, key=None):
        del gamma, key
        traced.append(z.shape)
        return 0.5 * z

    model = VDM(FixedLinear(-4.0, 4.0), vdm.NetDenoiser(net), GaussianDecoder(), (2,))
    schedules = {name: make(-4.0, 4.0) for name, make in SCHEDULES.items()}
    for timesteps in (None, 4, 9):
        vdm.compare_schedules(model, schedules, data, timesteps=timesteps, draws=2, key=key)
    assert len(traced) == 1


# What is refused


def test_what_is_refused(model, data, key):
    gammas = np.array([0.0, 1.0])
    curve = vdm.ErrorCurve(gammas, gammas, gammas, gammas)
    refused = [
        (
            lambda: vdm.evaluate(model, data, draws=1, key=key),
            "draws must be at least 2, got 1",
        ),
        (lambda: vdm.evaluate(model, data[0], key=key), "a batch for this model"),
        (lambda: vdm.evaluate(model, data / 0, key=key), "must be finite"),
        (lambda: vdm.evaluate(model, data[:0], key=key), "at least one example"),
        (
            lambda: vdm.evaluate(model, data, times=0, key=key),
            "times must be at least 1, got 0",
        ),
        (lambda: vdm.evaluate(model, data, batch_size=0, key=key), "batch_size .* got 0"),
        (lambda: vdm.error_curve(model, data, gammas[::-1], key=key), "must rise"),
        (lambda: vdm.error_curve(model, data, gammas, draws=1, key=key), "at least 2, got 1"),
        (lambda: vdm.error_curve(model, data[:0], gammas, key=key), "at least one example"),
        (lambda: vdm.error_curve(model, data, gammas[:0], key=key), "must rise"),
        (lambda: vdm.error_curve(model, data, gammas, batch_size=0, key=key), "got 0"),
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
    agrees(found.passes.loss, found.nats.loss.mean, errors=1e-3)
    close(found.nats.loss.error, np.std(found.passes.loss, ddof=1) / 4, ulps=256)
