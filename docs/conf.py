"""Settings for Sphinx. Build the documentation with ``sphinx-build -W docs build/docs``. That needs no network."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

from sphinx.application import Sphinx

project = "tplus_trio"
html_title = "tplus_trio"
release = version = version_of("tplus-trio")
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib_trio",
    "myst_parser",
]
# ref.python: two classes have an attribute `bytes`, and Sphinx does not know that an annotation means the built-in one.
suppress_warnings = ["ref.python"]
root_doc = "index"
default_role = "py:obj"
nitpicky = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autoclass_content = "both"
myst_heading_anchors = 4
# The names of Python and trio that the docstrings use, with the pages of their documentation. They are kept here, so
# that no build depends on another site.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", "names_of_python.inv"),
    "trio": ("https://trio.readthedocs.io/en/stable", "names_of_trio.inv"),
}
# Types that the package or its dependencies keep to themselves. Signatures show them.
nitpick_ignore_regex = [
    ("py:.*", r"tplus_trio\.(clients|streams|testing|users)\.[a-z_.]+\..+"),
    ("py:.*", r"(Accounts|BookSink|Buffer|ClientScope|Consumer|DepthBook|Handler|Hub|KeptOrders|NamedOrder)"),
    ("py:.*", r"(OrderClient|OrderDesk|PrivateKey|TrackedOrder|TradeIds|Path|T|T_co)"),
    ("py:class", r"(cryptography\..*)?Ed25519P[a-z]+Key"),
]
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["wide.css"]
html_show_copyright = False
html_show_sphinx = False
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True


def mark_description(_app: Sphinx, what: str, _name: str, _value: object, _options: Any, lines: list[str]) -> None:
    """Keep napoleon from taking "Seconds" in "Seconds: how long ..." for the type of an attribute or of an answer.

    An empty comment comes before the text: napoleon looks for a type in the first line alone.
    """
    if what in {"attribute", "data", "property"} and ":" in "".join(lines[:1]):
        lines[:0] = ["..", ""]
    elif "Returns:" in lines and ":" in lines[first := lines.index("Returns:") + 1]:
        lines[first:first] = ["    ..", ""]


def setup(app: Sphinx) -> None:
    """Run before napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", mark_description, priority=400)
