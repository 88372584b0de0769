"""What larger machines would need: sums that are checked by hand."""

from __future__ import annotations

import pytest

from paper_lib.conformer.sizes import count_parameters
from paper_lib.federated.accounting import forward_flops
from paper_lib.profiles import profile_of
from paper_lib.settings import DropoutPlan
from paper_lib.studies.scale import NOTHING, disk_of, server_of, speeds_here, training_operations, work_of

GPU = profile_of("gpu")


def test_operations_of_a_training_are_those_of_its_utterances_and_steps() -> None:
    run = GPU.run("S", 0)
    passes = 3 * forward_flops(NOTHING, run.model, 225, 12)
    assert training_operations(run) == pytest.approx(passes * 6000 / 225 * 8000)
    longer = run.model_copy(update={"training": run.training.model_copy(update={"steps": 16_000})})
    assert training_operations(longer) == 2 * training_operations(run)


def test_the_work_is_that_of_every_training_and_of_what_is_measured_on_them() -> None:
    work = work_of(GPU)
    assert list(work) == ["S", "M", "L", "clients"]
    assert {name: one.trainings for name, one in work.items()} == {"S": 6, "M": 2, "L": 2, "clients": 1}
    for name, one in work.items():
        model = GPU.adaptation.model if name == "clients" else GPU.models[name]  # type: ignore[index]
        assert one.parameters == count_parameters(model).total
        assert one.everything > one.trainings * one.operations
    assert work["S"].operations < work["M"].operations < work["L"].operations


def test_disk_holds_features_of_every_corpus_and_models() -> None:
    features, models = disk_of(GPU)
    # Two corpora of 163,000 utterances of 2.25 s, 16 kB a second.
    assert features == pytest.approx(2 * 163_000 * 2.25 * 16_000)
    trained = sum(16 * one.parameters * one.trainings for one in work_of(GPU).values())
    assert models > trained


def test_a_server_holds_the_same_for_any_number_of_clients() -> None:
    model = GPU.adaptation.model
    few, many = (server_of(model, NOTHING, clients, 1000) for clients in (10_000, 10**6))
    assert few.held == many.held == 16 * count_parameters(model).total
    assert (few.rounds, many.rounds) == (10, 1000)
    assert many.sent == many.received == 1000 * 4 * count_parameters(model).total
    smaller = server_of(model, DropoutPlan(name="half", elsewhere=0.5), 10**6, 1000)
    assert (smaller.sent, smaller.held) == (1000 * smaller.account.down, many.held)
    assert smaller.sent < many.sent


def test_speeds_are_those_of_the_published_trainings() -> None:
    for encoder, steps, instructions, hours, speed in speeds_here():
        assert encoder in ("144 × 16", "256 × 16", "512 × 17")
        assert instructions in ("AVX2", "AVX512")
        assert 0 < steps <= 4000
        assert 0.1 < hours < 24
        assert 1e9 < speed < 1e12
