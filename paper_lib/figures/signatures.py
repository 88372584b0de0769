"""Figures of numerical signatures, of what they tell of a reset's harm, and of the resets of single modules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_lib.figures.drawing import add_legend, drawing, is_narrow, new_panels
from paper_lib.figures.style import BLACK, BLUE, COLOUR_MAP, GREEN, GREY, GROUND, ON_DARK, ON_LIGHT, ORANGE, VERMILION
from paper_lib.inference import SIGNIFICANCE, Floats
from paper_lib.layers.ranking import LayerEffect
from paper_lib.layers.signature import Correlation
from paper_lib.typography import minus_signs

_GROUPS = {"ffn1": BLUE, "attention": VERMILION, "convolution": GREEN, "ffn2": ORANGE}


@drawing
def signature_maps(signatures: Mapping[str, Floats], matrices: Sequence[str]) -> Figure:
    """Returns the slide's figure: signatures [matrices, layers] by size, a row per weight matrix of the layer."""
    return _maps(
        signatures, matrices, "signature", "signature", (floor(signatures.values()), 1.0), "{:.2f}", COLOUR_MAP, 0.3
    )


def floor(signatures: Iterable[Floats]) -> float:
    """Returns where the colours of a signature begin: the least one, rounded down to a tenth."""
    return math.floor(10 * min(float(of_size.min()) for of_size in signatures)) / 10


@drawing
def module_maps(effects: Mapping[str, Sequence[LayerEffect]]) -> Figure:
    """Returns the WER change, in points, by the reset of single modules: module × layer, by size."""
    modules = list(dict.fromkeys(str(effect.module) for layers in effects.values() for effect in layers))
    changes = {
        size: np.array([[100 * e.change.value for e in layers if e.module == module] for module in modules])
        for size, layers in effects.items()
    }
    highest = max(1.0, *(float(values.max()) for values in changes.values()))
    return _maps(changes, modules, "WER change, points", "change_points", (0.0, highest), "{:.1f}", "cividis", 0.42)


def _maps(
    values: Mapping[str, Floats],
    rows: Sequence[str],
    label: str,
    quantity: str,
    limits: tuple[float, float],
    form: str,
    colour_map: str,
    row_height: float,
) -> Figure:
    widths = [of_size.shape[1] for of_size in values.values()]
    figure, grid = new_panels(
        height=0.9 + row_height * len(rows), columns=len(values), sharey=True, width_ratios=widths
    )
    panels = grid[0]
    for axes, (size, of_size) in zip(panels, values.items(), strict=True):
        for (row, layer), value in np.ndenumerate(of_size):
            figure.note(size=size, part=rows[row], layer=layer + 1, **{quantity: value})
        image = axes.imshow(of_size, cmap=colour_map, aspect="auto", vmin=limits[0], vmax=limits[1])
        if (of_size.shape[1] <= 8) if is_narrow() else (sum(widths) <= 24):  # else the numbers would touch
            middle = sum(limits) / 2
            for (row, layer), value in np.ndenumerate(of_size):
                colour = ON_DARK if value < middle else ON_LIGHT
                text = form.format(value)
                text = text.lstrip("-") if float(text) == 0 else minus_signs(text)
                text = text.removeprefix("0" if label == "signature" else "")
                axes.text(layer, row, text, ha="center", va="center", color=colour, fontsize=6.5)
        axes.set_title(size)
        axes.set_xticks(range(of_size.shape[1]), range(1, of_size.shape[1] + 1))
        axes.set_yticks(range(len(rows)), rows)
        axes.set_xlabel("layer")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    figure.colorbar(image, ax=panels, label=label, fraction=0.03, pad=0.01)
    return figure


@drawing
def correlation_over_time(
    correlations: Mapping[str, Floats], steps: Mapping[str, Sequence[int]], matrices: Sequence[str]
) -> Figure:
    """Returns Spearman's ρ between signature and WER change through training, a panel per size.

    `correlations` are [steps, matrices] by size, means over trainings.
    """
    figure, panels = new_panels(height=2.9, columns=len(correlations), sharey=True)
    for axes, (size, of_size) in zip(panels[0], correlations.items(), strict=True):
        axes.axhline(0, color=GREY, linewidth=0.8)
        for index, matrix in enumerate(matrices):
            for step, rho in zip(steps[size], of_size[:, index], strict=True):
                figure.note(size=size, matrix=matrix, step=step, rho=rho)
            axes.plot(steps[size], of_size[:, index], color=_colour(matrix), linewidth=0.9, alpha=0.75)
        axes.set_title(size)
        axes.set_xlabel("step")
        axes.set_ylim(-1.05, 1.05)
        axes.grid(axis="y")
    panels[0, 0].set_ylabel("ρ with the WER change")
    marks = [Line2D([], [], color=colour, label=name) for name, colour in _GROUPS.items() if _shown(name, matrices)]
    add_legend(figure, marks)
    return figure


@drawing
def emergence(curves: Mapping[str, Mapping[str, Floats]], steps: Mapping[str, Sequence[int]]) -> Figure:
    """Returns measures of the signature through training, [trainings, steps] by size and name, a panel per size."""
    figure, panels = new_panels(height=2.9, columns=len(curves), sharey=True)
    colours = dict(zip(next(iter(curves.values())), (VERMILION, GREEN, BLACK), strict=True))
    for axes, (size, measures) in zip(panels[0], curves.items(), strict=True):
        axes.axhline(0, color=GREY, linewidth=0.8)
        for name, runs in measures.items():
            for run, values in enumerate(runs):
                for step, value in zip(steps[size], values, strict=True):
                    figure.note(size=size, measure=name, run=run, step=step, value=value)
            axes.plot(steps[size], runs.T, color=colours[name], linewidth=0.5, alpha=0.5)
            axes.plot(steps[size], runs.mean(0), color=colours[name])
        axes.set_title(size)
        axes.set_xlabel("step")
        axes.set_ylim(-1.05, 1.05)
        axes.grid(axis="y")
    marks = [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]
    add_legend(figure, marks)
    return figure


@drawing
def correlations_at_depth(
    correlations: Mapping[str, Sequence[Correlation]],
    matrices: Sequence[str],
    depth_alone: Mapping[str, float],
    significance: float = SIGNIFICANCE,
) -> Figure:
    """Returns ρ of every matrix and, smaller, at fixed depth, a panel per size; filled where p is below `significance`.

    Lines reach over the trainings. The dotted line is ρ of the harm with depth, by size.
    """
    figure, panels = new_panels(height=1.0 + 0.32 * len(matrices), columns=len(correlations), sharey=True)
    for axes, (size, of_size) in zip(panels[0], correlations.items(), strict=True):
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.axvline(depth_alone[size], color=BLACK, linewidth=1, linestyle=":")
        for row, (matrix, found) in enumerate(zip(matrices, of_size, strict=True)):
            figure.note(size=size, matrix=matrix, **asdict(found))
            colour = _colour(matrix)
            axes.hlines(row - 0.15, found.lowest, found.highest, color=colour, linewidth=1.4)
            for rho, p, y, marker in (
                (found.rho, found.p, row - 0.15, 5.0),
                (found.given_depth, found.p_given_depth, row + 0.22, 3.5),
            ):
                face = colour if p < significance else GROUND
                axes.plot(rho, y, "o", color=colour, markerfacecolor=face, markersize=marker)
        axes.set_title(size)
        axes.set_xlabel("Spearman's ρ")
        axes.set_xlim(-1.08, 1.08)
        axes.set_yticks(range(len(matrices)), matrices)
        axes.set_ylim(len(matrices) - 0.5, -0.5)
        axes.grid(axis="x")
    return figure


def _colour(matrix: str) -> str:
    return _GROUPS[matrix.partition(".")[0]]


def _shown(group: str, matrices: Sequence[Any]) -> bool:
    return any(matrix.partition(".")[0] == group for matrix in matrices)
