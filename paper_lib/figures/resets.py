"""Figures of reset sweeps: the slide's columns, and the intervals that tell ambient layers from critical ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from paper_lib.figures.download import hundredfold
from paper_lib.figures.drawing import add_legend, drawing, linear_then_log, new_panels
from paper_lib.figures.style import BAND, BLACK, BLUE, GREEN, GREY, GROUND, HARMLESS, ORANGE, VERMILION, DataFigure
from paper_lib.inference import Estimate
from paper_lib.layers.ranking import MARGIN, Class, LayerEffect
from paper_lib.layers.variants import ALL_KINDS, Kind

KIND_COLOURS: dict[Kind, str] = {"re-initialisation": BLUE, "re-randomisation": ORANGE, "skip": GREEN}
CLASS_COLOURS: dict[Class, str] = {"ambient": BLUE, "critical": VERMILION, "unresolved": GREY}
CLASS_MARKERS: dict[Class, str] = {"ambient": "o", "critical": "s", "unresolved": "D"}


@drawing
def reset_columns(effects: Mapping[str, Sequence[LayerEffect]], intact: Mapping[str, Estimate]) -> Figure:
    """Returns the slide's figure: a column per layer and kind of reset, WER in %, a row of axes per model size.

    Whiskers are the 95 % intervals of the columns, dots the single draws and trainings. The dashed line is the intact
    model. Layers whose re-initialisation is ambient stand on a ground of their own.
    """
    kinds = _offsets(effects, 0.8)
    figure, panels = new_panels(height=0.5 + 1.65 * len(effects), columns=1, rows=len(effects), sharey=True)
    rows = panels[:, 0]
    for axes, (size, layers) in zip(rows, effects.items(), strict=True):
        for effect in layers:
            _note(figure, size, effect)
        for layer in (e.layer for e in layers if (e.kind, e.classification) == ("re-initialisation", "ambient")):
            axes.axvspan(layer - 0.5, layer + 0.5, color=HARMLESS, linewidth=0, zorder=0)
        for kind, offset in kinds.items():
            of_kind = [effect for effect in layers if effect.kind == kind]
            _columns(axes, of_kind, offset, 0.72 / len(kinds), KIND_COLOURS[kind])
        level = 100 * intact[size].value
        axes.axhline(level, color=BLACK, linewidth=1, linestyle="--")
        axes.set_title(f"{size}: WER of the intact model {level:.1f} %")
        axes.set_ylabel("WER, %")
        count = max(effect.layer for effect in layers)
        axes.set_xticks(range(1, count + 1))
        axes.set_xlim(0.4, count + 0.6)
        axes.grid(axis="y")
    rows[-1].set_xlabel("layer that is reset, from the input (1) to the output")
    swatches = [Line2D([], [], color=KIND_COLOURS[kind], linewidth=7, label=kind) for kind in kinds]
    line = Line2D([], [], color=BLACK, linewidth=1, linestyle="--", label="intact")
    ground = Patch(color=HARMLESS, label="ambient when re-initialised")
    add_legend(figure, [*swatches, line, ground])
    return figure


def _offsets(effects: Mapping[str, Sequence[LayerEffect]], room: float) -> dict[Kind, float]:
    """Returns how far from a layer's place the marks of each kind of reset stand, which share its `room`."""
    kinds = [kind for kind in ALL_KINDS if any(effect.kind == kind for layers in effects.values() for effect in layers)]
    return {kind: room * ((place + 0.5) / len(kinds) - 0.5) for place, kind in enumerate(kinds)}


def _note(figure: DataFigure, size: str, effect: LayerEffect) -> None:
    numbers = hundredfold("wer_percent", effect.wer) | hundredfold("change_points", effect.change)
    figure.note(size=size, layer=effect.layer, reset=effect.kind, **numbers, **{"class": str(effect.classification)})


def _columns(axes: Axes, effects: Sequence[LayerEffect], offset: float, width: float, colour: str) -> None:
    for effect in effects:
        x, value = effect.layer + offset, 100 * effect.wer.value
        axes.bar(x, value, width, color=colour)
        axes.vlines(x, 100 * effect.wer.low, 100 * effect.wer.high, color=BLACK, linewidth=1.2)
        if len(effect.draws) > 1:
            heights = [100 * draw for draw in effect.draws]
            axes.plot([x + width / 3.6] * len(heights), heights, ".", color=BLACK, markersize=3.5)


@drawing
def change_intervals(effects: Mapping[str, Sequence[LayerEffect]]) -> Figure:
    """Returns, for every size and layer, the interval of the WER change, in points, against the margin.

    From the upper mark of a layer to the lower: re-initialisation; hollow, re-randomisation; half hollow, a layer that
    is skipped. The scale is linear up to the margin and logarithmic beyond it.
    """
    offsets = _offsets(effects, 0.68)
    most = max(effect.layer for layers in effects.values() for effect in layers)
    figure, panels = new_panels(height=0.9 + 0.34 * most, columns=len(effects), sharex=True)
    for axes, (size, layers) in zip(panels[0], effects.items(), strict=True):
        axes.axvspan(-100 * MARGIN, 100 * MARGIN, color=BAND, linewidth=0)
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.axvline(100 * MARGIN, color=BLACK, linewidth=1, linestyle=":")
        for effect in layers:
            _note(figure, size, effect)
            y = effect.layer + offsets[effect.kind]
            colour = CLASS_COLOURS[effect.classification]
            axes.hlines(y, 100 * effect.change.low, 100 * effect.change.high, color=colour, linewidth=1.4)
            axes.plot(
                100 * effect.change.value,
                y,
                CLASS_MARKERS[effect.classification],
                color=colour,
                markerfacecolor=GROUND if effect.kind == "re-randomisation" else colour,
                markerfacecoloralt=GROUND,
                fillstyle="left" if effect.kind == "skip" else "full",
                markersize=5,
            )
        count = max(effect.layer for effect in layers)
        axes.set_yticks(range(1, count + 1))
        axes.set_ylim(count + 0.5, 0.5)
        linear_then_log(axes, 100 * MARGIN, [2, 10, 50], of="x")
        axes.set_title(size)
        axes.set_xlabel("WER change, points")
    panels[0, 0].set_ylabel("layer")
    marks = [
        Line2D([], [], color=CLASS_COLOURS[name], marker=CLASS_MARKERS[name], linewidth=1.4, markersize=5, label=name)
        for name in CLASS_COLOURS
    ]
    add_legend(figure, marks)
    return figure
