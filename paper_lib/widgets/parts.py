"""What all panels share: a line that tells how things stand, and menus with a label."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

import ipywidgets

# Labels are as long as they are.
LABELLED = {"style": {"description_width": "initial"}}


class Status(ipywidgets.HTML):  # type: ignore[misc]
    """A line that a screen reader reads out when it changes."""

    def tell(self, text: str) -> None:
        self.value = f'<div role="status">{html.escape(text)}</div>'

    def refuse(self, text: str) -> None:
        """Tells what was wrong, and what would be right."""
        self.value = f'<div role="alert"><strong>Not done.</strong> {html.escape(text)}</div>'


def menu(label: str, options: Iterable[Any], **settings: Any) -> ipywidgets.Dropdown:
    """Returns a menu; `options` as ipywidgets takes them: values, or pairs of a name and a value."""
    return ipywidgets.Dropdown(options=list(options), description=label, **LABELLED, **settings)
