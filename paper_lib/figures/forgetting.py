"""Figures of what clients make a model forget: by plan, and by how fast the server learns."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from paper_lib.figures.download import hundredfold
from paper_lib.figures.drawing import add_legend, drawing, new_figure, new_panels, spread
from paper_lib.figures.plans import COLOURS, PANELS, family, in_panel, line_style
from paper_lib.figures.style import BLACK, LIGHT, PALETTE, WIDTH
from paper_lib.inference import Estimate

# Of the height of a panel, what a label of a line needs.
_LABEL = 0.055


@drawing
def slopes(before: Estimate, after: Mapping[str, Estimate]) -> Figure:
    """Returns a line by plan from the WER before the adaptation to that after it, both fractions, as slopes.

    Families of plans stand beside each other and share their scale. Where a panel has no plan, it is left out. The
    interval of the model before stands at the left, that of FedAvg without dropout at the right.
    """
    shown = {title: in_panel(after, families) for title, families in PANELS.items()}
    shown = {title: plans for title, plans in shown.items() if any(plan != "none" for plan in plans)} or shown
    figure, panels = new_panels(height=3.4, columns=len(shown), least=1.7, sharey=True)
    for model, wer in {"before": before, **after}.items():
        figure.note(model=model, **hundredfold("wer_percent", wer))
    reference = after.get("none")
    highest = 115 * max(before.high, reference.high if reference else 0, *(wer.value for wer in after.values()))
    for axes, (title, plans) in zip(panels[0], shown.items(), strict=True):
        for x, known in ((0, before), (1, reference)):
            if known:
                axes.vlines(x, 100 * known.low, 100 * known.high, color=BLACK, linewidth=1, alpha=0.6)
        ends = sorted((100 * after[plan].value, plan) for plan in plans)
        heights = spread([end for end, _ in ends], _LABEL * highest, highest)
        for (end, plan), height in zip(ends, heights, strict=True):
            colour = COLOURS[family(plan)]
            axes.plot([0, 1], [100 * before.value, end], linestyle=line_style(plan), color=colour)
            axes.plot([0, 1], [100 * before.value, end], "o", color=colour, markersize=4)
            axes.plot([1.04, 1.14], [end, height], color=LIGHT, linewidth=0.8)
            axes.text(1.17, height, plan, va="center", fontsize=8)
        axes.set_title(title)
        axes.set_xticks([0, 1], ["before", "after"])
        axes.set_xlim(-0.15, 2.15)
        axes.set_ylim(0, highest)
        axes.grid(axis="y")
    panels[0, 0].set_ylabel("WER on the other domains, %")
    return figure


@drawing
def forgetting(points: Mapping[str, tuple[Estimate, Estimate]]) -> Figure:
    """Returns the WER on the held-out domain over that on the others, with the intervals of both, a point per model.

    `points` hold both WERs (fractions) by label, the model before the adaptation first; a line leads through them.
    """
    figure = new_figure(height=3.4, width=0.75 * WIDTH)
    axes = figure.subplots()
    for label, (held_out, others) in points.items():
        percents = hundredfold("held_out_wer_percent", held_out) | hundredfold("others_wer_percent", others)
        figure.note(model=label, **percents)
    axes.plot(
        *([100 * pair[k].value for pair in points.values()] for k in (1, 0)), color=LIGHT, linewidth=1.2, zorder=1
    )
    for place, (label, (held_out, others)) in enumerate(points.items()):
        colour = BLACK if place == 0 else PALETTE[(place - 1) % len(PALETTE)]
        x, y = 100 * others.value, 100 * held_out.value
        axes.hlines(y, 100 * others.low, 100 * others.high, color=colour, linewidth=1, alpha=0.6)
        axes.vlines(x, 100 * held_out.low, 100 * held_out.high, color=colour, linewidth=1, alpha=0.6)
        axes.plot(x, y, "D" if place == 0 else "o", color=colour, markersize=6, label=label)
    axes.set_xlabel("WER on the other domains, %")
    axes.set_ylabel("WER on the held-out domain, %")
    axes.grid(color=LIGHT)
    axes.margins(0.12)
    add_legend(figure)
    return figure
