"""Settings for Sphinx. Build the documentation with ``sphinx-build -W docs build/docs``."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "tplus_trio"
release = version = version_of("tplus-trio")
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib_trio", "myst_parser"]
# myst.xref_missing: links to files outside docs/ work in the repository, but not in the pages that Sphinx makes.
# ref.python: two classes have an attribute `bytes`, and Sphinx does not know that an annotation means the built-in one.
suppress_warnings = ["myst.xref_missing", "ref.python"]
root_doc = "index"
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autoclass_content = "both"
myst_heading_anchors = 3
html_theme = "alabaster"
