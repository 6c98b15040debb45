"""Flow++: an invertible network, whose density is exact, and what it costs to round to levels.

    z = f(x),   log p(x) = log N(f(x); 0, I) + log |det ∂f/∂x|

Every layer is elementwise, given what it leaves unchanged; so its Jacobian's determinant is a
product of slopes. A coupling bends one half of the numbers, by a mixture of logistics whose
parameters a network reads off the other half (Ho, Chen, Srinivas, Duan and Abbeel 2019). In
nats, for one example.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from .._types import AnyArray, Key, Scalar
from ..decoder import LevelDecoder
from ..gaussian import Gaussian

HALVINGS = 60
"""What an inverse is bisected: to 2^−60 of its bracket, or to the last digit of the numbers."""


class Passed(NamedTuple):
    """Where a layer takes a point, and log |∂y_i/∂x_i| for each number: 0 where it is kept."""

    y: Float[Array, "*shape"]
    log_slope: Float[Array, "*shape"]


class AbstractLayer(eqx.Module):
    """An invertible map of arrays of one shape, elementwise given what it keeps."""

    @abstractmethod
    def changed(self, shape: tuple[int, ...]) -> Bool[Array, "*shape"]:
        """Return which numbers it changes."""

    @abstractmethod
    def forward(self, x: Float[Array, "*shape"], context: Any) -> Passed:
        """Return the image of x."""

    @abstractmethod
    def inverse(self, y: Float[Array, "*shape"], context: Any) -> Float[Array, "*shape"]:
        """Return the point whose image is y."""


class FromCells(AbstractLayer):
    """(0, V) → all numbers: logit(0.05 + 0.9 x/V), for levels and what is added to them."""

    levels: int = eqx.field(static=True)

    def changed(self, shape):
        """All."""
        return jnp.ones(shape, bool)

    def forward(self, x, context):
        """Return the logit."""
        del context
        share = 0.05 + 0.9 * x / self.levels
        slope = 0.9 / self.levels / (share * (1 - share))
        return Passed(jnp.log(share) - jnp.log1p(-share), jnp.log(slope))

    def inverse(self, y, context):
        """Return the sigmoid, in (0, V)."""
        del context
        return (jax.nn.sigmoid(y) - 0.05) * self.levels / 0.9


class ToUnit(AbstractLayer):
    """All numbers → (0, 1): the sigmoid."""

    def changed(self, shape):
        """All."""
        return jnp.ones(shape, bool)

    def forward(self, x, context):
        """Return the sigmoid."""
        del context
        return Passed(jax.nn.sigmoid(x), jax.nn.log_sigmoid(x) + jax.nn.log_sigmoid(-x))

    def inverse(self, y, context):
        """Return the logit."""
        del context
        return jnp.log(y) - jnp.log1p(-y)


class AbstractBend(eqx.Module):
    """A rising map of the line, from some numbers that a network chooses for each element."""

    @property
    @abstractmethod
    def numbers(self) -> int:
        """How many numbers it takes."""

    @abstractmethod
    def start(self) -> Float[Array, " numbers"]:
        """Return those that a network begins with: they make it nearly the identity."""

    @abstractmethod
    def forward(self, x: Scalar, numbers: Float[Array, " numbers"]) -> tuple[Scalar, Scalar]:
        """Return (y, log of the slope at x)."""

    @abstractmethod
    def inverse(self, y: Scalar, numbers: Float[Array, " numbers"]) -> Scalar:
        """Return the x whose image is y."""


class Affine(AbstractBend):
    """x eᵃ + b, with a within ±2: the coupling of RealNVP (Dinh et al. 2017)."""

    @property
    def numbers(self):
        """Two."""
        return 2

    def start(self):
        """Zeros."""
        return jnp.zeros(2)

    def forward(self, x, numbers):
        """Return x eᵃ + b."""
        a, b = 2 * jnp.tanh(numbers[0]), numbers[1]
        return x * jnp.exp(a) + b, a

    def inverse(self, y, numbers):
        """Return (y − b) e⁻ᵃ."""
        return (y - numbers[1]) * jnp.exp(-2 * jnp.tanh(numbers[0]))


class MixtureOfLogistics(AbstractBend):
    """logit(F(x)) eᵃ + b, with F the CDF of a mixture of logistics (Flow++, §3.2)."""

    components: int = eqx.field(static=True)

    @property
    def numbers(self):
        """A weight, a mean and a scale for each component, and two."""
        return 3 * self.components + 2

    def start(self):
        """Equal weights, means from −1 to 1, scales of 1."""
        means = jnp.linspace(-1, 1, self.components)
        return jnp.zeros(self.numbers).at[self.components : 2 * self.components].set(means)

    def forward(self, x, numbers):
        """Return the image of x."""
        weights, means, log_scales, a, b = self._split(numbers)
        logit, log_slope = _logit_of_mixture(x, weights, means, log_scales)
        return logit * jnp.exp(a) + b, log_slope + a

    def inverse(self, y, numbers):
        """Return x by bisection.

        logit F lies between the components' own (x − mean)/scale: so the x wanted lies between
        the points where these are what logit F has to be.
        """
        weights, means, log_scales, a, b = self._split(numbers)
        target = (y - b) * jnp.exp(-a)
        ends = means + jnp.exp(log_scales) * target

        def halve(_, bracket):
            low, high = bracket
            middle = low + (high - low) / 2
            too_high = _logit_of_mixture(middle, weights, means, log_scales)[0] > target
            return jnp.where(too_high, low, middle), jnp.where(too_high, middle, high)

        low, high = jax.lax.fori_loop(0, HALVINGS, halve, (ends.min(), ends.max()))
        return low + (high - low) / 2

    def _split(self, numbers):
        weights, means, log_scales, rest = jnp.split(
            numbers, [self.components * k for k in (1, 2, 3)]
        )
        a, b = 2 * jnp.tanh(rest[0]), rest[1]
        return jax.nn.log_softmax(weights), means, 3 * jnp.tanh(log_scales / 3), a, b


def _logit_of_mixture(x, log_weights, means, log_scales):
    """Return logit F(x) and the log of its slope, by log F and log(1 − F): no digit is lost."""
    u = (x - means) * jnp.exp(-log_scales)
    log_cdf = jax.nn.logsumexp(log_weights + jax.nn.log_sigmoid(u))
    log_rest = jax.nn.logsumexp(log_weights + jax.nn.log_sigmoid(-u))
    each = log_weights + jax.nn.log_sigmoid(u) + jax.nn.log_sigmoid(-u) - log_scales
    return log_cdf - log_rest, jax.nn.logsumexp(each) - log_cdf - log_rest


class Coupling(AbstractLayer):
    """Bends the numbers where `mask` is true; `net(kept, context)` reads how off the others.

    `kept` is x with zeros where the mask is; the net returns `bend.numbers` numbers for each
    element. After the bend come a scale and a shift of each element's own, set at the start
    so that what comes out has mean 0 and variance 1 (`with_data`).
    """

    mask: Bool[Array, "*shape"]
    net: Callable[..., Float[Array, "..."]]
    bend: AbstractBend
    shift: Float[Array, "*shape"]
    log_scale: Float[Array, "*shape"]

    def changed(self, shape):
        """Return the mask."""
        del shape
        return self.mask

    def forward(self, x, context):
        """Return the image of x."""
        y, log_slope = _elementwise(self.bend.forward, x, self._numbers(x, context))
        y = (y + self.shift) * jnp.exp(self.log_scale)
        log_slope = jnp.where(self.mask, log_slope + self.log_scale, 0)
        return Passed(jnp.where(self.mask, y, x), log_slope)

    def inverse(self, y, context):
        """Return the point whose image is y."""
        bent = y * jnp.exp(-self.log_scale) - self.shift
        x = _elementwise(self.bend.inverse, bent, self._numbers(y, context))
        return jnp.where(self.mask, x, y)

    def _numbers(self, x, context):
        found = self.net(jnp.where(self.mask, 0, x), context)
        return found + jnp.broadcast_to(self.bend.start(), found.shape)


def _elementwise(bend, x, numbers):
    flat = jax.vmap(bend)(x.ravel(), numbers.reshape(x.size, -1))
    return jax.tree.map(lambda a: a.reshape(x.shape), flat)


class Flow(eqx.Module):
    """Layers before the couplings, couplings that are alike, and layers after them.

    The couplings are one, whose arrays have one more axis: they are compiled once.
    """

    before: tuple[AbstractLayer, ...]
    couplings: Coupling
    after: tuple[AbstractLayer, ...]

    def __len__(self) -> int:
        return len(self.couplings.mask)

    def coupling(self, i: int | Integer[Array, ""]) -> Coupling:
        """Return one of the couplings."""
        return jax.tree.map(lambda a: a[i] if eqx.is_array(a) else a, self.couplings)

    def layers(self) -> Iterator[AbstractLayer]:
        """Yield all layers in turn, from x to z."""
        yield from (*self.before, *map(self.coupling, range(len(self))), *self.after)

    def forward(self, x: Float[Array, "*shape"], context: Any = None) -> tuple[Array, Scalar]:
        """Return (z, log |det ∂z/∂x| in nats)."""
        log_det = jnp.zeros((), x.dtype)
        for layer in self.before:
            x, log_slope = layer.forward(x, context)
            log_det += jnp.sum(log_slope)

        def one(carry, arrays):
            x, log_det = carry
            x, log_slope = eqx.combine(arrays, rest).forward(x, context)
            return (x, log_det + jnp.sum(log_slope)), None

        arrays, rest = eqx.partition(self.couplings, eqx.is_array)
        (x, log_det), _ = jax.lax.scan(one, (x, log_det), arrays)
        for layer in self.after:
            x, log_slope = layer.forward(x, context)
            log_det += jnp.sum(log_slope)
        return x, log_det

    def inverse(self, z: Float[Array, "*shape"], context: Any = None) -> Array:
        """Return x."""
        for layer in reversed(self.after):
            z = layer.inverse(z, context)

        def one(z, arrays):
            return eqx.combine(arrays, rest).inverse(z, context), None

        arrays, rest = eqx.partition(self.couplings, eqx.is_array)
        z, _ = jax.lax.scan(one, z, arrays, reverse=True)
        for layer in reversed(self.before):
            z = layer.inverse(z, context)
        return z

    def log_prob(self, x: Float[Array, "*shape"], context: Any = None) -> Scalar:
        """Return log p(x) in nats, for z ~ N(0, I)."""
        z, log_det = self.forward(x, context)
        return standard(z).log_prob(z) + log_det

    def sample(self, shape: tuple[int, ...], *, key: Key, context: Any = None) -> Array:
        """Draw one example."""
        return self.inverse(jax.random.normal(key, shape), context)


def standard(like: Float[Array, "*shape"]) -> Gaussian:
    """Return N(0, I) over arrays like this one."""
    return Gaussian(jnp.zeros_like(like), jnp.ones((), like.dtype))


def stacked(couplings: Sequence[Coupling]) -> Coupling:
    """Return couplings that are alike as one, with one more axis."""
    return jax.tree.map(lambda *a: jnp.stack(a) if eqx.is_array(a[0]) else a[0], *couplings)


def with_data(flow: Flow, batch: Float[Array, " n *shape"], contexts: Any = None) -> Flow:
    """Return the flow, set at its start so that each coupling's output has mean 0, variance 1.

    From the first coupling to the last, each on what those before make of the batch
    (Salimans and Kingma 2016).
    """
    found = []
    for layer in flow.before:
        batch = _through(layer, batch, contexts)
    for coupling in map(flow.coupling, range(len(flow))):
        zeros = jnp.zeros_like(coupling.shift)
        out = _through(_moved(coupling, zeros, zeros), batch, contexts)
        coupling = _moved(coupling, -out.mean(0), -jnp.log(out.std(0) + 1e-3))
        found.append(coupling)
        batch = _through(coupling, batch, contexts)
    return eqx.tree_at(lambda f: f.couplings, flow, stacked(found))


@eqx.filter_jit
def _through(layer, x, contexts):
    where = None if contexts is None else 0
    return jax.vmap(lambda x, c: layer.forward(x, c).y, (0, where))(x, contexts)


def _moved(coupling: Coupling, shift: Array, log_scale: Array) -> Coupling:
    return eqx.tree_at(lambda c: (c.shift, c.log_scale), coupling, (shift, log_scale))


class UniformDequantiser(eqx.Module):
    """u ~ U(0, 1) for every pixel: log q = 0."""

    def sample(self, x: Integer[AnyArray, "*shape"], *, key: Key) -> tuple[Array, Scalar]:
        """Return (u, log q(u | x) in nats)."""
        return jax.random.uniform(key, jnp.shape(x)), jnp.zeros(())

    def log_prob(self, u: Float[Array, "*shape"], x: Integer[AnyArray, "*shape"]) -> Scalar:
        """Return log q(u | x) in nats."""
        del u, x
        return jnp.zeros(())


class VariationalDequantiser(eqx.Module):
    """u ~ q(u | x), a flow that ends in a sigmoid; `context` reads x (Flow++, §3.1)."""

    flow: Flow
    context: Callable[..., Any]

    def sample(self, x: Integer[AnyArray, "*shape"], *, key: Key) -> tuple[Array, Scalar]:
        """Return (u, log q(u | x) in nats)."""
        eps = jax.random.normal(key, jnp.shape(x))
        u, log_det = self.flow.forward(eps, self.context(x))
        return u, standard(eps).log_prob(eps) - log_det

    def log_prob(self, u: Float[Array, "*shape"], x: Integer[AnyArray, "*shape"]) -> Scalar:
        """Return log q(u | x) in nats."""
        context = self.context(x)
        eps = self.flow.inverse(u, context)
        return standard(eps).log_prob(eps) - self.flow.forward(eps, context)[1]


Dequantiser = UniformDequantiser | VariationalDequantiser


class ImageFlow(NamedTuple):
    """A model of images of levels: a flow of real numbers, and what makes levels real."""

    flow: Flow
    dequantiser: Dequantiser


def dequantised_loss(model: ImageFlow, x: Integer[AnyArray, "*shape"], *, key: Key) -> Scalar:
    """Return log q(u | x) − log p(x + u) for one draw of u, in nats.

    Its mean is at least −log P(x), with P(x) the mass of the cell from x to x + 1.
    """
    u, log_q = model.dequantiser.sample(x, key=key)
    return log_q - model.flow.log_prob(jnp.asarray(x) + u)


class PatchConv(eqx.Module):
    """A convolution as one product of matrices, over the pixels around each pixel.

    Inside a loop, as couplings are, XLA on CPU takes four times as long for the gradient of
    its own convolutions.
    """

    linear: eqx.nn.Linear
    size: int = eqx.field(static=True)

    def __init__(self, c_in: int, c_out: int, size: int = 3, *, key: Key):
        self.linear = eqx.nn.Linear(size * size * c_in, c_out, key=key)
        self.size = size

    def __call__(self, h: Float[Array, "height width c_in"]) -> Float[Array, "..."]:
        """Return the convolution, (height, width, c_out), zero-padded at the edges."""
        height, width, _ = h.shape
        around = [self.size // 2, (self.size - 1) // 2]
        padded = jnp.pad(h, (around, around, (0, 0)))
        moves = [(i, j) for i in range(self.size) for j in range(self.size)]
        patches = [padded[i : i + height, j : j + width] for i, j in moves]
        return _pixelwise(self.linear, jnp.concatenate(patches, -1))


class ConvConditioner(eqx.Module):
    """An image that is known in part ↦ `numbers` numbers for each element.

    Gated convolutions and self-attention over positions, each residual and normalised, as in
    Flow++ (§3.3). Its last layer is zero at the start.
    """

    first: PatchConv
    place: Float[Array, "height width c"]
    convs: tuple[PatchConv, ...]
    attentions: tuple[eqx.nn.MultiheadAttention, ...]
    norms: tuple[eqx.nn.LayerNorm, ...]
    last: PatchConv
    numbers: int = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, int, int],
        numbers: int,
        *,
        context: int = 0,
        width: int = 16,
        depth: int = 1,
        key: Key,
    ):
        height, columns, channels = shape
        first, last, *keys = jax.random.split(key, 2 + 2 * depth)
        self.first = PatchConv(channels + context, width, key=first)
        self.place = jnp.zeros((height, columns, width))
        self.convs = tuple(PatchConv(width, 2 * width, key=k) for k in keys[:depth])
        self.attentions = tuple(
            eqx.nn.MultiheadAttention(4, width, key=k) for k in keys[depth:]
        )
        self.norms = tuple(eqx.nn.LayerNorm(width) for _ in range(2 * depth))
        self.last = _zeros(PatchConv(width, channels * numbers, size=1, key=last))
        self.numbers = numbers

    def __call__(
        self, kept: Float[Array, "height width c"], context: Any
    ) -> Float[Array, "height width c numbers"]:
        """Return the numbers; `context`, if there is one, lies in channels beside `kept`."""
        inputs = kept if context is None else jnp.concatenate([kept, context], -1)
        h = self.first(inputs) + self.place
        norms = iter(self.norms)
        for conv, attention in zip(self.convs, self.attentions, strict=True):
            value, gate = jnp.split(conv(jax.nn.silu(h)), 2, -1)
            h = _pixelwise(next(norms), h + value * jax.nn.sigmoid(gate))
            flat = h.reshape(-1, h.shape[-1])
            h = h + attention(flat, flat, flat).reshape(h.shape)
            h = _pixelwise(next(norms), h)
        return self.last(h).reshape(*kept.shape, self.numbers)


def _pixelwise(function, h):
    return jax.vmap(jax.vmap(function))(h)


class PointConditioner(eqx.Module):
    """The same for a few numbers without neighbours, by a fully connected network."""

    net: eqx.nn.MLP
    numbers: int = eqx.field(static=True)

    def __init__(
        self, shape: tuple[int], numbers: int, *, context: int = 0, width: int = 64, key: Key
    ):
        (size,) = shape
        net = eqx.nn.MLP(size + context, size * numbers, width, 2, jax.nn.silu, key=key)
        self.net = eqx.tree_at(lambda m: m.layers[-1], net, replace_fn=_zeros)
        self.numbers = numbers

    def __call__(self, kept: Float[Array, " size"], context: Any) -> Array:
        """Return the numbers, (size, numbers); `context` lies beside `kept`."""
        inputs = kept if context is None else jnp.concatenate([kept, context])
        return self.net(inputs).reshape(*kept.shape, self.numbers)


def _zeros(layer):
    return jax.tree.map(lambda a: jnp.zeros_like(a) if eqx.is_array(a) else a, layer)


def coupling(
    mask: Bool[AnyArray, "*shape"],
    make: Callable[..., Callable],
    bend: AbstractBend,
    *,
    key: Key,
) -> Coupling:
    """Return an untrained coupling; `make(shape, numbers, key=key)` makes its network."""
    zeros = jnp.zeros(mask.shape)
    net = make(mask.shape, bend.numbers, key=key)
    return Coupling(jnp.asarray(mask), net, bend, zeros, zeros)


def couplings(
    masks: Iterable[Bool[AnyArray, "*shape"]],
    make: Callable[..., Callable],
    bend: AbstractBend,
    *,
    key: Key,
) -> Coupling:
    """Return untrained couplings, one for each mask, as one (`stacked`)."""
    every = list(masks)
    keys = jax.random.split(key, len(every))
    return stacked([coupling(m, make, bend, key=k) for m, k in zip(every, keys, strict=True)])


def point_masks(size: int, number: int) -> Iterator[Bool[np.ndarray, " size"]]:
    """Yield masks in turn: every other number, the others, again."""
    for i in range(number):
        yield np.arange(size) % 2 == i % 2


def image_masks(
    shape: tuple[int, int, int], number: int
) -> Iterator[Bool[np.ndarray, "*shape"]]:
    """Yield masks in turn: a chessboard, the other fields, the even rows, the odd ones, again.

    Rows stand for the split into channels that published flows make after a squeeze.
    """
    rows, columns, _ = np.indices(shape)
    for i in range(number):
        pattern = rows + columns if i % 4 < 2 else rows
        yield pattern % 2 == i % 2


class ImageContext(eqx.Module):
    """Levels ↦ channels that tell a conditional flow what the image is, by two convolutions."""

    convs: tuple[PatchConv, PatchConv]
    levels: int = eqx.field(static=True)

    def __init__(self, channels: int, levels: int, c_out: int, *, width: int, key: Key):
        keys = jax.random.split(key)
        self.convs = (
            PatchConv(channels, width, key=keys[0]),
            PatchConv(width, c_out, key=keys[1]),
        )
        self.levels = levels

    def __call__(self, x: Integer[Array, "height width c"]) -> Float[Array, "height width _"]:
        """Return the channels."""
        first, second = self.convs
        return second(jax.nn.silu(first(LevelDecoder(self.levels).embed(x))))


def image_flow(
    shape: tuple[int, int, int],
    levels: int,
    *,
    bend: AbstractBend,
    variational: bool,
    number: int = 4,
    width: int = 16,
    key: Key,
) -> ImageFlow:
    """Return an untrained Flow++; a variational dequantiser has half of its couplings."""
    main_key, other_key, context_key = jax.random.split(key, 3)
    make = partial(ConvConditioner, width=width)
    stack = couplings(image_masks(shape, number), make, bend, key=main_key)
    flow = Flow((FromCells(levels),), stack, ())
    if not variational:
        return ImageFlow(flow, UniformDequantiser())
    make = partial(make, context=width)
    inner = couplings(image_masks(shape, number // 2), make, bend, key=other_key)
    context = ImageContext(shape[2], levels, width, width=width, key=context_key)
    return ImageFlow(flow, VariationalDequantiser(Flow((), inner, (ToUnit(),)), context))


def with_images(model: ImageFlow, x: Integer[AnyArray, " n *shape"], *, key: Key) -> ImageFlow:
    """Return the model, both of its flows set at their start by a batch (`with_data`)."""
    flow, dequantiser = model
    noise_key, key = jax.random.split(key)
    if isinstance(dequantiser, VariationalDequantiser):
        contexts = jax.vmap(dequantiser.context)(jnp.asarray(x))
        eps = jax.random.normal(noise_key, x.shape)
        inner = with_data(dequantiser.flow, eps, contexts)
        dequantiser = VariationalDequantiser(inner, dequantiser.context)
    draw = jax.vmap(lambda x, key: dequantiser.sample(x, key=key)[0])
    u = draw(jnp.asarray(x), jax.random.split(key, len(x)))
    return ImageFlow(with_data(flow, jnp.asarray(x) + u), dequantiser)
