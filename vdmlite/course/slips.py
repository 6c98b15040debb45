"""Names for wrong answers that nobody planted.

An answer is compared with what would come out if one of the usual slips were made: in the
result (RESULTS and WITH_AN_ARGUMENT), in an argument (ARGUMENTS), or in one place of the
solution's text (`changes.py`). A slip is named only if it gives the answer's numbers for
all inputs of the check; if several do, all are told, up to FEW. The words never quote the
solution.
"""

import contextlib
import functools
import inspect
import io
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .changes import (
    CONSTANT,
    EVERYWHERE,
    EXTRA,
    LEFT_OUT,
    LIKELY,
    NAMES,
    PLUS,
    RARE,
    SIGN,
    SIMILAR,
    Text,
    slips_in,
)
from .compare import close, leaves, numbers, size

if TYPE_CHECKING:
    from .exercise import Exercise

FEW = 2
"""How many explanations are told when several fit."""
WORK = 3_000_000
"""How many calls of functions the trials of a solution may make: a cost that, unlike time, is
the same on any machine. The likely slips have so much, and the rare ones."""
EACH = 1000
"""What a trial costs at least."""
TIGHT = 1e-4
"""An explanation fits up to so much of the size of the numbers, or the check's tolerance."""

# What becomes of a right result: (words, the result that comes out of the right one).

RESULTS: tuple[tuple[str, Callable], ...] = (
    ("the result is squared", np.square),
    ("the square root of the result is taken", np.sqrt),
    ("the sign is lost (an absolute value)", np.abs),
    ("the result is upside down, one over what is asked for", np.reciprocal),
    ("the result is subtracted from 1", lambda a: 1 - a),
    ("the exponential of the result is taken, or a logarithm is missing", np.exp),
    ("the logarithm of the result is taken, or an exponential is missing", np.log),
    ("minus the logarithm of the result is taken", lambda a: -np.log(a)),
    ("the result is rounded", np.round),
    ("the result is rounded down", np.floor),
    ("the result is cut to between 0 and 1", lambda a: np.clip(a, 0, 1)),
    ("negative results are cut at 0", lambda a: np.maximum(a, 0)),
    ("rows and columns are exchanged", np.transpose),
    ("the order is turned round", lambda a: a[::-1]),
    ("the order along the last axis is turned round", lambda a: a[..., ::-1]),
    ("everything comes one place late", lambda a: np.roll(a, 1, -1)),
    ("everything comes one place early", lambda a: np.roll(a, -1, -1)),
    ("the entries are sorted", lambda a: np.sort(a, -1)),
    ("running sums are taken of the result", lambda a: np.cumsum(a, -1)),
    ("a running sum is missing", lambda a: np.diff(a, axis=-1, prepend=0)),
    ("the result is divided by its sum", lambda a: a / np.sum(a)),
    ("the entries are added up", np.sum),
    ("the entries are averaged", np.mean),
    ("the rows are added up", lambda a: np.sum(a, 0)),
    ("the columns are added up", lambda a: np.sum(a, -1)),
    ("the last entry is missing", lambda a: a[:-1]),
    ("the first entry is missing", lambda a: a[1:]),
)

# What would make the answer right: (words, the right result from the answer's).
REPAIRS: tuple[tuple[str, Callable], ...] = (
    ("the entries are still to be added up", np.sum),
    ("the entries are still to be averaged", np.mean),
    ("the rows are still to be added up", lambda a: np.sum(a, 0)),
    ("the entries of each row are still to be added up", lambda a: np.sum(a, -1)),
    ("the entries of each row are still to be averaged", lambda a: np.mean(a, -1)),
    ("the last entry is one too many", lambda a: a[:-1]),
    ("the first entry is one too many", lambda a: a[1:]),
)

# The right result w and an argument v give the answer.
WITH_AN_ARGUMENT: tuple[tuple[str, Callable], ...] = (
    ("a factor {} is missing, or a division by {} is one too many", lambda w, v: w / v),
    ("a factor {} is one too many, or a division by {} is missing", lambda w, v: w * v),
    ("a factor of the square of {} is missing", lambda w, v: w / v**2),
    ("a division by the square of {} is missing", lambda w, v: w * v**2),
    ("{} is added once too often", lambda w, v: w + v),
    ("{} is not added", lambda w, v: w - v),
)

FACTORS = {
    2: "the result is doubled: a factor ½ is missing, or a 2 is one too many",
    1 / 2: "the result is halved: a factor 2 is missing, or a ½ is one too many",
    -1: "the sign is turned",
    np.log(2): "nats are taken for bits, or bits for nats (a factor log 2)",
    1 / np.log(2): "nats are taken for bits, or bits for nats (a factor log 2)",
    np.log(2) ** 2: "it is multiplied by log 2, not divided",
    np.log(10): "a logarithm has the wrong base, 10",
    1 / np.log(10): "a logarithm has the wrong base, 10",
    np.sqrt(2): "a factor √2 is one too many",
    1 / np.sqrt(2): "a factor √2 is missing",
    np.pi: "a factor π is one too many",
    1 / np.pi: "a factor π is missing",
    2 * np.pi: "a factor 2π is one too many",
    0.5 / np.pi: "a factor 2π is missing",
    np.sqrt(2 * np.pi): "a factor √(2π) is one too many",
    1 / np.sqrt(2 * np.pi): "a factor √(2π) is missing",
}

# What becomes of an argument.

ARGUMENTS: tuple[tuple[str, Callable], ...] = (
    ("the sign of {} is turned", lambda v: -v),
    ("{} is squared once too often", lambda v: v * v),
    ("a square of {} is missing, or a root is one too many", lambda v: np.sqrt(v)),
    ("{} is left out, as if it were 0", lambda v: v * 0),
    ("{} is left out, as if it were 1", lambda v: v * 0 + 1),
    ("{} is upside down, one over it", lambda v: 1 / v),
    ("1 − {} stands for {}", lambda v: 1 - v),
    ("{} is doubled, or not halved", lambda v: 2 * v),
    ("{} is halved, or not doubled", lambda v: v / 2),
    ("the exponential of {} is taken, or its logarithm is not", lambda v: np.exp(v)),
    ("the logarithm of {} is taken, or its exponential is not", lambda v: np.log(v)),
    ("{} is one too large", lambda v: v + 1),
    ("{} is one too small", lambda v: v - 1),
    ("the entries of {} come in the reverse order", lambda v: v[::-1]),
    ("the entries of {} come one place late", lambda v: np.roll(v, 1, -1)),
    ("the entries of {} come one place early", lambda v: np.roll(v, -1, -1)),
    ("rows and columns of {} are exchanged", lambda v: v.T),
    ("the mean of {} stands for its entries", lambda v: np.full_like(v, np.mean(v))),
    ("{} is rounded down", lambda v: np.floor(v)),
)
KEYS: tuple[tuple[str, Callable], ...] = (
    ("the random numbers come from another key: use {} as it is given", jax.random.split),
    ("the random numbers come from another key", lambda v: jax.random.split(v)[0]),
    ("the random numbers come from another key", lambda v: jax.random.split(v)[1]),
)


class Answer(NamedTuple):
    """A wrong answer: for each of the inputs the values returned, and the right ones."""

    exercise: "Exercise"
    args: list[tuple]
    got: list[list[np.ndarray]]
    want: list[list[np.ndarray]]
    words: frozenset[str]

    @property
    def tolerance(self) -> float:
        """How near an explanation must come."""
        return min(TIGHT, self.exercise.tolerance)

    def is_wrong(self, place: int) -> bool:
        """Return whether one of the values returned is wrong."""
        pairs = zip(self.got, self.want, strict=True)
        return not all(close(g[place], w[place], self.exercise.tolerance) for g, w in pairs)

    def same(self, place: int, values: Sequence[np.ndarray]) -> bool:
        """Return whether values, one for each input, are the answer's."""
        pairs = zip(self.got, values, strict=True)
        return all(close(g[place], v, self.tolerance) for g, v in pairs)

    def fits(self, place: int, values: Sequence[np.ndarray]) -> bool:
        """Return whether values are the answer's, and not the right ones."""
        pairs = zip(values, self.want, strict=True)
        return self.same(place, values) and not all(
            close(v, w[place], self.tolerance) for v, w in pairs
        )

    def tells(self, place: int) -> bool:
        """Return whether one of the values varies enough for a match to be no chance."""
        seen = np.concatenate([g[place].ravel() for g in self.got])
        seen = seen[np.isfinite(seen)]
        distinct = len(np.unique(np.round(seen / np.max(np.abs(seen), initial=1e-6), 3)))
        return distinct > (2 if np.all(seen == np.round(seen)) else 1)


def explain(
    exercise: "Exercise", rows: Sequence[tuple[tuple, Any, Any]], answer: Callable
) -> str:
    """Return what would make the answer's results, in a sentence, or nothing.

    A row has a check's arguments, what the answer returns and what is right.
    """
    try:
        got, want = ([[numbers(v) for v in leaves(row[i])] for row in rows] for i in (1, 2))
    except (TypeError, ValueError):
        return ""
    if any(len(g) != len(w) for g, w in zip(got, want, strict=True)):
        return ""
    code = getattr(inspect.unwrap(answer), "__code__", None)
    words = frozenset(code.co_varnames if code else ())
    case = Answer(exercise, [row[0] for row in rows], got, want, words)
    wrong = [place for place in range(len(want[0])) if case.is_wrong(place)]
    if not wrong:
        return ""
    with _quiet():
        for stage in (_of_the_result, _of_the_text, _of_the_kind):
            told = stage(case, wrong)
            if told:
                return told
    return ""


def _sentence(clauses: Sequence[str], subject: str = "these numbers come") -> str:
    told = ", or if ".join(list(dict.fromkeys(clauses))[:FEW])
    return f"Exactly {subject} out if {told}." if told else ""


# The result.


def _of_the_result(case: Answer, wrong: list[int]) -> str:
    """Name what befell the result, in all values that are wrong or in the first of them."""
    count = len(case.want[0])
    for one, other in itertools.combinations(range(count), 2):
        order = [*range(count)]
        order[one], order[other] = other, one
        if all(
            close(g[i], w[order[i]], case.tolerance)
            for g, w in zip(case.got, case.want, strict=True)
            for i in range(count)
        ):
            return _sentence([f"values {one + 1} and {other + 1} are exchanged"])
    found = [_facts(case, place) if case.tells(place) else [] for place in wrong]
    if found and found[0]:
        common = [f for f in found[0] if all(f in other for other in found)]
        if common and len(wrong) == count:
            return _sentence(common)
        return _sentence(found[0], f"value {wrong[0] + 1} comes")
    return ""


def _facts(case: Answer, place: int) -> list[str]:
    got, want = [g[place] for g in case.got], [w[place] for w in case.want]
    found = []

    def suppose(words: str, values: Callable[[], list]) -> None:
        with contextlib.suppress(Exception):  # of another shape, or nothing to divide by
            if case.fits(place, [np.asarray(v) for v in values()]):
                found.append(words)

    found += _constant(case, place)
    for sizes in _sizes(case):
        told = "a mean stands for a sum, or the reverse"
        suppose(told, lambda n=sizes: [w / n for w, n in zip(want, n, strict=True)])
        suppose(told, lambda n=sizes: [w * n for w, n in zip(want, n, strict=True)])
    if found:
        return found
    for words, turn in RESULTS:
        suppose(words, lambda turn=turn: [turn(w) for w in want])
    for words, turn in REPAIRS:
        with contextlib.suppress(Exception):
            pairs = zip(got, want, strict=True)
            if all(g.size > 1 and close(turn(g), w, case.tolerance) for g, w in pairs):
                found.append(words)
    if all(g.size == w.size for g, w in zip(got, want, strict=True)) and all(
        g.shape != w.shape and close(g.ravel(), w.ravel(), case.tolerance)
        for g, w in zip(got, want, strict=True)
    ):
        found.append("the numbers are right, and only their arrangement in axes is not")
    for name, values in _scales(case).items():
        for words, turn in WITH_AN_ARGUMENT:
            suppose(
                words.format(name, name),
                lambda turn=turn, values=values: [
                    turn(w, v) for w, v in zip(want, values, strict=True)
                ],
            )
    return found


def _constant(case: Answer, place: int) -> Iterator[str]:
    """Yield the one factor, or the one summand, that makes the answer of the right result."""
    pairs = list(zip(case.got, case.want, strict=True))
    if any(g[place].shape != w[place].shape for g, w in pairs):
        return
    got = np.concatenate([g[place].ravel() for g, _ in pairs])
    want = np.concatenate([w[place].ravel() for _, w in pairs])
    if len(np.unique(np.round(want[np.isfinite(want)], 6))) < 3:
        return
    ratio = np.median(got[want != 0] / want[want != 0])
    if case.fits(place, [ratio * w[place] for _, w in pairs]):
        near = [told for factor, told in FACTORS.items() if np.isclose(ratio, factor, TIGHT)]
        yield near[0] if near else f"the result is multiplied by {ratio:.4g}"
    summand = np.median(got - want)
    if case.fits(place, [w[place] + summand for _, w in pairs]):
        yield f"{summand:.4g} is added to the result".replace("-", "−")


def _scales(case: Answer) -> dict[str, list[np.ndarray]]:
    """Return the arguments that are real numbers or arrays of them, by name."""
    found = {}
    for index, name in enumerate(inspect.signature(case.exercise.solve).parameters):
        with contextlib.suppress(Exception):
            found[name] = [numbers(args[index]) for args in case.args]
    return found


def _sizes(case: Answer) -> set[tuple[int, ...]]:
    """Return how many entries the arrays have, in all and along each axis, for each input."""
    shapes = [[v.shape for v in values] for values in _scales(case).values()]
    found = set()
    for of_all in shapes:
        if of_all[0]:
            found.add(tuple(int(np.prod(s)) for s in of_all))
        for axis in range(min(map(len, of_all))):
            found.add(tuple(s[axis] for s in of_all))
            found.add(tuple(s[axis] - 1 for s in of_all))  # of differences
    return {sizes for sizes in found if min(sizes) > 1}


def _of_the_kind(case: Answer, wrong: list[int]) -> str:
    """Say at least what kind of wrong it is."""
    values = [(g[p], w[p]) for g, w in zip(case.got, case.want, strict=True) for p in wrong]
    if any(g.shape != w.shape for g, w in values):
        return ""
    if any(np.any(np.isnan(g) & np.isfinite(w)) for g, w in values):
        return (
            "The root or the logarithm of a negative number is no number (nan): is a "
            "difference turned round?"
        )
    for place in wrong if any(case.args) else ():
        got = [g[place] for g in case.got]
        if not np.all(np.isfinite(got[0])):
            continue
        if all(g.shape == got[0].shape and close(g, got[0], case.tolerance) for g in got):
            return "The result is the same whatever the inputs are."
    if all(close(g, w, 0.01) for g, w in values):
        return (
            "The numbers are nearly right, so it is a small thing: a small constant, an "
            "approximation, or digits that are lost."
        )
    return ""


# The text.

ARGUMENT = "the argument "
VAGUE = frozenset((EXTRA, PLUS, NAMES, CONSTANT, LEFT_OUT, SIMILAR))
"""What is told only if nothing clearer fits."""


class Trial(NamedTuple):
    """The solution with a slip in it, and what it returns for the smallest inputs."""

    words: str
    where: str
    function: Callable
    values: list[np.ndarray]


def _of_the_text(case: Answer, wrong: list[int]) -> str:
    """Name the slip in the solution, or in its arguments, that has the answer's results."""
    everything = [*range(len(case.want[0]))]
    if not any(map(case.tells, wrong)):
        return ""
    for places in (everything, wrong[:1]):
        for rare in (False, True):
            trials = _trials(case.exercise, rare=rare)
            told = _told([t for t in trials if _comes_out(case, t, places)], case.words)
            if told:
                whole = places == everything
                return _sentence(
                    told, "these numbers come" if whole else f"value {places[0] + 1} comes"
                )
    return ""


def _told(found: list[Trial], words: frozenset[str]) -> list[str]:
    """Return the words for each kind of slip, and where it is if all are in one known place."""
    arguments = {t.where: t.words for t in reversed(found) if t.where.startswith(ARGUMENT)}
    if arguments:  # one is told for each, and nothing else says more
        return list(reversed(arguments.values()))
    kinds: dict[str, set[str]] = {}
    for trial in found:
        kinds.setdefault(trial.words, set()).add(trial.where)
    clear = kinds.keys() - VAGUE or set(kinds)
    clear = clear - {SIGN} or clear  # whatever else fits says more
    told = []
    for kind in (kind for kind in kinds if kind in clear):
        places = kinds[kind]
        (where,) = places if len(places) == 1 else ("",)
        if where == EVERYWHERE:
            told.append(f"{kind}, in every place")
        else:
            told.append(f"{kind}, in {where if where in words else 'one place'}")
    return told


def _comes_out(case: Answer, trial: Trial, places: list[int]) -> bool:
    """Return whether a slip has the answer's results, and not the right ones."""
    if len(trial.values) != len(case.want[0]):
        return False
    if not all(close(case.got[0][p], trial.values[p], case.tolerance) for p in places):
        return False
    values = [_values(trial.function, args) for args in case.args]
    if any(len(v) != len(trial.values) for v in values):
        return False
    by_place = {place: [v[place] for v in values] for place in places}
    return all(case.same(p, v) for p, v in by_place.items()) and any(
        case.fits(p, v) for p, v in by_place.items()
    )


@functools.lru_cache(maxsize=16)
def _trials(exercise: "Exercise", *, rare: bool) -> list[Trial]:
    """Return the solution with each of the likely slips, or of the rare ones."""
    args = min(exercise.draws(), key=size)
    text = Text(exercise)
    costs, states = text.look(args)
    trials: dict[int, Trial] = {}
    left = WORK
    if not rare:
        for rank, (words, where, function) in enumerate(_with_other_arguments(text, args)):
            left -= max(EACH, costs[0])
            if left < WORK / 2:
                break
            trials[rank - 1000] = Trial(words, where, function, _values(function, args))
    slips = list(enumerate(slips_in(text, RARE if rare else LIKELY)))
    # The last lines first: what comes before them need not be computed anew.
    for rank, slip in sorted(slips, key=lambda pair: -pair[1].line):
        left -= max(EACH, costs[slip.line])
        if left < 0:
            break
        with text.changed(slip) as code:
            values = _values(functools.partial(text.finish, code), (states[slip.line],))
            function = functools.partial(text.run, slip.line, code)
            trials[rank] = Trial(slip.words, slip.where, function, values)
    return [trial for _, trial in sorted(trials.items()) if trial.values]


def _values(function: Callable, args: tuple) -> list[np.ndarray]:
    """Return what a function returns, as numbers, or nothing if it stops."""
    with contextlib.suppress(Exception):
        return [numbers(value) for value in leaves(function(*args))]
    return []


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    quiet = io.StringIO()
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
    ):
        warnings.simplefilter("ignore")
        yield


def _with_other_arguments(text: Text, args: tuple) -> Iterator[tuple[str, str, Callable]]:
    """Yield the solution with two arguments exchanged, or one of them changed."""
    names, code = list(text.signature.parameters), text.code(0)

    def changed(change: Callable[[list], None]) -> Callable:
        def function(*args: Any) -> Any:
            mine = list(args)
            change(mine)
            return text.run(0, code, *mine)

        return function

    for one, other in itertools.combinations(range(len(args)), 2):
        if _kind(args[one]) == _kind(args[other]):

            def exchange(mine: list, i: int = one, j: int = other) -> None:
                mine[i], mine[j] = mine[j], mine[i]

            words = f"{names[one]} and {names[other]} are exchanged"
            yield words, ARGUMENT + names[one], changed(exchange)
    for (words, turn), index in itertools.product(ARGUMENTS + KEYS, range(len(args))):
        if (_kind(args[index])[0] == "key") == ((words, turn) in KEYS):
            name = names[index]

            def change(mine: list, i: int = index, turn: Callable = turn) -> None:
                mine[i] = turn(mine[i])

            yield words.format(name, name), ARGUMENT + name, changed(change)


def _kind(value: Any) -> tuple:
    """Return what two arguments have in common that can be exchanged."""
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return ("key", np.shape(value))
    if isinstance(value, (int, float, np.ndarray, jax.Array)):
        return ("numbers", np.shape(value))
    return ("callable",) if callable(value) else (type(value),)
