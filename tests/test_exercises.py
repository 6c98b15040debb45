"""The proofs that checks can be trusted: right answers pass, wrong ones fail and are named."""

import ast
import copy
from collections.abc import Iterator

import jax
import pytest

from vdmlite.course import build
from vdmlite.course.exercise import (
    Exercise,
    NotFilledIn,
    NotYet,
    _agree,
    check,
    find,
    hint,
    judge,
    praise,
    solution,
    unit_exercises,
)

pytestmark = pytest.mark.course

SOURCES = build.sources("solutions")
CELLS = {
    build.number_of(cell): cell.source
    for source in SOURCES
    for cell in build.cells_of(source)
    if build.number_of(cell)
}
NUMBERS = sorted(CELLS)


@pytest.fixture(autouse=True)
def _as_in_a_notebook():
    with jax.numpy_rank_promotion("allow"):
        yield


def answer(exercise: Exercise, text: str) -> str:
    return judge(exercise, {exercise.name: exercise.variant(text)})


def test_every_unit_has_three_to_six_exercises():
    for source in SOURCES:
        unit = int(source.stem[:2])
        assert (3 if unit else 1) <= len(unit_exercises(unit)) <= 6, source


def test_every_registered_exercise_has_a_cell():
    registered = {e.id for s in SOURCES for e in unit_exercises(int(s.stem[:2]))}
    assert registered == set(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_is_complete(number):
    exercise = find(number)
    assert exercise.hints
    assert len(exercise.slips) >= 2
    assert f"def {exercise.name}(" in CELLS[number]


@pytest.mark.parametrize("number", NUMBERS)
def test_solution_passes(number):
    exercise = find(number)
    assert answer(exercise, build.solved(CELLS[number])) == praise(exercise)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_open_blank_fails_alone(number):
    for only in range(build.count_blanks(CELLS[number])):
        with pytest.raises(NotFilledIn, match=number):
            answer(find(number), build.blanked(CELLS[number], number, only=only))


@pytest.mark.parametrize("number", NUMBERS)
def test_every_slip_fails_and_is_named(number):
    exercise = find(number)
    for slip in exercise.slips:
        with pytest.raises(NotYet) as caught:
            judge(exercise, {exercise.name: exercise.wrong(slip)})
        assert slip.why in str(caught.value), slip


@pytest.mark.parametrize("number", NUMBERS)
def test_agrees_with_what_the_package_ships(number):
    exercise = find(number)
    if exercise.ships is None:
        pytest.skip("the package has no such function")
    for args in exercise.draws():
        assert _agree(exercise.solve(*args), exercise.ships(*args), exercise.tolerance)


@pytest.mark.parametrize("number", NUMBERS)
def test_mutants_are_caught(number, record_property):
    exercise = find(number)
    caught, survivors = 0, []
    mutants = dict(mutants_of(CELLS[number]))
    for text, changed in mutants.items():
        if changed in exercise.equivalent:
            continue
        try:
            answer(exercise, text)
            survivors.append(changed)
        except (NotYet, NotFilledIn):
            caught += 1
    record_property("mutants", (caught, len(exercise.equivalent)))
    assert not survivors, "\n".join(survivors)
    assert set(exercise.equivalent) <= set(mutants.values()), "declared, but never made"
    assert caught >= 2


def test_solutions_do_not_leak():
    for source in SOURCES:
        cells = build.notebook(source, "exercises").cells
        shipped = "\n".join(c.source for c in cells if c.cell_type == "code")
        for cell in build.cells_of(source):
            for line in block_lines(cell.source) if build.number_of(cell) else []:
                assert line not in shipped, (source.name, line)


SWAPS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.Gt,
    ast.GtE: ast.Lt,
}


def block_lines(text: str) -> list[str]:
    """The lines inside the blanks, those long enough to give something away."""
    lines, inside = [], False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("### "):
            inside = line.startswith(build.BEGIN)
        elif inside and len(line) > 12:
            lines.append(line)
    return lines


def blank_rows(text: str) -> set[int]:
    """The line numbers, in the solved text, that stand inside blanks."""
    rows, row, inside = set(), 0, False
    for line in text.splitlines():
        if line.strip().startswith("### "):
            inside = line.strip().startswith(build.BEGIN)
            continue
        row += 1
        if inside:
            rows.add(row)
    return rows


def mutants_of(text: str) -> Iterator[tuple[str, str]]:
    """Each small change of the blanks: the whole changed text, and the changed statement."""
    tree = ast.parse(build.solved(text))
    rows = blank_rows(text)
    function = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))
    names = [a.arg for a in (*function.args.args, *function.args.kwonlyargs)]
    original = ast.unparse(tree)
    for index, node in enumerate(ast.walk(tree)):
        if getattr(node, "lineno", None) not in rows:
            continue
        for change in range(2):
            copied = copy.deepcopy(tree)
            twin = list(ast.walk(copied))[index]
            if mutate(copied, twin, change, names) and ast.unparse(copied) != original:
                mutant = ast.unparse(copied)
                yield mutant, changed_statement(original, mutant)


def changed_statement(original: str, mutant: str) -> str:
    pairs = zip(original.splitlines(), mutant.splitlines(), strict=True)
    return next(b.strip() for a, b in pairs if a != b)


def mutate(tree: ast.AST, node: ast.AST, change: int, names: list[str]) -> bool:
    """Make one of the changes that fit the node, in place; say whether there was one."""
    if change == 1:
        if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
            return replace(tree, node, node.args[0])
        return False
    match node:
        case ast.BinOp() if type(node.op) in SWAPS:
            node.op = SWAPS[type(node.op)]()
        case ast.Compare() if type(node.ops[0]) in SWAPS:
            node.ops[0] = SWAPS[type(node.ops[0])]()
        case ast.UnaryOp(op=ast.USub()):
            return replace(tree, node, node.operand)
        case ast.Constant(value=int() | float() as value):
            node.value = value + 1
        case ast.Call() if len(node.args) >= 2:
            node.args[0], node.args[1] = node.args[1], node.args[0]
        case ast.Name(id=name) if name in names and len(names) > 1:
            node.id = names[(names.index(name) + 1) % len(names)]
        case _:
            return False
    return True


def replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> bool:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
                return True
            if isinstance(value, list) and any(item is old for item in value):
                value[:] = [new if item is old else item for item in value]
                return True
    return False


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ({}, "run its cell; is it spelt so"),
        ({"scales": 3}, "should be a function"),
        ({"scales": lambda: None}, r"should take \(gamma\), but takes \(\)"),
        ({"scales": lambda gamma: None}, "returns None"),
        ({"scales": lambda gamma, x: None}, "should take"),
        ({"scales": lambda gamma: ...}, r"returns \.\.\."),
        ({"scales": lambda gamma: gamma}, "should return 2 values, but returns one value"),
        ({"scales": lambda gamma: ("a", "b")}, "should return numbers, but returns str"),
        ({"scales": lambda gamma: (gamma[None], gamma)}, "the shape should be"),
        ({"scales": lambda gamma: (gamma * float("nan"), gamma)}, "not finite"),
        ({"scales": lambda gamma: (gamma, gamma)}, "value 1 of 2 .* expected"),
        ({"scales": lambda gamma: gamma.nonsense}, "stops with AttributeError"),
    ],
)
def test_a_wrong_answer_gets_one_clear_message(scope, message):
    with pytest.raises(NotYet, match=message) as caught:
        judge(find("2.1"), scope)
    assert caught.value._render_traceback_() == [str(caught.value)]
    assert len(str(caught.value).splitlines()) <= 4


def test_the_order_of_arguments_is_minded():
    with pytest.raises(NotYet, match="mind the order"):
        judge(find("2.2"), {"diffuse": lambda eps, x, gamma: x})


def test_a_list_will_do_for_a_tuple():
    exercise = find("2.1")
    assert judge(exercise, {"scales": lambda gamma: list(exercise.solve(gamma))})


def test_the_students_own_line_is_shown(tmp_path):
    page = tmp_path / "cell.py"
    page.write_text("def scales(gamma):\n    return undefined_name * gamma, gamma\n")
    scope: dict = {}
    exec(compile(page.read_text(), str(page), "exec"), scope)
    with pytest.raises(NotYet, match="in your line:  return undefined_name"):
        judge(find("2.1"), scope)


def test_the_students_prints_are_kept_out(capsys):
    exercise = find("2.1")

    def scales(gamma):
        print("debugging", gamma)
        return exercise.solve(gamma)

    judge(exercise, {"scales": scales})
    assert capsys.readouterr().out == ""


def test_check_hint_and_solution_speak_in_a_notebook(capsys):
    exercise = find("2.1")
    exec('check("2.1")', {"check": check, "scales": exercise.solve})
    hint("2.1", 2)
    solution("2.1")
    out = capsys.readouterr().out
    assert praise(exercise) in out
    assert exercise.hints[1] in out
    assert "return alpha, sigma" in out
    assert "###" not in out


def test_unknown_exercises_are_named():
    for bad in ("99.1", "2.99", "", "two"):
        with pytest.raises(LookupError, match="no exercise"):
            find(bad)
    with pytest.raises(LookupError, match=r'wants quotes: "2\.1", not 2\.1'):
        find(2.1)  # pyright: ignore[reportArgumentType]
