"""Built from solutions/14_lossless_compression.py. Do not edit."""


import numpy as np

from vdmlite import codec
from vdmlite.course import check, hint, solution, todo


import jax

import vdmlite
from vdmlite.course import exercise


def numbers(key):
    """A NumPy generator from one of JAX's keys."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def some_letters(key):
    """The shares of five letters, one of which never comes, and counts of all."""
    random = numbers(key)
    p = np.append(random.dirichlet(np.ones(4)), 0.0)
    return p, random.integers(1, 60, 5)


def growth(p, counts):
    """Return (bits by which the stack grows for a symbol, bits of these that could be saved)."""
    grown = -np.sum(p * np.log2(counts / np.sum(counts)))
    least = -np.sum(p * np.log2(np.where(p > 0, p, 1)))
    return grown, grown - least


exercise(
    "14.1",
    growth,
    inputs=some_letters,
    # Nothing times the logarithm of any number is nothing.
    equivalent=["least = -np.sum(p * np.log2(np.where(p > 0, p, 2)))"],
    hints=[
        "How often a symbol comes is a matter of p, how high it makes the stack a matter of the counts.",
        "The right counts give each symbol the probability that is its share. What is the average called then?",
    ],
    slips=[
        (
            "p * np.log2(counts / np.sum(counts))",
            "counts / np.sum(counts) * np.log2(counts / np.sum(counts))",
            "This averages over the coder's probabilities, but the symbols come with the shares p of the text.",
        ),
        (
            "np.log2(counts / np.sum(counts))",
            "np.log2(counts)",
            "A count is no probability yet: divide by their sum.",
        ),
        (
            "np.log2",
            "np.log",
            "These are nats; the height of a stack is in bits, with the logarithm to base 2.",
        ),
        (
            "-np.sum(p * np.log2(counts / np.sum(counts)))",
            "-np.mean(np.log2(counts / np.sum(counts)))",
            "This mean takes all symbols to be equally frequent: weigh each by its share p.",
        ),
        (
            "-np.sum(p * np.log2(counts / np.sum(counts)))",
            "-np.sum(counts / np.sum(counts) * np.log2(np.where(p > 0, p, 1)))",
            "The roles are exchanged: symbols come with the shares p, and the coder charges by its counts.",
        ),
        (
            "least = -np.sum(p * np.log2(np.where(p > 0, p, 1)))",
            "own = counts / np.sum(counts)\n    least = -np.sum(own * np.log2(own))",
            "This is the entropy of the coder's own law. The least is the entropy of the law that the symbols come from, p.",
        ),
    ],
    laws=[
        (
            "counts in proportion to the shares leave nothing to be saved",
            lambda f: (
                f(np.array([0.25, 0.5, 0.25]), np.array([2, 4, 2])),
                (np.asarray(1.5), np.asarray(0.0)),
            ),
        ),
        (
            "even counts of eight symbols make it grow by 3 bits, whatever the text",
            lambda f: (f(np.array([0.3, 0.7, 0, 0, 0, 0, 0, 0]), np.full(8, 5))[0], 3.0),
        ),
    ],
)


def push_words(head, words, symbol, counts):
    """The push that the text of 14.2 shows."""
    M, start, count = sum(counts), sum(counts[:symbol]), counts[symbol]
    if M * (head // count) >= 2**32:
        words.append(head % 2**16)
        head = head // 2**16
    return M * (head // count) + start + head % count


def some_words(key):
    """A stack of words with symbols on it, and the counts that they were pushed with."""
    random = numbers(key)
    counts = [1, *random.multinomial(62, [0.5, 0.2, 0.2, 0.1]).tolist(), 1]
    head, words = 2**16, random.integers(0, 2**16, 200).tolist()
    for _ in range(150):
        owned = int(random.choice(6, p=np.array(counts) / 64))
        head = push_words(head, words, owned, counts)
    return 300, head, tuple(words), tuple(counts)


def returned(f):
    """What an answer pops after pushes of known symbols, the last of them first."""
    counts, head, words = [5, 1, 2], 2**20, [7, 7]
    symbols = [0, 2, 1, 0, 0, 1, 2, 2, 0, 1] * 3
    for symbol in symbols:
        head = push_words(head, words, symbol, counts)
    return f(30, head, tuple(words), tuple(counts)), (np.array(symbols[::-1]), 2**20, 2)


def pop_all(n, head, words, counts):
    """Return (n symbols, in the order in which they come; the head; how many words are left)."""
    M, words, symbols = sum(counts), list(words), []
    starts = [sum(counts[:symbol]) for symbol in range(len(counts))]
    for _ in range(n):
        place = head % M
        symbol = sum(start <= place for start in starts) - 1
        head = counts[symbol] * (head // M) + place - starts[symbol]
        moved = head < 2**16
        if moved:
            head = head * 2**16 + words.pop()
        symbols.append(symbol)
    return np.array(symbols), head, len(words)


exercise(
    "14.2",
    pop_all,
    inputs=some_words,
    tolerance=1e-12,
    hints=[
        "A symbol owns the places from its start up to, but not including, the next one's start. (In Python True counts as 1.)",
        "The push moved a word first and then put the symbol on. So take the symbol off first.",
        "Before a push the head was at least 2^16. What remains of it if 16 bits were moved away?",
    ],
    slips=[
        (
            "start <= place",
            "start < place",
            "A symbol owns its start as well: at place = start this picks the symbol before it.",
        ),
        (
            "counts[symbol] * (head // M) + place - starts[symbol]",
            "counts[symbol] * (head // M) + place",
            "The push added the start of the symbol's places: take it off.",
        ),
        (
            "counts[symbol] * (head // M) + place - starts[symbol]",
            "counts[symbol] * (head // M)",
            "Which of the symbol's places it was is information too, the remainder by its count: add place − start.",
        ),
        (
            "counts[symbol] * (head // M) + place - starts[symbol]",
            "head // M",
            "That undoes a push of equally likely symbols. Here the head shrinks by M/count only, for the symbol owns count places.",
        ),
        (
            "head < 2**16",
            "False",
            "The words never come back, so the head runs dry and the same symbol comes for ever.",
        ),
        (
            "head < 2**16",
            "head <= 2**16",
            "A head of exactly 2^16 is within its range: nothing was moved.",
        ),
        (
            "head < 2**16",
            "head < 2**15",
            "The head is kept at 2^16 or more; below that a word is missing.",
        ),
        (
            "head * 2**16 + words.pop()",
            "head * 2**16 + words.pop(0)",
            "That word is from the bottom of the stack; the one moved last is at the end of the list.",
        ),
        (
            "head * 2**16 + words.pop()",
            "head + words.pop() * 2**16",
            "The word held the head's low 16 bits, so it is the head that moves up.",
        ),
    ],
    laws=[
        (
            "what was pushed comes back, the last one first, and leaves the stack as it was",
            returned,
        )
    ],
)


def some_tables(key):
    """A joint table of three causes and four symbols, and a law of the cause for each symbol."""
    random = numbers(key)
    q = random.dirichlet(np.ones(3), 4).T
    q[:, 1] = [0.0, 0.3, 0.7]  # a cause that is never chosen
    return random.dirichlet(np.ones(12)).reshape(3, 4), q


JOINT = np.array([[0.3, 0.1, 0.05], [0.05, 0.2, 0.3]])


def bits_back(joint, q):
    """Return (net bits for each x, bits a symbol that are lost to q)."""
    grown = np.log2(np.where(q > 0, q, joint)) - np.log2(joint)
    net = np.sum(q * grown, axis=0)
    p_x = np.sum(joint, axis=0)
    lost = np.sum(p_x * (net + np.log2(p_x)))
    return net, lost


exercise(
    "14.3",
    bits_back,
    inputs=some_tables,
    hints=[
        "Popping z takes −log2 q(z∣x) off; pushing x under p(x∣z) and z under p(z) adds −log2 of their product.",
        "Which z comes is decided by q(z∣x). np.where(q > 0, …, …) keeps log2 0 away.",
        "With the posterior the price of x is −log2 p(x), whichever z came; how often x comes is p(x).",
    ],
    slips=[
        (
            "np.log2(np.where(q > 0, q, joint)) - np.log2(joint)",
            "-np.log2(joint)",
            "That is what sending z as well costs: the bits that were popped to choose z are missing, and they come back.",
        ),
        (
            "np.log2(np.where(q > 0, q, joint)) - np.log2(joint)",
            "-np.log2(np.where(q > 0, q, joint)) - np.log2(joint)",
            "The sign of the borrowed bits: a pop lowers the stack by −log2 q.",
        ),
        (
            "np.log2(np.where(q > 0, q, joint)) - np.log2(joint)",
            "np.log2(np.where(q > 0, q, joint)) - np.log2(joint / np.sum(joint, axis=1, keepdims=True))",
            "This pushes x under p(x∣z) alone; the decoder needs z first, so z is pushed under p(z) as well.",
        ),
        (
            "np.log2",
            "np.log",
            "These are nats; the height of a stack is in bits, with the logarithm to base 2.",
        ),
        (
            "np.sum(q * grown, axis=0)",
            "np.sum(joint / np.sum(joint, axis=0) * grown, axis=0)",
            "This averages over the posterior, but the z that come are drawn from q.",
        ),
        (
            "np.sum(q * grown, axis=0)",
            "np.mean(grown, axis=0)",
            "This takes every z to come equally often: weigh each by q(z∣x).",
        ),
        (
            "np.sum(p_x * (net + np.log2(p_x)))",
            "np.mean(net + np.log2(p_x))",
            "This takes every x to come equally often: weigh each by p(x).",
        ),
        (
            "net + np.log2(p_x)",
            "net - np.log2(p_x)",
            "The ideal price is −log2 p(x); less this is plus log2 p(x).",
        ),
        (
            "np.sum(p_x * (net + np.log2(p_x)))",
            "np.sum(p_x * net)",
            "That is all that is paid on average; take off what the posterior would pay, −log2 p(x).",
        ),
        (
            "    grown = np.log2(np.where(q > 0, q, joint)) - np.log2(joint)",
            "    grown = np.log2(np.where(q > 0, q, joint)) - np.log2(joint / np.sum(joint, axis=0))",
            "That is the divergence of q from the posterior, without what x itself costs. The push has the joint p(x, z).",
        ),
    ],
    laws=[
        (
            "with the posterior the price is −log2 p(x), and nothing is lost",
            lambda f: (
                f(JOINT, JOINT / JOINT.sum(0)),
                (-np.log2(JOINT.sum(0)), np.asarray(0.0)),
            ),
        ),
        (
            "any other q loses something",
            lambda f: (
                np.array(
                    [f(JOINT, np.array([[a] * 3, [1 - a] * 3]))[1] > 0 for a in (0.1, 0.5, 1.0)]
                ),
                np.array([True, True, True]),
            ),
        ),
    ],
)


def some_changes(key):
    """The bits of five borrowing and six pushing moves; on some inputs more is borrowed."""
    random = numbers(key)
    return random.uniform(20, 60, 5), random.uniform(10, 60, 6), int(random.integers(2, 5))


def shipped(borrows, pushes, images):
    """The same by the codec's own orders, and its own measure."""
    names = [codec.Move(f"b{i}", None, True) for i in range(len(borrows))]
    others = [codec.Move(f"p{i}", None, False) for i in range(len(pushes))]
    bits = {move.name: -bit for move, bit in zip(names, borrows, strict=True)}
    bits |= {move.name: bit for move, bit in zip(others, pushes, strict=True)}
    found = []
    for order in (codec.bb_ans, codec.bit_swap):
        moves = order(names, others) * images
        ledger = [codec.Entry(move.name, np.array([bits[move.name]])) for move in moves]
        found.append(codec.initial_bits(ledger)[0])
    return tuple(found)


def initial(borrows, pushes, images):
    """Return (initial bits in BB-ANS's order, initial bits in Bit-Swap's)."""
    bb_ans = np.concatenate([-borrows, pushes])
    bit_swap = np.append(np.stack([-borrows, pushes[:-1]], axis=1).ravel(), pushes[-1])
    needed = []
    for changes in (bb_ans, bit_swap):
        heights = np.cumsum(list(changes) * images)
        deepest = -np.min(heights)
        needed.append(deepest)
    return tuple(needed)


exercise(
    "14.4",
    initial,
    inputs=some_changes,
    ships=shipped,
    hints=[
        "A borrow is a change below 0, a push one above. The height after a move is the sum of all changes so far: np.cumsum.",
        "In Bit-Swap's order the first pairs are (−borrows[0], pushes[0]), (−borrows[1], pushes[1]), …",
        "If the lowest height is −500, then 500 bits must have been there.",
    ],
    slips=[
        (
            "np.concatenate([-borrows, pushes])",
            "np.concatenate([pushes, -borrows])",
            "Pushing first is not possible: x's law needs z_0, and so all must have been borrowed before.",
        ),
        (
            "np.append(np.stack([-borrows, pushes[:-1]], axis=1).ravel(), pushes[-1])",
            "np.append(np.stack([pushes[:-1], -borrows], axis=1).ravel(), pushes[-1])",
            "This pushes x before z_0 is there, and x's law depends on z_0: in each pair the borrow comes first.",
        ),
        (
            "np.append(np.stack([-borrows, pushes[:-1]], axis=1).ravel(), pushes[-1])",
            "np.stack([-borrows, pushes[:-1]], axis=1).ravel()",
            "The last push, z_T under its prior, is missing: there is one push more than borrows.",
        ),
        (
            "np.append(np.stack([-borrows, pushes[:-1]], axis=1).ravel(), pushes[-1])",
            "np.append(np.stack([-borrows, pushes[:-1]], axis=0).ravel(), pushes[-1])",
            "This puts all borrows first, which is the other order: take turns along the new axis.",
        ),
        (
            "list(changes) * images",
            "changes",
            "One image alone: where more is borrowed than pushed, every image begins lower than the one before.",
        ),
        (
            "list(changes) * images",
            "np.repeat(changes, images)",
            "This makes each move several times in a row; the images come one after the other.",
        ),
        (
            "-np.min(heights)",
            "np.min(heights)",
            "That is the lowest height, below 0; what must be there is as much above it.",
        ),
        (
            "-np.min(heights)",
            "-heights[-1]",
            "That is the height at the end; the lowest point on the way is what counts.",
        ),
        (
            "-np.min(heights)",
            "np.max(np.abs(heights))",
            "The height farthest from 0 may be one above it, and such a height needs nothing.",
        ),
    ],
    laws=[
        (
            "of T + 1 equal borrows BB-ANS needs all at once and Bit-Swap one, if what is pushed is more than what is borrowed",
            lambda f: (
                f(np.full(51, 70.0), np.full(52, 75.0), 3),
                (np.asarray(51 * 70.0), np.asarray(70.0)),
            ),
        ),
    ],
)


def some_widths(key):
    """The widths of q and p, the distance of their means, and points to a width."""
    random = numbers(key)
    return (*random.uniform(0.02, 0.5, 2), random.uniform(0, 0.4), int(random.integers(2, 9)))


def on_a_grid(std_q, std_p, gap, spacing):
    """Bits borrowed and net, by a sum over the points of a grid."""
    points = spacing * np.arange(-4000, 4001)
    masses = [
        spacing * np.exp(-0.5 * ((points - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
        for mean, std in ((0.0, std_q), (gap, std_p))
    ]
    q, p = np.maximum(masses, 1e-300)
    return -np.sum(q * np.log2(q)), np.sum(q * np.log2(q / p))


def grid(std_q, std_p, gap, bins):
    """Return (spacing, bits borrowed on average, net bits on average) for one number."""
    spacing = 2.0 ** np.floor(np.log2(np.minimum(std_q, std_p) / bins))
    borrowed = np.log2(std_q / spacing) + np.log2(2 * np.pi * np.e) / 2
    pushed = np.log2(std_p / spacing) + np.log2(2 * np.pi) / 2
    pushed = pushed + (std_q**2 + gap**2) / (2 * np.log(2) * std_p**2)
    return spacing, borrowed, pushed - borrowed


exercise(
    "14.5",
    grid,
    inputs=some_widths,
    # The narrower of two is the narrower of two.
    equivalent=["spacing = 2.0 ** np.floor(np.log2(np.minimum(std_p, std_q) / bins))"],
    hints=[
        "spacing ≤ narrowest/bins. Take the logarithm to base 2: the exponent is the largest whole number that is not above it.",
        "−log2 of density times spacing has three parts: log2(σ/spacing), ½ log2 2π, and half the squared distance in σ, times log2 e = 1/ln 2.",
        "Under q the average of (z − m′)² is σ_q² + gap².",
    ],
    slips=[
        (
            "np.floor(np.log2(np.minimum(std_q, std_p) / bins))",
            "np.ceil(np.log2(np.minimum(std_q, std_p) / bins))",
            "Rounded up, the spacing is too large: fewer than `bins` spacings fit.",
        ),
        (
            "np.floor(np.log2(np.minimum(std_q, std_p) / bins))",
            "np.round(np.log2(np.minimum(std_q, std_p) / bins))",
            "Rounded to the nearest exponent, the spacing is sometimes too large: fewer than `bins` spacings fit.",
        ),
        (
            "np.minimum(std_q, std_p)",
            "np.maximum(std_q, std_p)",
            "The narrower law is the one that would be seen too coarsely.",
        ),
        (
            "np.minimum(std_q, std_p)",
            "std_q",
            "p lives on the same grid, and may be the narrower of the two.",
        ),
        (
            "2.0 ** np.floor(np.log2(np.minimum(std_q, std_p) / bins))",
            "np.minimum(std_q, std_p) / bins",
            "That is the largest spacing, but no power of two: the next one below is asked for.",
        ),
        (
            "np.log2(std_q / spacing) + np.log2(2 * np.pi * np.e) / 2",
            "np.log2(std_q) + np.log2(2 * np.pi * np.e) / 2",
            "A density is no probability: times the spacing it is, which adds −log2 of the spacing.",
        ),
        (
            "np.log2(2 * np.pi * np.e) / 2",
            "np.log2(2 * np.pi) / 2",
            "The average of half the squared distance is missing, ½ nat or ½ log2 e bits.",
        ),
        (
            "(std_q**2 + gap**2)",
            "gap**2",
            "z is not at m but spread around it: the mean square distance from m′ is σ_q² + gap².",
        ),
        (
            "(std_q**2 + gap**2)",
            "std_q**2",
            "The means lie apart: the mean square distance from m′ is σ_q² + gap².",
        ),
        (
            "(2 * np.log(2) * std_p**2)",
            "(2 * std_p**2)",
            "This part is in nats; divide by ln 2 for bits.",
        ),
        (
            "std_q**2 + gap**2) / (2 * np.log(2) * std_p**2)",
            "std_q + gap) ** 2 / (2 * np.log(2) * std_p**2)",
            "E(z − m)² is std_q² + gap²: the squares add up, and not the widths.",
        ),
    ],
    ships=lambda std_q, std_p, gap, bins: (
        2.0 ** np.floor(np.log2(min(std_q, std_p) / bins)),
        *on_a_grid(std_q, std_p, gap, 2.0 ** np.floor(np.log2(min(std_q, std_p) / bins))),
    ),
    laws=[
        (
            "a grid that is twice as fine borrows one bit more, and nets the same",
            lambda f: (
                np.subtract(f(0.3, 0.2, 0.1, 8)[1:], f(0.3, 0.2, 0.1, 4)[1:]),
                np.array([1.0, 0.0]),
            ),
        ),
        (
            "sums over the points of a grid say the same",
            lambda f: (
                f(0.3, 0.25, 0.2, 4)[1:],
                on_a_grid(0.3, 0.25, 0.2, f(0.3, 0.25, 0.2, 4)[0]),
            ),
        ),
        (
            "a law that is popped and pushed again nets nothing",
            lambda f: (f(0.11, 0.11, 0.0, 4)[2] + 1, np.asarray(1.0)),
        ),
    ],
)


def chain(random, symbols=5):
    """Tables of a two-layer model, and of a q that is not its posterior."""
    p_2, p_1, p_x = (random.dirichlet(np.ones(symbols), n) for n in (1, symbols, symbols))
    joint = p_2[0][:, None, None] * p_1[:, :, None] * p_x[None]  # z2, z1, x
    mixed = 0.9 * joint + 0.1 * joint.mean()
    q_1 = mixed.sum(0).T / mixed.sum((0, 1))[:, None]
    q_2 = mixed.sum(2).T / mixed.sum((0, 2))[:, None]
    return p_2[0], p_1, p_x, q_1, q_2


def drawn(random, n, p_2, p_1, p_x):
    """Examples of 20 symbols each, from the model."""

    def draw(rows):
        return (random.random((*rows.shape[:-1], 1)) > rows.cumsum(-1)).sum(-1).clip(0, 4)

    z_2 = random.choice(5, (n, 20), p=p_2)
    return draw(p_x[draw(p_1[z_2])])


def two_layer_inputs(key):
    """Examples and tables."""
    random = numbers(key)
    tables = chain(random)
    return drawn(random, 6, *tables[:3]), *tables


LONG = chain(np.random.default_rng(146))
TEXT = drawn(np.random.default_rng(147), 100, *LONG[:3])


def bound_of_text():
    """The bits that the bound asks for TEXT: the exact mean over both latents."""
    p_2, p_1, p_x, q_1, q_2 = LONG
    pair = q_1[:, :, None] * q_2[None]  # x, z1, z2
    ratio = np.log2(pair) - np.log2(p_x.T[:, :, None] * p_1.T[None] * p_2)
    return np.sum(np.sum(pair * ratio, (1, 2))[TEXT])


def two_layers(xs, p_2, p_1, p_x, q_1, q_2):
    """Return (net bits of all examples, initial bits, the examples as they come back)."""

    def law(table):
        return lambda v: codec.Categories(np.log(table(v)))

    def borrow(name, table):
        return codec.Move(name, law(table), borrows=True)

    def push(name, table):
        return codec.Move(name, law(table), borrows=False)

    prior = np.tile(p_2, (1, xs.shape[1], 1))
    moves = [
        borrow("z1", lambda v: q_1[v["x"]]),
        push("x", lambda v: p_x[v["z1"]]),
        borrow("z2", lambda v: q_2[v["z1"]]),
        push("z1", lambda v: p_1[v["z2"]]),
        push("z2", lambda v: prior),
    ]
    stack, on = codec.Stack(1), np.ones(1, bool)
    for x in xs:
        codec.encode(moves, stack, x[None], on)
    net, loan = stack.heights[0], codec.initial_bits(stack.ledger)[0]
    back = np.concatenate([codec.decode(moves, stack, on) for _ in xs][::-1])
    return net, loan, back


exercise(
    "14.6",
    two_layers,
    inputs=two_layer_inputs,
    hints=[
        "As soon as z1 is there, the law of x is known: x can go. After which borrow can z1 go?",
        "Read your list from the end, as a decoder: at each push, which is a pop for the decoder, are the values that its table uses known already?",
        "The stack gives the last example first. Take the numbers down before decoding: the stack ends where it began.",
    ],
    slips=[
        (
            'push("x", lambda v: p_x[v["z1"]]),\n        borrow("z2", lambda v: q_2[v["z1"]]),',
            'borrow("z2", lambda v: q_2[v["z1"]]),\n        push("x", lambda v: p_x[v["z1"]]),',
            "This borrows z2 before it needs to: x can be pushed as soon as z1 is there, and its bits help to pay for z2.",
        ),
        (
            'p_1[v["z2"]]',
            'p_1.T[v["z2"]]',
            "A row of p_1 belongs to a z2, and holds a law of z1: no transpose is needed.",
        ),
        (
            'q_1[v["x"]]',
            'p_x.T[v["x"]]',
            "This borrows z1 from p(x∣z1), read along z1: that is a likelihood, and no law from which to draw z1. That law is q_1.",
        ),
        (
            "lambda v: prior",
            "lambda v: np.full(prior.shape, 0.2)",
            "z2 is pushed under its own law p_2, not as if all of its values were alike.",
        ),
        (
            "stack.heights[0], codec",
            "stack.heights[0] + codec.initial_bits(stack.ledger)[0], codec",
            "That is the total, initial bits included; net is what has been added to them.",
        ),
        (
            "for _ in xs][::-1]",
            "for _ in xs]",
            "A stack: the last example comes back first, so turn the order round.",
        ),
        (
            'p_1[v["z2"]]),',
            "prior),",
            "z1 was pushed as if it did not know z2. The model has p(z1 | z2), and z2 is on hand there.",
        ),
    ],
    laws=[
        (
            "every symbol comes back",
            lambda f: (f(TEXT, *LONG)[2], TEXT),
        ),
        (
            "the net length of two thousand symbols is the bound's, to 2 %",
            lambda f: (abs(f(TEXT, *LONG)[0] / bound_of_text() - 1) < 0.02, True),
        ),
    ],
)
