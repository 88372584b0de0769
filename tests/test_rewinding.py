"""Layers that are put back to a step on their training's way: the sweep, the study, the figure."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up import sweeps
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from pydantic import ValidationError
from tiny_runs import CPU, Words, babbling, tiny_run

from paper_lib.checkpoint import save_tensors
from paper_lib.conformer.decoding import transcribe
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import evaluation_batches
from paper_lib.evaluation import Spoken
from paper_lib.figures.rewinding import rewinding_maps
from paper_lib.figures.style import VERMILION
from paper_lib.fitted import Fit, History
from paper_lib.layers.ranking import LayerEffect, reinitialised
from paper_lib.profiles import profile_of
from paper_lib.results import Store
from paper_lib.settings import Norm, ResetSettings
from paper_lib.studies import explore, signatures
from paper_lib.studies.measurements import ResetStudy, record_of
from paper_lib.studies.queue import compute

SMOKE = profile_of("smoke")


@pytest.fixture
def store(tiny_cache: Path, tiny_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store, of measurements on the tiny corpus."""
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tiny_cache))
    return Store(tmp_path / "records")


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_a_rewound_layer_has_the_weights_of_its_step_and_the_others_stay(
    norm: Norm, tiny_corpus: Corpus, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A model that was trained for seconds says nothing: this one babbles, and has weights between its first and last.
    model, initial = babbling(norm, tiny_corpus)
    last = copy.deepcopy(model.state_dict())
    for step, share in ((1, 0.0), (3, 0.5), (6, 1.0)):
        between = {
            name: initial[name] + (tensor - initial[name]) * share if tensor.is_floating_point() else tensor
            for name, tensor in last.items()
            if name.startswith("encoder.layers.")
        }
        save_tensors(tmp_path / f"snapshot-{step}.safetensors", between)
    fitted = Fit(model, initial, Words(), History(), "made up", tmp_path)
    monkeypatch.setattr("paper_lib.studies.computing.trained_model", lambda run, position: fitted)
    run = tiny_run(norm, snapshots=(1, 3, 6))
    studies = {step: ResetStudy(run=run, reset=ResetSettings(draws=0, rewind=step)) for step in (None, 1, 3, 6)}
    compute(lambda: list(studies.values()), store, workers=1)
    results = {step: record_of(study, store).result for step, study in studies.items()}

    batches = evaluation_batches(tiny_corpus, "test", 3000)
    for layer in (1, 2):
        prefix = f"encoder.layers.{layer - 1}."
        model.load_state_dict({n: t for n, t in fitted.snapshot(3).items() if n.startswith(prefix)}, strict=False)
        heard = [text for _, text in transcribe(model, batches, Words(), CPU)]
        model.load_state_dict(last)
        spoken = Spoken.read(results[3])
        (misheard,) = [reset["misheard"] for reset in results[3]["resets"] if reset["layer"] == layer]
        assert spoken.hypotheses(misheard) == heard
        assert misheard != results[3]["intact"]
    assert results[1]["resets"] == results[None]["resets"] != results[3]["resets"]
    assert all(reset["misheard"] == results[6]["intact"] for reset in results[6]["resets"])


def test_rewinding_to_a_step_that_was_not_kept_is_refused_in_one_line(store: Store) -> None:
    study = ResetStudy(run=tiny_run(snapshots=(1,)), reset=ResetSettings(draws=0, rewind=2))
    with pytest.raises(ValueError, match=r"^the training kept no weights of step 2; it had 6 steps$"):
        compute(lambda: [study], store, workers=1)


def test_a_training_cannot_keep_a_step_that_it_does_not_have() -> None:
    tiny_run(steps=6, snapshots=(1, 6))
    with pytest.raises(ValidationError, match="snapshots names step 7; the training has 6 steps"):
        tiny_run(steps=6, snapshots=(7, 1))


def test_layers_are_rewound_to_every_snapshot_of_the_first_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path))
    assert SMOKE.training["S"].snapshots == (1, 2)
    first, second = signatures(SMOKE, sizes=["S"]).records(workers=1)
    assert list(first.rewound) == [1, 2]
    assert second.rewound == {}
    for step, record in first.rewound.items():
        assert record in first.records
        assert record.settings["reset"]["rewind"] == step
        assert {reset["kind"] for reset in record.result["resets"]} == {"re-initialisation"}
        assert [reset["layer"] for reset in record.result["resets"]] == [1, 2]
        assert Spoken.read(record.result) == Spoken.read(first.reset.result)
        assert record.result["intact"] == first.reset.result["intact"]
    assert {record.result["checkpoint"] for record in first.records} == {first.training.result["checkpoint"]}


def test_where_no_weights_are_kept_there_is_nothing_to_rewind_to() -> None:
    training = {size: settings.model_copy(update={"snapshots": None}) for size, settings in SMOKE.training.items()}
    study = signatures(SMOKE.model_copy(update={"training": training}))
    assert all(not model.rewound and model.reset in model.measurements for model in study.models)


def test_the_explorers_name_the_same_rewindings() -> None:
    names = {
        measurement.digest()
        for study in (signatures(SMOKE), explore(SMOKE))
        for model in study.models
        for measurement in model.rewound.values()
    }
    assert len(names) == 2  # the sizes of smoke are alike


def effects(*by_step: list[float]) -> list[list[LayerEffect]]:
    return [reinitialised(sweeps([changes] * 3)) for changes in by_step]


SMALL = dict(zip((0, 100, 25), effects([0.5, 0.1, 0.0], [0.3, 0.0, 0.0], [0.4, 0.05, 0.0]), strict=True))
LARGE = dict(zip((0, 25), effects([0.6, 0.0, 0.0, 0.2], [0.1, 0.0, 0.0, 0.1]), strict=True))


def test_a_map_has_a_column_for_every_step_in_order_and_a_row_for_every_layer() -> None:
    figure = rewinding_maps({"S": SMALL, "L": LARGE})
    small, large, _ = figure.axes
    assert [label.get_text() for label in small.get_xticklabels()] == ["0", "25", "100"]
    assert [label.get_text() for label in large.get_yticklabels()] == ["1", "2", "3", "4"]
    for axes, of_size in ((small, SMALL), (large, LARGE)):
        drawn = np.asarray(axes.images[0].get_array())
        wanted = [[100 * e.change.value for e in of_size[step]] for step in sorted(of_size)]
        np.testing.assert_allclose(drawn, np.transpose(wanted))
        texts = {text.get_position(): text.get_text() for text in axes.texts}
        for (row, column), value in np.ndenumerate(drawn):
            assert abs(float(texts[column, row].replace("−", "-")) - value) <= 0.05
    assert figure.axes[0].images[0].norm is figure.axes[1].images[0].norm


def test_critical_layers_are_framed_and_what_is_drawn_can_be_saved() -> None:
    figure: Any = rewinding_maps({"S": SMALL})
    frames = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert {to_hex(frame.get_edgecolor()) for frame in frames} == {VERMILION}
    framed = {(round(f.get_x() + f.get_width() / 2), round(f.get_y() + f.get_height() / 2)) for f in frames}
    steps = sorted(SMALL)
    critical = {
        (column, effect.layer - 1)
        for column, step in enumerate(steps)
        for effect in SMALL[step]
        if effect.classification == "critical"
    }
    assert framed == critical
    assert 0 < len(critical) < 9
    assert [(row["rewound_to"], row["layer"]) for row in figure.rows] == [(s, k) for s in steps for k in (1, 2, 3)]
    saved = [row["change_points"] for row in figure.rows]
    assert saved == [100 * effect.change.value for step in steps for effect in SMALL[step]]
    assert all(row["change_points_low"] <= row["change_points"] <= row["change_points_high"] for row in figure.rows)


def test_colours_also_tell_changes_apart_that_are_below_the_margin() -> None:
    axes = rewinding_maps({"S": SMALL}).axes[0]
    level = axes.images[0].norm
    levels = torch.tensor([float(level(points)) for points in (-3, 0, 1, 2, 10, 50)])
    assert levels[0] == levels[1] == 0
    assert (levels[1:].diff() > 0.05).all()
