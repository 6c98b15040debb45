"""What becomes of a solution's text by one slip of a kind that is usual anywhere.

LIKELY and RARE say for each kind, in words that follow "if", what stands in the text and what
would stand there. Their letters a to d stand for anything, k for a number, n for anything but
a number, and f, g and m for functions and modules. `slips.py` compares what comes out with a
student's results.
"""

import ast
import contextlib
import copy
import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .compare import agree

if TYPE_CHECKING:
    from .exercise import Exercise

SIGN = "a sign is wrong"
SIGMOID = "sigmoid(u) stands for sigmoid(−u), as if signal and noise were exchanged"
HALF = "a square root is drawn into a sigmoid, where it is no half"
SQUARES = "two scales are taken to add up to 1, while their squares do"
FACTOR = "a factor of 2 or ½ is missing, or is one too many"
POWER = "a square or a square root is missing, or is one too many"
MEAN = "a mean stands for a sum, or the reverse"
TERM = "a term of a sum is missing"
PART = "a factor or a divisor is missing"
EXTRA = "a factor or a divisor is one too many"
PLUS = "something is added that should be multiplied, or the reverse"
INVERSE = "a division stands for a multiplication, or the reverse"
FUNCTIONS = "one function stands where another belongs"
NAMES = "one quantity stands where another belongs"
EXCHANGED = "two quantities are exchanged"
ORDER = "two values that go together are exchanged"
BRACKETS = "brackets are missing or stand in the wrong place"
BASE = "a logarithm has the wrong base"
GROWTH = "an exponential or a logarithm is missing, or is one too many"
MINUS_ONE = "exp(u) stands for exp(u) − 1, or u itself, or 1 is not added in a logarithm"
DIGITS = "exp(u) − 1 is computed in two steps, which loses digits where u is small"
AXIS = "something goes along the wrong axis"
INDEX = "an index or a slice is shifted or turned round"
EXTREME = "a smallest stands for a largest, or the reverse"
TURNED = "a comparison or a choice is turned round"
RUNNING = "a running sum or product stands for the whole, or the reverse"
LEFT_OUT = "a function is left out"
SIMILAR = "a similar function stands for the right one"
CONSTANT = "a constant is wrong"
BY_ONE = "something is one too large or too small"
FROM_ONE = "something is subtracted from 1, or should be"

LIKELY = {
    DIGITS: "m.expm1(a) → m.exp(a) - 1",
    SIGMOID: "m.sigmoid(a) → m.sigmoid(-a)",
    FACTOR: "a → 2 * a; a → a / 2; 0.5 * a → a; a / 2 → a; m.exp(a) → m.exp(a / 2)",
    SIGN: "a → -a; a + b → a - b; a - b → a + b; -a → a; m.exp(-a) → m.exp(a)",
    POWER: """
        a → a**2; a → jnp.sqrt(a); m.sqrt(a) → a; m.sqrt(a) → a**2; a**2 → a
        a**2 → 2 * a; a**2 → a**3; a**2 → jnp.sqrt(a); a**2 → abs(a)
        m.std(a) → m.var(a)
    """,
    HALF: "f.sqrt(m.sigmoid(a)) → m.sigmoid(a / 2)",
    SQUARES: "f.sqrt(m.sigmoid(a)) → 1 - f.sqrt(m.sigmoid(-a))",
    MEAN: "m.sum(a) → m.mean(a); m.mean(a) → m.sum(a)",
    FROM_ONE: "1 - a → a",
    TERM: "a + b → a; a + b → b; a - b → a; a - b → -b; a - b → b",
    PART: """
        a * n → a; n * b → b; a / n → a; n / b → 1 / b; a / b → b; a @ n → a; n @ b → b
        k * a → a; a * k → a; a / k → a
    """,
    PLUS: "a * b → a + b; a + b → a * b; a - b → a / b; a / b → a - b",
    INVERSE: "a * b → a / b; a / b → a * b; a / b → b / a; a → 1 / a",
    BRACKETS: """
        (a + b) / c → a + b / c; (a - b) / c → a - b / c; (a + b) * c → a + b * c
        (a - b) * c → a - b * c; (a + b) * c → a * c + b; (a - b) * c → a * c - b
        a**2 + b**2 → (a + b)**2; a**2 - b**2 → (a - b)**2
        a * (b + c) → a * b + c; a * (b - c) → a * b - c
        a + b / c → (a + b) / c; a - b / c → (a - b) / c; a + b * c → (a + b) * c
        a - b * c → (a - b) * c; a + b * c → a * b + c; a - b * c → a * b - c
        f(a**2 * b) → f(a * b)**2; f(b * a**2) → f(a * b)**2; a * b + c → a * (b + c)
        a * b - c → a * (b - c)
        a / b + c → a / (b + c); a / b - c → a / (b - c); a / (b + c) → a / b + c
        a / (b - c) → a / b - c; a / (b * c) → a / b * c; a / b / c → a / (b / c)
        a - (b + c) → a - b + c; a - b + c → a - (b + c); (a + b)**2 → a**2 + b**2
        (a - b)**2 → a**2 - b**2; (a - b)**2 → a - b**2; (a * b)**2 → a * b**2
        (a / b)**2 → a**2 / b; f(a)**2 → f(a**2); f(a**2) → f(a)**2
        f(a * b) → f(a) * b; f(a * b) → a * f(b); f(a * b) → f(a) * f(b)
        f(a / b) → f(a) / b; f(a / b) → f(a) / f(b); f(a + b) → f(a) + b
        f(a + b) → f(a) + f(b); f(a - b) → f(a) - b; f(a - b) → f(a) - f(b)
        f(a - b - c) → f(a) - b - c; f(a) * b → f(a * b); a * f(b) → f(a * b)
        f(a) / b → f(a / b); f(a) + b → f(a + b); f(a) - b → f(a - b)
        f(a) - f(b) → f(a - b); -f(a) → f(-a); f(-a) → -f(a); f(g(a)) → g(f(a))
    """,
    BASE: "m.log(a) → m.log2(a); m.log(a) → m.log10(a); m.exp(a) → 2**a",
    GROWTH: "m.exp(a) → a; m.exp(-a) → a; m.log(a) → a",
    MINUS_ONE: "m.expm1(a) → m.exp(a); m.expm1(a) → a; m.log1p(a) → m.log(a); m.log1p(a) → a",
    AXIS: """
        f(a, axis=0) → f(a, axis=1); f(a, axis=1) → f(a, axis=0)
        f(a, axis=-1) → f(a, axis=0); f(a, axis=b) → f(a); f(axis=0) → f(axis=1)
        f(axis=1) → f(axis=0); f(axis=-1) → f(axis=0); f(axis=a) → f()
        m.sum(a) → m.sum(a, axis=0); m.sum(a) → m.sum(a, axis=-1)
        m.softmax(a) → m.softmax(a, axis=0); m.log_softmax(a) → m.log_softmax(a, axis=0)
        a.T → a; a[:, None] → a[None, :]; a[None, :] → a[:, None]; f(0) → f(1); f(0) → f()
    """,
    INDEX: """
        a[1:] → a[:-1]; a[:-1] → a[1:]; a[::-1] → a; a[b] → a[b + 1]; a[b] → a[b - 1]
        a[0] → a[-1]; a[1] → a[-1]; a[-1] → a[0]; a[b, c] → a[b - 1, c]
        a[b, c] → a[b + 1, c]; a[b, c] → a[c, b]; a[b:c] → a[b + 1 : c + 1]
        a[b:c] → a[b - 1 : c - 1]; a[b:c] → a[b : c + 1]; a[b:c] → a[b : c - 1]
        range(a) → range(1, a + 1); range(a) → range(a - 1); range(a) → range(a + 1)
        range(a, b) → range(a + 1, b + 1); range(a, b, c) → range(a - 1, b - 1, c)
        range(a, b, -1) → range(b + 1, a + 1); m.arange(a) → 1 + m.arange(a)
    """,
    EXTREME: """
        m.minimum(a, b) → m.maximum(a, b); m.maximum(a, b) → m.minimum(a, b)
        m.min(a) → m.max(a); m.max(a) → m.min(a); m.argmin(a) → m.argmax(a)
        m.argmax(a) → m.argmin(a)
    """,
    TURNED: """
        a < b → a > b; a > b → a < b; a <= b → a > b; a >= b → a < b; a == b → a != b
        a < b → a <= b; a > b → a >= b; a <= b → a < b; a >= b → a > b
        a if b else c → c if b else a; a if b else c → a; a if b else c → c
        m.where(a, b, c) → m.where(a, c, b); m.where(a, b, c) → b; m.where(a, b, c) → c
    """,
    ORDER: """
        (a, b) → (b, a); f(a, b) → f(b, a); f(a, b, c) → f(b, a, c)
        f(a, b, c) → f(a, c, b); a @ b → b @ a; a // b → b // a; a**b → b**a
    """,
    RUNNING: """
        m.cumsum(a) → m.sum(a); m.cumsum(a) → a; m.cumprod(a) → m.cumsum(a)
        m.cumprod(a) → a; m.cumprod(a) → m.prod(a)
    """,
}

RARE = {
    LEFT_OUT: "f(a) → a; f(a, b) → f(a); f(a, b) → a; f(a, b) → b; f(a, b, c) → a",
    SIMILAR: """
        m.sigmoid(a) → jnp.exp(a); m.sigmoid(a) → jnp.exp(-a)
        m.sigmoid(a) → jnp.tanh(a); m.softplus(a) → jnp.exp(a)
        m.softplus(a) → m.relu(a); m.softplus(a) → m.softmax(a); f.min(a) → f.sum(a)
        m.softmax(a) → m.log_softmax(a); m.softmax(a) → jnp.exp(a)
        m.softmax(a) → m.sigmoid(a); m.log_softmax(a) → m.softmax(a)
        m.exp(a) → m.expm1(a); m.log(a) → m.log1p(a); m.sqrt(a) → m.exp(a)
        m.sin(a) → m.cos(a); m.cos(a) → m.sin(a); m.round(a) → m.floor(a)
        m.round(a) → m.ceil(a); m.sum(a) → m.max(a); m.sum(a) → m.prod(a)
        m.sum(a) → a[-1]; m.sum(a) → a[0]; m.mean(a) → m.median(a)
        m.uniform(a) → m.normal(a); m.trapezoid(a, b) → m.sum(a)
        m.trapezoid(a, b) → m.mean(a); m.prod(a) → m.sum(a); m.prod(a) → len(a)
        m.trace(a) → m.sum(a); a.std(ddof=b) → a.std(); a // b → a / b
        a // b → -(-a // b); a @ b → a * b
    """,
    GROWTH: "a → jnp.exp(a); a → jnp.log(a)",
    FROM_ONE: "a → 1 - a; f(a) → 1 - f(1 - a)",
    BY_ONE: "a → a + 1; a → a - 1",
    CONSTANT: """
        k → k + 1; k → k - 1; k → k + 2; k → k - 2; k → 2 * k; k → k / 2; k → -k
        k → 10 * k; k → k / 10
    """,
}

# What becomes of a quantity wherever it stands in a line.
IN_A_LINE: tuple[tuple[str, str], ...] = (
    (SIGN, "-a"),
    (POWER, "a**2"),
    (POWER, "jnp.sqrt(a)"),
    (FACTOR, "2 * a"),
    (FACTOR, "a / 2"),
    (FROM_ONE, "1 - a"),
    (BY_ONE, "a - 1"),
    (BY_ONE, "a + 1"),
)

OUR_TEXT = "<a slip>"
EVERYWHERE = "everywhere"
HOLES = frozenset("abcdnkfgm")
OPTIONS = frozenset(("axis", "keepdims", "ddof", "dtype", "argnums"))
IN_PRODUCTS = frozenset((FACTOR, SIGN))
"""What makes no difference whether it befalls a product or one of its factors."""
IN_EVERY_PLACE = frozenset(
    (
        *(SIGMOID, FACTOR, SIGN, POWER, MEAN, BASE, GROWTH, MINUS_ONE, DIGITS, AXIS, INDEX),
        *(EXTREME, BRACKETS, TURNED),
    )
)
"""What is likely to befall all places that look alike."""


class Slot(NamedTuple):
    """A place in the solution's text where an expression stands."""

    parent: ast.AST
    field: str
    number: int | None
    node: ast.expr
    line: int
    where: str
    """The variable that it goes into."""

    def put(self, node: ast.expr) -> None:
        """Put an expression there."""
        if self.number is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.number] = node

    def is_quantity(self, variables: frozenset[str]) -> bool:
        """Return whether it has a value that can be doubled or squared."""
        if self.field in ("slice", "func") or isinstance(self.parent, ast.Slice):
            return False
        root = self.node
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name):
            return root.id in variables
        return isinstance(root, (ast.BinOp, ast.Call, ast.Subscript, ast.UnaryOp, ast.IfExp))

    @property
    def is_in_product(self) -> bool:
        """Return whether it is a factor, or stands behind a minus."""
        by = self.parent.op if isinstance(self.parent, (ast.BinOp, ast.UnaryOp)) else None
        return isinstance(by, (ast.Mult, ast.Div, ast.USub))


class Slip(NamedTuple):
    """Expressions to put into places of the solution, the first of them in a line."""

    words: str
    where: str
    line: int
    changes: list[tuple[Slot, ast.expr]]


class JaxInNumPy:
    """JAX, with some functions for NumPy's arrays."""

    class nn:  # noqa: N801  as JAX calls it
        """The functions of `jax.nn`."""

        sigmoid = staticmethod(lambda x: np.exp(-np.logaddexp(0, -x)))
        softplus = staticmethod(lambda x: np.logaddexp(x, 0))
        relu = staticmethod(lambda x: np.maximum(x, 0))
        logsumexp = staticmethod(lambda x, axis=-1: np.logaddexp.reduce(x, axis))

        @staticmethod
        def log_softmax(x: Any, axis: int = -1) -> Any:
            """Return the logarithm of softmax."""
            return x - np.logaddexp.reduce(x, axis, keepdims=True)

        @classmethod
        def softmax(cls, x: Any, axis: int = -1) -> Any:
            """Return shares that add up to 1."""
            return np.exp(cls.log_softmax(x, axis))

    def __getattr__(self, name: str) -> Any:
        return getattr(jax, name)


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, np.number)


class Text:
    """A solution as a list of lines (statements) that are run one by one.

    So a slip in the last line costs no more than the last line. If it can be, it is run with
    NumPy, which compiles nothing.
    """

    RESULT = "_result"

    def __init__(self, exercise: "Exercise"):
        tree = ast.parse(exercise.source)
        function = tree.body[0]
        assert isinstance(function, ast.FunctionDef)
        self.globals = inspect.unwrap(exercise.solve).__globals__
        self.signature = inspect.signature(exercise.solve)
        self.loops = any(isinstance(node, (ast.For, ast.While)) for node in ast.walk(tree))
        self.limit = sys.maxsize
        self.in_numpy = False
        stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and _stores(n)}
        arguments = {n.arg for n in ast.walk(function.args) if isinstance(n, ast.arg)}
        self.variables = frozenset(stored | arguments)
        *lines, last = function.body
        if isinstance(last, ast.Return) and not any(map(_returns, lines)):
            assert last.value
            last = ast.Assign([ast.Name(self.RESULT, ast.Store())], last.value)
            self.lines = [*lines, last]
        else:
            call = f"{self.RESULT} = {function.name}({', '.join(self.signature.parameters)})"
            self.lines = [function, *ast.parse(call).body]
        self.slots = [
            slot for index, line in enumerate(self.lines) for slot in _slots(line, index)
        ]

    def code(self, start: int, end: int | None = None) -> CodeType:
        """Compile some of the lines."""
        module = ast.fix_missing_locations(ast.Module(self.lines[start:end], []))
        return compile(module, OUR_TEXT, "exec")

    def start(self, args: tuple) -> dict[str, Any]:
        """Return the names and values that the first line sees."""
        state = dict(self.globals) | self.signature.bind(*args).arguments
        if self.in_numpy:
            arrays = {k: np.asarray(v) for k, v in state.items() if _is_array(v)}
            state |= {"jnp": np, "jax": JaxInNumPy()} | arrays
        return state

    def fresh(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return the state with lists of its own, which lines may extend."""
        return {
            name: list(value) if name in self.variables and isinstance(value, list) else value
            for name, value in state.items()
        }

    def finish(self, code: CodeType, state: dict[str, Any]) -> Any:
        """Run the last lines, and return the result."""
        state = self.fresh(state)
        with _ended_after(self.limit) if self.loops else contextlib.nullcontext():
            exec(code, state)  # noqa: S102  our own text
        return state[self.RESULT]

    def run(self, line: int, code: CodeType, *args: Any) -> Any:
        """Run the lines before one as they are, and others from there on."""
        state = self.start(args)
        exec(self.code(0, line), state)  # noqa: S102  our own text
        return self.finish(code, state)

    def look(self, args: tuple) -> tuple[list[int], list[dict[str, Any]]]:
        """Return how many calls are made from each line on, and what each line sees."""
        want = self.run(0, self.code(0), *args)
        for self.in_numpy in (True, False):
            with contextlib.suppress(Exception):  # such as a gradient
                if agree(self.run(0, self.code(0), *args), want, 1e-5):
                    break
        # What is compiled once is no cost of a trial.
        with _ended_after(sys.maxsize) as lines:
            exec(self.code(0), self.start(args))  # noqa: S102  our own text
        self.limit = 40 + 4 * lines[0]
        state, states, costs = self.start(args), [], []
        for index in range(len(self.lines)):
            states.append(self.fresh(state))
            code = self.code(index, index + 1)
            costs.append(calls(lambda code=code: exec(code, state)))  # noqa: S102
        return [sum(costs[index:]) for index in range(len(costs))], states

    @contextlib.contextmanager
    def changed(self, slip: Slip) -> Iterator[CodeType]:
        """Return the lines from a slip on, compiled with the slip in them."""
        for slot, node in slip.changes:
            slot.put(node)
        try:
            yield self.code(slip.line)
        finally:
            for slot, _ in slip.changes:
                slot.put(slot.node)


def slips_in(text: Text, rules: Mapping[str, str]) -> Iterator[Slip]:
    """Yield the solution with one expression changed, or all of a kind."""
    for words, old, new in _rows(rules):
        pattern, template = _parsed(old), _parsed(new)
        bare = isinstance(pattern, ast.Name) and pattern.id == "a"
        changes = []
        for slot in text.slots:
            found: dict[str, ast.AST] = {}
            if bare and not slot.is_quantity(text.variables):
                continue
            if bare and words in IN_PRODUCTS and slot.is_in_product:
                continue
            if _match(pattern, slot.node, found):
                changes.append((slot, _fill(template, found)))
        yield from (Slip(words, s.where, s.line, [(s, node)]) for s, node in changes)
        if bare or isinstance(pattern, ast.Name):
            continue
        for line in range(len(text.lines)):
            here = [(slot, node) for slot, node in changes if slot.line == line]
            if len(here) > 1:
                yield Slip(words, here[0][0].where, line, here)
        lines = {slot.line for slot, _ in changes}
        if len(lines) > 1 and words in IN_EVERY_PLACE:
            yield Slip(words, EVERYWHERE, min(lines), changes)
        alike: dict[str, list] = {}
        for slot, node in changes:
            alike.setdefault(ast.unparse(slot.node), []).append((slot, node))
        for these in alike.values():
            if len(these) in range(2, len(changes)):
                yield Slip(words, EVERYWHERE, min(slot.line for slot, _ in these), these)
    yield from _with_other_names(text) if rules is LIKELY else _with_another_factor(text)


def _rows(rules: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for words, rows in rules.items():
        for row in filter(str.strip, re.split(r"[;\n]", rows)):
            old, _, new = row.partition("→")
            yield words, old.strip(), new.strip()


def _with_other_names(text: Text) -> Iterator[Slip]:
    """Yield the solution with other quantities in a place, or changed ones in a line."""
    named = [slot for slot in text.slots if isinstance(slot.node, ast.Name)]
    called = {_name(slot) for slot in named if slot.field == "func"}

    def others(slot: Slot) -> list[str]:
        known = called if slot.field == "func" else text.variables
        return sorted(known - {_name(slot)}) if _name(slot) in known else []

    for slot in named:
        for name in others(slot):
            words = FUNCTIONS if slot.field == "func" else NAMES
            yield Slip(words, slot.where, slot.line, [(slot, _load(name))])
    for line in range(len(text.lines)):
        here = [slot for slot in named if slot.line == line and others(slot)]
        names = {_name(slot): others(slot) for slot in here}
        for name, group in names.items():
            these = [slot for slot in here if _name(slot) == name]
            for other in group:
                turned = [(slot, _load(other)) for slot in these]
                if len(these) > 1:
                    yield Slip(NAMES, these[0].where, line, turned)
                if other in names and name < other:
                    back = [(slot, _load(name)) for slot in here if _name(slot) == other]
                    yield Slip(EXCHANGED, these[0].where, line, turned + back)
            if name not in called and len(these) > 1:
                for words, template in IN_A_LINE:
                    node = _fill(_parsed(template), {"a": _load(name)})
                    yield Slip(words, these[0].where, line, [(slot, node) for slot in these])


def _with_another_factor(text: Text) -> Iterator[Slip]:
    """Yield the solution with a quantity multiplied or divided by another one."""
    for slot in text.slots:
        if isinstance(slot.node, ast.Name) and slot.is_quantity(text.variables):
            for name in sorted(text.variables - {_name(slot)}):
                for template in ("a * b", "a / b"):
                    node = _fill(_parsed(template), {"a": slot.node, "b": _load(name)})
                    yield Slip(EXTRA, slot.where, slot.line, [(slot, node)])


def _name(slot: Slot) -> str:
    assert isinstance(slot.node, ast.Name)
    return slot.node.id


def _load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _slots(line: ast.stmt, number: int) -> list[Slot]:
    """Return the places of expressions in a line, with the variable that each goes into."""
    slots: list[Slot] = []

    def visit(parent: ast.AST, where: str) -> None:
        if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name):
            where = parent.targets[0].id
        for field, value in ast.iter_fields(parent):
            if (type(parent), field) in NO_EXPRESSIONS:
                continue
            many = isinstance(value, list)
            for index, child in enumerate(value if many else [value]):
                if isinstance(child, ast.keyword) and child.arg in OPTIONS:
                    continue
                if isinstance(child, ast.expr):
                    place = index if many else None
                    slots.append(Slot(parent, field, place, child, number, where))
                if isinstance(child, ast.AST):
                    visit(child, where)

    visit(line, "")
    return slots


NO_EXPRESSIONS = frozenset(
    (
        (ast.Assign, "targets"),
        (ast.AugAssign, "target"),
        (ast.For, "target"),
        (ast.comprehension, "target"),
        (ast.FunctionDef, "args"),
        (ast.Lambda, "args"),
    )
)


def _returns(line: ast.stmt) -> bool:
    """Return whether a line may end the function, one that defines a function aside."""
    inner = [] if isinstance(line, ast.FunctionDef) else ast.walk(line)
    return any(isinstance(node, ast.Return) for node in inner)


def _stores(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


@functools.cache
def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _match(pattern: ast.AST, node: ast.AST, found: dict[str, ast.AST]) -> bool:
    """Return whether a node has the form of a pattern, and note what stands for its letters."""
    if isinstance(pattern, ast.Name) and pattern.id in HOLES:
        found[pattern.id] = node
        number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
        if pattern.id in "kn":
            return number == (pattern.id == "k")
        return not isinstance(node, ast.Slice)
    if type(pattern) is not type(node):
        return False
    for field in pattern._fields:
        ours, theirs = getattr(pattern, field), getattr(node, field)
        pairs = [(ours, theirs)]
        if isinstance(ours, list):
            if len(ours) != len(theirs):
                return False
            pairs = list(zip(ours, theirs, strict=True))
        for one, other in pairs:
            both = isinstance(one, ast.AST) and isinstance(other, ast.AST)
            if not (_match(one, other, found) if both else one == other):
                return False
    return True


def _fill(template: ast.AST, found: dict[str, ast.AST]) -> Any:
    """Return a template with what was found in place of its letters."""
    if isinstance(template, ast.Name) and template.id in found:
        return found[template.id]
    filled = copy.copy(template)
    for field, value in ast.iter_fields(template):
        if isinstance(value, list):
            value = [_fill(v, found) if isinstance(v, ast.AST) else v for v in value]
        elif isinstance(value, ast.AST):
            value = _fill(value, found)
        setattr(filled, field, value)
    return filled


def calls(function: Callable) -> int:
    """Return how many calls a call makes."""
    count, before = 0, sys.getprofile()

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


@contextlib.contextmanager
def _ended_after(limit: int) -> Iterator[list[int]]:
    """Count the lines of ours that are run, and end what a slip keeps from ending."""
    count, before = [0], sys.gettrace()

    def note(frame: FrameType, *_: Any) -> Callable | None:
        if frame.f_code.co_filename != OUR_TEXT:
            return None
        count[0] += 1
        if count[0] > limit:
            raise TimeoutError("it does not end")
        return note

    sys.settrace(note)
    try:
        yield count
    finally:
        sys.settrace(before)
