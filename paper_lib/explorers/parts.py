"""What all explorers share: a figure with its data and its script within, which needs no kernel and no network."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from paper_lib.figures.download import Row, csv_link
from paper_lib.figures.markup import Markup
from paper_lib.inference import Estimate


def explorer(
    script: str,
    body: str,
    data: Any,
    caption: str,
    name: str,
    rows: Sequence[Row],
    *,
    shares: bool = False,
    package: str = __package__,
) -> Markup:
    """Returns the explorer that `script`.js of `package` operates: the controls in `body`, over `data`.

    A reader can save the same data as a table of `rows`. With `shares` its script may share its choices with other
    explorers of the page, and with the page's address.
    """
    parts = (*([(__package__, "choices")] if shares else []), (package, script))
    code = "".join(resources.files(of).joinpath(f"{part}.js").read_text(encoding="utf-8") for of, part in parts)
    # A closing tag within the data would end the script.
    embedded = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    below = f"<figcaption>{html.escape(caption)} {csv_link(rows, name)}</figcaption>"
    return Markup(
        f'<figure class="drawing explorer" id="{name}">{body}{below}'
        f'<script type="application/json">{embedded}</script><script>{code}</script></figure>',
        text=f"[explorer: {caption}]",
    )


def select(label: str, key: str, options: Sequence[str]) -> str:
    """Returns a labelled menu; a script finds it by `data-key`, and its values are the options' places."""
    choices = "".join(f'<option value="{place}">{html.escape(option)}</option>' for place, option in enumerate(options))
    return f'<label>{html.escape(label)} <select data-key="{key}">{choices}</select></label> '


def percents(estimate: Estimate) -> list[float]:
    """Returns [value, low, high] of an estimate in per cent or points, to a tenth, as the pages print it."""
    return [round(100 * value, 1) for value in (estimate.value, estimate.low, estimate.high)]
