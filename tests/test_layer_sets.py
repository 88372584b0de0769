"""What is told of sets of layers, against sums by hand, brute force and made-up models that have what is looked for."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from made_up import EACH, SAID, SPEAKERS
from made_up_sets import additive, results_of, searched
from scipy import stats

from paper_lib.claims.layer_sets import CLAIMS, judge
from paper_lib.explorers.sets import ExploredSets, set_explorer
from paper_lib.figures.layer_sets import exchange_columns, nested_sets, pair_maps
from paper_lib.inference import Estimate, rate
from paper_lib.layers.orders import (
    BROKEN,
    GREEDY,
    RANDOM,
    SINGLE,
    SearchedModel,
    ambient_alone,
    dev_changes,
    largest_ambient,
    nested,
    nested_changes,
    orders_from,
    sets_to_judge,
    sizes_asked,
)
from paper_lib.layers.pairs import pair_association
from paper_lib.layers.sets import HeardSets, exchange_effects, neighbours, pairs_of, set_effects, signs

# Harmless in the middle, as in the paper.
SINGLES = (0.3, 0.0, 0.002, 0.0, 0.001, 0.2)
LAYERS = len(SINGLES)


def by_hand(layers: dict[tuple[int, ...], dict[str, int]], checkpoint: str = "one") -> dict[str, Any]:
    """Returns a sweep of two speakers, `ann` of 4 words and `bob` of 2, who have so many errors under resets."""
    told = {"ann": ("a b c d", 0), "bob": ("e f", 1)}
    return {
        "spoken": {
            "ids": list(told),
            "speakers": list(told),
            "domains": ["short_form"] * 2,
            "references": [said for said, _ in told.values()],
        },
        "intact": [[0, 1, "a b c"]],
        "checkpoint": checkpoint,
        "sets": [
            {"layers": list(chosen), "misheard": [[told[who][1], count, "x"] for who, count in errors.items()]}
            for chosen, errors in layers.items()
        ],
        "exchanges": [],
    }


def test_the_interaction_is_what_the_single_harms_do_not_tell() -> None:
    singles = by_hand({(1,): {"ann": 2}, (2,): {"ann": 1, "bob": 1}})
    heard = HeardSets.of([singles, by_hand({(1, 2): {"ann": 4, "bob": 2}})])
    assert heard.words.tolist() == [4, 2]
    assert heard.intact.tolist() == [1, 0]
    assert heard.layers == 2
    assert heard.added[1, 2].tolist() == [3, 2]
    assert heard.sum_of_parts((1, 2)).tolist() == [1, 1]
    assert heard.interaction((1, 2)).tolist() == [2, 1]
    assert heard.harm([(1,), (1, 2)]) == pytest.approx([1 / 6, 5 / 6])
    assert heard.expected([(1, 2)]) == pytest.approx([2 / 6])
    (effect,) = set_effects(heard, [(1, 2)])
    assert effect.interaction == rate([[2, 1]], [4, 2]).estimate()
    assert (effect.change.value, effect.parts.value) == pytest.approx((5 / 6, 2 / 6))


def test_only_results_of_one_model_and_one_test_are_compared() -> None:
    first = by_hand({(1,): {"ann": 2}})
    with pytest.raises(ValueError, match="in the same model"):
        HeardSets.of([first, by_hand({(1, 2): {}}, checkpoint="another")])
    other = by_hand({(1, 2): {}})
    other["spoken"]["ids"][0] = "eve"
    with pytest.raises(ValueError, match="on the same test utterances"):
        HeardSets.of([first, other])


def test_pairs_and_neighbours_are_all_there_are() -> None:
    assert pairs_of([3, 1, 2]) == [(1, 2), (1, 3), (2, 3)]
    assert neighbours(4, 3) == [(1, 2, 3), (2, 3, 4)]
    assert neighbours(2, 3) == []


def test_pairs_that_do_more_than_their_sum_are_told_from_those_that_add_up() -> None:
    single = (0.05,) * LAYERS
    harm = additive(single)
    model = searched(lambda chosen: harm(chosen) + 0.15 * ({2, 5} <= set(chosen)), LAYERS)
    pairs = pairs_of(range(1, LAYERS + 1))
    found = dict(zip(pairs, signs(set_effects(model.heard, pairs)), strict=True))
    assert found.pop((2, 5)) == 1
    assert set(found.values()) == {0}
    # A reset alone can do what both together do.
    same = searched(lambda chosen: 0.2, LAYERS)
    assert set(signs(set_effects(same.heard, pairs))) == {-1}


def test_intervals_of_more_sets_are_wider() -> None:
    model = searched(additive(SINGLES), LAYERS)
    (alone,) = set_effects(model.heard, [(2, 3)])
    among = set_effects(model.heard, [(2, 3), (3, 4), (4, 5)])[0]
    assert among.change.low < alone.change.low < alone.change.high < among.change.high
    assert among.beyond == alone.beyond


def brute_force(first: np.ndarray, second: np.ndarray, layers: int, given_layers: bool) -> list[float]:
    """Returns Spearman's ρ over pairs under every order of the layers of `second`, the given order first."""
    pairs = list(combinations(range(layers), 2))
    terms = np.array([[float(layer in pair) for layer in range(layers)] for pair in pairs])

    def ranks(values: np.ndarray) -> np.ndarray:
        ranked = stats.rankdata(values)
        return ranked - terms @ np.linalg.lstsq(terms, ranked, rcond=None)[0] if given_layers else ranked

    rhos = []
    for order in permutations(range(layers)):
        moved = [pairs.index(tuple(sorted((order[i], order[j])))) for i, j in pairs]  # type: ignore[arg-type]
        one_by_one = [np.corrcoef(ranks(x), ranks(y[moved]))[0, 1] for x, y in zip(first, second, strict=True)]
        rhos.append(float(np.mean(one_by_one)))
    return rhos


@pytest.mark.parametrize("given_layers", [False, True])
def test_pairs_are_compared_by_shuffles_of_their_layers(given_layers: bool) -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(size=(2, 10))
    second = first + rng.normal(size=(2, 10))
    rho, above, below = pair_association(first, second, 5, given_layers)
    rhos = np.array(brute_force(first, second, 5, given_layers))
    assert rho == pytest.approx(rhos[0])
    assert above == pytest.approx(np.mean(rhos >= rhos[0] - 1e-9))
    assert below == pytest.approx(np.mean(rhos <= rhos[0] + 1e-9))


def test_one_pair_alone_tells_nothing() -> None:
    for given_layers in (False, True):
        assert pair_association(np.ones((1, 1)), np.ones((1, 1)), 2, given_layers) == (0.0, 1.0, 1.0)


def test_distance_is_told_from_layers_that_go_ill_with_all_others() -> None:
    pairs = pairs_of(range(1, 9))
    apart = np.array([[j - i for i, j in pairs]], float)
    # The ends have far partners, and harm with every one: no pair has a share in it.
    ends = np.array([[(1 in pair) + (8 in pair) for pair in pairs]], float)
    rho, above, _ = pair_association(ends, apart, 8)
    assert rho > 0.4
    assert above < 0.05
    rho, above, _ = pair_association(ends, apart, 8, given_layers=True)
    assert above > 0.05
    near = np.exp(-apart)
    rho, _, below = pair_association(near, apart, 8, given_layers=True)
    assert rho < -0.8
    assert below < 0.01


def test_orders_are_made_on_dev_speech_and_hold_every_layer_once() -> None:
    greedy, *_ = results_of(additive(SINGLES), LAYERS)
    orders = orders_from(greedy, seed=3)
    assert list(orders) == [GREEDY, SINGLE, RANDOM]
    assert all(sorted(order) == list(range(1, LAYERS + 1)) for of in orders.values() for order in of)
    assert orders[GREEDY] == (tuple(step["layer"] for step in greedy["steps"]),)
    # By errors counted by hand, the lower layer first.
    errors = {reset["layer"]: sum(count for _, count, _ in reset["misheard"]) for reset in greedy["resets"]}
    assert list(orders[SINGLE][0]) == sorted(errors, key=lambda layer: (errors[layer], layer))
    assert len(set(orders[RANDOM])) == len(orders[RANDOM]) == 3
    assert orders_from(greedy, seed=3) == orders
    assert orders_from(greedy, seed=4)[RANDOM] != orders[RANDOM]
    assert nested((3, 1, 2), 2) == [(3,), (1, 3)]


def test_sets_are_judged_up_to_the_first_that_leaves_most_words_wrong() -> None:
    greedy, *_ = results_of(additive((0.0, 0.004, 0.3, 0.35, 0.2, 0.3)), LAYERS)
    before = sum(count for _, count, _ in greedy["intact"])
    after = [sum(count for _, count, _ in step["misheard"]) for step in greedy["steps"]]
    changes = [(errors - before) / (SPEAKERS * EACH * len(SAID.split())) for errors in after]
    assert dev_changes(greedy) == pytest.approx(changes)
    size = sizes_asked(greedy)
    assert 1 < size < LAYERS
    assert changes[size - 1] > BROKEN >= changes[size - 2]
    ambient = ambient_alone(greedy)
    assert ambient == (1, 2)
    orders = [order for of in orders_from(greedy, 0).values() for order in of]
    expected = {tuple(sorted(order[:k])) for order in orders for k in range(1, size + 1)} | {ambient}
    judged = sets_to_judge(greedy, 0)
    assert set(judged) == expected
    assert len(judged) == len(expected)


def test_the_largest_ambient_set_is_the_last_whose_interval_lies_below_the_margin() -> None:
    model = searched(additive(SINGLES, interaction=0.012), LAYERS)
    assert model.ambient == (2, 3, 4, 5)
    for order in (GREEDY, SINGLE):
        below = [change.high < 0.02 for change in nested_changes(model, order)]
        assert largest_ambient(model, order) == max(size for size, is_below in enumerate(below, 1) if is_below)
        assert 0 < largest_ambient(model, order) < len(model.ambient)
        assert largest_ambient(model, order, margin=-1.0) == 0
        assert largest_ambient(model, order, margin=9.0) == model.sizes
    by_hand = [model.heard.added[tuple(sorted(model.orders[SINGLE][0][:size]))] for size in range(1, model.sizes + 1)]
    assert model.nested_errors(SINGLE).tolist() == np.array(by_hand).tolist()
    drawn = [[model.heard.added[tuple(sorted(o[: k + 1]))] for k in range(model.sizes)] for o in model.orders[RANDOM]]
    assert model.nested_errors(RANDOM) == pytest.approx(np.mean(drawn, axis=0))


def verdicts(*models: SearchedModel) -> list[str]:
    found = judge(models)
    assert tuple(finding.claim for finding in found) == CLAIMS
    return [finding.verdict for finding in found]


def test_verdicts_are_those_of_what_the_made_up_models_do() -> None:
    none = (0.3, 0.0, 0.0, 0.0, 0.0, 0.3)
    harmless = [searched(additive(none), LAYERS, seed) for seed in (0, 1)]
    assert verdicts(*harmless)[0] == "reproduced"
    more = [searched(additive(none, interaction=0.03), LAYERS, seed) for seed in (0, 1)]
    assert verdicts(*more)[:2] == ["not reproduced", "reproduced"]
    # Said of every training, it fails with one; and no more data on another would save it.
    assert verdicts(harmless[0], more[1])[0] == "not reproduced"
    unsure = searched(additive((0.3, 0.005, 0.005, 0.005, 0.005, 0.3)), LAYERS)
    assert verdicts(unsure)[0] == "not resolved"
    assert verdicts(unsure, more[1])[0] == "not reproduced"
    assert judge([unsure, more[1]])[0].remedy == ""
    # Layers of which each alone is enough to do the harm, below the margin.
    less = searched(lambda chosen: 0.3 * bool({1, 6} & set(chosen)) + 0.006 * bool({2, 3, 4, 5} & set(chosen)), LAYERS)
    assert verdicts(less)[1] == "not reproduced"
    # 2 and 3 are the least harmful alone, and ruin each other; the search takes 4 and 5 first.
    hidden = additive((0.1, 0.0, 0.0, 0.04, 0.04, 0.1))
    search = searched(lambda chosen: hidden(chosen) + 0.4 * ({2, 3} <= set(chosen)), LAYERS)
    assert verdicts(search)[2] == "reproduced"
    assert verdicts(searched(additive((0.2,) * LAYERS), LAYERS))[:2] == ["not resolved", "not resolved"]
    finding = judge(more)[1]
    assert re.fullmatch(r"seed 0 \+\S+ \[\+\S+, \+\S+\] points; seed 1 .*", finding.evidence)


def test_the_maps_show_what_was_heard() -> None:
    model = searched(additive(SINGLES, interaction=0.02), LAYERS)
    pairs = pairs_of(range(1, LAYERS + 1))
    single = [(layer,) for layer in range(1, LAYERS + 1)]
    effects = {effect.layers: effect for effect in set_effects(model.heard, pairs)}
    harm = dict(zip([*single, *pairs], model.heard.harm([*single, *pairs]).tolist(), strict=True))
    told = dict(zip(pairs, signs(list(effects.values())), strict=True))
    figure = pair_maps(harm, {pair: e.beyond.value for pair, e in effects.items()}, told, LAYERS)
    changes, beyond = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[:2])
    total = model.heard.words.sum()
    for one, other in pairs:
        assert changes[one - 1, other - 1] == pytest.approx(100 * model.heard.added[one, other].sum() / total)
        assert beyond[one - 1, other - 1] == pytest.approx(100 * effects[one, other].beyond.value)
        assert np.ma.getmaskarray(figure.axes[0].images[0].get_array())[other - 1, one - 1] or np.isnan(
            changes[other - 1, one - 1]
        )
    assert np.diag(changes) == pytest.approx(100 * model.heard.harm(single))
    marks = {tuple(int(x) for x in text.get_position()[::-1]): text.get_text() for text in figure.axes[1].texts}
    assert marks == {pair: "+" if sign > 0 else "−" for pair, sign in told.items() if sign}
    assert marks
    rows = {(row["layer"], row["other"]): row for row in figure.rows}  # type: ignore[attr-defined]
    assert len(rows) == len(harm)
    assert rows[2, 5]["interaction_points"] == pytest.approx(100 * effects[2, 5].beyond.value)


def test_curves_rise_with_the_sets_and_columns_stand_at_their_places() -> None:
    models = [searched(additive(SINGLES), LAYERS, seed, exchange=0.05) for seed in (0, 1)]
    curves = {f"seed {m.seed}": {order: nested_changes(m, order) for order in m.orders} for m in models}
    figure = nested_sets(curves)
    drawn = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert [list(line.get_ydata()) for line in drawn] == [
        [100 * change.value for change in changes] for changes in curves["seed 1"].values()
    ]
    trainings = {f"seed {model.seed}": exchange_effects(model.heard) for model in models}
    for model, effects in zip(models, trainings.values(), strict=True):
        assert [effect.layer for effect in effects] == [1, 2, 3, 4, 5]
        for effect in effects:
            alone = model.heard.exchanged[effect.layer].sum() / model.heard.words.sum()
            both = model.heard.harm([(effect.layer, effect.layer + 1)])[0]
            assert (effect.change.value, effect.reset.value) == pytest.approx((alone, both))
            # Of one training: no wider than its speakers make it.
            assert 0.02 < effect.change.low < alone < effect.change.high < 0.2
    for axes, effects in zip(exchange_columns(trainings).axes, trainings.values(), strict=True):
        heights = [bar.get_height() for bar in axes.patches if bar.get_width() == pytest.approx(0.36)]
        values = [e.change.value for e in effects] + [e.reset.value for e in effects]
        assert heights == pytest.approx([100 * value for value in values])


def explored(model: SearchedModel) -> ExploredSets:
    sets = [*pairs_of(range(1, LAYERS + 1)), *neighbours(LAYERS, 3)]
    singles = [rate(model.heard.added[layer,][None], model.heard.words).estimate() for layer in range(1, LAYERS + 1)]
    return ExploredSets(model.seed, singles, set_effects(model.heard, sets))


def test_the_explorer_holds_every_set_and_says_whether_it_is_more_than_its_sum() -> None:
    model = explored(searched(additive(SINGLES, interaction=0.05), LAYERS))
    markup = set_explorer([model], caption="c").html
    (embedded,) = re.findall(r'<script type="application/json">(.*?)</script>', markup)
    (data,) = json.loads(embedded)["models"]
    assert len(data["singles"]) == LAYERS
    assert len(data["sets"]) == 15 + 4
    for effect in model.sets:
        told = data["sets"]["-".join(map(str, effect.layers))]
        low, high = effect.interaction.low, effect.interaction.high
        words = "more than the sum" if low > 0 else "less than the sum" if high < 0 else "not resolved"
        assert told["told"].endswith(words)
        assert told["change"][0] == pytest.approx(100 * effect.change.value, abs=0.05 + 1e-9)
        assert told["parts"][0] == pytest.approx(100 * effect.parts.value, abs=0.05 + 1e-9)
        assert told["class"] == effect.classification
    # Colours go with the harm, and not beyond the last.
    levels = {effect.change.value: data["sets"]["-".join(map(str, effect.layers))]["level"] for effect in model.sets}
    assert [levels[change] for change in sorted(levels)] == sorted(levels.values())
    worse = replace(model.sets[0], change=Estimate(9.0, 8.0, 10.0))
    beyond = set_explorer([replace(model, sets=[worse, *model.sets[1:]])], caption="c").html
    assert '"level":20' in beyond
