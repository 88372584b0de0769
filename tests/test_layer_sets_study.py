"""The study of sets of layers: what it names and when, of which profiles, and that its records are of one model."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_profile import tiny_profile

from paper_lib.cli import main
from paper_lib.layers.orders import sets_to_judge
from paper_lib.layers.sweeps import Sweeps
from paper_lib.profiles import Profile, profile_of
from paper_lib.settings import TrainingRun
from paper_lib.studies import layer_sets, model_size
from paper_lib.studies import measurements as studies_measurements
from paper_lib.studies.costs import cost
from paper_lib.studies.measurements import GreedyStudy, NotMeasuredError, ResetStudy, SetStudy, seed_of, store_of
from paper_lib.studies.queue import compute


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """A published profile with two trainings, whose records are missing at first; S has three layers."""
    tiny = tiny_profile()
    model = tiny.models["S"]
    deeper = model.model_copy(update={"encoder": model.encoder.model_copy(update={"layers": 3})})
    changes = {"name": "laptop", "beyond_seeds": (0, 1), "models": {**tiny.models, "S": deeper}}
    return tiny.model_copy(update=changes)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[misc]
    directory = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPER_LIB_CACHE", str(directory))
        patch.setattr(studies_measurements, "published_records", lambda name: directory / "published" / name)
        yield directory


def test_sets_are_named_once_the_search_of_their_training_is_stored(profile: Profile) -> None:
    plan = layer_sets(profile)
    sorts = [TrainingRun, ResetStudy, SetStudy, GreedyStudy]
    assert [(type(m), seed_of(m)) for m in plan.measurements] == [(sort, seed) for seed in (0, 1) for sort in sorts]
    assert [(type(m), seed_of(m)) for m in plan.unnamed] == [(SetStudy, 0), (SetStudy, 1)]
    of_size = {m.digest() for m in model_size(profile).measurements}
    assert {m.digest() for m in plan.measurements if isinstance(m, TrainingRun | ResetStudy)} <= of_size
    with pytest.raises(NotMeasuredError, match="records --profile laptop --make"):
        plan.records()

    first = [m for m in plan.measurements if seed_of(m) == 0]
    compute(lambda: first, store_of(profile), workers=1)
    assert [type(m) for m in plan.measurements if seed_of(m) == 0] == [*sorts, SetStudy]
    assert [seed_of(m) for m in plan.unnamed] == [1]
    (at_most,) = plan.unnamed
    assert cost(at_most) >= cost(plan.measurements[4])
    with pytest.raises(NotMeasuredError):
        plan.records()

    compute(lambda: [m for m in plan.measurements if seed_of(m) == 0], store_of(profile), workers=1)
    (records,) = plan.records()
    assert records.seed == 0
    plan.measure(workers=1)
    assert plan.is_stored
    assert plan.unnamed == []
    assert [records.seed for records in plan.records()] == [0, 1]


def test_records_are_of_one_model_and_its_sets_chosen_on_other_speech(profile: Profile) -> None:
    plan = layer_sets(profile)
    plan.measure(workers=1)
    for records in plan.records():
        every = (records.training, records.reset, records.pairs, records.greedy, records.judged)
        assert len({record.result["checkpoint"] for record in every}) == 1
        assert [of["layers"] for of in records.pairs.result["sets"]] == [[1, 2], [1, 3], [2, 3], [1, 2, 3]]
        assert [of["layer"] for of in records.pairs.result["exchanges"]] == [1, 2]
        judged = {tuple(of["layers"]) for of in records.judged.result["sets"]}
        assert judged == set(sets_to_judge(records.greedy.result, records.seed))
        on_dev, on_test = (set(record.result["spoken"]["ids"]) for record in (records.greedy, records.reset))
        assert on_dev.isdisjoint(on_test)
        assert len(Sweeps.of([records.greedy.result]).units) == 3
        model = records.searched
        assert model.heard.layers == 3
        assert sum(model.heard.added[(2,)]) == sum(Sweeps.of([records.reset.result]).added()[0, 1])
    assert len(plan.summary()) == 2


def test_a_profile_says_which_trainings_are_asked(profile: Profile) -> None:
    second = profile.model_copy(update={"beyond_seeds": (1,)})
    plan = layer_sets(second)
    plan.measure(workers=1)
    assert [records.seed for records in plan.records()] == [1]
    assert {seed_of(measurement) for measurement in plan.measurements} == {1}
    # Of the first that is asked nothing is stored, of the second all.
    elsewhere = second.model_copy(update={"beyond_seeds": (2, 1), "seeds": {"S": 3}})
    assert [records.seed for records in layer_sets(elsewhere).records()] == [1]


def test_a_profile_without_seeds_for_it_asks_nothing() -> None:
    for name in ("quick", "human"):
        plan = layer_sets(profile_of(name))  # type: ignore[arg-type]
        assert plan.measurements == plan.unnamed == []
        with pytest.raises(NotMeasuredError, match=f"profile {name} asks nothing beyond the paper"):
            plan.records()
    result = CliRunner().invoke(main, ["run", "--study", "layer_sets", "--profile", "quick"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Error: profile quick asks nothing beyond the paper: its beyond_seeds is none" in result.output


def test_pairs_of_the_paper_size_are_counted_as_the_issue_does() -> None:
    plan = layer_sets(profile_of("laptop"))
    (pairs, *_) = (m for m in plan.measurements if isinstance(m, SetStudy) and m.exchanges)
    assert [len(pairs.sets), len(pairs.exchanges)] == [120 + 14, 15]
    assert pairs.reset.split is None
    (search, *_) = (m for m in plan.measurements if isinstance(m, GreedyStudy))
    assert search.reset.split == "dev"
