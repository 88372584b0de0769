"""Word errors by speaker, read from the records of one or several trainings' reset sweeps."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from made_up import EACH, SPEAKERS, WORDS, misheard, spoken, sweep

from paper_lib.evaluation import word_errors
from paper_lib.layers.ranking import intact_wer, layer_effects
from paper_lib.layers.sweeps import Sweeps, Unit, harm_of
from paper_lib.layers.variants import KINDS, MODULES, Kind

HARMS = [0.0, 0.1, 0.4]


def reset(layer: int, kind: Kind, errors: Any, draw: int = 0, module: str | None = None) -> dict[str, Any]:
    return {"layer": layer, "kind": kind, "draw": draw, "module": module, "misheard": misheard(errors)}


def test_made_up_records_hold_the_errors_of_what_they_say_was_heard() -> None:
    result = sweep([0.0, 0.9])
    for wrong in (result["intact"], *(one["misheard"] for one in result["resets"])):
        for place, errors, heard in wrong[:60]:
            assert word_errors(result["spoken"]["references"][place], heard) == errors > 0


def test_errors_are_counted_by_speaker() -> None:
    result = sweep(HARMS)
    read = Sweeps.of([json.loads(json.dumps(result))])
    names = sorted({f"s{speaker}" for speaker in range(SPEAKERS)})
    for column, name in enumerate(names):
        places = {place for place, speaker in enumerate(result["spoken"]["speakers"]) if speaker == name}
        assert read.words[column] == EACH * WORDS == WORDS * len(places)
        intact = sum(errors for place, errors, _ in result["intact"] if place in places)
        assert read.intact[0, column] == intact
        for one in result["resets"]:
            errors = sum(errors for place, errors, _ in one["misheard"] if place in places)
            assert read.resets[one["kind"]][0, one["layer"] - 1, column] == errors
            assert read.added(one["kind"])[0, one["layer"] - 1, column] == errors - intact
    assert read.units == (Unit(1), Unit(2), Unit(3))
    assert list(read.resets) == list(KINDS)


def test_harm_is_the_wer_change_by_a_reset() -> None:
    result = sweep([0.1, 0.4], [0.2, 0.5])
    words = SPEAKERS * EACH * WORDS
    intact = sum(errors for _, errors, _ in result["intact"])
    changes = [(sum(errors for _, errors, _ in one["misheard"]) - intact) / words for one in result["resets"]]
    assert harm_of(result) == pytest.approx(changes[:2])
    read = Sweeps.of([result])
    assert read.harm().ravel() == pytest.approx(changes[:2])
    assert read.harm("re-randomisation").ravel() == pytest.approx(changes[2:])
    assert changes == pytest.approx([0.1, 0.4, 0.2, 0.5], abs=0.03)


def test_several_trainings_stand_side_by_side() -> None:
    results = [sweep(HARMS, seed=1), sweep(HARMS[::-1], seed=2)]
    both, alone = Sweeps.of(results), [Sweeps.of([result]) for result in results]
    assert both.trainings == 2
    assert both.varied == "2 trainings and 40 speakers"
    assert alone[0].varied == "40 speakers"
    for training, one in enumerate(alone):
        assert one.trainings == 1
        np.testing.assert_array_equal(both.intact[training], one.intact[0])
        np.testing.assert_array_equal(both.harm()[training], one.harm()[0])
        for kind in KINDS:
            np.testing.assert_array_equal(both.resets[kind][training], one.resets[kind][0])
            np.testing.assert_array_equal(both.draws[kind][training], one.draws[kind][0])


def test_draws_are_averaged_and_their_wers_kept() -> None:
    rng = np.random.default_rng(0)
    draws = rng.integers(0, 6, (2, 3, 400))  # [layers, draws, utterances]
    result = {
        "spoken": spoken(),
        "intact": [],
        "resets": [
            *(reset(layer, KINDS[0], np.zeros(400, int)) for layer in (1, 2)),
            *(reset(layer + 1, KINDS[1], draws[layer, draw], draw) for layer in (0, 1) for draw in range(3)),
        ],
    }
    read = Sweeps.of([result])
    assert read.draws[KINDS[1]] == pytest.approx(draws.sum(-1)[None] / 2000)
    assert read.draws[KINDS[0]].tolist() == [[[0], [0]]]
    # The last axis: a speaker's utterances are 40 places apart.
    by_speaker = draws.mean(1).reshape(2, EACH, SPEAKERS).sum(1)
    order = np.argsort([f"s{speaker}" for speaker in range(SPEAKERS)])
    np.testing.assert_allclose(read.resets[KINDS[1]][0], by_speaker[:, order])


def test_neither_the_order_of_resets_nor_of_utterances_nor_the_names_of_speakers_play_a_part() -> None:
    results = [sweep(HARMS, seed=seed) for seed in range(2)]
    expected = Sweeps.of(results)
    rng = np.random.default_rng(0)
    order = rng.permutation(SPEAKERS * EACH)  # the utterance that now comes first, ...
    place = np.argsort(order)
    names = dict(zip({f"s{n}" for n in range(SPEAKERS)}, map(str, rng.permutation(SPEAKERS)), strict=True))

    def moved(wrong: list[Any]) -> list[Any]:
        return sorted((int(place[old]), errors, heard) for old, errors, heard in wrong)

    for result in results:
        result["spoken"] = {field: [values[n] for n in order] for field, values in result["spoken"].items()}
        result["spoken"]["speakers"] = [names[name] for name in result["spoken"]["speakers"]]
        result["intact"] = moved(result["intact"])
        result["resets"] = [{**one, "misheard": moved(one["misheard"])} for one in result["resets"]][::-1]
    found = Sweeps.of(results)
    np.testing.assert_allclose(found.harm(), expected.harm())
    assert not np.array_equal(found.intact, expected.intact)  # speakers are in another order now
    ends = [(e.layer, e.kind, e.classification) for e in layer_effects(found)]
    assert ends == [(e.layer, e.kind, e.classification) for e in layer_effects(expected)]
    for one, other in zip(layer_effects(found), layer_effects(expected), strict=True):
        assert (one.change.low, one.change.high) == pytest.approx((other.change.low, other.change.high))
    assert intact_wer(found).high == pytest.approx(intact_wer(expected).high)


def test_modules_are_units_of_their_own_by_layer() -> None:
    rng = np.random.default_rng(0)
    errors = rng.integers(0, 6, (2, 4, 400))
    result = {
        "spoken": spoken(),
        "intact": [],
        "resets": [
            reset(layer, KINDS[0], errors[layer - 1, m], module=module)
            for layer in (2, 1)
            for m, module in enumerate(MODULES)
        ],
    }
    read = Sweeps.of([result])
    assert read.units == tuple(Unit(layer, module) for layer in (1, 2) for module in MODULES)
    assert read.harm().ravel() == pytest.approx(errors.sum(-1).ravel() / 2000)
    assert list(read.resets) == [KINDS[0]]  # a kind that was not made is missing


def with_(result: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {**copy.deepcopy(result), **changed}


@pytest.mark.parametrize("field", ["ids", "speakers", "domains", "references"])
def test_trainings_on_different_utterances_are_refused(field: str) -> None:
    result = sweep(HARMS)
    other = copy.deepcopy(result)
    other["spoken"][field][7] = "another"
    with pytest.raises(ValueError, match="on the same test utterances; these were tested on different ones"):
        Sweeps.of([result, other])
    Sweeps.of([other, other])


def test_trainings_with_different_resets_are_refused() -> None:
    result = sweep(HARMS)
    first_kind = [one for one in result["resets"] if one["kind"] == KINDS[0]]
    for resets in (
        result["resets"][1:],  # a layer less of one kind
        first_kind,  # one kind alone
        [{**one, "module": "attention"} for one in result["resets"]],
        [{**one, "layer": one["layer"] + 1} for one in result["resets"]],
    ):
        for results in ([result, with_(result, resets=resets)], [with_(result, resets=resets), result]):
            with pytest.raises(ValueError, match="under the same resets; these were reset in different ways"):
                Sweeps.of(results)


def test_trainings_with_a_different_number_of_draws_are_refused() -> None:
    result = sweep(HARMS)
    more = with_(result, resets=[*result["resets"], {**result["resets"][-1], "draw": 1}])
    with pytest.raises(ValueError, match=r"inhomogeneous|different ways"):
        Sweeps.of([result, more])
