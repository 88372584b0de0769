"""Sentences, comparisons and figures of the second experiment: they say what their numbers do."""

from __future__ import annotations

import csv
import io
import re
from urllib.parse import unquote

import numpy as np
import pytest
from made_up import SPEAKERS, sweeps
from matplotlib.figure import Figure

from paper_lib.claims.federated_dropout import secondary_comparisons
from paper_lib.claims.sentences import (
    ambient_layers,
    by_lot,
    clients_by_norm,
    domain_learnt,
    enough_rounds,
    learnt_and_forgotten,
    updates_by_layer,
)
from paper_lib.federated.comparison import Adapted
from paper_lib.figures.federated import update_curves
from paper_lib.figures.forgetting import forgetting
from paper_lib.figures.markup import paragraph
from paper_lib.figures.style import show
from paper_lib.inference import Component, Estimate, Mean, survives_holm
from paper_lib.layers.ranking import intact_wer, reinitialised

KNOWN = Estimate(0.1, 0.08, 0.12)


def adapted(wer: float, seeds: int = 5, seed: int = 0) -> Adapted:
    """Returns adaptations after which so many of the words are wrong."""
    rng = np.random.default_rng([seed, round(1000 * wer)])
    return Adapted(np.full(SPEAKERS, 100.0), rng.binomial(100, wer, (seeds, SPEAKERS)).astype(float))


def mean(wer: float) -> Mean:
    return Mean(wer, None, Component(1e-4, 79))


@pytest.mark.parametrize(
    ("harms", "named", "asked"),
    [
        ([0.3, 0.3, 0.3, 0.3, 0.3], "none of the 5 layers of this streaming model is ambient;", "cannot be asked"),
        ([0.3, 0.0, 0.3, 0.3, 0.3], "1 of the 5 layers of this streaming model is ambient: 2;", "N up to 1:"),
        ([0.3, 0.0, 0.0, 0.3, 0.0], "3 of the 5 layers of this streaming model are ambient: 2, 3, 5;", "N up to 3:"),
        ([0.0, 0.0, 0.0, 0.0, 0.3], "4 of the 5 layers of this streaming model are ambient: 1, 2, 3, 4;", "of it."),
    ],
)
def test_the_first_paragraph_says_whether_the_papers_question_can_be_asked(
    harms: list[float], named: str, asked: str
) -> None:
    made = sweeps([harms] * 3)
    said = ambient_layers(reinitialised(made), intact_wer(made))
    assert named in said
    assert f"{sum(harm > 0 for harm in harms)} critical, 0 unresolved" in said
    assert asked in said
    assert ("speaks for or against" in said) is (0.0 not in harms)


def test_of_a_model_that_recognises_nothing_resets_tell_nothing() -> None:
    made = sweeps([[0.0, 0.0, 0.0, 0.0]] * 3)
    assert "can be asked of it" in ambient_layers(reinitialised(made), KNOWN)
    said = ambient_layers(reinitialised(made), Estimate(0.97, 0.96, 0.98))
    assert "97.0 % [96.0, 98.0]" in said
    assert "resets tell nothing of its layers" in said
    assert "cannot be asked of this model" in said


def test_whether_the_domain_was_known_is_told_from_the_wer_before() -> None:
    known, unknown = (domain_learnt(mean(before), mean(0.1), "none") for before in (0.3, 0.9))
    assert "fine-tuning of a recogniser" in known
    assert "hardly knew the domain" in unknown
    assert re.search(r"30\.0 % \[28\.\d, 32\.\d\] before .* 10\.0 % \[8\.\d, 12\.\d\] after it, without dropout", known)
    assert "by the plan amb-3" in domain_learnt(mean(0.3), mean(0.1), "amb-3")


def test_rounds_are_enough_where_the_last_quarter_brings_little() -> None:
    flat, steep, rising = ([{0: 0.9, 3: late, 4: last}] for late, last in ((0.13, 0.1), (0.3, 0.1), (0.8, 0.95)))
    enough = enough_rounds({"none": flat, "amb-3": flat})
    assert "With none it is 3.8 %, at most 3.8 % (none). The rounds are enough for every plan." in enough
    not_enough = enough_rounds({"none": flat, "crit-4": steep, "flat": rising})
    assert "With none it is 3.8 %, at most 25.0 % (crit-4)." in not_enough
    assert "not enough for 1 of 2 plans: crit-4. With these the WER does not fall at all: flat." in not_enough
    assert "cannot be said" in enough_rounds({"none": rising})


def test_updates_are_told_by_their_extremes_and_by_the_harm_of_resets() -> None:
    norms = np.array([[1.0, 4.0, 2.0], [1.0, 2.0, 4.0]])
    apart = np.array([[0.5, 0.2, 0.3], [0.5, 0.2, 0.3]])
    said = updates_by_layer(norms, apart, harm=norms, clients=4.0)
    assert "move layer 2 farthest (norm 3), 3.0 times as far as layer 1 (1)" in said
    assert "most in layer 1 (0.50) and least in layer 2 (0.20); 4 updates" in said
    assert "would give 0.75" in said
    # By hand, of ranks 1 3 2 and 1 2 3 with 3 1 2: -1 and -0.5.
    assert "with the norm is +1.00, with the disagreement −0.75" in said


def test_what_smaller_rates_learn_and_forget_is_paired() -> None:
    before = (adapted(0.4, 3), adapted(0.1, 3))
    full = (adapted(0.1, 3), adapted(0.5, 3))
    half = tuple(Adapted(one.words, one.errors + shift) for one, shift in zip(full, (5, -20), strict=True))
    said = learnt_and_forgotten(before, {1.0: full, 0.5: half})  # type: ignore[dict-item]
    # The same speakers with the same additional errors: no width is left.
    assert "× 0.5: +5.0 [+5.0, +5.0] points on SF and −20.0 [−20.0, −20.0] points on MD − SF" in said
    learnt, forgotten = re.findall(r"by (\S+) \[.*?\] points on", said)[:2]
    assert float(learnt.replace("−", "-")) == pytest.approx(-30, abs=2)
    assert float(forgotten) == pytest.approx(40, abs=2)


@pytest.mark.parametrize(
    ("shifts", "told"),
    [
        ((30, 10), "With BatchNorm clients cost more than with GroupNorm."),
        ((10, 30), "With GroupNorm clients cost more than with BatchNorm."),
        ((10, 10), "these numbers do not tell"),
    ],
)
@pytest.mark.parametrize("seeds", [1, 3])
def test_of_two_norms_it_is_said_with_which_clients_cost_more(shifts: tuple[int, int], told: str, seeds: int) -> None:
    rng = np.random.default_rng(7)
    pooled = {"BatchNorm": adapted(0.4, seeds), "GroupNorm": adapted(0.2, seeds)}
    federated = {
        norm: Adapted(one.words, one.errors + shift + rng.integers(-2, 3, one.errors.shape))
        for (norm, one), shift in zip(pooled.items(), shifts, strict=True)
    }
    said = clients_by_norm(federated, pooled)
    assert told in said
    found = re.findall(r"([+−]\d+\.\d) \[", said)
    expected = [*shifts, shifts[0] - shifts[1]]
    assert [float(number.replace("−", "-")) for number in found] == pytest.approx(expected, abs=1)
    assert (f"{seeds} seeds and {SPEAKERS} speakers" in said) is (seeds > 1)
    assert ("of these two models alone" in said) is (seeds == 1)


def test_layers_by_lot_are_counted_against_the_ends_of_the_ranking_of_their_seed() -> None:
    drawn = np.array([[0.10, 0.12, 0.14], [0.30, 0.32, 0.34]])
    said = by_lot(drawn, ambient=np.array([0.11, 0.33]), critical=np.array([0.13, 0.31]))
    assert "over the draws of a seed 2.0 points" in said
    assert "Of 6 draws 3 have a higher WER than the ambient layers of their seed, and 3 a lower one than" in said


def test_secondary_comparisons_are_of_equal_parameters_and_tested_together() -> None:
    kinds = ("crit", "amb", "flat", "low", "high")
    plans = {f"{kind}-{n}": adapted(0.3, seed=n + 10 * place) for place, kind in enumerate(kinds) for n in (2, 3)}
    plans |= {"random-3": adapted(0.3, seed=77), "none": adapted(0.2), "flat": adapted(0.25)}
    plans["crit-2"] = Adapted(plans["amb-2"].words, plans["amb-2"].errors + np.arange(SPEAKERS) % 3 + 9)
    found = secondary_comparisons(plans)
    assert {(one.worse, one.better) for one in found} == {
        *((f"{kind}-{n}", f"amb-{n}") for kind in ("crit", "flat", "low") for n in (2, 3)),
        *((f"high-{n}", f"crit-{n}") for n in (2, 3)),
        ("random-3", "amb-3"),
        ("crit-3", "random-3"),
    }
    ps = [one.p for one in found]
    assert ps == [plans[one.worse].less(plans[one.better]).mean.p_value(0.0) for one in found]
    assert [one.survives for one in found] == survives_holm([p for p in ps if p is not None])
    assert found[0].survives
    assert not all(one.survives for one in found)
    alone = secondary_comparisons({name: Adapted(plan.words, plan.errors[:1]) for name, plan in plans.items()})
    assert {(one.p, one.survives) for one in alone} == {(None, False)}


def numbers_of(figure: Figure) -> list[dict[str, str]]:
    """Returns the rows of the file that a figure offers."""
    page = show(figure, caption="c", alt="a").html
    (address,) = re.findall(r'href="data:text/csv;charset=utf-8,([^"]*)"', page)
    return list(csv.DictReader(io.StringIO(unquote(address))))


def test_updates_are_drawn_by_layer_with_their_mean() -> None:
    norms, apart = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]), np.array([[0.1, 0.2, 0.3], [0.3, 0.4, 0.5]])
    figure = update_curves(norms, apart)
    means = [[line for line in axes.lines if line.get_marker() == "o"] for axes in figure.axes]
    assert [line.get_ydata().tolist() for (line,) in means] == [  # type: ignore[union-attr]
        pytest.approx([2, 2, 2]),
        pytest.approx([0.2, 0.3, 0.4]),
    ]
    rows = numbers_of(figure)
    assert [(row["run"], row["layer"]) for row in rows] == [(run, layer) for run in "01" for layer in "123"]
    assert [float(row["disagreement"]) for row in rows] == apart.ravel().tolist()


def test_what_is_forgotten_lies_to_the_right_and_what_is_learnt_below() -> None:
    points = {"before": (Estimate(0.4, 0.3, 0.5), KNOWN), "rate × 1": (KNOWN, Estimate(0.5, 0.4, 0.6))}
    figure = forgetting(points)
    marks = {line.get_label(): line for line in figure.axes[0].lines if line.get_marker() in ("D", "o")}
    assert {name: (line.get_xdata()[0], line.get_ydata()[0]) for name, line in marks.items()} == {  # type: ignore[index]
        "before": pytest.approx((10, 40)),
        "rate × 1": pytest.approx((50, 10)),
    }
    (row,) = [row for row in numbers_of(figure) if row["model"] == "before"]
    assert [float(row[f"held_out_wer_percent{end}"]) for end in ("", "_low", "_high")] == pytest.approx([40, 30, 50])


def test_a_paragraph_is_text_and_no_markup() -> None:
    made = paragraph("1 < 2.", "So it is.")
    assert (made.html, made.text) == ("<p>1 &lt; 2. So it is.</p>", "1 < 2. So it is.")
