"""What ranks are good for: choices by name, the study that measures them, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up import SPEAKERS
from tiny_profile import tiny_profile
from tiny_runs import CPU

from paper_lib.claims.use_sentences import against, cheapest, harmless
from paper_lib.claims.uses import BEYOND, CLAIMS, judge, judge_beyond
from paper_lib.conformer.decoding import transcribe
from paper_lib.corpus import open_corpus
from paper_lib.corpus.batches import evaluation_batches
from paper_lib.evaluation import Spoken, word_errors
from paper_lib.federated.accounting import transfer
from paper_lib.federated.choices import BITS, TRAINED, bits_plan, quarter, trained_layers
from paper_lib.federated.comparison import Adapted
from paper_lib.federated.plans import PlanError
from paper_lib.federated.quantisation import quantised_layer
from paper_lib.figures.uses import Cost, alone_by_harm, costs_and_wers, wer_by_bytes, wers_of_bits
from paper_lib.inference import Estimate
from paper_lib.profiles import Profile, profile_of
from paper_lib.settings import DropoutPlan, TrainingRun
from paper_lib.studies import measurements as studies_measurements
from paper_lib.studies import uses
from paper_lib.studies.computing import trained_model
from paper_lib.studies.inventory import Inventory
from paper_lib.studies.measurements import (
    AdaptationStudy,
    NotMeasuredError,
    ProbeStudy,
    QuantisedStudy,
    ResetStudy,
    record_of,
    store_of,
)
from paper_lib.studies.queue import compute
from paper_lib.studies.uses import DROPPED

RANKING = [3, 1, 6, 2, 5, 4, 8, 7]


def test_half_of_the_layers_has_fewer_bits_and_the_bytes_are_those_of_four_in_all() -> None:
    ambient, critical = (bits_plan(f"{kind}-low", RANKING) for kind in ("amb", "crit"))
    assert ambient.bits == {3: 2, 1: 2, 6: 2, 2: 2, 5: 6, 4: 6, 8: 6, 7: 6}
    assert critical.bits == {layer: 8 - bits for layer, bits in ambient.bits.items()}
    drawn = [bits_plan("lot-low", RANKING, seed=1, draw=draw) for draw in range(5)]
    assert len({plan.by_bits().name for plan in drawn}) > 3
    assert bits_plan("lot-low", RANKING[::-1], seed=1, draw=2) == drawn[2]  # whatever the ranking
    odd = bits_plan("amb-low", [2, 1, 3])
    assert [odd.of_layer(layer) for layer in (2, 1, 3)] == [2, 4, 6]
    model = profile_of("laptop").adaptation.model
    layers = range(1, model.encoder.layers + 1)
    sent = {name: transfer(DropoutPlan(name="none"), model, bits_plan(name, layers)) for name in BITS}
    assert sent["amb-low"] == sent["crit-low"] == sent["lot-low"] == sent["uniform-4"]
    assert sent["uniform-2"] < sent["uniform-3"] < sent["uniform-4"] < sent["uniform-8"]


def test_a_quarter_of_the_layers_is_trained_alone() -> None:
    chosen = {name: trained_layers(name, RANKING, seed=2) for name in TRAINED}
    assert chosen["critical"] == (7, 8)
    assert chosen["ambient"] == (1, 3)
    assert chosen["first"] == (1, 2)
    assert chosen["last"] == (7, 8)
    assert len(set(chosen["random"])) == quarter(8) == 2
    assert len({trained_layers("random", RANKING, seed, draw) for seed in (0, 1) for draw in (0, 1)}) > 1
    assert trained_layers("last", [2, 1]) == (2,)


@pytest.mark.parametrize("name", ["uniform-0", "uniform", "amb-lower", "random"])
def test_bits_that_nobody_has_are_refused(name: str) -> None:
    with pytest.raises(PlanError, match="there are no bits"):
        bits_plan(name, RANKING)


@pytest.fixture
def profile(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """A published profile with one round of adaptation, whose records are missing."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PAPER_LIB_CACHE", str(cache))
    monkeypatch.setattr(studies_measurements, "published_records", lambda name: Path(cache) / "published" / name)
    tiny = tiny_profile()
    federated = tiny.adaptation.federated.model_copy(update={"rounds": 1})
    adaptation = tiny.adaptation.model_copy(update={"federated": federated})
    return tiny.model_copy(update={"name": "laptop", "adaptation": adaptation})


def test_what_is_there_is_shown_and_what_hangs_on_rankings_is_named_when_they_are(profile: Profile) -> None:
    plan, store = uses(profile), store_of(profile)
    with pytest.raises(NotMeasuredError, match="records --profile laptop --make"):
        plan.records()
    first = plan.measurements
    assert [type(one) for one in first] == [*(2 * [TrainingRun, ResetStudy]), ProbeStudy]
    assert all(one.reset.split == "dev" for one in first if isinstance(one, ResetStudy))
    assert {type(one) for one in plan.unnamed} == {QuantisedStudy, AdaptationStudy}
    compute(lambda: first, store, 1)
    quantised = [one for one in plan.measurements if isinstance(one, QuantisedStudy)]
    compute(lambda: quantised, store, 1)
    records = plan.records()
    assert records.groups == {}
    assert records.quantised is not None
    check_layers_in_few_bits(profile, records.quantised.quantised[0].result)
    adaptations = [one for one in plan.measurements if isinstance(one, AdaptationStudy)]
    with_bits = [one for one in adaptations if one.bits]
    compute(lambda: with_bits, store, 1)
    assert plan.records().groups == {}  # FedAvg itself is missing
    without = [one for one in adaptations if not one.bits and not one.trained]
    compute(lambda: without, store, 1)
    assert "bits" in plan.records().groups
    assert "trained" not in plan.records().groups
    assert plan.unnamed == []
    plan.measure(1)
    names = [one.name for one in Inventory(profile).wanted() if one.chapter == "uses"]
    assert len(set(names)) == len(names)
    assert {
        "resets of layers, on dev speech, S GroupNorm, 2 groups, seed 0",
        "layers in few bits, S GroupNorm, 2 groups, seed 0",
        "adaptation, streaming, seed 0, plan rest:0, bits rest:4",
        "adaptation, streaming, seed 0, plan rest:0, layers 4 alone",
    } <= set(names)
    records = plan.records()
    assert list(records.groups) == ["bits", "trained", "dropout"]
    for group in records.groups.values():
        assert len(group.before) == len(group.none.adaptations) == 1
        for use in group.uses:
            assert len(use.choices) == len(use.adaptations) == use.draws
            assert use.adapted((records.held_out,)).errors.shape[0] == 1
    planned = {use.name: use.choices[0].plan for use in records.groups["dropout"].uses}
    answered = records.groups["dropout"].none.adaptations[0].result["reports"][0]
    probed = record_of(ProbeStudy(run=profile.adaptation.run(0)), store).result
    for name, readings in {
        "updates-3": answered["update_norms"],
        "agreement-3": -np.array(answered["disagreements"]),
        "influence-3": probed["influence"],
        "gradient-3": probed["gradient"],
        "fisher-3": probed["fisher"],
    }.items():
        assert sorted(planned[name].rates) == sorted((np.argsort(readings)[:3] + 1).tolist())
    (ambient,) = [use for use in records.groups["bits"].uses if use.name == "amb-low"]
    report, plain = (one.adaptations[0].result["reports"][0] for one in (ambient, records.groups["bits"].none))
    assert report["bytes_up"] == report["bytes_down"] < plain["bytes_up"] / 2
    assert len(plan.summary()) == 1 + 3 + len(BITS) + len(TRAINED) + len(DROPPED)


def check_layers_in_few_bits(profile: Profile, result: dict[str, object]) -> None:
    """Compares what a record says of a plan with the model whose layers are replaced one after another."""
    fitted = trained_model(profile.run("S", 0))
    layers = fitted.model.encoder.layers
    for index, layer in enumerate(list(layers)):
        layers[index] = quantised_layer(layer, 2)
    batches = evaluation_batches(open_corpus(profile.corpus), "test", profile.reset.batch_frames)
    heard = transcribe(fitted.model, batches, fitted.tokenizer, CPU)
    spoken = Spoken.read(result)
    assert spoken.hypotheses(result["plans"]["rest:2"]) == [hypothesis for _, hypothesis in heard]  # type: ignore[index]
    assert sum(spoken.errors(result["intact"])) <= sum(word_errors(text, "") for text in spoken.references)  # type: ignore[arg-type]


def test_a_profile_that_measures_nothing_of_it_says_so() -> None:
    plan = uses(profile_of("quick"))
    assert plan.measurements == plan.unnamed == []
    with pytest.raises(NotMeasuredError, match="beyond_seeds is none"):
        plan.records()


def adapted(wer: float, seeds: int = 5, seed: int = 0) -> Adapted:
    rng = np.random.default_rng([seed, round(1000 * wer)])
    return Adapted(np.full(SPEAKERS, 100.0), rng.binomial(100, wer, (seeds, SPEAKERS)).astype(float))


def test_verdicts_on_the_slides_uses_follow_the_numbers() -> None:
    low, high = adapted(0.1), adapted(0.3)
    bits = {"uniform-4": high, "crit-low": high, "amb-low": low}
    after = {"crit-low": high, "lot-low": low, "uniform-4": low, "amb-low": low}
    trained = {"critical": high, "ambient": low, "random": low}
    found = judge(after, bits, trained)
    assert [finding.claim for finding in found] == list(CLAIMS)
    assert [finding.verdict for finding in found] == ["not reproduced", "partly reproduced", "reproduced"]
    assert judge({}, {}, {}) == judge_beyond({}) == []
    (one,) = judge({}, {name: adapted(errors.mean.value, seeds=1) for name, errors in bits.items()}, {})
    assert (one.claim.id, one.verdict) == ("bits-by-importance", "not resolved")
    assert "at least 2 trainings" in one.remedy


def test_a_plan_is_as_good_where_its_wer_is_less_than_a_tenth_above() -> None:
    found = judge_beyond({"amb-3": adapted(0.3), "updates-3": adapted(0.301), "signature-3": adapted(0.4)})
    assert [finding.claim for finding in found] == list(BEYOND)
    assert [finding.verdict for finding in found] == ["reproduced", "not reproduced"]


def test_the_cheapest_choice_is_one_that_harms_little() -> None:
    none = adapted(0.3)
    choices = {"uniform-8": (adapted(0.3, seed=1), none), "uniform-2": (adapted(0.6), none), "amb-3": (none, none)}
    assert harmless(choices) == ["uniform-8", "amb-3"]
    sent = {"uniform-8": 2_000_000, "uniform-2": 500_000, "amb-3": 7_000_000}
    told = cheapest(choices, sent, 8_000_000)
    assert told.startswith("Of the 3 choices measured, 2 stay with confidence less than 10 % above")
    assert "FedAvg; of them least is sent: uniform-8, with 2.0 MB a client and round, down and up, in the place" in told
    assert cheapest({"uniform-2": choices["uniform-2"]}, sent, 8_000_000).count("none stay with") == 1
    assert against("a less b", adapted(0.5), none).endswith("so the first is the worse.")
    assert against("a less b", none, none).endswith("which does not tell them apart.")


def test_figures_note_what_they_draw() -> None:
    wer = Estimate(0.3, 0.28, 0.33)
    choices = {
        "FedAvg": Cost("none", wer, 40, 40, 90),
        "uniform-4": Cost("bits", Estimate(0.4, 0.3, 0.5), 10, 10, 90),
        "only last": Cost("trained", wer, 40, 10, 50),
    }
    rows = costs_and_wers(choices).rows  # type: ignore[attr-defined]
    assert [(row["choice"], row["down_bytes"], row["up_bytes"], row["memory_bytes"]) for row in rows] == [
        ("FedAvg", 40, 40, 90),
        ("uniform-4", 10, 10, 90),
        ("only last", 40, 10, 50),
    ]
    assert rows[1]["wer_percent_high"] == 50
    assert [row["both_ways_mb"] for row in wer_by_bytes(choices).rows] == [8e-5, 2e-5, 5e-5]  # type: ignore[attr-defined]
    bits = wers_of_bits({"float32": wer, "lot-low": wer}, {"lot-low": [0.2, 0.4]})
    assert [row["plan"] for row in bits.rows] == ["float32", "lot-low"]  # type: ignore[attr-defined]
    layers = alone_by_harm(np.array([0.1, 0.0]), np.array([0.2, 0.01]))
    assert [row["layer"] for row in layers.rows] == [1, 2]  # type: ignore[attr-defined]
