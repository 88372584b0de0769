"""Cheap readings of layers: against models that are built one by one, brute force, finite differences, closed forms."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from pathlib import Path as Directory
from typing import Any

import numpy as np
import pytest
import torch
from made_up import misheard, spoken, training
from scipy import stats
from tiny_runs import CPU, Words, babbling
from torch import Tensor

from paper_lib.claims.cheaper_ranks import CLAIMS, best_cheap, judge
from paper_lib.conformer.decoding import greedy_decode
from paper_lib.conformer.loss import transducer_loss
from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import Item, collate, evaluation_batches
from paper_lib.federated.client_ranks import client_quantities, early_clients
from paper_lib.figures.cheaper_ranks import harm_by_rank, rank_against_cost, ways
from paper_lib.figures.claims import beyond_table
from paper_lib.figures.style import DataFigure
from paper_lib.inference import Floats
from paper_lib.layers.cheap_ranks import (
    RESET,
    Quantity,
    early_signature,
    found_by,
    matrices_relative,
    quantities,
    ranked,
    variants_cost,
)
from paper_lib.layers.criticality import Path
from paper_lib.layers.matrices import MATRICES
from paper_lib.layers.path import between, layer_distances, path_sweep
from paper_lib.layers.probes import Probes, initial_norms, probe
from paper_lib.layers.reset import reinitialized
from paper_lib.layers.side_by_side import encode_variants
from paper_lib.profiles import Profile, profile_of
from paper_lib.settings import TrainingRun
from paper_lib.studies import federated_dropout, model_size
from paper_lib.studies import measurements as studies_measurements
from paper_lib.studies.cheaper_ranks import cheaper_ranks
from paper_lib.studies.measurements import KINDS, NotMeasuredError, PathStudy, ProbeStudy, corpus_of, store_of
from paper_lib.summaries.captions import highest_at_depth
from paper_lib.summaries.cheaper_ranks import summarise

SHARES = (0.0, 0.25, 0.8)
LAYERS = 8


@pytest.fixture(scope="module", params=["group", "batch"])
def model_and_initial(request: pytest.FixtureRequest, tiny_corpus: Corpus) -> tuple[Transducer, dict[str, Tensor]]:
    return babbling(request.param, tiny_corpus)


@pytest.fixture(scope="module")
def items(tiny_corpus: Corpus) -> list[Item]:
    return list(chain.from_iterable(evaluation_batches(tiny_corpus, "dev", 1)))


@torch.inference_mode()
def heard_by(model: Transducer, items: Sequence[Item]) -> list[str]:
    heard = []
    for item in items:
        batch = collate([item], Words())
        (labels,) = greedy_decode(model, *model.encode(batch.features, batch.frames))
        heard.append(Words().decode(labels))
    return heard


def test_layers_on_their_way_are_heard_as_by_models_with_the_mixed_weights(
    model_and_initial: tuple[Transducer, dict[str, Tensor]], tiny_corpus: Corpus
) -> None:
    model, initial = model_and_initial
    batches = evaluation_batches(tiny_corpus, "dev", 500)
    result = path_sweep(model, initial, SHARES, batches, Words(), CPU)
    order = list(chain.from_iterable(batches))
    trained = model.state_dict()
    assert result.intact == heard_by(model, order)
    assert set(result.points) == {(layer, share) for layer in (1, 2) for share in SHARES}
    for (layer, share), heard in result.points.items():
        mixed = {
            name: (1 - share) * initial[name] + share * tensor if f"layers.{layer - 1}." in name else tensor
            for name, tensor in trained.items()
        }
        other = copy.deepcopy(model)
        other.load_state_dict(mixed)
        assert heard == heard_by(other, order), (layer, share)
    for layer, heard in result.skips.items():
        other = copy.deepcopy(model)
        del other.encoder.layers[layer - 1]
        assert heard == heard_by(other, order), layer
    different = {tuple(heard) for heard in (result.intact, *result.points.values(), *result.skips.values())}
    assert len(different) > 5  # the variants do hear different things
    record = result.record()
    assert len(record["points"]) == 6
    assert record["distances"] == pytest.approx(
        [
            np.sqrt(
                sum(
                    float(((tensor - initial[name]).double() ** 2).sum())
                    for name, tensor in trained.items()
                    if f"layers.{layer}." in name and "running" not in name
                )
            )
            for layer in (0, 1)
        ],
        rel=1e-5,
    )


def test_the_way_leads_from_the_reset_layer_to_the_trained_one(
    model_and_initial: tuple[Transducer, dict[str, Tensor]],
) -> None:
    model, initial = model_and_initial
    start, end = (between(model, initial, 2, share).state_dict() for share in (0.0, 1.0))
    for name, tensor in reinitialized(model.settings.encoder, initial, 2).state_dict().items():
        assert torch.equal(start[name], tensor)
        assert torch.equal(end[name], model.encoder.layers[1].state_dict()[name])
    assert min(layer_distances(model, initial)) > 0


def test_criticality_and_the_mean_of_the_way_by_hand() -> None:
    words = np.zeros(len(spoken()["ids"]), int)

    def lost(count: int) -> Any:
        errors = words.copy()
        errors[:count] = 1
        return misheard(errors)

    total = 5 * len(words)
    # Word errors at the shares 0.5 and 0, of 2,000 words; a margin of 2 points is 40 of them beyond the intact 10.
    errors = {1: (10, 30), 2: (60, 110), 3: (20, 300)}
    result = {
        "spoken": spoken(),
        "intact": lost(10),
        "points": [
            {"layer": layer, "share": share, "misheard": lost(count)}
            for layer, counts in errors.items()
            for share, count in zip((0.5, 0.0), counts, strict=True)
        ],
        "skips": [{"layer": layer, "misheard": lost(10 * layer)} for layer in errors],
        "distances": [3.0, 4.0, 5.0],
    }
    path = Path.read(result)
    assert total == 2000
    assert path.shares == (0.0, 0.5)
    assert path.rises == pytest.approx(np.array([[20, 0], [100, 50], [290, 10]]) / total)
    assert path.mean_rise == pytest.approx(np.array([10, 75, 150]) / total)
    assert path.skipped == pytest.approx(np.array([0, 10, 20]) / total)
    assert path.least_shares().tolist() == [0, 1, 0.5]
    assert path.criticality() == pytest.approx([0, 16, 2.5**2])
    assert path.criticality(margin=0.03) == pytest.approx([0, 4, 2.5**2])


@pytest.fixture
def probed(
    model_and_initial: tuple[Transducer, dict[str, Tensor]], items: list[Item]
) -> Iterator[tuple[Probes, Transducer]]:
    """What a model was probed for in float32, and the model in float64, which torch computes in meanwhile."""
    probes = probe(model_and_initial[0], items, Words(), CPU)
    torch.set_default_dtype(torch.float64)
    yield probes, copy.deepcopy(model_and_initial[0]).double().eval()
    torch.set_default_dtype(torch.float32)


def losses_of(model: Transducer, items: Sequence[Item]) -> Tensor:
    """Returns the loss of every utterance, [utterances], all of them in one padded batch."""
    batch = collate(items, Words())
    encoded, frames = model.encode(batch.features.to(model.feature_mean), batch.frames)
    return transducer_loss(model.logits(encoded, batch.targets), batch.targets, frames, batch.lengths, BLANK)


def gradient_of(model: Transducer, loss: Tensor, layer: int) -> Tensor:
    """Returns the gradient of `loss` in the parameters of a layer, from 0, as one vector."""
    gradients = torch.autograd.grad(loss, list(model.encoder.layers[layer].parameters()), retain_graph=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def test_probes_are_those_of_brute_force(probed: tuple[Probes, Transducer], items: list[Item]) -> None:
    probes, exact = probed
    losses = losses_of(exact, items)
    streams: list[tuple[Tensor, Tensor]] = []
    hooks = [
        layer.register_forward_hook(lambda _, inputs, output: streams.append((inputs[0], output)))
        for layer in exact.encoder.layers
    ]
    with torch.no_grad():
        losses_of(exact, items)
    for hook in hooks:
        hook.remove()
    frames = [-(-shard.utterances[index].frames // 4) for shard, index in items]
    for layer, (before, after) in enumerate(streams):
        cosines = [
            float(x @ y / np.sqrt((x @ x) * (y @ y)))
            for row, count in enumerate(frames)
            for x, y in zip(before[row, :count].numpy(), after[row, :count].numpy(), strict=True)
        ]
        assert probes.influence[layer] == pytest.approx(1 - np.mean(cosines), rel=1e-4)
        mean = gradient_of(exact, losses.mean(), layer)
        assert probes.gradient[layer] == pytest.approx(float(mean.norm()), rel=1e-3)
        own = torch.stack([gradient_of(exact, loss, layer) for loss in losses])
        assert probes.fisher[layer] == pytest.approx(float((own**2).sum(1).mean()), rel=1e-3)
    assert probes.fisher[0] > probes.gradient[0] ** 2  # utterances do not agree


def test_the_gradient_norm_is_how_fast_the_loss_rises_where_it_rises_fastest(
    probed: tuple[Probes, Transducer], items: list[Item]
) -> None:
    probes, exact = probed
    for layer in range(2):
        parameters = list(exact.encoder.layers[layer].parameters())
        direction = torch.autograd.grad(losses_of(exact, items).mean(), parameters)
        length = torch.sqrt(sum((part.square().sum() for part in direction), torch.zeros(())))
        ends = []
        with torch.no_grad():
            for side in (1, -2):  # a step up the gradient, then as far down from the middle
                for parameter, part in zip(parameters, direction, strict=True):
                    parameter.add_(part / length, alpha=side * 1e-6)
                ends.append(float(losses_of(exact, items).mean()))
            for parameter, part in zip(parameters, direction, strict=True):
                parameter.add_(part / length, alpha=1e-6)
        assert probes.gradient[layer] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-3)


def test_initial_norms_are_numpys(model_and_initial: tuple[Transducer, dict[str, Tensor]]) -> None:
    initial = model_and_initial[1]
    norms = initial_norms(initial, 2)
    assert tuple(norms) == MATRICES
    for matrix, of_layers in norms.items():
        weights = [initial[f"encoder.layers.{layer}.{matrix}.weight"].numpy() for layer in range(2)]
        assert of_layers == pytest.approx([np.sqrt((weight**2).sum()) for weight in weights])


def test_variants_cost_the_layers_that_they_run(
    model_and_initial: tuple[Transducer, dict[str, Tensor]], items: list[Item]
) -> None:
    model, initial = model_and_initial
    rows: list[int] = []
    resets = {layer: between(model, initial, layer, 0.5) for layer in (1, 2)}
    for module in (*model.encoder.layers, *resets.values()):
        module.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    batch = collate(items[:1], Words())
    with torch.inference_mode():
        encode_variants(model, [{}, *({layer: reset} for layer, reset in resets.items())], batch.features, batch.frames)
    assert sum(rows) / len(model.encoder.layers) == variants_cost(2)
    for layer in model.encoder.layers:
        layer._forward_pre_hooks.clear()
    assert variants_cost(16) == pytest.approx(1 + 17 / 2)
    assert variants_cost(16, 10) == pytest.approx(1 + 85)


def test_half_of_the_layers_is_found_as_often_as_by_drawing_lots_between_ties() -> None:
    harm = np.array([[0.0, 0.1, 0.2, 0.3]])
    assert found_by(harm, harm) == 1
    assert found_by(-harm, harm) == 0
    assert found_by(np.array([[0.0, 9.0, 1.0, 8.0]]), harm) == 0.5
    values = np.array([[0.0, 0.0, 0.0, 5.0]])
    lots = [len({0, 1} & set(drawn)) / 2 for drawn in combinations(range(3), 2)]
    assert found_by(values, harm) == pytest.approx(np.mean(lots))


def made_up(trainings: int = 2) -> tuple[list[Quantity], Floats, list[Any], list[Any]]:
    """Returns readings of which the skip alone, and the probe of influence, go with the harm, and what they are of."""
    rng = np.random.default_rng(0)
    harm = np.array([0.3, 0.02, 0.2, 0.01, 0.15, 0.04, 0.25, 0.1])[None] * rng.uniform(0.9, 1.1, (trainings, LAYERS))
    runs = [training({"attention": rng.random(LAYERS)}, LAYERS) for _ in range(trainings)]
    paths = [Path((0.0, 0.5), 0.04 * rng.random((LAYERS, 2)), of, 1 + rng.random(LAYERS), 400) for of in harm]
    probes = [
        {
            "utterances": 100,
            "influence": of.tolist(),
            "gradient": (1 - of).tolist(),
            "fisher": rng.random(LAYERS).tolist(),
            "initial_norms": {matrix: [0.5] * LAYERS for matrix in MATRICES},
        }
        for of in harm
    ]
    return quantities(runs, paths, probes), harm, runs, probes


def test_every_reading_is_ranked_at_its_cost() -> None:
    readings, harm, runs, probes = made_up()
    rows = {row.quantity.name: row for row in ranked(readings, harm)}
    costs = {name: row.quantity.cost for name, row in rows.items()}
    assert costs["signature"] == costs["relative distance"] == costs["depth"] == 0
    assert (costs["block influence"], costs["gradient norm"], costs["Fisher information"]) == (0.25, 0.75, 0.75)
    assert (costs[RESET], costs["skip"], costs["criticality"]) == (5.5, 5.5, 10)
    for name, rho in (("block influence", 1), ("skip", 1), ("gradient norm", -1)):
        assert rows[name].rho == pytest.approx(rho)
        assert rows[name].given_depth == pytest.approx(rho)
        assert rows[name].found == (rho + 1) / 2
    for name, row in rows.items():
        expected = [stats.spearmanr(of, to).statistic for of, to in zip(row.quantity.values, harm, strict=True)]
        assert row.rho == pytest.approx(np.mean(expected)), name
        assert np.mean(row.by_training) == pytest.approx(row.given_depth), name
    relative = {quantity.name: quantity.values for quantity in matrices_relative(runs, probes)}
    assert relative["attention.q"][0, 2] == runs[0]["distances"]["layers.2.attention.q.weight"][-1] / 0.5


def test_the_best_of_the_cheap_is_named_and_costly_ones_are_told_apart() -> None:
    readings, harm, *_ = made_up()
    rows = ranked(readings, harm)
    assert best_cheap(rows).quantity.name == "block influence"
    text = " ".join(summarise(rows, 2).sentences)
    assert "Of 5 cheap readings of a layer, block influence goes best with" in text
    assert "ρ = 1.00 at fixed depth (p" in text
    assert "It costs 0.25 evaluations" in text
    assert "which may be chance" not in text
    assert (
        "the reset left out, skip does best: ρ = 1.00 at fixed depth for 5.5" in summarise(rows, 2).questions[1].answer
    )
    weak = [row for row in rows if row.quantity.name != "block influence"]
    assert "which may be chance" in " ".join(summarise(weak, 1).sentences)
    assert "This rests on 1 training." in " ".join(summarise(weak, 1).sentences)
    assert "; skip has the highest of all, ρ = 1.00 (p" in " ".join(summarise(weak, 1).sentences)
    assert "highest" not in text
    assert highest_at_depth(weak).startswith(
        "At fixed depth ρ is highest for “skip”, 1.00; of the cheap readings for “"
    )


def test_how_early_a_reading_is_there() -> None:
    _, harm, runs, _ = made_up()
    found = early_signature(runs, harm)
    assert found.times == [10, 20]
    assert found.rho[0] == 0  # all layers alike at the first recorded step
    moved = np.array(
        [[run["distances"][f"layers.{layer}.attention.q.weight"][-1] for layer in range(8)] for run in runs]
    )
    assert found.rho[1] == pytest.approx(
        np.mean([stats.spearmanr(one, of).statistic for one, of in zip(moved, harm, strict=True)])
    )


def rounds(norms: Sequence[Sequence[float]], disagreements: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Returns the result of an adaptation, with a round that no client answered first."""
    pairs = zip(norms, disagreements, strict=True)
    reports = [{"update_norms": list(norm), "disagreements": list(apart)} for norm, apart in pairs]
    return {"reports": [{"update_norms": [], "disagreements": []}, *reports]}


def test_what_a_server_has_seen_after_some_rounds() -> None:
    rng = np.random.default_rng(0)
    norms, apart = rng.random((2, 5, LAYERS))
    harm = rng.random((1, LAYERS))
    norm, agreement = client_quantities([rounds(norms, apart)])
    assert norm.values[0] == pytest.approx(norms.mean(0))
    assert agreement.values[0] == pytest.approx(1 - apart.mean(0))
    for found, of_rounds in zip(early_clients([rounds(norms, apart)], harm), (norms, 1 - apart), strict=True):
        assert found.times == [1, 2, 4, 5]
        expected = [stats.spearmanr(of_rounds[:time].mean(0), harm[0]).statistic for time in found.times]
        assert found.rho == pytest.approx(expected)


def test_claims_follow_from_the_ranks_at_fixed_depth() -> None:
    readings, harm, *_ = made_up()
    clients = [Quantity("norm of updates", "clients", harm), Quantity("agreement of clients", "clients", harm)]
    signature, probes, server = judge(readings, harm, clients, harm)
    assert (signature.claim, probes.claim, server.claim) == CLAIMS
    assert signature.verdict == "not resolved"
    assert "more layers" in signature.remedy
    assert probes.verdict == "partly reproduced"  # influence goes with the harm, the gradient's norm against it
    assert server.verdict == "reproduced"
    assert server.p < 0.01
    depth = np.broadcast_to(np.arange(8.0), harm.shape)
    by_depth = judge(readings, depth, [Quantity("norm of updates", "clients", depth)], depth)[2]
    assert by_depth.verdict == "not resolved"  # what depth tells already is no merit
    assert len(judge(readings, harm, [], None)) == 2


def test_a_figure_has_every_reading_at_its_cost_with_labels_that_do_not_touch() -> None:
    readings, harm, *_ = made_up()
    rows = ranked(readings, harm)
    figure = rank_against_cost(rows)
    assert isinstance(figure, DataFigure)
    assert [(row["quantity"], row["rho"], row["given_depth"]) for row in figure.rows] == [
        (row.quantity.name, row.rho, row.given_depth) for row in rows
    ]
    plain, at_depth = figure.axes
    for axes, names in (
        (plain, {reading.name for reading in readings}),
        (at_depth, {reading.name for reading in readings[1:]}),  # depth tells nothing beyond itself
    ):
        texts = {text.get_text(): text.get_position() for text in axes.texts}
        assert set(texts) == names
        for one, other in combinations(texts.values(), 2):
            assert one[0] != other[0] or abs(one[1] - other[1]) > 0.16
        assert all(-1.08 < y < 1.08 for _, y in texts.values())
    assert [label.get_text() for label in at_depth.get_xticklabels()] == ["0", "0.25", "0.75", "5.5", "10"]


def test_figures_of_ways_and_ranks_have_the_numbers_that_they_draw() -> None:
    _, harm, *_ = made_up()
    paths = [Path((0.0, 0.5), np.stack([of, of / 2], 1), -of, of, 400) for of in harm]
    drawn = ways(paths, [0, 3])
    assert isinstance(drawn, DataFigure)
    found = {(row["seed"], row["layer"], row["share"]): row["change_points"] for row in drawn.rows}
    assert len(found) == 2 * LAYERS * 3
    assert found[3, 3, 0.5] == pytest.approx(50 * harm[1, 2])
    assert found[3, 3, "skip"] == pytest.approx(-100 * harm[1, 2])
    assert [axes.get_title("left") for axes in drawn.axes] == [f"layer {layer}" for layer in range(1, LAYERS + 1)]
    ranks = harm_by_rank(Quantity("harm", "probe", harm), harm, [0, 3])
    assert isinstance(ranks, DataFigure)
    of_second = [row for row in ranks.rows if row["seed"] == 3]
    assert [row["rank"] for row in of_second] == stats.rankdata(harm[1]).tolist()


def test_a_table_of_claims_beyond_the_paper_has_words_of_its_own() -> None:
    readings, harm, *_ = made_up()
    assert "nothing that has been measured here yet" in beyond_table([], "caption").text
    text = beyond_table(judge(readings, harm, [], None), "caption").text
    assert "holds in part" in text
    assert "not resolved; to tell the rest: signature: more layers" in text
    assert "reproduced" not in text


def test_the_study_adds_readings_to_what_other_chapters_measure() -> None:
    profile = profile_of("laptop")
    plan = cheaper_ranks(profile)
    digests = {m.digest() for m in model_size(profile).measurements}
    own = [m for m in plan.of_models if m.digest() not in digests]
    assert [type(m) for m in own] == [PathStudy, ProbeStudy] * len(profile.beyond_seeds or ())
    shared = {m.digest() for m in federated_dropout(profile).unnamed} | {
        m.digest() for m in federated_dropout(profile).measurements
    }
    assert sum(isinstance(m, TrainingRun) for m in plan.of_clients) == profile.adaptation.trainings
    assert {m.digest() for m in plan.of_clients} <= shared


def test_a_profile_that_asks_no_more_than_the_paper_measures_nothing() -> None:
    plan = cheaper_ranks(profile_of("quick"))
    assert plan.measurements == []
    with pytest.raises(NotMeasuredError, match="profile quick asks nothing beyond the paper"):
        plan.records()


@pytest.fixture
def published(tmp_path: Directory, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """Profile smoke with two trainings, as if its records were published: nothing is measured by asking."""
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path))
    monkeypatch.setattr(studies_measurements, "PUBLISHED", ("smoke",))
    monkeypatch.setattr(studies_measurements, "published_records", lambda name: tmp_path / "records" / name)
    return profile_of("smoke").model_copy(update={"beyond_seeds": (0, 1)})


def test_published_seeds_are_shown_as_they_come(published: Profile) -> None:
    plan, store = cheaper_ranks(published), store_of(published)

    def put(wanted: Sequence[Any]) -> None:
        for one in wanted:
            kind, corpus = KINDS[type(one)], corpus_of(one).digest
            store.get_or_compute(kind, one, lambda: {"made up": 1}, corpus=corpus)

    *most, last = plan.of_models[4:]  # of seed 1
    put(most)
    with pytest.raises(NotMeasuredError):
        plan.records()
    put([last])
    records = plan.records()
    assert [one.training.settings["seed"] for one in records.models] == [1]
    assert records.clients == ()
    put(plan.measurements)
    assert plan.records().clients == ()  # adaptations are named when the resets are there
    put(plan.measurements)
    records = plan.records()
    assert [one.training.settings["seed"] for one in records.models] == [0, 1]
    assert [one.adaptation.kind for one in records.clients] == ["adaptation"]
