"""The inventory of a profile: what is measured, what is missing and how long it takes, made in the order of need."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tiny_profile import PLANS, tiny_profile, tiny_studies
from tiny_runs import CPU

from paper_lib import profiles
from paper_lib.cli import main
from paper_lib.jobs import Job
from paper_lib.results import Record
from paper_lib.settings import SpeechCommandsSettings, TrainingRun
from paper_lib.studies import STUDIES
from paper_lib.studies.computing import measure
from paper_lib.studies.costs import Times, cost
from paper_lib.studies.inventory import Inventory, in_order_of_need
from paper_lib.studies.listing import listing
from paper_lib.studies.making import make
from paper_lib.studies.measurements import Measurement, ResetStudy, run_of
from paper_lib.studies.queue import can_begin, in_turn

TESTS = Path(__file__).parent
# Adaptations of the first seed with settings varied, beside those of PLANS: three plans at three base rates, the same
# with their units scaled, and FedAvg with two smaller server rates.
VARIED = 3 * 3 + 3 + 2
# In a process of its own, after the cache is named by the environment.
ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
from paper_lib.studies import STUDIES
from tiny_profile import tiny_profile, tiny_studies
STUDIES.update(tiny_studies())
"""


@pytest.fixture(scope="module", autouse=True)
def studies() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for chapter, study in tiny_studies().items():
            patch.setitem(STUDIES, chapter, study)
        yield


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpora")


def cache_in(directory: Path, corpora: Path, patch: pytest.MonkeyPatch) -> Path:
    (directory / "corpora").symlink_to(corpora)
    patch.setenv("PAPER_LIB_CACHE", str(directory))
    return directory


@pytest.fixture
def cache(tmp_path: Path, corpora: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, but for the speech."""
    return cache_in(tmp_path, corpora, monkeypatch)


@pytest.fixture(scope="module")
def everything(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[str]]:
    """The cache where one worker has made everything; what was told meanwhile, and what was listed before."""
    with pytest.MonkeyPatch.context() as patch:
        cache = cache_in(tmp_path_factory.mktemp("everything"), corpora, patch)
        before = listing(tiny_profile(), workers=2)
        told: list[str] = []
        make(tiny_profile(), 1, told.append)
    return cache, told, before


@pytest.fixture
def made(everything: tuple[Path, list[str], list[str]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was told when everything was made, with the cache where it is."""
    monkeypatch.setenv("PAPER_LIB_CACHE", str(everything[0]))
    return everything[1]


def record_files(cache: Path) -> dict[Path, int]:
    """Returns when every record was written."""
    files = (cache / "records").glob("*/*.json")
    return {path: path.stat().st_mtime_ns for path in files if path.parent.name != "tests"}


def results_in(cache: Path) -> dict[str, Any]:
    """Returns the result of every record, without the time that it took."""
    results = {path.name: json.loads(path.read_text())["result"] for path in record_files(cache)}
    return {name: {**result, "seconds": None} for name, result in results.items()}


def place(lines: list[str], start: str) -> int:
    (found,) = [number for number, line in enumerate(lines) if line.startswith(start)]
    return found


def test_every_chapter_has_a_first_seed_before_any_has_a_second(made: list[str]) -> None:
    seeds = [int(seed) for line in made for seed in re.findall(r"seed (\d)", line)]
    assert len(seeds) == len(made)
    assert seeds == sorted(seeds)
    first = [line.partition(": ")[0] for line in made[:8]]
    sizes = [f"{size} GroupNorm, 2 groups" for size in profiles.SIZES]
    assert {line for line in first if "streaming" not in line} == {
        f"{what}, {size}, seed 0" for what in ("training", "resets of layers") for size in sizes
    }
    # The smaller models first, and what is measured of a model after its training.
    for what in ("training", "resets of layers"):
        places = [place(made, f"{what}, {size}, seed 0") for size in sizes]
        assert places == sorted(places)
    for model, heard in (*((size, "") for size in sizes), ("streaming", ", on dev speech")):
        assert place(made, f"resets of layers{heard}, {model}, seed 0") == place(made, f"training, {model}, seed 0") + 1


def test_norms_modules_and_adaptations_come_after_the_plain_resets(made: list[str]) -> None:
    assert all("streaming" in line or line.startswith(("training", "resets of layers")) for line in made[:8])
    for norm in ("S BatchNorm", "S GroupNorm, 1 group"):
        assert place(made, f"training, {norm}, seed 0") >= 8
        assert place(made, f"activations, {norm}, seed 1") > place(made, f"training, {norm}, seed 1")
    of_first = [n for n, line in enumerate(made) if line.startswith("adaptation, streaming, seed 0")]
    # And FedAvg in all rounds, of which the cheaper ranks are read.
    assert len(of_first) == len(PLANS) + VARIED + 1
    assert max(of_first) < place(made, "training, S GroupNorm, 2 groups, seed 1")


def test_what_is_made_is_told_with_what_is_left(made: list[str]) -> None:
    left = [int(number) for line in made for number in re.findall(r"; (\d+) left", line)]
    assert len(left) == len(made)
    assert left[-1] == 0
    # Adaptations are named when the ranking that their plans need is stored, and not before; so are sets of layers.
    ranked = place(made, "resets of layers, on dev speech, streaming, seed 0")
    searched = place(made, "search for a set of layers, S GroupNorm, 2 groups, seed 0")
    more = [line.endswith("and what depends on their rankings") for line in made]
    assert more == [number < max(ranked, searched) for number in range(len(made))]
    assert left[ranked] > left[ranked - 1]
    assert left[searched] == left[searched - 1]
    assert place(made, "resets of sets that a search chose, S GroupNorm, 2 groups, seed 0") > searched


def test_what_studies_share_is_made_and_listed_once(
    made: list[str], everything: tuple[Path, list[str], list[str]]
) -> None:
    assert len(set(made)) == len(made) == len(record_files(everything[0]))
    wanted = Inventory(tiny_profile()).wanted()
    assert len({one.key for one in wanted}) == len(wanted) == len(made)
    assert all(one.record for one in wanted)
    for study in STUDIES.values():
        assert study(tiny_profile()).is_stored
    lines = listing(tiny_profile())
    assert lines[-1] == f"all {len(made)} records are there"
    counts = [re.search(r": (\d+) of (\d+)$", line) for line in lines if line.startswith("  ")]
    assert sum(int(count[1]) for count in counts if count) == len(made)
    for chapter in ("stability", "explore"):
        assert f"{chapter}: all that it needs stands with the chapters above" in lines
    assert not any("human_speech" in line for line in lines)  # norms under clients are no question of this profile


def test_a_list_without_records_says_what_is_missing_and_times_the_trainings(
    everything: tuple[Path, list[str], list[str]],
) -> None:
    before = everything[2]
    text = "\n".join(before)
    assert re.search(r"  training, S GroupNorm, 2 groups: 0 of 2; missing: seeds 0, 1; \d+ s$", text, re.MULTILINE)
    assert "  resets of layers, on dev speech, streaming: 0 of 1; missing: seed 0; time not known yet" in before
    # Two seeds of two plans and a pooled reference, one model before; what the first seed varies; and sets of layers.
    assert f"and what depends on their rankings: up to {8 + VARIED} measurements; time not known yet" in before
    assert re.search(r"^0 of \d+ records are there, \d+ are missing$", text, re.MULTILINE)
    assert re.search(r"^about \d+\.\d core-hours, \d+\.\d hours with 2 workers; ", text, re.MULTILINE)
    # The norms of one size have one cost.
    assert "trainings of 4 models were timed just now, by some steps on noise each" in text
    assert "records that this machine made" not in text


def test_a_list_in_between_goes_by_the_records_of_this_machine(
    cache: Path, everything: tuple[Path, list[str], list[str]]
) -> None:
    # A fresh checkout: records of the first seed, and no model.
    shutil.copytree(everything[0] / "records", cache / "records")
    missing = [one for one in Inventory(tiny_profile()).wanted() if one.seed == 1]
    for one in missing:
        assert one.record is not None
        (cache / "records" / one.record.kind / f"{one.record.digest}.json").unlink()
    lines = listing(tiny_profile(), workers=1)
    text = "\n".join(lines)
    kept = len(everything[1]) - len(missing)
    assert f"{kept} of {len(everything[1])} records are there, {len(missing)} are missing" in lines
    assert f"times are those of {kept} records that this machine made, scaled by cost" in lines
    some, missed = len(PLANS) + VARIED, len(PLANS)
    assert f"  adaptation, streaming: {some} of {some + missed}; missing: seed 1 ({missed}); " in text
    # The adaptations of the second seed begin with the first training.
    assert "and trained again, as only their records are here: 16 × 4 seed 0; " in text
    assert "timed just now" not in text
    assert "not known" not in text


def took(record: Record) -> float:
    """Returns the seconds of a training: those of this process, or all of its steps' where it was killed before."""
    return max(float(record.provenance["seconds"]), float(record.result["seconds"]))


def test_times_are_those_of_the_nearest_cost_on_this_machine(made: list[str]) -> None:
    wanted = Inventory(tiny_profile()).wanted()
    stored = [(one.measurement, one.record) for one in wanted if one.record]
    trainings = [(m, record) for m, record in stored if isinstance(m, TrainingRun)]
    run, _ = trainings[0]
    alike = [took(record) for other, record in trainings if cost(other) == cost(run)]
    assert len(alike) == 6  # two seeds of three norms
    times = Times(stored, CPU)
    assert times.seconds(run) == pytest.approx(sum(alike) / 6)
    longer = run.model_copy(update={"training": run.training.model_copy(update={"steps": 20})})
    assert Times([(run, trainings[0][1])], CPU).seconds(longer) == pytest.approx(10 * took(trainings[0][1]))
    assert times.timed == {}

    def elsewhere(record: Record) -> Record:
        machine = record.provenance["machine"] | {"cpu": "another"}
        return replace(record, provenance=record.provenance | {"machine": machine})

    other = Times([(m, elsewhere(record)) for m, record in stored], CPU)
    assert other.made == 0
    assert other.seconds(next(m for m, _ in stored if isinstance(m, ResetStudy))) is None
    assert 0 < (other.seconds(run) or 0) < 60
    assert list(other.timed) == [cost(run)]


def test_one_job_at_a_time_has_a_model_but_for_adaptations(made: list[str]) -> None:
    wanted = [one.measurement for one in in_order_of_need(Inventory(tiny_profile()).wanted())]
    streaming = [m for m in wanted if run_of(m).model == tiny_profile().adaptation.model]
    training, resets, *adaptations = streaming
    assert not can_begin(resets, [training])
    assert not can_begin(adaptations[0], [training])
    assert not can_begin(adaptations[0], [adaptations[1], resets])
    assert can_begin(adaptations[0], adaptations[1:])
    assert can_begin(training, [m for m in wanted if m not in streaming])


def test_what_is_named_is_begun_once_as_soon_as_it_can_begin(made: list[str]) -> None:
    wanted = [one.measurement for one in in_order_of_need(Inventory(tiny_profile()).wanted())]
    training, resets, *adaptations = [m for m in wanted if run_of(m).model == tiny_profile().adaptation.model]
    other = next(m for m in wanted if isinstance(m, TrainingRun) and m.model != training.model)
    named = [training, resets, training, adaptations[0], other]
    choose = in_turn(lambda: named, lambda measurement: Job(measure, (measurement,)))

    def begun(*running: Measurement) -> Measurement | None:
        job = choose([Job(measure, (one,)) for one in running])
        return job and job.arguments[0]

    assert begun() == training
    assert begun(training) == other  # nothing else of the first model can begin
    assert begun(training, other) is None
    assert begun(other) == resets
    named.append(adaptations[1])  # a ranking was stored
    assert begun(other) == adaptations[0]
    assert begun(adaptations[0]) == adaptations[1]
    assert begun() is None


def test_several_workers_killed_and_started_again_make_the_same_records(
    cache: Path, everything: tuple[Path, list[str], list[str]]
) -> None:
    program = f"{ALONE}from paper_lib.studies.making import make\nmake(tiny_profile(), workers=2)"
    process = subprocess.Popen([sys.executable, "-c", program, str(TESTS)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(record_files(cache)) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = record_files(cache)
    assert len(before) >= 4
    assert not all(one.record for one in Inventory(tiny_profile()).wanted())
    told: list[str] = []
    make(tiny_profile(), 1, told.append)
    after = record_files(cache)
    assert {path: after[path] for path in before} == before
    # What a process that was killed still wrote is not made again.
    assert 0 < len(told) <= len(after) - len(before)
    for study in STUDIES.values():
        assert study(tiny_profile()).is_stored
    assert results_in(cache) == results_in(everything[0])


def records(monkeypatch: pytest.MonkeyPatch, *arguments: str, **training: float) -> Result:
    monkeypatch.setattr(profiles, "profile_of", lambda name: tiny_profile(**training))
    return CliRunner().invoke(main, ["records", "--profile", "smoke", *arguments])


def test_without_recordings_of_people_nothing_begins_and_one_line_tells_how_to_get_them(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAPER_LIB_SPEECH_COMMANDS", str(cache / "nowhere"))
    people = tiny_profile().model_copy(update={"corpus": SpeechCommandsSettings()})
    monkeypatch.setattr(profiles, "profile_of", lambda name: people)
    result = CliRunner().invoke(main, ["records", "--profile", "smoke", "--make", "--workers", "1"])
    assert result.exit_code == 1
    assert f"there is no speech to measure with: {cache / 'nowhere'} has no recordings" in result.output
    assert "python -m paper_lib download speech_commands" in result.output
    assert "Traceback" not in result.output
    assert not record_files(cache)


def test_a_measurement_that_fails_stops_with_its_message_and_what_was_made_stays(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = records(monkeypatch, "--make", "--workers", "1", learning_rate=1e30, steps=6)
    assert result.exit_code == 1
    assert "Error: training, S GroupNorm, 2 groups, seed 0: NonFiniteLossError: the loss is" in result.output
    assert "Traceback" not in result.output


def test_the_command_makes_and_lists(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    result = records(monkeypatch)
    assert result.exit_code == 0, result.output
    assert result.output.endswith(f"all {len(made)} records are there\n")
    result = records(monkeypatch, "--make")
    assert result.exit_code == 0, result.output
    assert result.output == ""


def test_a_list_of_what_is_all_there_needs_no_torch(made: list[str]) -> None:
    program = f"{ALONE}from paper_lib.studies.listing import listing\nprint(*listing(tiny_profile()))\n"
    program += "sys.exit('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program, str(TESTS)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith(f"all {len(made)} records are there\n")
