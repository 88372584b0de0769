"""Where the parameters of a model are."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from paper_lib.figures.drawing import add_legend, drawing, new_figure
from paper_lib.figures.style import GROUND


@drawing
def stacked_shares(counts: Mapping[str, Mapping[str, int]], colours: Mapping[str, str], unit: str) -> Figure:
    """Returns a bar per row of `counts`, cut into its parts' shares in percent; each part's count is written on it.

    `counts` maps row to part to count; every row has the parts of `colours`. `unit` names the whole of a bar.
    """
    figure = new_figure(height=0.85 + 0.34 * len(counts))
    axes = figure.subplots()
    starts = dict.fromkeys(counts, 0.0)
    for part, colour in colours.items():
        for place, (row, parts) in enumerate(counts.items()):
            share = 100 * parts[part] / sum(parts.values())
            figure.note(model=row, part=part, parameters=parts[part], share_percent=share)
            axes.barh(place, share, left=starts[row], color=colour, edgecolor=GROUND, height=0.78)
            if share > 6:
                middle = (starts[row] + share / 2, place)
                axes.text(*middle, short(parts[part]), ha="center", va="center", fontsize=8.5)
            starts[row] += share
    axes.set_yticks(range(len(counts)), list(counts))
    axes.set_xlim(0, 100)
    axes.set_xlabel(f"share of the parameters of {unit}, %")
    axes.invert_yaxis()
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    add_legend(figure, [Patch(color=colour, label=part) for part, colour in colours.items()])
    return figure


def short(count: int) -> str:
    """Returns a count to three digits: 168912 is "169k", 1589248 is "1.59M"."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            scaled = count / size
            return f"{scaled:.{max(0, 2 - len(str(int(scaled))) + 1)}f}{suffix}"
    return str(count)
