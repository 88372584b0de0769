"""A training that begins with the weights of another, and clients whose speech is of another corpus."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tiny_runs import CPU, TINY_CORPUS, in_process, tiny_run, train, train_until_update

from paper_lib.corpus import Corpus, open_corpus
from paper_lib.evaluation import Spoken
from paper_lib.fitted import Fit
from paper_lib.results import Store
from paper_lib.settings import DropoutPlan, FederatedSettings, ResetSettings, StreamingSettings, TrainingRun
from paper_lib.studies.computing import measure, trained_model
from paper_lib.studies.measurements import AdaptationStudy, ResetStudy
from paper_lib.training import fit

DICTATION = TINY_CORPUS.model_copy(update={"domains": {"dictation": 1.0}})


def fine_tuning(base: TrainingRun, **training: Any) -> TrainingRun:
    changes = {"steps": 4, "snapshots": (0, 2), "ctc_weight": 0.0}
    settings = base.training.model_copy(update=changes | training)
    return base.model_copy(update={"corpus": DICTATION, "training": settings, "base": base, "seed": 3})


@pytest.fixture(scope="module")
def dictation(tiny_cache: Path) -> Corpus:
    return Corpus(DICTATION, tiny_cache)


@pytest.fixture(scope="module")
def base(tiny_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Fit:
    return fit(tiny_run(), tiny_corpus, tmp_path_factory.mktemp("base"), CPU)


@pytest.fixture(scope="module")
def tuned(base: Fit, dictation: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Fit:
    return fit(fine_tuning(tiny_run()), dictation, tmp_path_factory.mktemp("tuned"), CPU, base=base)


def test_it_begins_with_the_weights_of_its_base_and_keeps_them(base: Fit, tuned: Fit) -> None:
    trained = base.model.state_dict()
    kept = tuned.snapshot(0)
    assert kept.keys() == {name for name in trained if name.startswith("encoder.layers.")}
    assert all(torch.equal(tensor, trained[name]) for name, tensor in kept.items())
    later = tuned.snapshot(2)
    assert not any(torch.equal(tensor, later[name]) for name, tensor in kept.items() if name.endswith("weight"))


def test_a_reset_goes_back_to_the_step_0_weights_of_its_base(base: Fit, tuned: Fit) -> None:
    weights = [name for name in base.initial if not name.startswith("feature_")]
    assert all(torch.equal(tuned.initial[name], base.initial[name]) for name in weights)


def test_it_hears_by_the_statistics_of_its_own_speech(base: Fit, tuned: Fit, dictation: Corpus) -> None:
    mean, deviation = dictation.feature_statistics()
    for weights in (tuned.initial, tuned.model.state_dict()):
        assert torch.equal(weights["feature_mean"], torch.from_numpy(mean))
        assert torch.equal(weights["feature_std"], torch.from_numpy(deviation))
    assert not torch.equal(base.initial["feature_mean"], tuned.initial["feature_mean"])


def test_distances_go_on_from_those_of_its_base(base: Fit, tuned: Fit) -> None:
    for name, distances in tuned.history.distances.items():
        step = max(abs(b - a) for a, b in pairwise(distances))
        assert abs(distances[0] - base.history.distances[name][-1]) < 2 * step
        assert base.history.distances[name][-1] > step / 2


def test_killed_and_started_again_it_is_the_same(base: Fit, tuned: Fit, tiny_cache: Path, tmp_path: Path) -> None:
    run = fine_tuning(tiny_run())
    assert train(tiny_run(), tiny_cache, tmp_path / "base").digest == base.digest
    assert in_process(train_until_update, run, tiny_cache, tmp_path, 3) == -9
    assert (tmp_path / "checkpoint.safetensors").exists()
    assert train(run, tiny_cache, tmp_path).digest == tuned.digest


def test_a_base_of_another_model_is_refused() -> None:
    fields = fine_tuning(tiny_run()).model_dump() | {"base": tiny_run(layers=3).model_dump()}
    with pytest.raises(ValidationError, match=r"model is .* the base has .*"):
        TrainingRun.model_validate(fields)


def test_a_model_is_heard_on_the_speech_of_another_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path))
    run = tiny_run(steps=2, warmup_steps=0)
    own, other = (
        measure(ResetStudy(run=run, reset=ResetSettings(draws=0), corpus=corpus), Store(tmp_path / "records"), 0)
        for corpus in (None, DICTATION)
    )
    assert own.provenance["corpus"] == open_corpus(TINY_CORPUS).digest
    assert other.provenance["corpus"] == open_corpus(DICTATION).digest
    assert set(Spoken.read(own.result).domains) == {"short_form"}
    assert set(Spoken.read(other.result).domains) == {"dictation"}


def test_clients_of_another_corpus_teach_a_model_that_is_tested_on_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path))
    run = tiny_run(steps=2, warmup_steps=0, streaming=StreamingSettings(left_context=4))
    run = fine_tuning(run, steps=2, warmup_steps=0, snapshots=None).model_copy(update={"base": None})
    study = AdaptationStudy(
        run=run,
        corpus=TINY_CORPUS,
        held_out="short_form",
        plan=DropoutPlan(name="none"),
        federated=FederatedSettings(rounds=1, clients_per_round=2),
        measure_every=1,
    )
    result = measure(study, Store(tmp_path / "records"), 0).result
    assert result["clients"] == TINY_CORPUS.speakers["train"]
    assert Spoken.read(result).domains == ("short_form",) * 6 + ("dictation",) * 6
    assert trained_model(run).model.feature_mean.tolist() == open_corpus(DICTATION).feature_statistics()[0].tolist()
