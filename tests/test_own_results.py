"""What a sweep of any model has heard: the records, rankings, figures and explorers of the book take it."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest
import torch
from own_models import LABELS, LAYERS, REFERENCES, TorchaudioCTC, swept, texts_of, trained_as_if
from torch import Tensor, nn

from paper_lib.claims.model_size import mean_harm, resets_are_similar
from paper_lib.explorers.hearing import Transcripts
from paper_lib.explorers.layers import ExploredModel, layer_explorer
from paper_lib.figures.resets import change_intervals, reset_columns
from paper_lib.figures.signatures import module_maps
from paper_lib.layers import signatures
from paper_lib.layers.ranking import intact_wer, layer_effects
from paper_lib.layers.sweeps import Sweeps, Unit
from paper_lib.layers.variants import ALL_KINDS, KINDS, Variant


@pytest.fixture
def model() -> TorchaudioCTC:
    torch.manual_seed(0)
    return TorchaudioCTC()


@pytest.fixture
def initial(model: TorchaudioCTC) -> dict[str, Tensor]:
    return trained_as_if(model)


def test_a_record_of_any_model_is_read_like_our_own(model: TorchaudioCTC, initial: dict[str, Tensor]) -> None:
    result = swept(model, initial, draws=2)
    sweeps = Sweeps.of([json.loads(json.dumps(result.record()))])
    assert sweeps.units == (Unit(1), Unit(2), Unit(3))
    assert list(sweeps.resets) == list(ALL_KINDS)
    assert result.spoken.ids == ("0", "1", "2", "3", "4")
    assert set(result.spoken.domains) == {""}
    assert len(sweeps.words) == 3
    effects = layer_effects(sweeps)
    assert [(effect.layer, effect.kind) for effect in effects] == [(n, kind) for kind in ALL_KINDS for n in (1, 2, 3)]
    wrong = sum(map(sum, [[errors for _, errors, _ in result.record()["intact"]]]))
    assert intact_wer(sweeps).value == pytest.approx(wrong / sum(len(text.split()) for text in REFERENCES))


def test_figures_and_explorers_take_a_sweep_of_any_model(model: TorchaudioCTC, initial: dict[str, Tensor]) -> None:
    result = swept(model, initial)
    sweeps = Sweeps.of([result.record()])
    effects = layer_effects(sweeps)
    columns = reset_columns({"own": effects}, {"own": intact_wer(sweeps)}).axes[0]
    assert sorted(bar.get_height() for bar in columns.patches) == pytest.approx(
        sorted(100 * effect.wer.value for effect in effects)
    )
    middles = sorted(bar.get_x() + bar.get_width() / 2 for bar in columns.patches)
    assert middles == pytest.approx([n + offset for n in (1, 2, 3) for offset in (-0.8 / 3, 0, 0.8 / 3)])
    assert len({bar.get_facecolor() for bar in columns.patches}) == 3
    marks = [line for line in change_intervals({"own": effects}).axes[0].lines if line.get_marker() in ("o", "s", "D")]
    assert sorted(line.get_ydata()[0] for line in marks) == pytest.approx(
        [n + offset for n in (1, 2, 3) for offset in (-0.68 / 3, 0, 0.68 / 3)]
    )
    assert [line.get_fillstyle() for line in marks].count("left") == 3
    heard = Transcripts.of(result.record(), ["1", "4"])
    assert list(heard.resets) == list(ALL_KINDS)
    assert heard.resets["skip"] == [
        [result.hypotheses[Variant(layer, "skip")][place] for place in (1, 4)] for layer in (1, 2, 3)
    ]
    parts = [f"{LAYERS}.{part}" for part in ("ffn1", "self_attn")]
    of_parts = layer_effects(Sweeps.of([swept(model, initial, layers=parts, resets=KINDS).record()]))
    maps = module_maps({"own": [effect for effect in of_parts if effect.kind == KINDS[0]]})
    assert [label.get_text() for label in maps.axes[0].get_yticklabels()] == ["ffn1", "self_attn"]
    found = signatures(initial, model.state_dict(), layers=LAYERS)
    explored = ExploredModel("own", "batch", 0, intact_wer(sweeps), effects, of_parts, found.last, found.matrices)
    page = layer_explorer([explored], caption="c").html
    data = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', page)[0])
    assert data["kinds"] == list(ALL_KINDS)
    assert data["modules"] == ["ffn1", "self_attn"]
    assert data["matrices"] == list(found.matrices)
    assert [len(of_kind) for of_kind in data["models"][0]["effects"].values()] == [3, 3, 3]
    assert [list(of_layer) for of_layer in data["models"][0]["modules"]] == [["ffn1", "self_attn"]] * 3


def test_the_claims_are_about_the_two_resets_of_the_paper_alone(
    model: TorchaudioCTC, initial: dict[str, Tensor]
) -> None:
    record = swept(model, initial).record()
    without = record | {"resets": [reset for reset in record["resets"] if reset["kind"] != "skip"]}
    with_skip, paper = Sweeps.of([record]), Sweeps.of([without])
    assert np.array_equal(mean_harm(with_skip), mean_harm(paper))
    assert resets_are_similar({"own": with_skip}) == resets_are_similar({"own": paper})


def test_training_makes_layers_that_are_missed() -> None:
    """A model of a few seconds: it learns to write what it saw three frames before, and fails with a layer reset."""
    torch.manual_seed(0)
    model = TorchaudioCTC(layers=2, group_norm=True)
    initial = copy.deepcopy(model.state_dict())
    labels = torch.randint(1, LABELS, (48, 4))
    seen = torch.stack([torch.zeros_like(labels), labels], -1).flatten(1).repeat_interleave(4, 1)
    features, written = 2 * torch.randn(LABELS, 8)[seen], nn.functional.pad(seen, (3, -3))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(200):
        loss = nn.functional.cross_entropy(model(features).flatten(0, 1), written.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    result = swept(
        model,
        initial,
        transcribe=lambda model: texts_of(model(features).argmax(-1)),
        references=texts_of(written),
        speakers=[str(place % 16) for place in range(48)],
    )
    sweeps = Sweeps.of([result.record()])
    assert intact_wer(sweeps).value < 0.1
    assert sweeps.harm().max() > 0.2
    assert "critical" in {effect.classification for effect in layer_effects(sweeps)}
