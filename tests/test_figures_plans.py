"""Figures of plans: paired differences, what is forgotten, curves by rounds; and that axes of WER show their 0."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from paper_lib.federated.comparison import Adapted
from paper_lib.figures.differences import PRIMARY, Difference, forest
from paper_lib.figures.drawing import drawing, linear_then_log, new_figure, spread
from paper_lib.figures.federated import adaptation_curves, wer_by_dropped
from paper_lib.figures.forgetting import forgetting, slopes
from paper_lib.figures.people import changes_by_layer, norms_by_round
from paper_lib.figures.stability import run_spread
from paper_lib.figures.style import GROUND
from paper_lib.inference import Component, Estimate, Mean
from paper_lib.layers.ranking import LayerEffect


def estimate(value: float, reach: float = 0.01) -> Estimate:
    return Estimate(value, value - reach, value + reach)


GROUPS = {
    PRIMARY: [Difference("crit-N − amb-N", estimate(-0.005), (-0.01, 0.0))],
    "flat − amb": [Difference("flat-2 − amb-2", estimate(0.02)), Difference("flat-3 − amb-3", estimate(-0.03))],
}


@pytest.mark.parametrize("figure", [forest(GROUPS), forest(GROUPS).narrow()])  # type: ignore[attr-defined]
def test_a_difference_is_a_row_with_its_interval_hollow_where_it_holds_0(figure: Figure) -> None:
    (axes,) = figure.axes
    names = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    assert names == ["crit-N − amb-N", "flat-2 − amb-2", "flat-3 − amb-3"]
    marks = [line for line in axes.lines if line.get_marker() in ("D", "o")]
    assert [(float(mark.get_xdata()[0]), float(mark.get_ydata()[0])) for mark in marks] == [  # type: ignore[index]
        pytest.approx(place) for place in ((-0.5, 0), (2, 1), (-3, 2))
    ]
    assert [same_color(mark.get_markerfacecolor(), GROUND) for mark in marks] == [True, False, False]
    spans = [path.vertices[:, 0].tolist() for lines in axes.collections for path in lines.get_paths()]
    assert spans == [pytest.approx(span) for span in ([-1.5, 0.5], [1, 3], [-4, -2])]
    (seeds,) = [line for line in axes.lines if line.get_marker() == "|"]
    assert seeds.get_xdata() == pytest.approx([-1, 0])
    assert any(set(line.get_xdata()) == {0} and len(line.get_xdata()) == 2 for line in axes.lines)  # type: ignore[arg-type]
    assert 0 in axes.get_xticks()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "primary: interval holds 0",
        "interval excludes 0",
        "one seed",
    ]
    first = figure.rows[0]  # type: ignore[attr-defined]
    assert {name: first[name] for name in ("points", "points_low", "points_high", "seeds")} == {
        "points": pytest.approx(-0.5),
        "points_low": pytest.approx(-1.5),
        "points_high": pytest.approx(0.5),
        "seeds": "-1.00 0.00",
    }


def test_a_difference_is_read_off_the_errors() -> None:
    words = np.array([10.0, 30.0])
    one = Adapted(words, np.array([[3.0, 5.0], [1.0, 7.0]])).less(Adapted(words, np.array([[1.0, 3.0], [1.0, 3.0]])))
    found = Difference.of("a − b", one)
    assert (found.estimate.value, found.by_seed) == (pytest.approx(0.1), [0.1, 0.1])
    assert found.excludes_zero == (found.estimate.low > 0)


def test_a_slope_leads_from_before_to_after_by_families_of_plans() -> None:
    after = {"none": estimate(0.14), "flat": estimate(0.13), "crit-2": estimate(0.12), "amb-2": estimate(0.16)}
    figure = slopes(estimate(0.06), after)
    assert [axes.get_title("left") for axes in figure.axes] == ["critical layers", "ambient layers", "other plans"]
    for axes, plans in zip(figure.axes, (("crit-2", "none"), ("none", "amb-2"), ("flat", "none")), strict=True):
        lines = [line.get_ydata().tolist() for line in axes.lines if line.get_marker() == "o"]  # type: ignore[union-attr]
        assert lines == [pytest.approx([6, 100 * after[plan].value]) for plan in plans]
        assert [text.get_text() for text in axes.texts] == list(plans)
        assert axes.get_ylim()[0] == 0
        assert 0 in axes.get_yticks()
    rows = {row["model"]: row["wer_percent"] for row in figure.rows}  # type: ignore[attr-defined]
    assert rows == {name: pytest.approx(100 * one.value) for name, one in {"before": estimate(0.06), **after}.items()}
    alone = slopes(estimate(0.06), {"none": estimate(0.1)})
    assert alone.axes


def test_labels_keep_their_order_and_their_distance_below_the_ceiling() -> None:
    moved = spread([1.0, 1.1, 5.0, 9.9, 9.9], 0.5, 10.0)
    assert moved == pytest.approx([1.0, 1.5, 5.0, 9.5, 10.0])


def test_curves_have_the_legend_where_all_figures_have_it() -> None:
    plans = ("none", "flat", "crit-2", "crit-3", "low-2", "centralised")
    figure = adaptation_curves({plan: [{0: 0.4, 4: 0.1}] for plan in plans})
    assert not any(axes.get_legend() for axes in figure.axes)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("none", "flat", "crit", "low", "centralised"),
        *("N = 2", "N = 3"),
    ]
    critical = figure.axes[0].lines
    assert [line.get_linestyle() for line in critical] == ["-", "-", "--"]
    handles = dict(zip((text.get_text() for text in legend.get_texts()), legend.legend_handles, strict=True))
    assert critical[1].get_color() == handles["crit"].get_color()  # type: ignore[union-attr]
    assert critical[2].get_linestyle() == handles["N = 3"].get_linestyle()  # type: ignore[union-attr]


def effect(layer: int) -> LayerEffect:
    high = estimate(0.3)
    return LayerEffect(layer, "re-initialisation", high, Mean(0.3, None, Component(1e-4, 79)), high, (0.3,), "critical")


@pytest.mark.parametrize(
    "figure",
    [
        adaptation_curves({"none": [{0: 0.4, 4: 0.3}]}),
        wer_by_dropped({"flat": (0.1, estimate(0.2))}, {"flat": (11, 6.6)}),
        forgetting({"before": (estimate(0.3), estimate(0.2))}),
        slopes(estimate(0.5), {"flat": estimate(0.6)}),
        run_spread({"S": np.array([[0.3, 0.4], [0.35, 0.45]])}, {"S": [0, 1]}),
        changes_by_layer({"S": [effect(1), effect(2)]}),
        norms_by_round({"FedAvg": {"BatchNorm": [{0: 1.5, 5: 0.3}]}}),
    ],
)
def test_an_axis_of_wer_shows_its_0(figure: Figure) -> None:
    for drawn in (figure, figure.narrow()):  # type: ignore[attr-defined]
        assert all(map(shows_zero, drawn.axes))


def shows_zero(axes: Axes) -> bool:
    low, high = axes.get_ylim()
    return low <= 0 <= high and 0 in axes.get_yticks()


def test_what_is_no_share_begins_where_it_likes() -> None:
    @drawing
    def heights(label: str) -> Figure:
        figure = new_figure(height=2)
        axes = figure.subplots()
        axes.plot([1, 2], [150, 160])
        axes.set_ylabel(label)
        return figure

    assert heights("height, cm").axes[0].get_ylim()[0] > 140
    assert heights("harm, points").axes[0].get_ylim()[0] == 0
    assert shows_zero(heights("WER, %").axes[0])


def test_beyond_a_line_a_scale_is_logarithmic_with_named_ticks_alone() -> None:
    axes = new_figure(height=2).subplots()
    axes.plot([0, 1], [0, 100])
    linear_then_log(axes, 2, [2, 10, 50])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "2", "10", "50"]
    assert axes.get_yticks(minor=True).tolist() == []
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "symlog")
