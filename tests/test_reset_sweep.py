"""Resets of layers, and the sweep over all of them against whole models that are reset and decoded one by one."""

from __future__ import annotations

import copy
import json
from collections import Counter
from dataclasses import asdict
from typing import Any

import jiwer
import numpy as np
import pytest
import torch
from tiny_runs import CPU, Words, babbling, resets_of
from torch import Tensor

from paper_lib.conformer.decoding import greedy_decode
from paper_lib.conformer.layer import ConformerLayer
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import Item, collate, evaluation_batches
from paper_lib.evaluation import Spoken
from paper_lib.explorers.hearing import Transcripts
from paper_lib.fitted import Fit
from paper_lib.layers.activations import QUANTILES, normalised_activations
from paper_lib.layers.reset import reinitialized, rerandomized
from paper_lib.layers.reset_sweep import replacements, reset_sweep
from paper_lib.layers.results import SweepResult
from paper_lib.layers.variants import KINDS, MODULES, Variant
from paper_lib.settings import EncoderSettings, ResetSettings

DRAWS = ResetSettings(draws=2)
SEED = 5  # of the training


@pytest.fixture(scope="module")
def heldout(tiny_corpus: Corpus) -> list[list[Item]]:
    batches = evaluation_batches(tiny_corpus, "test", 500)
    assert len(batches) > 1
    assert max(map(len, batches)) > 1
    return batches


@pytest.fixture(scope="module", params=["group", "batch"])
def babbler(request: pytest.FixtureRequest, tiny_corpus: Corpus) -> tuple[Transducer, dict[str, Tensor]]:
    return babbling(request.param, tiny_corpus)


@pytest.fixture(scope="module")
def model(babbler: tuple[Transducer, dict[str, Tensor]]) -> Transducer:
    return babbler[0]


@pytest.fixture(scope="module")
def initial(babbler: tuple[Transducer, dict[str, Tensor]]) -> dict[str, Tensor]:
    return babbler[1]


@pytest.fixture(scope="module")
def swept(model: Transducer, initial: dict[str, Tensor], heldout: list[list[Item]]) -> SweepResult:
    return reset_sweep(model, initial, heldout, Words(), DRAWS, SEED, CPU)


@torch.inference_mode()
def heard_one_by_one(model: Transducer, batches: list[list[Item]]) -> list[str]:
    """Returns what is heard of every utterance, each encoded and decoded alone by the whole model."""
    heard = []
    for item in (item for batch in batches for item in batch):
        batch = collate([item], Words())
        (labels,) = greedy_decode(model, *model.encode(batch.features, batch.frames))
        heard.append(Words().decode(labels))
    return heard


def test_what_is_heard_is_what_whole_models_with_one_layer_replaced_hear(
    swept: SweepResult, model: Transducer, initial: dict[str, Tensor], heldout: list[list[Item]]
) -> None:
    assert swept.hypotheses[None] == heard_one_by_one(model, heldout)
    layers = replacements(model, initial, DRAWS, SEED)
    assert [variant for variant, _ in resets_of(swept)] == list(layers)
    for variant, heard in resets_of(swept):
        whole = copy.deepcopy(model)
        weights = layers[variant].state_dict()
        if variant.kind == "re-initialisation":
            prefix = f"encoder.layers.{variant.layer - 1}."  # PyTorch's names count from 0
            weights = {k.removeprefix(prefix): t for k, t in initial.items() if k.startswith(prefix)}
        whole.encoder.layers[variant.layer - 1].load_state_dict(weights)
        assert heard == heard_one_by_one(whole, heldout), variant
    # The comparison above means something: no two models hear the same.
    assert len({tuple(heard) for heard in swept.hypotheses.values()}) == len(swept.hypotheses) == 7


def test_who_said_what_is_told_in_the_order_of_the_batches(swept: SweepResult, heldout: list[list[Item]]) -> None:
    utterances = [shard.utterances[index] for batch in heldout for shard, index in batch]
    # The batches turn the order of the test around: what stands in the wrong place would be seen.
    assert [u.id for u in utterances] != sorted(u.id for u in utterances)
    assert swept.spoken.ids == tuple(u.id for u in utterances)
    assert swept.spoken.speakers == tuple(u.speaker for u in utterances)
    assert swept.spoken.domains == ("short_form",) * 6
    assert swept.spoken.references == tuple(u.text for u in utterances)


def test_a_record_gives_back_what_was_heard(swept: SweepResult) -> None:
    result = json.loads(json.dumps(swept.record()))
    spoken = Spoken.read(result)
    assert spoken == swept.spoken
    assert [{k: v for k, v in reset.items() if k != "misheard"} for reset in result["resets"]] == [
        asdict(variant) for variant, _ in resets_of(swept)
    ]
    kept = [result["intact"], *(reset["misheard"] for reset in result["resets"])]
    for misheard, heard in zip(kept, swept.hypotheses.values(), strict=True):
        assert spoken.hypotheses(misheard) == heard
        counts = [jiwer.process_words(*pair) for pair in zip(spoken.references, heard, strict=True)]
        errors = [count.substitutions + count.deletions + count.insertions for count in counts]
        assert spoken.errors(misheard).tolist() == errors
        assert sum(errors) > 0
    assert spoken.words.tolist() == [len(text.split(" ")) for text in swept.spoken.references]


def test_transcripts_are_of_the_utterances_asked_for_and_of_the_first_draw(swept: SweepResult) -> None:
    places = [4, 0, 3]
    told = Transcripts.of(json.loads(json.dumps(swept.record())), [swept.spoken.ids[place] for place in places])
    assert told.intact == [swept.hypotheses[None][place] for place in places]
    assert list(told.resets) == list(KINDS)
    for kind in KINDS:
        expected = [[swept.hypotheses[Variant(layer, kind)][place] for place in places] for layer in (1, 2)]
        assert told.resets[kind] == expected


def test_every_layer_is_reset_in_every_way(swept: SweepResult) -> None:
    assert [variant for variant, _ in resets_of(swept)] == [
        Variant(1, "re-initialisation"),
        Variant(1, "re-randomisation", 0),
        Variant(1, "re-randomisation", 1),
        Variant(2, "re-initialisation"),
        Variant(2, "re-randomisation", 0),
        Variant(2, "re-randomisation", 1),
    ]


def test_fewer_draws_are_the_first_of_more(
    model: Transducer, initial: dict[str, Tensor], swept: SweepResult, heldout: list[list[Item]]
) -> None:
    result = reset_sweep(model, initial, heldout, Words(), ResetSettings(draws=1), SEED, CPU)
    assert resets_of(result) == [pair for pair in resets_of(swept) if pair[0].draw == 0]
    assert result.hypotheses[None] == swept.hypotheses[None]


def test_another_training_is_re_randomised_otherwise_and_re_initialised_to_the_same(
    model: Transducer, initial: dict[str, Tensor], swept: SweepResult, heldout: list[list[Item]]
) -> None:
    other = dict(resets_of(reset_sweep(model, initial, heldout, Words(), DRAWS, SEED + 1, CPU)))
    again = dict(resets_of(reset_sweep(model, initial, heldout, Words(), DRAWS, SEED, CPU)))
    assert again == dict(resets_of(swept))
    for variant, heard in resets_of(swept):
        assert (other[variant] == heard) == (variant.kind == "re-initialisation"), variant


def test_a_model_reset_to_what_it_is_hears_what_it_hears(model: Transducer, heldout: list[list[Item]]) -> None:
    result = reset_sweep(model, model.state_dict(), heldout, Words(), ResetSettings(draws=1), SEED, CPU)
    to_itself = [heard for variant, heard in resets_of(result) if variant.kind == "re-initialisation"]
    assert to_itself == [result.hypotheses[None], result.hypotheses[None]]
    assert len(set(result.hypotheses[None])) > 1


def test_a_sweep_leaves_the_model_and_the_initial_weights_as_they_were(
    model: Transducer, initial: dict[str, Tensor], heldout: list[list[Item]]
) -> None:
    layers = list(model.encoder.layers)
    before, initial_before = copy.deepcopy(model.state_dict()), copy.deepcopy(initial)
    reset_sweep(model, initial, heldout, Words(), DRAWS, SEED, CPU)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(tensor, initial_before[name]) for name, tensor in initial.items())
    assert all(now is then for now, then in zip(model.encoder.layers, layers, strict=True))


def test_every_layer_intact_or_reset_runs_once_per_batch(
    model: Transducer, initial: dict[str, Tensor], heldout: list[list[Item]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[int] = Counter()
    rows: list[int] = []
    forward = ConformerLayer.forward

    def spy(self: ConformerLayer, x: Tensor, *others: Any) -> Tensor:
        calls[id(self)] += 1
        rows.append(len(x))
        return forward(self, x, *others)

    monkeypatch.setattr(ConformerLayer, "forward", spy)
    subsampled: list[int] = []
    hook = model.encoder.subsampling.register_forward_hook(lambda *_: subsampled.append(1))
    reset_sweep(model, initial, heldout, Words(), DRAWS, SEED, CPU)
    hook.remove()
    assert len(calls) == 2 + 2 * 3  # the model's own layers and three resets of each
    assert set(calls.values()) == {len(heldout)}
    assert len(subsampled) == len(heldout)
    # Layer 2 sees the intact stream and three that were reset below; all other layers see the intact stream alone.
    assert sum(rows) == (1 + 3 + 4 + 3) * len([item for batch in heldout for item in batch])


def test_a_stack_in_pieces_is_the_stack_as_a_whole(
    model: Transducer, initial: dict[str, Tensor], swept: SweepResult, heldout: list[list[Item]], monkeypatch: Any
) -> None:
    longest = max(shard.utterances[index].frames for batch in heldout for shard, index in batch) // 4 + 1
    for piece in (1, 2 * longest):  # row by row, and in pieces of which the last may be smaller
        monkeypatch.setattr("paper_lib.layers.side_by_side.PIECE", piece)
        again = reset_sweep(model, initial, heldout, Words(), DRAWS, SEED, CPU)
        assert again.hypotheses == swept.hypotheses


@pytest.mark.parametrize("layer", [1, 2])
def test_re_initialised_weights_are_step_0s_bit_for_bit_buffers_included(layer: int, trained: Fit) -> None:
    fresh = reinitialized(trained.model.encoder.settings, trained.initial, layer)
    state, trained_state = fresh.state_dict(), trained.model.encoder.layers[layer - 1].state_dict()
    assert state.keys() == trained_state.keys()
    assert all(torch.equal(t, trained.initial[f"encoder.layers.{layer - 1}.{name}"]) for name, t in state.items())
    assert not torch.equal(state["ffn1.w1.weight"], trained_state["ffn1.w1.weight"])
    assert not fresh.training
    if trained.model.encoder.settings.norm == "batch":
        statistics = ("convolution.depthwise_norm.running_mean", "convolution.depthwise_norm.running_var")
        assert [state[name].unique().tolist() for name in statistics] == [[0], [1]]
        assert all(trained_state[name].unique().numel() > 1 for name in statistics)


def test_re_randomised_layers_differ_from_each_other_and_from_step_0(trained: Fit) -> None:
    layers = replacements(trained.model, trained.initial, ResetSettings(draws=3), SEED)
    assert len(layers) == 8
    for name in ("ffn1.w1.weight", "ffn2.w2.bias", "attention.pos.weight", "convolution.depthwise.weight"):
        drawn = {layer.state_dict()[name].numpy().tobytes() for layer in layers.values()}
        assert len(drawn) == 8
    again = replacements(trained.model, trained.initial, ResetSettings(draws=2), SEED)
    for variant, layer in again.items():
        state = layers[variant].state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in layer.state_dict().items())


def test_no_two_trainings_layers_or_draws_have_weights_in_common(trained: Fit) -> None:
    settings = ResetSettings(draws=3)
    of_seeds = [replacements(trained.model, trained.initial, settings, seed) for seed in range(6)]
    drawn = [
        layer.ffn1.w1.weight.detach().numpy().tobytes()
        for resets in of_seeds
        for variant, layer in resets.items()
        if variant.kind == "re-randomisation"
    ]
    assert len(set(drawn)) == len(drawn) == 6 * 2 * 3


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_a_re_randomised_layer_is_a_function_of_its_seed(norm: Any) -> None:
    settings = EncoderSettings(dim=16, layers=1, heads=2, kernel=5, norm=norm, groups=2)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = rerandomized(settings, 7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    same, other = rerandomized(settings, 7).state_dict(), rerandomized(settings, 8).state_dict()
    assert all(torch.equal(tensor, same[name]) for name, tensor in first.state_dict().items())
    assert not torch.equal(first.ffn1.w1.weight, other["ffn1.w1.weight"])
    assert not first.training


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_re_randomised_weights_have_the_initialisers_distribution(norm: Any) -> None:
    settings = EncoderSettings(dim=96, layers=1, heads=4, kernel=15, norm=norm, groups=4)
    drawn, fresh = rerandomized(settings, 3).state_dict(), ConformerLayer(settings).state_dict()
    assert drawn.keys() == fresh.keys()
    matrices = [name for name, tensor in fresh.items() if tensor.dim() > 1 and name.endswith("weight")]
    assert len(matrices) == 12
    for name in matrices:
        fan_in = fresh[name][0].numel()
        # torch's default for linear maps and convolutions: uniform in ± 1/√fan_in, with a deviation of 1/√(3 fan_in).
        assert drawn[name].abs().max() <= fan_in**-0.5
        assert float(drawn[name].std()) == pytest.approx((3 * fan_in) ** -0.5, rel=0.08)
        assert float(drawn[name].std()) == pytest.approx(float(fresh[name].std()), rel=0.12)
    for name in set(fresh) - set(matrices):
        constant = fresh[name].unique()
        if len(constant) == 1:  # norms, their statistics, attention's biases
            assert torch.equal(drawn[name], fresh[name])
        else:
            assert float(drawn[name].std()) == pytest.approx(float(fresh[name].std()), rel=0.3)


MODULE_RESETS = ResetSettings(unit="module", draws=1)


def test_a_module_reset_is_that_of_a_whole_model_with_that_modules_weights_put_back(
    model: Transducer, initial: dict[str, Tensor], heldout: list[list[Item]]
) -> None:
    result = reset_sweep(model, initial, heldout, Words(), MODULE_RESETS, SEED, CPU)
    assert [(v.layer, v.kind, v.module) for v, _ in resets_of(result)] == [
        (layer, kind, module) for layer in (1, 2) for kind in KINDS for module in MODULES
    ]
    for variant, heard in resets_of(result):
        if variant.kind == "re-initialisation":
            whole = copy.deepcopy(model)
            prefix = f"encoder.layers.{variant.layer - 1}.{variant.module}."
            whole.load_state_dict({k: initial[k] if k.startswith(prefix) else t for k, t in model.state_dict().items()})
            assert heard == heard_one_by_one(whole, heldout), variant
    assert len({tuple(heard) for _, heard in resets_of(result)}) > len(resets_of(result)) // 2


def test_kept_statistics_are_the_trained_ones_and_the_weights_are_reset(tiny_corpus: Corpus) -> None:
    model, initial = babbling("batch", tiny_corpus)
    kept = replacements(model, initial, ResetSettings(draws=1, statistics="kept"), SEED)
    assert len(kept) == 4
    for variant, reset in kept.items():
        trained = model.encoder.layers[variant.layer - 1].state_dict()
        prefix = f"encoder.layers.{variant.layer - 1}."
        for name, tensor in reset.state_dict().items():
            running = "running" in name
            assert torch.equal(tensor, trained[name]) == running, name
            if variant.kind == "re-initialisation":
                assert torch.equal(tensor, initial[prefix + name]) != running, name


def test_kept_statistics_leave_the_initial_weights_as_they_were(tiny_corpus: Corpus) -> None:
    model, initial = babbling("batch", tiny_corpus)
    before = copy.deepcopy(initial)
    replacements(model, initial, ResetSettings(draws=1, statistics="kept"), SEED)
    assert all(torch.equal(tensor, before[name]) for name, tensor in initial.items())


def test_resets_draw_nothing_from_the_callers_random_numbers(model: Transducer, initial: dict[str, Tensor]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    replacements(model, initial, MODULE_RESETS, SEED)
    assert torch.equal(torch.rand(3), expected)


@torch.inference_mode()
def test_normalised_activations_are_those_of_whole_models(
    model: Transducer, initial: dict[str, Tensor], heldout: list[list[Item]]
) -> None:
    found = normalised_activations(model, initial, heldout, Words(), CPU)
    assert [(entry["reset"], entry["layer"]) for entry in found] == [(None, 1), (None, 2), (1, 2)]
    whole = copy.deepcopy(model)
    whole.encoder.layers[0].load_state_dict(
        {k.removeprefix("encoder.layers.0."): t for k, t in initial.items() if k.startswith("encoder.layers.0.")}
    )
    for entry, intact in ((found[1], True), (found[2], False)):
        norm = (model if intact else whole).encoder.layers[1].convolution.depthwise_norm
        outputs: list[Tensor] = []

        def keep(_: Any, inputs: Any, output: Tensor, outputs: list[Tensor] = outputs) -> None:
            outputs.append(output[inputs[1][..., 0] > 0])

        hook = norm.register_forward_hook(keep)
        for items in heldout:
            batch = collate(items, Words())
            (model if intact else whole).encode(batch.features, batch.frames)
        hook.remove()
        plain = (torch.cat(outputs) - norm.bias) / norm.weight
        expected = np.quantile(plain.mean(0).numpy(), QUANTILES)
        np.testing.assert_allclose(entry["mean"], expected, atol=2e-3)
        expected = np.quantile(plain.std(0, correction=0).numpy(), QUANTILES)
        np.testing.assert_allclose(entry["deviation"], expected, atol=2e-3)
