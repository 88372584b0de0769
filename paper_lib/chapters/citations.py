"""A Sphinx extension (see `_config.yml`): entries of the bibliography are items of a list to a screen reader.

Docutils gives them the role `doc-biblioentry`, which ARIA has dropped: a list of such entries counts as empty.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator


def setup(app: Sphinx) -> ExtensionMetadata:
    """Is called by Sphinx."""
    app.add_node(nodes.citation, override=True, html=(_open_entry, HTML5Translator.depart_citation))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _open_entry(translator: HTML5Translator, node: nodes.citation) -> None:
    HTML5Translator.visit_citation(translator, node)
    translator.body[-1] = translator.body[-1].replace("doc-biblioentry", "listitem")
