"""Published records, computed anew: the same to the bit, or what differs; and records of two trainings of one seed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from filelock import FileLock, Timeout
from tiny_profile import tiny_profile, tiny_studies

import paper_lib.results
from paper_lib import profiles
from paper_lib.cli import main
from paper_lib.results import Record, Store
from paper_lib.studies import STUDIES
from paper_lib.studies.computing import measure
from paper_lib.studies.differences import OTHER_TRAINING, SAME_WEIGHTS, differences
from paper_lib.studies.inventory import Inventory
from paper_lib.studies.listing import listing
from paper_lib.studies.measurements import ResetStudy
from paper_lib.studies.verifying import verify
from paper_lib.trainings import mixed_trainings

Result = dict[str, Any]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache with the records of two small trainings, and of the resets of one of them."""
    directory = tmp_path_factory.mktemp("verify")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPER_LIB_CACHE", str(directory))
        for chapter, study in tiny_studies().items():
            patch.setitem(STUDIES, chapter, study)
        profile = tiny_profile()
        store = Inventory(profile).store
        torch.set_num_threads(1)  # as every job has: with more, some processors add in another order
        small, middle = profile.run("S", 0), profile.run("M", 0)
        for one in (small, ResetStudy(run=small, reset=profile.reset), middle):
            record = measure(one, store, 0)
        # The last one took so long that it is never among the cheapest.
        write(store, replace(record, result=record.result | {"seconds": 1000.0}))
        yield directory


def write(store: Store, record: Record) -> None:
    """Writes a record as it would be if it had come out so."""
    path = store._path(record.kind, record.digest)
    written = json.loads(path.read_bytes())
    # Its test stays where it is.
    test = {"spoken": written["result"]["spoken"]} if "spoken" in written["result"] else {}
    path.write_bytes(paper_lib.results._serialize(replace(record, result=record.result | test)))


@pytest.fixture
def altered(cache: Path) -> Iterator[Callable[[str, Callable[[Record], None]], None]]:
    """Alters the record of a kind of the smallest model; afterwards it is as before."""
    store, before = Inventory(tiny_profile()).store, {}

    def alter(kind: str, change: Callable[[Record], None]) -> None:
        wanted = [one.record for one in Inventory(tiny_profile()).wanted() if one.record and one.record.kind == kind]
        path = store._path(kind, wanted[0].digest)
        before[path] = path.read_bytes()
        record = copy.deepcopy(wanted[0])
        change(record)
        write(store, record)

    yield alter
    for path, content in before.items():
        path.write_bytes(content)


def test_on_the_machine_that_made_them_records_are_the_same_to_the_bit(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "profile_of", lambda name: tiny_profile())
    result = CliRunner().invoke(main, ["verify", "--profile", "smoke", "--sample", "2"])
    assert result.exit_code == 0, result.output
    training, resets, whole = [line for line in result.stdout.splitlines() if line.startswith(("smoke", "2 of"))]
    assert "training, S GroupNorm, 2 groups, seed 0" in training
    assert "resets of layers, S GroupNorm" in resets
    assert training.endswith(": the same to the bit")
    assert resets.endswith(": the same to the bit")
    assert whole == "2 of 2 records agree"
    (directory,) = (cache / "verified").iterdir()
    # Speech and the model were made anew, and the records that were there play no part.
    assert {"corpora", "runs", "records"} <= {path.name for path in directory.iterdir()}
    made = {path: path.stat().st_mtime_ns for path in directory.rglob("*.safetensors")}
    assert [outcome.agrees for outcome in verify(tiny_profile(), 2)] == [True, True]
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*.safetensors")} == made


def test_one_process_at_a_time_verifies(cache: Path) -> None:
    verifying = verify(tiny_profile(), 1)
    assert next(verifying).agrees
    with pytest.raises(Timeout):  # it might delete what the first one has made
        FileLock(cache / "verified.lock").acquire(blocking=False)
    assert list(verifying) == []
    with FileLock(cache / "verified.lock").acquire(blocking=False):
        pass


def test_a_seed_draws_the_records(cache: Path) -> None:
    drawn = [
        [outcome.line.partition(" ")[0] for outcome in verify(tiny_profile(), 2, seed)] for seed in (0, 0, 1, 2, 3, 4)
    ]
    assert drawn[0] == drawn[1]
    assert len({tuple(sorted(one)) for one in drawn}) > 1


def test_what_came_out_otherwise_on_the_same_machine_is_told(
    altered: Callable[[str, Callable[[Record], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    altered("training", lambda record: record.result["losses"].__setitem__(0, record.result["losses"][0] * 1.001))
    monkeypatch.setattr(profiles, "profile_of", lambda name: tiny_profile())
    result = CliRunner().invoke(main, ["verify", "--profile", "smoke"])
    assert result.exit_code == 1
    assert "DIFFERS, though this is the kind of machine that made it: losses on average: " in result.stdout
    assert "0 of 1 records agree" in result.stdout


def of_another_machine(record: Record) -> None:
    record.provenance["machine"]["cpu"] = "Another"


def with_other_weights(record: Record) -> None:
    of_another_machine(record)
    record.result["checkpoint"] = "f" * 64
    record.result["losses"] = [loss * 1.1 for loss in record.result["losses"]]


def with_another_outcome(record: Record) -> None:
    with_other_weights(record)
    record.result["losses"] = [loss * 3 for loss in record.result["losses"]]


@pytest.mark.parametrize(
    ("change", "agrees", "told"),
    [
        (of_another_machine, True, "the same to the bit"),
        (with_other_weights, True, "within tolerance, made with cpu Another (here "),
        (with_another_outcome, False, "DIFFERS, made with cpu Another (here "),
    ],
)
def test_on_another_machine_tolerances_hold(
    change: Callable[[Record], None],
    agrees: bool,
    told: str,
    altered: Callable[[str, Callable[[Record], None]], None],
) -> None:
    altered("training", change)
    # The two records that this kind of machine made come first, though one of them takes long.
    resets, middle, training = verify(tiny_profile(), 3)
    assert [": the same to the bit" in outcome.line for outcome in (resets, middle)] == [True, True]
    assert "training, M " in middle.line
    assert "training, S " in training.line
    assert training.agrees == agrees
    assert told in training.line


SPOKEN = {"ids": ["a", "b"], "references": ["one two three four five", "six seven eight nine ten"]}
RESETS: Result = {
    "checkpoint": "1" * 64,
    "spoken": SPOKEN,
    "seconds": 3.0,
    "intact": [[0, 1, "one"]],
    "resets": [{"layer": 1, "misheard": [[0, 4, "one"], [1, 1, "six"]]}],
    "dev_wer": {"5": 0.9, "10": 0.5},
    "readings": [1.0, 2.0, 3.0],
}


def changed(**changes: Any) -> Result:
    return copy.deepcopy(RESETS) | changes


@pytest.mark.parametrize(
    ("here", "tolerated"),
    [
        (changed(), None),
        (changed(seconds=9.0), None),
        (changed(readings=[1.0, 2.0, 3.01]), True),
        (changed(readings=[1.0, 2.0, 4.0]), False),
        (changed(readings=[1.0, 2.0]), False),
        (changed(intact=[[1, 1, "six"]]), True),  # another word, as many errors
        (changed(intact=[[0, 2, "one"]]), False),
        (changed(intact=[]), False),
        (changed(checkpoint="2" * 64), True),
        (changed(checkpoint="2" * 64, readings=[1.0, 2.0, 4.0]), True),
        (changed(checkpoint="2" * 64, readings=[10.0, 2.0, 4.0]), False),
        (changed(checkpoint="2" * 64, dev_wer={"5": 0.1, "10": 0.6}), True),
        (changed(checkpoint="2" * 64, dev_wer={"5": 0.9, "8": 0.5}), True),
        (changed(checkpoint="2" * 64, dev_wer={"5": 0.9, "10": 0.9}), False),
        (changed(spoken={**SPOKEN, "ids": ["a", "c"]}), False),
        (changed(more=1), False),
    ],
)
def test_differences_are_measured_and_times_are_none(here: Result, tolerated: bool | None) -> None:
    found = differences(RESETS, here)
    if tolerated is None:
        assert found == []
    else:
        assert found
        assert all(one.tolerated for one in found) == tolerated
        assert found == sorted(found, key=lambda one: one.tolerated)


def test_tolerances_are_of_points_and_of_a_share() -> None:
    assert SAME_WEIGHTS.allows(0.5, 0.505, wer=True)
    assert not SAME_WEIGHTS.allows(0.0, 0.01, wer=True)
    assert OTHER_TRAINING.allows(0.02, 0.06, wer=True)
    assert not OTHER_TRAINING.allows(0.02, 0.10, wer=True)
    assert OTHER_TRAINING.allows(-4.0, -5.0, wer=False)
    assert not OTHER_TRAINING.allows(4.0, 5.5, wer=False)


def records_of(cache: Path) -> list[Record]:
    return [one.record for one in Inventory(tiny_profile()).wanted() if one.record]


def test_records_of_one_training_are_not_mixed(cache: Path) -> None:
    assert len(records_of(cache)) == 3
    assert mixed_trainings(records_of(cache)) == []


def test_records_that_rest_on_another_training_of_one_seed_are_named(
    cache: Path, altered: Callable[[str, Callable[[Record], None]], None]
) -> None:
    altered("reset_sweep", lambda record: record.result.update(checkpoint="f" * 64))
    (line,) = mixed_trainings(records_of(cache))
    (odd,) = [record for record in records_of(cache) if record.kind == "reset_sweep"]
    told = f"reset_sweep/{odd.digest}.json rests on another training of 8 × 2 seed 0 than the rest: "
    assert line == f"{told}pairs by seed mean nothing"
    assert line in listing(tiny_profile(), workers=1)


def test_an_option_that_was_added_later_makes_no_other_training(cache: Path) -> None:
    training, resets, *_ = copy.deepcopy(records_of(cache))
    training.settings["added_later"] = None
    assert resets.kind == "reset_sweep"
    resets.result["checkpoint"] = "f" * 64
    assert len(mixed_trainings([training, resets])) == 1
