"""Bad input, drawn by hypothesis: accepted and right, or refused in one line; nothing is written elsewhere."""

from __future__ import annotations

import io
import json
import os
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paper_lib.chapters.declarations import CHAPTERS
from paper_lib.chapters.parameters import ParameterError, check_text
from paper_lib.cli import main
from paper_lib.corpus.manifests.entries import read_entries
from paper_lib.corpus.manifests.sounds import PartError, heard
from paper_lib.corpus.recordings import RecordingError
from paper_lib.federated.plans import PLANS, PlanError, named_plan, own_plan
from paper_lib.profiles import Profile, ProfileError, profile_of
from paper_lib.results import Store
from paper_lib.settings import ResetSettings

LAYERS = 16
LONGEST_LINE = 2000
Told = Callable[[str, Any], None]

# Directories are of one test, and every example of it begins with what it needs.
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]


def cases(count: int) -> settings:
    return settings(max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=SHARED)


class Count:
    """Counts the examples that hypothesis tries."""

    def __init__(self) -> None:
        self.value = 0

    def __call__(self) -> None:
        self.value += 1


def is_a_line(error: Exception) -> None:
    message = str(error)
    assert message.strip()
    assert len(message.splitlines()) == 1, message
    assert len(message) < LONGEST_LINE, message


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
# Half of what is drawn is near to something right.
typed = st.one_of(
    st.text(max_size=30),
    st.integers(-3, 30).map(str),
    st.sampled_from(["S,M", "none", "None", "smoke", "quick,", "amb-4,crit-4", "1:0.5 rest:0.1", "1e400", "nan", "\0"]),
    values.map(lambda value: json.dumps(value, default=str)),
)
names = st.sampled_from([*CHAPTERS, "nowhere"])


@pytest.fixture
def told(record_property: Told) -> Callable[[str, Count], None]:
    return lambda name, count: record_property(f"inputs: {name}", count.value)


def test_parameters(told: Callable[[str, Count], None]) -> None:
    count = Count()

    @cases(3000)
    @given(names, st.data())
    def try_one(chapter: str, data: st.DataObject) -> None:
        count()
        fields = list(CHAPTERS[chapter].model_fields) if chapter in CHAPTERS else ["seeds"]
        name = data.draw(st.sampled_from([*fields, "seed5"]) | st.text(max_size=5))
        text = data.draw(typed)
        try:
            checked = check_text(chapter, {name: text})
        except ParameterError as error:
            is_a_line(error)
        else:
            assert name in CHAPTERS[chapter].model_fields
            # What was accepted is accepted again, as it came out, and is the same.
            assert check_text(chapter, checked.model_dump()) == checked

    try_one()
    told("parameters", count)


def test_the_command_line(tmp_path: Path, told: Callable[[str, Count], None], monkeypatch: pytest.MonkeyPatch) -> None:
    count = Count()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))
    commands = st.sampled_from(
        [
            ["chapter"],
            ["run", "--study"],
            ["records", "--profile"],
            ["export", "--to", "out", "--profile"],
            ["manifest", "check"],
            ["manifest", "kaldi"],
            ["verify", "--sample"],
            ["book", "--profile"],
        ]
    )

    @cases(500)
    # No command line holds a NUL.
    @given(commands, st.lists(typed.filter(lambda text: "\0" not in text), min_size=1, max_size=4))
    def try_one(command: list[str], arguments: list[str]) -> None:
        count()
        arguments = [f"x{argument}" for argument in arguments]
        result = CliRunner().invoke(main, [*command, *arguments])
        assert result.exit_code in (1, 2), (command, arguments, result.output)
        assert isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output

    try_one()
    assert list(tmp_path.iterdir()) == []
    told("commands", count)


FIELDS = (
    "base seeds corpus training models adaptation reset pretrained steps domains source utterances S M manifest "
    "learning_rate encoder dim federated norm_seeds x"
)
fields = st.sampled_from(FIELDS.split())
leaves = st.one_of(
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from(["none", "quick", "smoke", "synthetic", "recordings", "espeak", "../x", "~root", "\u202e"]),
    st.lists(st.integers(0, 4), max_size=3),
)
tables = st.recursive(leaves, lambda inner: st.dictionaries(fields, inner, min_size=1, max_size=3), max_leaves=8)
profiles = st.dictionaries(fields, tables, max_size=4)


def as_toml(table: dict[str, Any]) -> str:
    def written(value: Any) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{key} = {written(one)}" for key, one in value.items()) + " }"
        if isinstance(value, float):
            return repr(value)  # nan and inf are written alike
        return json.dumps(value)

    return "\n".join(f"{key} = {written(value)}" for key, value in table.items())


def test_profiles(tmp_path: Path, told: Callable[[str, Count], None]) -> None:
    count, path = Count(), tmp_path / "mine.toml"

    @cases(1800)
    @given(profiles.map(lambda table: {"base": "quick"} | table).map(as_toml) | st.text(max_size=60))
    def try_one(text: str) -> None:
        count()
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            profile = profile_of(str(path))
        except ProfileError as error:
            is_a_line(error)
        else:
            assert isinstance(profile, Profile)
            assert profile.name == "mine"

    try_one()
    assert [one.name for one in tmp_path.iterdir()] == ["mine.toml"]
    told("profiles", count)


def test_plans(told: Callable[[str, Count], None]) -> None:
    count = Count()
    part = st.tuples(st.integers(-2, 40).map(str) | st.just("rest"), st.floats(-1, 2).map(str) | st.text(max_size=4))
    texts = st.lists(part.map(":".join), max_size=5).map(" ".join) | st.text(max_size=20)
    named = st.sampled_from([*PLANS, "none", "flat-3", "amb-99", "random-0"]) | st.text(max_size=8)

    @cases(2400)
    @given(texts, named)
    def try_one(text: str, name: str) -> None:
        count()
        for make in (lambda: own_plan(text, LAYERS), lambda: named_plan(name, range(1, LAYERS + 1))):
            try:
                plan = make()
            except PlanError as error:
                is_a_line(error)
            else:
                assert all(0 <= plan.rate(layer) < 1 for layer in range(1, LAYERS + 1))
                assert set(plan.rates) <= set(range(1, LAYERS + 1))

    try_one()
    told("plans", count)


def test_manifests(tmp_path: Path, told: Callable[[str, Count], None]) -> None:
    count, path = Count(), tmp_path / "manifest.jsonl"
    keys = st.sampled_from(["audio_filepath", "text", "speaker", "duration", "offset", "split", "domain", "x"])
    entry = st.dictionaries(keys, scalars | st.sampled_from(["train", "dev", "a.wav", "<script>"]), max_size=8)
    line = entry.map(lambda fields: json.dumps(fields).encode()) | st.binary(max_size=40) | st.just(b"[" * 20_000)

    @cases(1500)
    @given(st.lists(line, max_size=4))
    def try_one(lines: list[bytes]) -> None:
        count()
        path.write_bytes(b"\n".join(lines))
        entries, faults, total = read_entries(path)
        assert len(entries) + len(faults) == total
        for fault in faults:
            assert len(str(fault).splitlines()) == 1
        for one in entries:
            assert os.path.isabs(one.audio)
            assert one.part[0] >= 0
            assert one.split in (None, "train", "dev", "test")

    try_one()
    told("manifests", count)


def a_sound(kind: str) -> bytes:
    samples = np.sin(np.arange(2000) / 5).astype(np.float32) / 2
    file = io.BytesIO()
    if kind == "WAVE":
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(16_000)
            writer.writeframes((samples * 32_000).astype(np.int16).tobytes())
    else:
        soundfile.write(file, samples, 16_000, format=kind)
    return file.getvalue()


SOUNDS = {kind: a_sound(kind) for kind in ("WAVE", "FLAC", "OGG")}
changes = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), min_size=1, max_size=6)


def test_headers_of_audio(tmp_path: Path, told: Callable[[str, Count], None]) -> None:
    count = Count()

    @cases(800)
    @given(st.sampled_from(sorted(SOUNDS)), changes, st.integers(0, 5000), st.floats(0, 0.2))
    def try_one(kind: str, changed: list[tuple[int, int]], length: int, offset: float) -> None:
        count()
        content = bytearray(SOUNDS[kind])
        for place, byte in changed:
            content[place] = byte
        path = tmp_path / "a.sound"
        path.write_bytes(content[: length or None])
        try:
            for part, samples in heard(str(path), [(offset, 0.02), (0.0, None)]):
                assert isinstance(samples, PartError) or np.isfinite(samples).all()
                assert part[0] in (offset, 0.0)
        except RecordingError as error:
            is_a_line(error)

    try_one()
    assert [one.name for one in tmp_path.iterdir()] == ["a.sound"]
    told("headers of audio", count)


QUESTION = ResetSettings(draws=1)


def test_records(tmp_path: Path, told: Callable[[str, Count], None]) -> None:
    count, store = Count(), Store(tmp_path)
    answer = {"wer": 0.25, "heard": ["<script>alert(1)</script>"]}
    whole = store.get_or_compute("toy", QUESTION, lambda: answer, corpus="c0ffee1")
    (path,) = (tmp_path / "toy").iterdir()
    content, parsed = path.read_bytes(), json.loads(path.read_bytes())
    cut = st.integers(0, len(content) - 1).map(lambda length: content[:length])

    def replaced(field: str, value: Any) -> bytes:
        return json.dumps({**parsed, field: value}).encode()

    def flipped(bit: int) -> bytes:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    fields = st.sampled_from([*parsed, "x"])
    damage = st.one_of(
        cut,
        st.integers(0, 8 * len(content) - 1).map(flipped),
        st.binary(max_size=60),
        st.builds(replaced, fields, values),
        values.map(lambda value: json.dumps(value).encode()),
    )

    @cases(2500)
    @given(damage)
    def try_one(damaged: bytes) -> None:
        count()
        path.write_bytes(damaged)
        record = store.get("toy", QUESTION, "c0ffee1")
        # Where a bit is of the spelling alone, JSON says the same.
        assert record is None or record == whole

    try_one()
    told("records", count)
