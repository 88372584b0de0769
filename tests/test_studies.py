"""Studies from settings to records: computed once, the same however they are run; the paper's profiles at toy scale."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_runs import CPU

from paper_lib import jobs, results
from paper_lib.chapters.declarations import CHAPTERS
from paper_lib.claims.findings import CLAIMS, adapted_by, adapted_by_value, findings
from paper_lib.cli import main
from paper_lib.corpus import open_corpus
from paper_lib.corpus.batches import evaluation_batches
from paper_lib.evaluation import Spoken, word_errors
from paper_lib.federated.plans import named_plan
from paper_lib.layers.ranking import layer_effects
from paper_lib.layers.sweeps import Sweeps, harm_of
from paper_lib.layers.variants import KINDS, MODULES
from paper_lib.profiles import PUBLISHED, SIZES, Profile, ProfileName, profile_of
from paper_lib.results import Store, by_step
from paper_lib.settings import EncoderSettings, ResetSettings, SyntheticSettings, TrainingRun, TransducerSettings
from paper_lib.studies import (
    STUDIES,
    explore,
    federated_dropout,
    group_norm,
    model_size,
    signatures,
    stability,
)
from paper_lib.studies import measurements as studies_measurements
from paper_lib.studies.computing import trained_model
from paper_lib.studies.federated import Varied
from paper_lib.studies.inventory import Inventory
from paper_lib.studies.measurements import (
    AdaptationStudy,
    NotMeasuredError,
    ResetStudy,
    compute_missing,
    seed_of,
    store_of,
)
from paper_lib.studies.norms import federated_norms
from paper_lib.studies.queue import compute


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech that the tests share: each of them makes records and models of its own, from the same corpora."""
    return tmp_path_factory.mktemp("corpora")


@pytest.fixture
def cache(tmp_path: Path, corpora: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "corpora").symlink_to(corpora)
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path))
    return tmp_path


def toy(name: ProfileName) -> Profile:
    """Returns a profile in miniature: its speech, tokens and training, two small layers, three steps, three rounds."""
    profile = profile_of(name)
    assert isinstance(profile.corpus, SyntheticSettings)
    corpus = {"utterances": {"train": 30, "dev": 4, "test": 6}, "speakers": dict.fromkeys(("train", "dev", "test"), 4)}
    vocabulary = profile.tokens.vocabulary
    encoder = EncoderSettings(dim=16, layers=2, heads=2, kernel=8, channels=4, groups=2, dropout=0.1)
    model = TransducerSettings(encoder=encoder, vocabulary=vocabulary, embedding=8, prediction=8, joint=8)
    steps = {
        "steps": 3,
        "batch_frames": 1000,
        "warmup_steps": 1,
        "distance_every": 1,
        "checkpoint_every": 2,
        "snapshots": None,
    }
    return profile.model_copy(
        update={
            "corpus": profile.corpus.model_copy(update={**corpus, "shard_utterances": 10}),
            "models": dict.fromkeys(SIZES, model),
            "training": {size: profile.training[size].model_copy(update=steps) for size in SIZES},
            "reset": profile.reset.model_copy(update={"draws": 1}),
            "adaptation": profile.adaptation.model_copy(
                update={
                    "federated": profile.adaptation.federated.model_copy(update={"rounds": 3}),
                    "measure_every": 2,
                }
            ),
        }
    )


@pytest.mark.parametrize("name", get_args(ProfileName))
def test_every_profile_says_how_each_size_is_trained(name: ProfileName) -> None:
    profile = profile_of(name)
    assert profile.name == name
    for size in SIZES:
        run = profile.run(size, 1)
        assert run.training.distance_every <= run.training.steps
        assert run.training.checkpoint_every <= run.training.steps
        assert run.model.vocabulary == profile.tokens.vocabulary


def test_the_gpu_profile_is_the_papers_sizes_on_about_100_hours() -> None:
    profile = profile_of("gpu")
    corpus = profile.corpus
    assert isinstance(corpus, SyntheticSettings)
    first = open_corpus(corpus.model_copy(update={"shard_utterances": 100}))
    seconds = sum(u.frames for u in first._source.make_shard(first.settings, "train", 0).utterances) / 100
    hours = corpus.utterances["train"] / 100 * seconds / 3600
    assert 80 < hours < 130
    assert [profile.models[size].encoder.dim for size in SIZES] == [144, 256, 512]


@pytest.mark.parametrize("name", ["gpu", "laptop"])
def test_a_profile_runs_from_speech_to_ranked_layers(
    name: ProfileName, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies_measurements, "published_records", lambda _: cache / "records")
    study = model_size(toy(name), sizes=["M"], seeds=1)
    study.measure(workers=1)
    (records,) = study.records()
    assert (records.size, records.seed) == ("M", 0)
    assert len(records.training.result["losses"]) == 3
    assert records.training.result["distance_steps"] == [1, 2, 3]
    spoken = Spoken.read(records.reset.result)
    test = open_corpus(toy(name).corpus).shard("test", 0).utterances
    assert sorted(zip(spoken.ids, spoken.speakers, spoken.domains, spoken.references, strict=True)) == sorted(
        (u.id, u.speaker, u.domain, u.text) for u in test
    )
    effects = layer_effects(Sweeps.of([records.reset.result]))
    assert [(e.layer, e.kind) for e in effects] == [(layer, kind) for kind in KINDS for layer in (1, 2)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_record_is_one_that_a_chapter_wants(name: ProfileName) -> None:
    # A change of settings would leave records that nothing reads.
    inventory = Inventory(profile_of(name))
    read = {(one.record.kind, one.record.digest) for one in inventory.wanted() if one.record}
    published = {(path.parent.name, path.stem) for path in inventory.store.directory.glob("*/*.json")}
    assert {record for record in published if record[0] != "tests"} == read


@pytest.fixture
def published(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """A toy profile whose records are published, all of them missing."""
    monkeypatch.setattr(studies_measurements, "published_records", lambda name: cache / "published" / name)
    profile = toy("smoke")
    models = {
        size: profile.models[size].model_copy(update={"joint": joint})
        for size, joint in zip(SIZES, (8, 9, 10), strict=True)
    }
    return profile.model_copy(update={"name": "laptop", "models": models})


def test_of_a_published_profile_pages_have_what_is_there_and_measure_nothing(published: Profile) -> None:
    with pytest.raises(NotMeasuredError, match="records --profile laptop --make"):
        model_size(published).records()
    model_size(published, seeds=1, sizes=["S"]).measure(workers=1)
    model_size(published, seeds=2, sizes=["M"]).measure(workers=1)
    assert [(records.size, records.seed) for records in model_size(published).records()] == [
        ("S", 0),
        ("M", 0),
        ("M", 1),
    ]
    # Trainings of a size are compared where there are two. Modules of none were reset: they are there without.
    for study in (stability(published), signatures(published)):
        assert [(records.size, records.seed, records.modules) for records in study.records()] == [
            ("M", 0, None),
            ("M", 1, None),
        ]


def test_models_that_are_compared_by_seed_count_where_all_of_a_seed_are_there(
    published: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = group_norm(published, seeds=2)
    batch, *others = (model for model in study.models if model.run.seed == 0)
    replace(study, models=[batch, *(model for model in study.models if model.run.seed == 1)]).measure(workers=1)
    monkeypatch.setattr(results, "_consulted", {})
    shown = study.records()
    assert {records.seed for records in shown} == {1}
    # A page names the records that it shows, and none of the seed of which it only saw that it is not whole.
    assert results.consulted() == [record for records in shown for record in records.records]
    replace(study, models=others).measure(workers=1)
    assert {records.seed for records in study.records()} == {0, 1}


def test_what_is_stored_is_not_computed_again(cache: Path) -> None:
    alone = model_size(toy("smoke"), sizes=["S"], seeds=2).records(workers=1)
    files = {path: path.stat().st_mtime_ns for path in (cache / "records").rglob("*.json")}
    assert len(files) == 5  # two trainings, two reset sweeps, the test that these share
    again = model_size(toy("smoke"), sizes=["S"], seeds=2).records()
    assert again == alone
    assert {path: path.stat().st_mtime_ns for path in (cache / "records").rglob("*.json")} == files


def test_more_draws_do_not_train_again(cache: Path) -> None:
    (one,) = model_size(toy("smoke"), sizes=["S"], seeds=1).records(workers=1)
    (more,) = model_size(toy("smoke"), sizes=["S"], seeds=1, draws=3).records(workers=1)
    assert more.training == one.training
    assert len(more.reset.result["resets"]) == 2 * (1 + 3)


def test_a_trained_model_is_the_records_model(cache: Path) -> None:
    profile = toy("smoke")
    (records,) = model_size(profile, sizes=["S"], seeds=1).records(workers=1)
    fitted = trained_model(profile.run("S", 0))
    assert fitted.digest == records.training.result["checkpoint"]
    assert next(fitted.model.parameters()).device == CPU


def test_studies_share_what_they_have_in_common(cache: Path) -> None:
    profile = toy("smoke")
    adaptation = profile.adaptation.model_copy(update={"seeds": 1, "norm_seeds": 1})
    profile = profile.model_copy(update={"reset": ResetSettings(draws=1), "adaptation": adaptation})
    plans = [study(profile) for study in STUDIES.values()]
    wanted = [m for plan in plans for m in plan.measurements]
    # Two trainings of the sizes, whose settings are alike here, two of each of two norms more, and the streaming model
    # with either norm.
    assert len({m.digest() for m in wanted if isinstance(m, TrainingRun)}) == 8
    compute_missing(plans, Store(cache / "records"), workers=1)
    files = {path: path.stat().st_mtime_ns for path in (cache / "records").rglob("*.json")}
    for study in STUDIES.values():
        assert study(profile).is_stored
        names = re.findall(r"\S+\.json", " ".join(study(profile).summary()))
        assert names
        assert all((cache / "records" / name).is_file() for name in names)
    assert {path: path.stat().st_mtime_ns for path in (cache / "records").rglob("*.json")} == files


def test_norms_are_compared_with_all_else_equal(cache: Path) -> None:
    records = group_norm(toy("smoke"), seeds=1, draws=1).records(workers=1)
    assert [record.norm for record in records] == ["BatchNorm", "GroupNorm, 1 group", "GroupNorm, 2 groups"]
    assert [record.kept is not None for record in records] == [True, False, False]
    settings = [dict(record.training.settings) for record in records]
    for one in settings:
        one["model"] = {**one["model"], "encoder": {**one["model"]["encoder"], "norm": "", "groups": 0}}
    assert settings[0] == settings[1] == settings[2]
    # Intact, a model is the same whichever statistics a reset would keep.
    assert records[0].kept is not None
    assert records[0].kept.result["intact"] == records[0].reset.result["intact"]
    above = [(e["reset"], e["layer"]) for e in records[0].activations.result["activations"]]  # type: ignore[union-attr]
    assert above == [(None, 1), (None, 2), (1, 2)]
    # All that is said of a model is said of the same weights.
    for record in records:
        assert {one.result["checkpoint"] for one in record.records} == {record.training.result["checkpoint"]}
    assert len({record.training.result["checkpoint"] for record in records}) == 3


def test_a_study_takes_its_chapters_parameters_in_a_terminal(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "default_workers", lambda: 1)  # processes that start take longer than this work
    for name, study in STUDIES.items():
        assert set(inspect.signature(study).parameters) <= set(CHAPTERS[name].model_fields)
    command = ["run", "--study", "signatures", "--profile", "smoke", "-p", "sizes", "S", "-p", "step", "4"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line.startswith("S GroupNorm")]
    assert [line.count(".json") for line in lines] == [5, 2]  # modules and two rewindings: of the first alone


def test_modules_are_reset_in_as_many_trainings_as_the_profile_says(cache: Path) -> None:
    records = signatures(toy("smoke"), sizes=["S"]).records(workers=1)
    assert [record.modules is not None for record in records] == [True, False]
    assert records[0].modules is not None
    effects = layer_effects(Sweeps.of([records[0].modules.result]))
    assert [(e.layer, e.module) for e in effects] == [(layer, module) for layer in (1, 2) for module in MODULES]


def test_the_explorers_show_what_the_other_chapters_have_measured() -> None:
    profile = profile_of("smoke")
    shown = explore(profile).measurements
    measured = [m for study in (signatures, group_norm) for m in study(profile).measurements]
    assert {m.digest() for m in shown if isinstance(m, TrainingRun | ResetStudy)} <= {m.digest() for m in measured}
    assert {m.digest() for m in shown if isinstance(m, TrainingRun)} == {
        m.digest() for m in measured if isinstance(m, TrainingRun)
    }


def test_verdicts_of_a_profile_follow_from_its_records(published: Profile) -> None:
    store = store_of(published)
    assert findings(published) == []
    compute_missing([STUDIES["model_size"](published, seeds=1)], store, workers=1)
    assert {finding.claim.chapter for finding in findings(published)} == {"model_size"}
    compute_missing([STUDIES["model_size"](published)], store, workers=1)
    assert {finding.claim.chapter for finding in findings(published)} == {"model_size", "stability", "signatures"}
    compute_missing([study(published) for study in STUDIES.values()], store, workers=1)
    found = findings(published)
    assert [finding.claim for finding in found] == [claim for claim in CLAIMS if claim.chapter != "human_speech"]
    assert findings(published) == found
    with_norms = norms_compared(published, seeds=1)
    assert findings(with_norms) == found
    compute_missing([federated_norms(with_norms)], store, workers=1)
    assert [finding.claim for finding in findings(with_norms)] == list(CLAIMS)


def test_what_meets_people_was_trained_on_synthetic_speech_and_with_either_norm() -> None:
    human, laptop = profile_of("human"), profile_of("laptop")
    for mine, theirs in zip(group_norm(human).models, group_norm(laptop).models, strict=True):
        assert mine.run.base == theirs.run
        assert mine.run.model == theirs.run.model
        assert mine.run.corpus.source == "speech_commands"
    (model,) = model_size(human, seeds=1, sizes=["S"]).models
    assert model.base is not None
    assert model.unlearnt is not None
    assert model.base.run == model.run.base
    assert model.base.corpus == model.run.corpus
    assert model.unlearnt.reset.rewind == 0
    plan = federated_dropout(human)
    adaptations = [one for one in (*plan.measurements, *plan.unnamed) if isinstance(one, AdaptationStudy)]
    assert adaptations
    assert all(one.corpus == human.adaptation.clients for one in adaptations)
    ranked = [one for one in plan.measurements if isinstance(one, ResetStudy)]
    assert [one.run for one in ranked] == [laptop.run("S", seed) for seed in range(5)]
    assert {one.reset.split for one in ranked} == {"dev"}


def test_adaptations_follow_the_ranking_of_their_training(cache: Path) -> None:
    study = federated_dropout(toy("smoke"), plans=["none", "amb-1"], own="2:0.25", seeds=2, rounds=10)
    first = study.measurements
    assert not study.is_stored
    assert [type(measurement) for measurement in first] == [TrainingRun, ResetStudy]  # one training for both seeds
    records = study.records(workers=1)
    assert study.is_stored
    assert [plan.name for plan in records.plans] == ["none", "amb-1", "own"]
    assert records.rankings[0] == records.rankings[1]
    least = int(np.argmin(harm_of(records.resets[0].result))) + 1
    assert [plan.rates for plan in records.plans[1].plans] == [{least: 0.5}] * 2
    of_dev = evaluation_batches(open_corpus(study.profile.adaptation.corpus, ("dictation", "telephone")), "dev", 1000)
    assert len(Spoken.read(records.resets[0].result).ids) == sum(map(len, of_dev))
    seeds = [record.provenance["seeds"] for record in records.plans[0].adaptations]
    assert seeds == [[0], [0, 1]]
    for record in (*records.plans[0].adaptations, *records.centralised, *records.before):
        spoken = Spoken.read(record.result)
        assert len(set(spoken.ids)) == len(spoken.ids) == 16
        assert set(spoken.domains) == {"short_form", "dictation", "telephone"}
        hypotheses = spoken.hypotheses(record.result["misheard"])
        errors = [word_errors(*pair) for pair in zip(spoken.references, hypotheses, strict=True)]
        assert spoken.errors(record.result["misheard"]).tolist() == errors
        assert sum(errors) > 0
    assert records.before[0] == records.before[1]
    # Sorted as texts they would be out of order.
    assert list(by_step(records.plans[0].adaptations[0].result["dev_wer"])) == [0, 2, 4, 6, 8, 10]
    sent = [sum(r["bytes_up"] for r in plan.adaptations[0].result["reports"]) for plan in records.plans]
    assert sent[0] > sent[2] > sent[1] > 0
    # Common random numbers: every plan meets the same clients.
    clients = [[r["clients"] for r in plan.adaptations[1].result["reports"]] for plan in records.plans]
    assert clients[0] == clients[1] == clients[2]


def norms_compared(profile: Profile, seeds: int) -> Profile:
    """Returns `profile`, of which norms are compared under clients."""
    return profile.model_copy(update={"adaptation": profile.adaptation.model_copy(update={"norm_seeds": seeds})})


def test_norms_meet_the_same_clients_from_the_trainings_that_other_studies_name() -> None:
    human, laptop = profile_of("human"), profile_of("laptop")
    by_norm = federated_norms(human).by_norm
    assert list(by_norm) == ["BatchNorm", "GroupNorm, 8 groups"]
    trained = {model.run.digest() for model in group_norm(laptop).models}
    for of_norm in by_norm.values():
        runs = [m.digest() for m in of_norm if isinstance(m, TrainingRun)]
        assert len(set(runs)) == 5
        assert set(runs) <= trained
    batch, group = ([m for m in of if isinstance(m, AdaptationStudy)] for of in by_norm.values())
    for one, other in zip(batch, group, strict=True):
        assert (one.run.model.encoder.norm, other.run.model.encoder.norm) == ("batch", "group")
        assert one.model_copy(update={"run": other.run}) == other
    what = [(m.federated.seed, m.method, m.federated.rounds) for m in batch]
    assert what == [
        (seed, method, rounds)
        for seed in range(5)
        for method, rounds in (("federated", 0), ("centralised", 60), ("federated", 60))
    ]
    # With GroupNorm they are those of Federated Dropout, whatever is stored.
    dropout = federated_dropout(human, plans=["none"])
    named = {m.digest() for m in (*dropout.measurements, *dropout.unnamed) if isinstance(m, AdaptationStudy)}
    assert {m.digest() for m in group if m.federated.rounds} <= named


def test_norms_under_clients_are_listed_where_the_profile_compares_them() -> None:
    listed = [one for one in Inventory(profile_of("human")).wanted() if one.chapter == "human_speech"]
    sorts = {one.sort for one in listed if "BatchNorm" in one.sort}
    assert sorts == {
        f"{what}, the clients' first model, BatchNorm"
        for what in ("training", "test before adaptation", "adaptation", "centralised adaptation")
    }
    for name in ("smoke", "quick", "laptop"):
        plan = federated_norms(profile_of(name))  # type: ignore[arg-type]
        assert plan.measurements == []
        with pytest.raises(NotMeasuredError, match=f"profile {name} does not compare norms: its norm_seeds is none"):
            plan.records()
    result = CliRunner().invoke(main, ["run", "--study", "human_speech", "--profile", "smoke"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Error: profile smoke does not compare norms: its norm_seeds is none" in result.output


def test_norms_under_clients_count_from_the_seeds_that_are_whole(
    published: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = norms_compared(published, seeds=2)
    store = store_of(profile)
    plan = federated_norms(profile)
    with pytest.raises(NotMeasuredError, match="records --profile laptop --make"):
        plan.records()
    batch, group = plan.by_norm.values()
    adapted_from_0 = [m for m in group if isinstance(m, AdaptationStudy) and seed_of(m) == 0 and m.federated.rounds]
    compute(lambda: [*batch, *(m for m in group if m != adapted_from_0[-1])], store, workers=1)
    assert not plan.is_stored
    monkeypatch.setattr(results, "_consulted", {})
    records = plan.records()
    adapted = [record.settings for record in results.consulted() if record.kind == "adaptation"]
    # Pooled and federated, with either norm; the model before is one of both seeds.
    assert [of["federated"]["seed"] for of in adapted if of["federated"]["rounds"]] == 4 * [1]
    assert [one.norm for one in records.norms] == ["BatchNorm", "GroupNorm, 2 groups"]
    assert {len(one.before) for one in records.norms} == {1}
    kept = [record for one in records.norms for record in (*one.centralised, *one.federated)]
    assert [record.settings["federated"]["seed"] for record in kept] == 4 * [1]
    plan.measure(workers=1)
    assert plan.is_stored
    records = plan.records()
    for one in records.norms:
        adapted = one.adapted((records.held_out,))
        assert {name: of.errors.shape[0] for name, of in adapted.items()} == dict.fromkeys(adapted, 2)
        for record, rounds in zip((one.before[1], one.centralised[1], one.federated[1]), (0, 3, 3), strict=True):
            assert max(by_step(record.result["dev_wer"])) == rounds
            assert record.settings["run"]["model"]["encoder"]["norm"] == (
                "batch" if one.norm == "BatchNorm" else "group"
            )
        assert [record.settings["method"] for record in (one.centralised[0], one.federated[0])] == [
            "centralised",
            "federated",
        ]
    # Common random numbers: clients, rounds and how much they say are the same.
    met = [
        [[(r["clients"], r["utterances"]) for r in record.result["reports"]] for record in one.federated]
        for one in records.norms
    ]
    assert met[0] == met[1]
    # BatchNorm sends its running statistics too: a mean and a variance of 16 channels in each of four layers.
    sent = [{r["bytes_up"] / len(r["clients"]) for r in one.federated[0].result["reports"]} for one in records.norms]
    assert sent[0].pop() - sent[1].pop() == 4 * 2 * 16 * 4


def test_adaptations_wait_for_the_ranking_of_their_own_seed_alone(cache: Path) -> None:
    profile = toy("smoke")
    profile = profile.model_copy(update={"adaptation": profile.adaptation.model_copy(update={"trainings": 2})})
    study = federated_dropout(profile, plans=["none", "amb-1"], seeds=2, rounds=1)
    first = study.measurements[:2]
    compute(lambda: first, Store(cache / "records"), workers=1)
    assert [type(measurement) for measurement in study.measurements[:4]] == [TrainingRun, ResetStudy] * 2
    named = study.measurements[4:]
    # Before, two plans, the pooled reference; from the first seed alone, more of them with settings varied.
    assert {seed_of(measurement) for measurement in named} == {0}
    assert len(named) > 4
    assert [seed_of(measurement) for measurement in study.unnamed] == [1] * 4
    assert not study.is_stored


def test_plans_that_drop_in_the_same_layers_are_measured_once(cache: Path) -> None:
    profile = toy("smoke")
    study = federated_dropout(profile, plans=["crit-4", "high-4", "low-4"], own="rest:0.1", seeds=1, rounds=1)
    records = study.records(workers=1)
    assert [plan.name for plan in records.plans] == ["crit-4", "high-4", "low-4", "own"]
    crit, high, low, own = (plan.adaptations for plan in records.plans)
    assert crit == high == low  # of four layers
    assert own != crit
    # Beside these there are the model before, the reference that pools all speech, and settings varied.
    of_plans = {record.digest for plan in records.plans for record in plan.adaptations}
    assert len(of_plans) == 2
    others = {record.digest for record in (*records.before, *records.centralised)}
    groups = [plan for of in records.sensitivity.values() for plans in of.by_value.values() for plan in plans]
    varied = {record.digest for plan in groups for record in plan.adaptations}
    assert len(list((cache / "records" / "adaptation").iterdir())) == len(of_plans | others | varied)


def test_settings_are_varied_one_at_a_time_and_what_is_not_varied_is_measured_once(cache: Path) -> None:
    study = federated_dropout(toy("smoke"), plans=["none", "crit-3", "amb-3", "flat-3", "random-2"], seeds=2, rounds=1)
    records = study.records(workers=1)
    by_name = {plan.name: plan for plan in records.plans}
    # The profile varies settings from one seed of the two.
    for varied, value in (("base rate", 0.1), ("rescaling", False), ("server rate", 1.0)):
        for plan in records.sensitivity[varied].by_value[value]:
            assert plan.adaptations == by_name[plan.name].adaptations[:1]
    every = records.sensitivity.values()
    assert [list(of.by_value) for of in every] == [[0.0, 0.1, 0.2], [False, True], [1, 0.5, 0.25]]
    assert all((of.seeds, of.before) == ((0,), records.before[:1]) for of in every)
    by_rate = adapted_by_value(records.sensitivity["base rate"], ("short_form",))
    assert list(by_rate) == [0.0, 0.1, 0.2]
    assert [list(plans) for plans in by_rate.values()] == [["crit-3", "amb-3", "flat-3"]] * 3
    of_plan = adapted_by(by_name["crit-3"], ("short_form",)).errors[:1]
    assert by_rate[0.1]["crit-3"].errors.tolist() == of_plan.tolist()
    assert adapted_by_value(None, ("short_form",)) == {}

    def settings(varied: Varied, value: float) -> list[dict[str, Any]]:
        return [plan.adaptations[0].settings for plan in records.sensitivity[varied].by_value[value]]

    for base in (0.0, 0.1, 0.2):
        assert [of["plan"]["elsewhere"] for of in settings("base rate", base)[:2]] == [base] * 2
        flat = settings("base rate", base)[2]["plan"]
        assert (flat["rates"], flat["elsewhere"]) == ({}, pytest.approx((3 * 0.5 + base) / 4))
    assert [of["federated"]["kept_units"] for of in settings("rescaling", True)] == ["scaled"] * 3
    rates = [settings("server rate", share)[0]["federated"]["server"]["learning_rate"] for share in (1.0, 0.5, 0.25)]
    assert rates == pytest.approx([0.002, 0.001, 0.0005])
    random = by_name["random-2"]
    assert (random.draws, len(random.plans), len(random.adaptations)) == (5, 10, 10)
    drawn = [named_plan("random-2", range(1, 5), seed, draw=draw) for seed in (0, 1) for draw in range(5)]
    assert list(random.plans) == drawn
    assert [record.settings["federated"]["seed"] for record in random.adaptations] == [0] * 5 + [1] * 5
    whole = adapted_by(random, ("short_form",))
    assert whole.errors.shape[0] == 2


def test_who_reads_finished_records_needs_no_torch(cache: Path) -> None:
    model_size(profile_of("smoke"), sizes=["S"], seeds=1).records(workers=1)
    program = """
import sys
from paper_lib.claims import findings
from paper_lib.evaluation import Spoken, word_errors
from paper_lib.layers.ranking import layer_effects
from paper_lib.layers.sweeps import Sweeps
from paper_lib.layers.variants import MODULES
from paper_lib.profiles import profile_of
from paper_lib.studies import STUDIES, group_norm, model_size, signatures
from paper_lib.studies.measurements import compute_missing
(record,) = model_size(profile_of("smoke"), sizes=["S"], seeds=1).records()
layer_effects(Sweeps.of([record.reset.result]))
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
