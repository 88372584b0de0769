"""The results store: what is read is what was computed, for exactly these settings, or it is computed again."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import platform
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import pytest
from pydantic import Field

from paper_lib import results
from paper_lib.circumstances import VERSIONED
from paper_lib.results import Record, Store, by_step, consulted
from paper_lib.settings import Settings

CORPUS = "c0ffee"
RESULT = {"wer": 0.125, "words": [3, 0, 5], "by_step": {"100": 1.0}, "name": "layer ½", "none": None}


class Question(Settings):
    """Settings with every shape of field: nested, mapped, a tuple, a default."""

    seed: int
    shares: dict[str, float] = Field(default={"prose": 1.0, "dictation": 0.5})
    betas: tuple[float, float] = (0.9, 0.98)
    inner: Question | None = None


class Computation:
    """A computation that counts its calls."""

    def __init__(self, result: dict[str, Any] | None = None) -> None:
        self.result, self.calls = result or RESULT, 0

    def __call__(self) -> dict[str, Any]:
        self.calls += 1
        return self.result


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "records"


@pytest.fixture(autouse=True)
def nothing_consulted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_consulted", {})


def only_file(directory: Path) -> Path:
    (path,) = (path for path in directory.rglob("*") if path.is_file())
    return path


def test_a_record_is_computed_once_and_read_by_every_later_store(directory: Path) -> None:
    compute = Computation()
    first = Store(directory).get_or_compute("training", Question(seed=1), compute, corpus=CORPUS)
    assert first.result == RESULT
    again = Store(directory)
    assert again.get("training", Question(seed=1), CORPUS) == first
    assert again.get_or_compute("training", Question(seed=1), compute, corpus=CORPUS) == first
    assert compute.calls == 1
    assert only_file(directory).parent.name == first.kind == "training"
    assert only_file(directory).stem == first.digest


def test_what_is_not_stored_is_nothing(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Store(directory).get("training", Question(seed=1), CORPUS) is None
    assert not directory.exists()
    assert not caplog.records


def test_equal_settings_have_one_record_whatever_the_order_of_their_fields(directory: Path) -> None:
    store, compute = Store(directory), Computation()
    inner = Question(seed=2)
    asked = [
        Question(seed=1, shares={"prose": 1.0, "dictation": 2.0}, inner=inner),
        Question(inner=inner, shares={"dictation": 2, "prose": 1}, seed=1, betas=(0.9, 0.98)),
        Question.model_validate_json('{"inner": {"seed": 2}, "shares": {"dictation": 2, "prose": 1}, "seed": 1}'),
    ]
    digests = {store.get_or_compute("training", question, compute, corpus=CORPUS).digest for question in asked}
    assert len(digests) == compute.calls == 1


def test_other_settings_kinds_and_corpora_have_other_records(directory: Path) -> None:
    store = Store(directory)
    questions = [
        Question(seed=1),
        Question(seed=2),
        Question(seed=1, shares={"prose": 1.0}),
        Question(seed=1, betas=(0.9, 0.981)),
        Question(seed=1, inner=Question(seed=1)),
        Question(seed=1, inner=Question(seed=2)),
    ]
    asked = [
        (kind, question, corpus)
        for kind in ("training", "reset_sweep")
        for question in questions
        for corpus in ("c0ffee", "decaf")
    ]
    for number, (kind, question, corpus) in enumerate(asked):
        store.get_or_compute(kind, question, Computation({"number": number}), corpus=corpus)
    read = [store.get(kind, question, corpus) for kind, question, corpus in asked]
    assert [record.result["number"] for record in read if record] == list(range(24))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def change_a_digit(path: Path) -> None:
    path.write_text(path.read_text().replace('"wer":0.125', '"wer":0.135'))


def change_a_version(path: Path) -> None:
    path.write_text(path.read_text().replace('"torch":"2.', '"torch":"3.'))


def not_json(path: Path) -> None:
    path.write_text("<<<<<<< HEAD\n")


def not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


def a_list(path: Path) -> None:
    path.write_text("[1, 2]")


def a_string(path: Path) -> None:
    path.write_text('"checksum"')


def without_checksum(path: Path) -> None:
    content = json.loads(path.read_text())
    del content["checksum"]
    path.write_text(json.dumps(content))


def with_an_unknown_field(path: Path) -> None:
    content = json.loads(path.read_text()) | {"extra": 1}
    del content["checksum"]
    path.write_text(json.dumps({**content, "checksum": results._checksum(content)}))


def of_other_settings(path: Path) -> None:
    """The whole and undamaged record of other settings takes this one's place, as by a careless `cp`."""
    other = path.parents[1] / "other"
    Store(other).get_or_compute("training", Question(seed=99), Computation({"wer": 0.5}), corpus=CORPUS)
    path.write_bytes(only_file(other).read_bytes())


def of_another_kind(path: Path) -> None:
    other = path.parents[1] / "other"
    Store(other).get_or_compute("reset_sweep", Question(seed=1), Computation({"wer": 0.5}), corpus=CORPUS)
    path.write_bytes(only_file(other).read_bytes())


def of_another_corpus(path: Path) -> None:
    other = path.parents[1] / "other"
    Store(other).get_or_compute("training", Question(seed=1), Computation({"wer": 0.5}), corpus="decaf")
    path.write_bytes(only_file(other).read_bytes())


DAMAGES = [
    *(truncate, empty, change_a_digit, change_a_version, not_json, not_text, a_list, a_string),
    *(without_checksum, with_an_unknown_field, of_other_settings, of_another_kind, of_another_corpus),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_reported_in_one_line_and_computed_again(
    directory: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    question, compute = Question(seed=1), Computation()
    Store(directory).get_or_compute("training", question, compute, corpus=CORPUS)
    path = only_file(directory)
    intact = path.read_bytes()
    damage(path)
    assert path.read_bytes() != intact
    with caplog.at_level(logging.WARNING, "paper_lib"):
        record = Store(directory).get_or_compute("training", question, compute, corpus=CORPUS)
    assert record.result == RESULT
    assert compute.calls == 2
    (line,) = caplog.records
    assert line.name == "paper_lib"
    assert str(path) in line.getMessage()
    assert line.getMessage().endswith("it is computed again")
    assert "\n" not in line.getMessage()
    caplog.clear()
    assert Store(directory).get("training", question, CORPUS) == record
    assert not caplog.records


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_never_returned(directory: Path, damage: Callable[[Path], None]) -> None:
    Store(directory).get_or_compute("training", Question(seed=1), Computation(), corpus=CORPUS)
    damage(only_file(directory))
    assert Store(directory).get("training", Question(seed=1), CORPUS) is None


SPOKEN = {"ids": ["u0", "u1"], "references": ["stop", "café ½"]}
OF_A_TEST = {"spoken": SPOKEN, "misheard": [[0, 1, "top"]]}


def of_a_test(directory: Path, seed: int, spoken: dict[str, Any] = SPOKEN) -> Record:
    computation = Computation({**OF_A_TEST, "spoken": spoken})
    return Store(directory).get_or_compute("reset_sweep", Question(seed=seed), computation, corpus=CORPUS)


def only_test(directory: Path) -> Path:
    (path,) = (directory / "tests").iterdir()
    return path


def test_records_of_one_test_share_its_file(directory: Path) -> None:
    first, second = of_a_test(directory, 1), of_a_test(directory, 2)
    written = only_test(directory).stat().st_mtime_ns
    for seed, record in enumerate((first, second), 1):
        assert record.result == OF_A_TEST
        assert Store(directory).get("reset_sweep", Question(seed=seed), CORPUS) == record
    stored = [json.loads(path.read_text())["result"] for path in (directory / "reset_sweep").iterdir()]
    assert stored == [{**OF_A_TEST, "spoken": only_test(directory).stem}] * 2
    of_a_test(directory, 3)
    assert only_test(directory).stat().st_mtime_ns == written
    # Of another test there is another file.
    assert of_a_test(directory, 4, {"ids": ["u0"]}).result["spoken"] == {"ids": ["u0"]}
    assert len(list((directory / "tests").iterdir())) == 2


def another_reference(path: Path) -> None:
    path.write_text(path.read_text().replace("stop", "step"))


@pytest.mark.parametrize("damage", [Path.unlink, truncate, empty, another_reference, not_text, a_list])
def test_a_record_whose_test_is_damaged_or_gone_is_computed_again(
    directory: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    of_a_test(directory, 1), of_a_test(directory, 2)
    path = only_test(directory)
    whole = path.read_bytes()
    damage(path)
    with caplog.at_level(logging.WARNING, "paper_lib"):
        assert Store(directory).get("reset_sweep", Question(seed=1), CORPUS) is None
    (line,) = caplog.records
    assert str(path) in line.getMessage()
    assert line.getMessage().endswith("it is computed again")
    assert "\n" not in line.getMessage()
    assert of_a_test(directory, 1).result == OF_A_TEST
    # With the test in its place, the other record is whole again.
    assert path.read_bytes() == whole
    assert Store(directory).get("reset_sweep", Question(seed=2), CORPUS) is not None


def test_the_checksum_of_a_record_covers_which_test_it_is_of(directory: Path) -> None:
    of_a_test(directory, 1), of_a_test(directory, 2, {"ids": ["u9"]})
    one, other = (path.stem for path in (directory / "tests").iterdir())
    for path in (directory / "reset_sweep").iterdir():
        text = path.read_text()
        path.write_text(text.replace(one, other) if one in text else text.replace(other, one))
    for seed in (1, 2):
        assert Store(directory).get("reset_sweep", Question(seed=seed), CORPUS) is None


def test_processes_that_write_one_test_at_a_time_leave_it_whole(directory: Path) -> None:
    # Long enough that the writing of several overlaps.
    spoken = {"references": ["turn on the kitchen light"] * 20_000}
    work = (joblib.delayed(of_a_test)(directory, seed, spoken) for seed in range(24))
    records = joblib.Parallel(n_jobs=4, batch_size=1)(work)
    assert [path.name for path in (directory / "tests").iterdir()] == [only_test(directory).name]
    for seed, record in enumerate(records):
        assert Store(directory).get("reset_sweep", Question(seed=seed), CORPUS) == record
        assert record.result["spoken"] == spoken


def test_a_reformatted_record_is_still_whole(directory: Path) -> None:
    record = Store(directory).get_or_compute("training", Question(seed=1), Computation(), corpus=CORPUS)
    record_of_a_test = of_a_test(directory, 1)
    for path in list(directory.rglob("*.json")):
        content = json.loads(path.read_text())
        path.write_text(json.dumps(dict(reversed(content.items())), indent=4))
    assert Store(directory).get("training", Question(seed=1), CORPUS) == record
    assert Store(directory).get("reset_sweep", Question(seed=1), CORPUS) == record_of_a_test


def test_a_computation_that_fails_leaves_nothing(directory: Path) -> None:
    def fail() -> dict[str, Any]:
        raise KeyboardInterrupt

    store = Store(directory)
    for compute, error in ((fail, KeyboardInterrupt), (Computation({"not JSON": object()}), TypeError)):
        with pytest.raises(error):
            store.get_or_compute("training", Question(seed=1), compute, corpus=CORPUS)
        assert list(directory.rglob("*")) == []
    assert consulted() == []
    assert store.get_or_compute("training", Question(seed=1), Computation(), corpus=CORPUS).result == RESULT


def test_a_computed_record_has_the_types_of_a_read_one(directory: Path) -> None:
    result = {"tuple": (1, 2), "by_step": {2: 0.5, 10: 0.25}}
    computed = Store(directory).get_or_compute("training", Question(seed=1), Computation(result), corpus=CORPUS)
    assert computed.result == {"tuple": [1, 2], "by_step": {"2": 0.5, "10": 0.25}}
    assert Store(directory).get("training", Question(seed=1), CORPUS) == computed


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_who_may_read_a_record_is_said_by_the_umask(directory: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        Store(directory).get_or_compute("training", Question(seed=1), Computation(), corpus=CORPUS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(only_file(directory).stat().st_mode) == mode


def test_provenance_says_how_a_record_came_to_be(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([10.0, 12.5])
    monkeypatch.setattr(results, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    before = datetime.now(UTC).replace(microsecond=0)
    record = Store(directory).get_or_compute("training", Question(seed=7), Computation(), corpus=CORPUS, seeds=(7, 8))
    provenance = record.provenance
    assert provenance["seconds"] == 2.5
    assert provenance["seeds"] == [7, 8]
    assert provenance["corpus"] == CORPUS
    assert before <= datetime.fromisoformat(provenance["created"]) <= datetime.now(UTC) + timedelta(seconds=1)
    assert provenance["versions"]["python"] == platform.python_version()
    for name in VERSIONED:
        assert provenance["versions"][name] == importlib.metadata.version(name)
    assert provenance["machine"]["cores"] == os.cpu_count()
    assert provenance["machine"]["system"] == f"{platform.system()} {platform.machine()}"
    assert provenance["machine"]["cpu"]
    assert "gpu" in provenance["machine"]
    assert record.settings == Question(seed=7).model_dump(mode="json")


def test_consulted_lists_each_record_once_in_the_order_of_asking(directory: Path) -> None:
    for seed in (1, 2, 3):
        Store(directory).get_or_compute("training", Question(seed=seed), Computation(), corpus=CORPUS)
    results._consulted.clear()
    store = Store(directory)
    assert consulted() == []

    def ask(seed: int) -> Record:
        return store.get_or_compute("training", Question(seed=seed), Computation(), corpus=CORPUS)

    assert store.get("training", Question(seed=99), CORPUS) is None
    first, second, new = ask(3), ask(1), ask(4)
    ask(3)
    assert consulted() == [first, second, new]
    assert [record.settings["seed"] for record in consulted()] == [3, 1, 4]


def test_a_history_is_read_in_the_order_of_its_steps() -> None:
    # Records are written with sorted keys, which are texts.
    written = json.loads(json.dumps({str(step): step / 100 for step in range(0, 128, 8)}, sort_keys=True))
    assert list(written)[:3] == ["0", "104", "112"]
    assert by_step(written) == {step: step / 100 for step in range(0, 128, 8)}
    assert list(by_step(written)) == sorted(range(0, 128, 8))
