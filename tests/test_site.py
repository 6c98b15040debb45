"""The website: built once, read as text, and looked at in a real browser where there is one."""

import functools
import html
import http.server
import importlib
import inspect
import io
import itertools
import json
import re
import subprocess
import sys
import threading
import tomllib
from collections import Counter
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import chromium
import numpy as np
import pytest
from PIL import Image
from sphinx.util.inventory import InventoryFile

import vdmlite

ROOT = Path(__file__).parents[1]
DOCS, HTML = ROOT / "docs", ROOT / "build/site/html"
sys.path.insert(0, str(DOCS))

import course  # noqa: E402
import formulas  # noqa: E402
import gather  # noqa: E402
import package  # noqa: E402

pytestmark = pytest.mark.course

LESSONS, UNITS = course.lessons(), course.units()
NOTEBOOKS = [*LESSONS.values(), *UNITS.values()]


@pytest.fixture(scope="session")
def site() -> Path:
    """The whole site, built from nothing."""
    command = [sys.executable, DOCS / "make.py", "--clean"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return HTML


@pytest.fixture(scope="session")
def pages(site) -> dict[str, str]:
    """The text of each page, by its path."""
    found = {p.relative_to(site).as_posix(): p for p in site.rglob("*.html")}
    # The theme has a template among its files.
    found = {n: p.read_text("utf-8") for n, p in found.items() if not n.startswith("_static")}
    assert len(found) > 100
    return found


def attributes(page: str, *tags: str) -> list[dict[str, str]]:
    """The attributes of every such tag of a page."""
    opened = re.findall(rf"<(?:{'|'.join(tags)})\b([^>]*)>", page)
    return [dict(re.findall(r'([\w-]+)="([^"]*)"', words)) for words in opened]


# Pages as text


def test_every_link_leads_to_a_page_and_a_place_on_it(site, pages):
    places = {path: set(re.findall(r'\bid="([^"]+)"', page)) for path, page in pages.items()}
    count = 0
    for path, page in pages.items():
        for link in attributes(page, "a", "link", "img", "script"):
            address = urlsplit(link.get("href") or link.get("src") or "")
            if address.scheme or address.netloc:
                continue
            target = (
                (site / path).parent / unquote(address.path) if address.path else site / path
            )
            assert target.is_file(), (path, address.geturl())
            if address.fragment and target.suffix == ".html":
                at = target.resolve().relative_to(site).as_posix()
                assert unquote(address.fragment) in places[at], (path, address.geturl())
                count += 1
    assert count > 1000


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path):
    """Warnings are errors, also that of a name which nothing documents."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source/index.md").write_text("# Page\n\n{py:func}`vdmlite.no_such_name`\n")
    code = "import sys, make, pathlib; sys.exit(make.build(*map(pathlib.Path, sys.argv[1:])))"
    command = [sys.executable, "-c", code, tmp_path / "source", tmp_path / "html"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=DOCS, check=False)
    assert done.returncode != 0
    assert "vdmlite.no_such_name" in done.stderr


def test_every_picture_has_words(pages):
    pictures = [(path, a) for path, page in pages.items() for a in attributes(page, "img")]
    committed = {words for n in NOTEBOOKS for words in n.words().values()}
    shown = [" ".join(a.get("alt", "").split()) for _, a in pictures]
    assert all(len(words) > 40 for words in shown), pictures
    missing = {" ".join(words.split()) for words in committed} - set(map(html.unescape, shown))
    assert not missing
    # Formulas and signs are drawn as well, and said in another way.
    drawn = [a for page in pages.values() for a in attributes(page, "svg")]
    figures = [a for a in drawn if a.get("viewBox") == "-3 -3 6 6"]
    assert len(figures) == 3
    assert all(a["role"] == "img" and len(a["aria-label"]) > 40 for a in figures)


def test_nothing_is_asked_of_other_hosts(site, pages):
    """A browser loads nothing from afar by itself; the tests in a browser listen as well."""
    for path, page in pages.items():
        for tag in attributes(page, "img", "script", "iframe", "source", "link"):
            address = tag.get("src") or tag.get("href") or ""
            assert not re.match(r"\w+:|//", address) or address.startswith("data:"), (path, tag)
    for sheet in site.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", sheet.read_text("utf-8"), flags=re.S)
        loaded = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", text)
        assert not [u for pair in loaded for u in pair if re.match(r"https?:|//", u)], sheet


def documented_modules() -> list[str]:
    """The package's public modules, found by their files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for_authors = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["exclude"])
    files = (ROOT / "vdmlite").rglob("*.py")
    names = []
    for path in (p.relative_to(ROOT) for p in files):
        private = path.name.startswith("_") and path.name != "_types.py"
        if not private and "units" not in path.parts and path.as_posix() not in for_authors:
            names.append(".".join(path.with_suffix("").parts))
    return sorted(names)


def test_every_module_has_a_page(pages):
    assert {m.name for m in package.modules(LESSONS)} == set(documented_modules())
    for name in documented_modules():
        assert f"api/{name}.html" in pages


@pytest.mark.parametrize("name", documented_modules())
def test_every_public_name_is_documented_once(name, site, pages):
    """What the module has when it is imported; the pages are made from its text."""
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data
    known = [n for kind in inventory if kind.startswith("py:") for n in inventory[kind]]
    module = importlib.import_module(name)
    own = [
        key
        for key, thing in vars(module).items()
        if not key.startswith("_")
        and getattr(thing, "__module__", "") == name
        and (inspect.isclass(thing) or callable(thing))
        and not isinstance(thing, TypeVar)
    ]
    for key in own:
        assert known.count(f"{name}.{key}") == 1, key
        assert pages[f"api/{name}.html"].count(f'id="{name}.{key}"') == 1, key


def test_names_that_pages_speak_of_exist(pages):
    """Those written out in our own pages; in the built page each is a link."""
    names = {
        n
        for p in DOCS.rglob("*.md")
        for n in re.findall(r"`(vdmlite(?:\.\w+)+)`", p.read_text())
    }
    assert len(names) > 15
    for name in names:
        where, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(where), last), name
    page = pages["notation.html"]
    assert len(re.findall(r'<a class="reference internal"[^>]*><code', page)) > 20


def test_signatures_are_in_the_words_of_the_source(pages):
    page = re.sub(r"<[^>]+>", "", pages["api/vdmlite.denoiser.html"])
    plain = " ".join(html.unescape(page).split())
    assert "guess(z: Float[Array, '*shape'], gamma: Scalar, *, key: Key | None = None)" in plain
    assert "NetDenoiser(net: Callable[..., Float[Array, '...']]" in plain
    assert "jaxlib" not in plain


def test_a_module_links_to_its_source_and_to_the_lesson_that_builds_it(pages):
    page = pages["api/vdmlite.process.html"]
    assert 'href="../lessons/02_forward_process.html"' in page
    assert 'href="../_modules/vdmlite/process.html#alpha"' in page
    assert "def alpha" in re.sub(r"<[^>]+>", "", pages["_modules/vdmlite/process.html"])


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.place)
def test_a_notebook_has_its_page_and_its_buttons(notebook, site, pages):
    page = pages[f"{notebook.place}.html"]
    (buttons,) = re.findall(r'<div class="buttons[^"]*">(.*?)</div>', page, re.S)
    colab, file, *others = [a["href"] for a in attributes(buttons, "a")]
    assert colab.endswith(f"/blob/main/{notebook.place}.ipynb")
    assert colab.startswith("https://colab.research.google.com/github/")
    target = (site / f"{notebook.place}.html").parent / file
    assert target.read_bytes() == notebook.path.read_bytes()
    assert target.name == notebook.path.name
    kinds = ("lessons", "exercises")
    (other,) = [k for k in kinds if k != notebook.path.parent.name]
    if (ROOT / other / notebook.path.name).exists():
        assert others == [f"../{other}/{notebook.path.stem}.html"]
    assert "katex-error" not in page


def test_the_site_is_small(site, pages):
    files = [p for p in site.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 40e6
    for lesson in LESSONS.values():
        page = pages[f"{lesson.place}.html"]
        images = {site / "lessons" / a["src"] for a in attributes(page, "img")}
        assert images
        size = len(page.encode()) + sum(p.stat().st_size for p in images)
        assert size < 2e6, lesson.place


def test_styles_are_those_of_the_program_that_renders_formulas():
    import sphinxcontrib.katex as katex

    style = (DOCS / "_static/katex/katex.min.css").read_text("utf-8")
    assert f'"{katex.katex_version}"' in style
    fonts = set(re.findall(r"url\((fonts/[\w-]+\.woff2)\)", style))
    assert fonts == {f"fonts/{p.name}" for p in (DOCS / "_static/katex/fonts").iterdir()}


def test_a_formula_that_cannot_be_read_is_named():
    assert 'class="katex-display"' in formulas.render(r"\alpha^2", True)
    assert 'class="katex-display"' not in formulas.render(r"\alpha^2", False)
    with pytest.raises(ValueError, match=r"\\gama"):
        formulas.render(r"\gama", False)


# What is made of the lessons' own words


def test_every_lesson_says_what_the_pages_need():
    for lesson in LESSONS.values():
        assert lesson.title.startswith(f"{lesson.number:02d} · ")
        assert 10 <= lesson.minutes <= 180
        assert lesson.run_time
        assert lesson.files
        assert all(n < lesson.number for n in lesson.after)
        assert bool(lesson.after) == (lesson.number > 0)
        assert lesson.claims() or lesson.number == 0


def test_a_lesson_that_does_not_say_it_is_named(tmp_path):
    path = tmp_path / "77_silent.ipynb"
    path.write_text(
        json.dumps({"cells": [{"cell_type": "markdown", "source": "# 77 · Silent\n"}]})
    )
    with pytest.raises(ValueError, match=r"77_silent\.ipynb: .* minutes to study"):
        _ = course.Lesson(path).minutes


def test_ways_through_the_course_have_what_they_stand_on():
    for number in LESSONS:
        way = course.needed(number, LESSONS)
        assert all(set(LESSONS[n].after) & LESSONS.keys() <= way for n in way)
        reached = {number}.union(
            *(course.needed(n, LESSONS) for n in course.nearest(number, LESSONS))
        )
        assert reached == way, "an arc that was left out was needed"


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_weeks_are_as_even_as_can_be(count):
    minutes = [30, 60, 40, 60, 50, 80, 100]

    def longest(begins) -> int:
        return max(
            sum(minutes[low:high]) for low, high in itertools.pairwise([*begins, len(minutes)])
        )

    every = itertools.combinations(range(1, len(minutes)), count - 1)
    best = min(longest([0, *inner]) for inner in every)
    found = course.weeks(minutes, count)
    assert found[0] == 0
    assert len(found) == count
    assert longest(found) == best


def test_the_syllabus_has_every_lesson(pages):
    page = pages["lecturers.html"]
    for lesson in LESSONS.values():
        assert f'href="{lesson.place}.html"' in page
    tables = re.findall(r"<table.*?</table>", page, re.S)
    assert [table.count("<tr") - 1 for table in tables] == [
        6,
        12,
        sum(len(lesson.claims()) for lesson in LESSONS.values()),
    ]


def test_a_place_for_which_nothing_is_made_is_named():
    with pytest.raises(ValueError, match=r"docs/x\.md: nothing is made for <!-- nonsense -->"):
        gather.filled("text\n<!-- nonsense -->\n", {}, "x.md")


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("of (lanes, *shape)", r"of (lanes, \*shape)"),
        ("it *borrows* |x| of `a*b|c`", r"it *borrows* \|x\| of `a*b|c`"),
        (
            "What.\n\nRaises:\n    ValueError: it is\n        bad.",
            "What.\n\n:raises ValueError: it is bad.",
        ),
        ("See\n\n    a   b\n", "See\n\n.. code-block:: text\n\n    a   b"),
    ],
)
def test_docstrings_are_read_as_they_are_meant(told, read):
    assert package.as_rest(told) == read


def test_the_first_pages_five_lines_run(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "index.md").read_text("utf-8"), re.S)
    assert len(code.splitlines()) == 5
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", vdmlite.data.digits().test[:4])
    exec(compile(code, "index.md", "exec"), {})
    assert re.search(r"\d\.\d+", capsys.readouterr().out)


# In a browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def host(site):
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as started:
        yield started


@pytest.fixture
def look(browser, host):
    """Open a page; at the end nothing may have been complained of, or asked of another host."""
    contexts, wrong = [], []

    def opened(path: str, *, width: int = 1200, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda r: None if r.url.startswith((host, "data:")) else wrong.append(r.url),
        )
        page.goto(host + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


SOME = (
    "play.html",
    "index.html",
    "lessons/index.html",
    "lessons/02_forward_process.html",
    "api/vdmlite.denoiser.html",
    "notation.html",
    "lessons/14_lossless_compression.html",
)


def test_search_finds_tweedie(look):
    page = look("index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("Tweedie")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=Tweedie*")
    page.wait_for_selector("#search-results ul.search li")
    found = page.locator("#search-results a").evaluate_all("links => links.map(a => a.href)")
    assert any("lessons/04_predictions.html" in address for address in found)


def luminance(png: bytes) -> np.ndarray:
    """The relative luminance of each pixel, from 0 to 1."""
    rgb = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def test_dark_mode_toggles_and_figures_stay_legible(look):
    page = look("lessons/02_forward_process.html", color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    picture = page.locator(".cell_output img").first
    before = luminance(picture.screenshot())
    page.locator("button.theme-switch-button").first.click()
    page.locator("button.theme-change-button[data-mode=dark]").first.click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(background) != light
    page.mouse.move(0, 0)
    after = luminance(picture.screenshot())
    # Black axes on the ground that most pixels have: WCAG's highest demand on text is 7.
    ground, ink = np.median(after), np.quantile(after, 0.001)
    assert (ground + 0.05) / (ink + 0.05) > 7
    assert abs(np.median(before) - ground) < 0.05


def dots(page, name: str) -> np.ndarray:
    where = f"figure[data-figure={name}] circle"
    read = "all => all.map(c => [+c.getAttribute('cx'), -c.getAttribute('cy')])"
    return np.array(page.locator(where).evaluate_all(read))


@pytest.mark.parametrize("path", ["lessons/02_forward_process.html", "play.html"])
def test_the_slider_changes_the_picture_by_mouse_and_by_keyboard(path, look):
    page = look(path)
    slider = page.locator("#gamma")
    read = "all => all.map(c => c.dataset.x.split(' ').map(Number))"
    x = np.array(page.locator("figure[data-figure=gamma] circle").evaluate_all(read))
    first = dots(page, "gamma")
    assert len(first) == 300
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + box["height"] / 2)
    by_mouse, gamma = dots(page, "gamma"), float(slider.input_value())
    assert gamma > 2
    assert np.abs(by_mouse - first).max() > 0.5
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert float(slider.input_value()) == pytest.approx(gamma - 0.1)
    assert 0 < np.abs(dots(page, "gamma") - by_mouse).max() < 0.2
    page.keyboard.press("Home")
    # z = α x + σ ε with the one noise of each dot, at both ends.
    alpha, sigma = (np.sqrt(1 / (1 + np.exp(s * np.array([-8.0, gamma])))) for s in (1, -1))
    eps = (by_mouse - alpha[1] * x) / sigma[1]
    np.testing.assert_allclose(dots(page, "gamma"), alpha[0] * x + sigma[0] * eps, atol=3e-3)
    assert abs(eps.mean()) < 4 / np.sqrt(eps.size)
    assert abs((eps**2).mean() - 1) < 4 * np.sqrt(2 / eps.size)
    assert "γ = −8.0" in page.locator("output[for=gamma]").inner_text()


def test_a_reader_draws_data_and_the_noise_walks_to_it(look):
    page = look("play.html")
    figure = page.locator("figure[data-figure=draw]")
    figure.get_by_role("button", name="empty").click()
    assert figure.locator("rect").count() == 0
    figure.locator("svg").scroll_into_view_if_needed()
    box = figure.locator("svg").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] * (1 / 6), box["y"] + box["height"] / 2)  # (−2, 0)
    figure.locator("svg").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")  # (2, 0)
    assert figure.locator("rect").count() == 2
    assert "2 points of data" in figure.locator("output").inner_text()
    page.locator("#walk").focus()
    page.keyboard.press("Home")
    noise = dots(page, "draw")
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
    page.keyboard.press("End")
    drawn = dots(page, "draw")
    distance = np.hypot(np.abs(drawn[:, 0]) - 2, drawn[:, 1])
    # Each point is a Gaussian of width 0.1.
    assert distance.max() < 0.5
    assert 0.07 < drawn[:, 1].std() < 0.14
    share = (drawn[:, 0] > 0).mean()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(len(drawn))
    figure.get_by_role("button", name="other noise").click()
    assert np.abs(dots(page, "draw") - drawn).max() > 0.01


def test_figures_have_a_still_picture_where_no_script_runs(look):
    page = look("play.html", java_script_enabled=False)
    assert page.locator("figure[data-figure=gamma] svg circle").count() == 300
    assert page.locator("figure[data-figure=draw] svg rect").count() == 8
    ink = luminance(page.locator("figure[data-figure=gamma] svg").screenshot())
    assert np.quantile(ink, 0.01) < np.median(ink) / 2


@pytest.mark.parametrize(
    "path", [f"{LESSONS[3].place}.html", f"{LESSONS[14].place}.html", "formulas.html"]
)
def test_equations_are_rendered(path, look):
    page = look(path)
    assert page.locator(".katex").count() > 20
    # Code has backslashes too, and "\n" is one of its words.
    text = page.evaluate(
        """() => {
          const copy = document.querySelector("article").cloneNode(true);
          copy.querySelectorAll("pre, code, .katex-mathml, script").forEach((n) => n.remove());
          return copy.textContent;
        }"""
    )
    assert not re.findall(r"\\[a-zA-Z]+|\$", text)
    assert page.evaluate(
        "document.fonts.ready.then(() => document.fonts.check('16px KaTeX_Main'))"
    )
    shown = page.evaluate("document.querySelector('.katex-html').getBoundingClientRect().width")
    assert shown > 5


@pytest.mark.parametrize("path", [*SOME, "formulas.html", "api/index.html", "package.html"])
def test_a_telephone_shows_the_text_without_scrolling_sideways(path, look):
    page = look(path, width=375)
    page.evaluate("document.fonts.ready")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    beyond = page.evaluate(
        """() => [...document.querySelectorAll("article p, article li, article h1, article h2")]
          .filter((e) => !e.closest("table, pre, .graph, div.math, .katex"))
          .filter((e) => e.getBoundingClientRect().right > 376).map((e) => e.textContent)"""
    )
    assert beyond == []


@pytest.mark.parametrize(
    ("path", "scheme"),
    [(path, "light") for path in SOME[:5]] + [(path, "dark") for path in SOME[:2]],
)
def test_no_serious_fault_of_accessibility(path, scheme, look):
    from axe_playwright_python.sync_playwright import Axe

    page = look(path, color_scheme=scheme)
    page.evaluate("document.fonts.ready")
    found = Axe().run(page, options={"preload": False}).response
    assert len(found["passes"]) > 10
    serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
    assert not [(v["id"], [n["target"] for n in v["nodes"]]) for v in serious]


def test_the_keyboard_reaches_the_text_at_once(look):
    page = look("lessons/02_forward_process.html")
    page.keyboard.press("Tab")
    assert "Skip to main content" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    inside = "document.querySelector('#main-content').contains(document.activeElement)"
    assert page.evaluate(inside)


def test_the_sheet_of_formulas_is_two_pages(look):
    page = look("formulas.html", width=688)  # of A4 less its margins
    page.emulate_media(media="print")
    page.evaluate("document.fonts.ready")
    wide = "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)"
    assert page.locator(".sheet div.math, .sheet p").evaluate_all(wide) == []
    sheet = page.pdf(prefer_css_page_size=True)
    assert Counter(re.findall(rb"/Type\s*/Page\b", sheet))[b"/Type /Page"] == 2
