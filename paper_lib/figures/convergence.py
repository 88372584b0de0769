"""The way of trainings to their ends: the WER of dev speech, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from paper_lib.figures.drawing import drawing, linear_then_log, new_panels
from paper_lib.figures.style import PALETTE
from paper_lib.results import by_step


@drawing
def dev_wer_curves(trainings: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Returns the dev WER, %, against the step, a panel per size, from the results of trainings' records by size.

    A line per training; a dot ends it. The scale is linear up to 1 % and logarithmic beyond it.
    """
    figure, panels = new_panels(height=2.7, columns=len(trainings), sharey=True)
    for axes, (size, results) in zip(panels[0], trainings.items(), strict=True):
        for run, result in enumerate(results):
            curve = {step: 100 * wer for step, wer in by_step(result["dev_wer"]).items()}
            for step, wer in curve.items():
                figure.note(size=size, run=run, step=step, dev_wer_percent=wer)
            steps, wers = list(curve), list(curve.values())
            axes.plot(steps, wers, color=PALETTE[run % len(PALETTE)], linewidth=1.1)
            axes.plot(steps[-1], wers[-1], "o", color=PALETTE[run % len(PALETTE)], markersize=4)
        axes.set_title(size)
        axes.set_xlabel("step")
        linear_then_log(axes, 1, [1, 3, 10, 30, 100])
        axes.grid(axis="y")
    panels[0, 0].set_ylabel("dev WER, %")
    return figure
