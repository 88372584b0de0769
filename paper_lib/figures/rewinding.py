"""The figure of rewinding: each layer of a trained model put back to an earlier step, and what that does to the WER."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from paper_lib.figures.download import hundredfold
from paper_lib.figures.drawing import drawing, new_panels
from paper_lib.figures.style import ON_DARK, ON_LIGHT, VERMILION
from paper_lib.layers.ranking import MARGIN, LayerEffect
from paper_lib.typography import minus_signs


@drawing
def rewinding_maps(effects: Mapping[str, Mapping[int, Sequence[LayerEffect]]]) -> Figure:
    """Returns the WER change, in points, of every layer by the step that it is put back to: layer × step, by size.

    `effects` are by size and step, 0 for re-initialisation. Colours are linear up to the margin and logarithmic beyond
    it. Critical layers are framed.
    """
    layers = max(len(of_step) for of_size in effects.values() for of_step in of_size.values())
    columns = [len(of_size) for of_size in effects.values()]
    figure, grid = new_panels(height=1.1 + 0.26 * layers, columns=len(effects), width_ratios=columns)
    panels = grid[0]
    points = 100 * MARGIN
    changes = [e.change.value for of_size in effects.values() for of_step in of_size.values() for e in of_step]
    norm = SymLogNorm(points, linscale=0.7, vmin=0, vmax=max(100 * max(changes), 2 * points), clip=True)
    for axes, (size, of_size) in zip(panels, effects.items(), strict=True):
        steps = sorted(of_size)
        for step in steps:
            for effect in of_size[step]:
                note = hundredfold("change_points", effect.change)
                figure.note(size=size, layer=effect.layer, rewound_to=step, **note, **{"class": effect.classification})
        rises = [[100 * of_size[step][layer].change.value for step in steps] for layer in range(len(of_size[steps[0]]))]
        image = axes.imshow(rises, cmap="cividis", norm=norm, aspect="auto")
        for column, step in enumerate(steps):
            for row, effect in enumerate(of_size[step]):
                _write(axes, column, row, effect, float(norm(100 * effect.change.value)))
        axes.set_title(size)
        axes.set_xticks(range(len(steps)), [str(step) for step in steps])
        axes.set_yticks(range(len(rises)), range(1, len(rises) + 1))
        axes.set_xlabel("rewound to step")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    panels[0].set_ylabel("layer")
    marks = [mark for mark in (0, points, 5 * points, 25 * points) if mark <= float(norm.vmax or 0)]
    bar = figure.colorbar(image, ax=panels, label="WER change, points", fraction=0.03, aspect=30, pad=0.01)
    bar.set_ticks(marks, labels=[f"{mark:g}" for mark in marks])
    bar.minorticks_off()
    return figure


def _write(axes: Axes, column: int, row: int, effect: LayerEffect, level: float) -> None:
    """Writes the change into its cell, whose colour is at `level` of the colour map, and frames it where critical."""
    text = f"{100 * effect.change.value:.1f}"
    text = text.lstrip("-") if float(text) == 0 else minus_signs(text)
    colour = ON_DARK if level < 0.5 else ON_LIGHT
    axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
    if effect.classification == "critical":
        frame = Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, edgecolor=VERMILION, linewidth=1.4)
        axes.add_patch(frame)
