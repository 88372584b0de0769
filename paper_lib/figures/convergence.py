"""The way of trainings to their ends: the WER of dev speech, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from paper_lib.figures.drawing import drawing, new_panels
from paper_lib.figures.style import PALETTE
from paper_lib.results import by_step


@drawing
def dev_wer_curves(trainings: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Returns the dev WER, %, against the step, a panel per size, from the results of trainings' records by size.

    A line per training; a dot ends it. The scale is logarithmic.
    """
    figure, panels = new_panels(height=2.7, columns=len(trainings), sharey=True)
    for axes, (size, results) in zip(panels[0], trainings.items(), strict=True):
        for seed, result in enumerate(results):
            curve = {step: 100 * wer for step, wer in by_step(result["dev_wer"]).items()}
            for step, wer in curve.items():
                figure.note(size=size, seed=seed, step=step, dev_wer_percent=wer)
            # Nothing wrong at all cannot stand on a logarithmic scale.
            shown = [max(wer, 0.1) for wer in curve.values()]
            axes.plot(list(curve), shown, color=PALETTE[seed % len(PALETTE)], linewidth=1.1)
            axes.plot(list(curve)[-1], shown[-1], "o", color=PALETTE[seed % len(PALETTE)], markersize=4)
        axes.set_title(size)
        axes.set_xlabel("step")
        axes.set_yscale("log")
        axes.set_yticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
        axes.minorticks_off()
        axes.grid(axis="y")
    panels[0, 0].set_ylabel("dev WER, %")
    return figure
