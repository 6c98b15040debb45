"""What Sphinx lacks for this course: figures with their words, and links where a name stands.

- A figure of a notebook gets the words that were committed with it.
- `process.marginal` or `gaussian.py` in a text becomes a link to the reference, "lesson 07" a
  link to the lesson.
- A docstring is Markdown to its reader; the little that Sphinx reads otherwise is rewritten.
"""

import hashlib
import html
import re
from binascii import a2b_base64
from collections import defaultdict
from pathlib import Path

from course import Notebook, lessons
from docutils import nodes
from package import as_rest, exports, modules, signature
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

LESSONS = lessons()
EXPORTS = exports()
MODULES = modules(LESSONS)


def give_words(app: Sphinx, doctree: nodes.document) -> None:
    """Give each picture of a notebook its words, for those who hear it and those who see it.

    Raises:
        ValueError: a picture has none.
    """
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix != ".ipynb":
        return
    # The file of a picture is called by the digest of what is in it.
    known = {
        hashlib.sha256(a2b_base64(data)).hexdigest(): words
        for data, words in Notebook(path).words().items()
    }
    for image in list(doctree.findall(nodes.image)):
        words = known.get(Path(image["uri"]).stem)
        if not words:
            raise ValueError(f"{path.name}: a picture has no words")
        image["alt"] = words
        # The same words below it; who has the picture read aloud hears them once.
        text = f'<p class="words" aria-hidden="true">{html.escape(words)}</p>'
        place = image.parent
        place.insert(place.index(image) + 1, nodes.raw("", text, format="html"))


def link_words(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Make links of names of the package, and of lessons, where the text has them."""
    objects = app.env.domains["py"].data["objects"]
    short = suffixes(objects)
    for literal in list(doctree.findall(nodes.literal)):
        target = short_name(literal.astext(), short, objects)
        if target and not inside(literal, nodes.reference, nodes.title):
            entry = objects[target]
            if entry.docname != name or literal.astext().endswith(".py"):
                link = make_refnode(app.builder, name, entry.docname, entry.node_id, [])
                literal.replace_self(link)
                link += literal
    skipped = (nodes.reference, nodes.title, nodes.literal, nodes.literal_block, nodes.raw)
    for text in list(doctree.findall(nodes.Text)):
        if re.search(r"\b[Ll]esson \d\d\b", text) and not inside(text, *skipped, nodes.math):
            text.parent.replace(text, with_lessons(app, text, name))


def with_lessons(app: Sphinx, text: nodes.Text, name: str) -> list[nodes.Node]:
    """Return a text in pieces, each "lesson 07" a link, but for the page's own."""
    pieces: list[nodes.Node] = []
    for part in re.split(r"(\b[Ll]esson \d\d\b)", text):
        lesson = LESSONS.get(int(part[-2:])) if re.fullmatch(r"[Ll]esson \d\d", part) else None
        if lesson and lesson.place != name:
            where = (app.builder, name, lesson.place, None)
            pieces.append(make_refnode(*where, nodes.inline("", part), lesson.title))
        elif part:
            pieces.append(nodes.Text(part))
    return pieces


def inside(node: nodes.Node, *kinds: type) -> bool:
    """Return whether a node lies in one of these kinds, or in a signature."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, (*kinds, addnodes.desc_signature)):
            return True
    return False


def suffixes(objects: dict) -> dict[str, set[str]]:
    """Return for each end of a name, such as `process.alpha`, the whole names that have it."""
    found = defaultdict(set)
    for full in objects:
        words = full.split(".")
        for i in range(len(words)):
            found[".".join(words[i:])].add(full)
    return found


def short_name(text: str, short: dict[str, set[str]], objects: dict) -> str | None:
    """Return the whole name that a text in code type means, or None if it means none or two."""
    text = re.sub(r"\(.*\)$|:$", "", text)
    if file := re.fullmatch(r"(?:vdmlite/)?([\w/]+)\.py", text):
        text = file[1].replace("/", ".")
        whole = {f for f in short.get(text, set()) if objects[f].objtype == "module"}
        return whole.pop() if len(whole) == 1 else None
    text = re.sub(r"^v\.", "vdmlite.", text)
    text = EXPORTS.get(text, text)
    if EXPORTS.get(f"vdmlite.{text}"):
        text = EXPORTS[f"vdmlite.{text}"] if distinct(text) else text
    whole = short.get(text, set())
    return next(iter(whole)) if len(whole) == 1 and distinct(text) else None


def distinct(text: str) -> bool:
    """Return whether a word can't be a plain one: `sample` could, `GridGaussian` could not."""
    return (
        "." in text or "_" in text.strip("_") or bool(re.search(r"[a-z][A-Z]|[A-Z]{2}", text))
    )


def resolve(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Element
) -> nodes.Node | None:
    """Resolve a type that a signature names: one of ours by its end, others to plain text."""
    if node["refdomain"] != "py":
        return None
    target = node["reftarget"]
    objects = env.domains["py"].data["objects"]
    full = EXPORTS.get(target, target)
    whole = {full} & objects.keys() or suffixes(objects).get(target, set())
    if len(whole) == 1:
        entry = objects[whole.pop()]
        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content)
    # Other projects' pages can't be asked where there is no network.
    return content if inside(node, nodes.field) else None


def rewrite(app: Sphinx, what: str, name: str, thing: object, options: dict, lines: list[str]):
    """Rewrite a docstring for Sphinx."""
    del app, what, name, thing, options
    lines[:] = as_rest("\n".join(lines)).splitlines()


def sign(
    app: Sphinx, what: str, name: str, thing: object, options: dict, words: str, returned: str
) -> tuple[str, str] | None:
    """Give a function or a class the signature that its source has."""
    del app, options, words, returned
    if what not in ("function", "method", "class"):
        return None
    for module in MODULES:
        node = module.defined().get(name.removeprefix(f"{module.name}."))
        if name.startswith(f"{module.name}.") and node is not None:
            return signature(thing, node)
    return None


def setup(app: Sphinx) -> dict:
    """Tell Sphinx."""
    app.connect("doctree-read", give_words)
    app.connect("doctree-resolved", link_words)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", rewrite)
    app.connect("autodoc-process-signature", sign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
