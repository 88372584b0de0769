"""The signature through training: a heat map per model size and a slider over the recorded steps."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from paper_lib.explorers.parts import explorer
from paper_lib.figures.download import Row
from paper_lib.figures.markup import Markup
from paper_lib.figures.signatures import floor
from paper_lib.figures.style import COLOUR_MAP
from paper_lib.inference import Floats

# One colour per twentieth.
_COLOURS = [to_hex(colormaps[COLOUR_MAP](level)) for level in np.linspace(0, 1, 21)]


def signature_slider(
    signatures: Mapping[str, Floats],
    steps: Mapping[str, Sequence[int]],
    matrices: Sequence[str],
    *,
    caption: str,
    name: str = "signature-slider",
) -> Markup:
    """Returns the explorer; `signatures` are [steps, matrices, layers] by size.

    Without JavaScript the page shows the last step of the first size.
    """
    low = min(floor(signatures.values()), 0.9)
    data = {
        "colours": _COLOURS,
        "low": low,
        "matrices": list(matrices),
        "sizes": {
            size: {"steps": list(steps[size]), "values": np.round(of_size, 2).tolist()}
            for size, of_size in signatures.items()
        },
    }
    first = next(iter(signatures))
    last = len(steps[first]) - 1
    options = "".join(
        f'<label><input type="radio" name="{name}-size" value="{html.escape(size)}"'
        f"{' checked' if size == first else ''}> {html.escape(size)}</label> "
        for size in signatures
    )
    body = (
        f'<div class="controls"><fieldset><legend>Model size</legend>{options}</fieldset>'
        f'<label>Step <input type="range" min="0" max="{last}" value="{last}"></label> '
        f'<output aria-live="polite">step {steps[first][last]}</output></div>'
        f'<div class="scroll" tabindex="0"><table class="heat">'
        f"{_table(signatures[first][-1], matrices, low)}</table></div>"
    )
    rows: list[Row] = [
        {"size": size, "step": step, "matrix": matrix, "layer": layer + 1, "signature": round(float(value), 4)}
        for size, of_size in signatures.items()
        for step, of_step in zip(steps[size], of_size, strict=True)
        for matrix, of_matrix in zip(matrices, of_step, strict=True)
        for layer, value in enumerate(of_matrix)
    ]
    return explorer("signature", body, data, caption, name, rows)


def _table(signature: Floats, matrices: Sequence[str], low: float) -> str:
    """Returns the rows of the table for `signature` [matrices, layers]; colours begin at `low`, as in signature.js."""
    layers = signature.shape[1]
    heads = "".join(f'<th scope="col">{layer + 1}</th>' for layer in range(layers))
    rows = "".join(
        f'<tr><th scope="row">{html.escape(matrix)}</th>{"".join(_cell(value, low) for value in row)}</tr>'
        for matrix, row in zip(matrices, signature, strict=True)
    )
    return f'<thead><tr><th scope="col">layer</th>{heads}</tr></thead><tbody>{rows}</tbody>'


def _cell(value: float, low: float) -> str:
    level = (value - low) / (1 - low)
    colour = "#fff" if level < 0.425 else "#000"  # each has a contrast of 4.5 there
    return f'<td style="background:{_COLOURS[round(20 * max(level, 0))]};color:{colour}">{value:.2f}</td>'
