"""The table of ambient layers against the margin: how much hangs on where the line is drawn."""

from __future__ import annotations

from collections.abc import Mapping

from paper_lib.figures.markup import Markup
from paper_lib.figures.tables import table
from paper_lib.layers.ranking import ambient_by_margin, intact_wer
from paper_lib.layers.sweeps import Sweeps

# In points of WER, and in multiples of the intact WER.
MARGINS = (0.005, 0.01, 0.02, 0.03, 0.05)
RELATIVE_MARGINS = (0.25, 0.5, 1.0)


def margins_table(models: Mapping[str, Sweeps], name: str = "Size") -> Markup:
    """Returns how many layers of each model are ambient by the margin, absolute and relative to the intact WER.

    A range says that some layers are unresolved: at least so many, at most so many are ambient.
    """
    rows = []
    for model, sweeps in models.items():
        relative = [share * intact_wer(sweeps).value for share in RELATIVE_MARGINS]
        counts = ambient_by_margin(sweeps, [*MARGINS, *relative])
        cells = (f"{low}" if low == high else f"{low} to {high}" for low, high in counts)
        rows.append((model, *cells))
    layers = " or ".join(map(str, sorted({len(sweeps.units) for sweeps in models.values()})))
    columns = [*(f"{100 * margin:g}" for margin in MARGINS), *(f"{100 * share:.0f} %" for share in RELATIVE_MARGINS)]
    return table(
        rows,
        [name, *columns],
        f"Ambient layers, of {layers}, by the margin: in points of WER, and in per cent of the intact model's WER. "
        "Re-initialisation, mean over trainings. “1 to 4”: one is below the margin with confidence, three more may be.",
    )
