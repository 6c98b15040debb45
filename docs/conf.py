"""Sphinx's settings. `docs/make.py` runs it on what `docs/gather.py` gathered."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

import formulas  # noqa: E402
from course import repository  # noqa: E402

project = "vdmlite"
author = "The vdmlite authors"
copyright = "the vdmlite authors"
language = "en"
extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinxcontrib.katex",
    "weave",
]
nitpicky = True

# Notebooks are shown as they were committed, and nothing of a widget is fetched.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_code_prompt_show = "Show the set-up"  # nothing else is folded
nb_code_prompt_hide = "Hide the set-up"
myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

# Formulas become HTML here, with fonts of our own: a page asks nobody for them.
katex_prerender = True
katex_css_path = "katex/katex.min.css"
formulas.install()

default_role = "literal"  # docstrings have single backticks, as Markdown has
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
viewcode_line_numbers = True

html_theme = "pydata_sphinx_theme"
html_title = "vdmlite"
html_static_path = [str(DOCS / "_static")]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_favicon = str(DOCS / "_static/icon.svg")
html_domain_indices = False  # the reference has its modules in order
html_copy_source = False
html_show_sphinx = False
html_sourcelink_suffix = ""
html_theme_options = {
    "github_url": repository(),
    "navbar_align": "left",
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_depth": 2,
    "collapse_navigation": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "back_to_top_button": False,
}
html_context = {"default_mode": "auto"}
html_sidebars = {"*": []}  # pages without others below them
