"""What all panels share: a line that tells how things stand, and menus with a label."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import ipywidgets
from IPython.display import Javascript, display

from paper_lib.figures.markup import Markup

# Labels are as long as they are.
LABELLED = {"style": {"description_width": "initial"}}

# A notebook has no style of the book's. The marks of transcripts show without colour too.
_STYLE = """<style>
.book-panel { line-height: 1.5 }
.book-panel a { color: var(--jp-content-link-color, revert); text-decoration: underline }
.book-panel table { border-collapse: collapse; margin-top: 0.8rem }
.book-panel caption { caption-side: top; text-align: left; white-space: normal }
.book-panel :is(th, td) { padding: 0.1rem 0.8rem 0.1rem 0; text-align: left }
.book-panel .number { text-align: right }
.book-panel figure { margin: 0 }
.book-panel figure img { max-width: 100% }
.book-panel ins { text-decoration: underline }
.book-panel del { opacity: 0.75; text-decoration: line-through }
</style>"""


def styled(*parts: Markup) -> str:
    """Returns what the book shows on its pages as a panel shows it."""
    return f'{_STYLE}<div class="book-panel">{"".join(part.html for part in parts)}</div>'


# JupyterLab would take the keys of a menu for its own: arrows move to another cell, letters are commands upon cells.
# What it leaves alone is the element itself that has this attribute.
_KEEP_KEYS = """
const keep = () => element.isConnected
  ? element.closest(".jp-OutputArea")?.addEventListener("focusin", (event) =>
      event.target.setAttribute("data-lm-suppress-shortcuts", ""))
  : setTimeout(keep, 200);
keep();
"""


class Panel:
    """What a notebook shows as its `view`, and operates by mouse and by keyboard."""

    view: ipywidgets.VBox

    def _ipython_display_(self) -> None:
        display(self.view)
        display(Javascript(_KEEP_KEYS))


class Status(ipywidgets.HTML):  # type: ignore[misc]
    """A line that a screen reader reads out when it changes."""

    def tell(self, text: str) -> None:
        self.value = f'<div role="status">{html.escape(text)}</div>'

    def refuse(self, text: str) -> None:
        """Tells what was wrong, and what would be right."""
        self.value = f'<div role="alert"><strong>Not done.</strong> {html.escape(text)}</div>'

    @contextmanager
    def refusing(self, *expected: type[Exception]) -> Iterator[None]:
        """Tells what goes wrong: an `expected` error in its own words, any other by its name before it is raised on.

        A button's and a thread's errors go to a log that nobody reads.
        """
        try:
            yield
        except expected as error:
            self.refuse(str(error))
        except Exception as error:
            self.refuse(f"{type(error).__name__}: {error}")
            raise


def menu(label: str, options: Iterable[Any], **settings: Any) -> ipywidgets.Dropdown:
    """Returns a menu; `options` as ipywidgets takes them: values, or pairs of a name and a value."""
    return ipywidgets.Dropdown(options=list(options), description=label, **LABELLED, **settings)
