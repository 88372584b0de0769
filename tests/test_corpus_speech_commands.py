"""Speech Commands on a tiny archive in its exact layout, of synthetic speech; and the list that is in the package."""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from numpy.typing import NDArray
from pydantic import ValidationError

from paper_lib.cli import main
from paper_lib.corpus import open_corpus, speech_commands
from paper_lib.corpus.cache import Utterance
from paper_lib.corpus.features import log_mel
from paper_lib.corpus.recordings import RecordingError
from paper_lib.corpus.speakers import all_speakers, speak
from paper_lib.corpus.speech_commands import IncompleteDownloadError, download, split_of
from paper_lib.paths import MissingDataError
from paper_lib.settings import SpeechCommandsSettings

LIST = speech_commands.LIST  # the package's own

# People by the words that they say, each as often as given. Their splits: train, train, dev (none), test, test.
PEOPLE = {
    "00000001": {"go": 3, "left": 2, "zero": 2},
    "00ff00ff": {"go": 2, "one": 3},
    "a1b2c3d4": {"go": 1},
    "deadbeef": {"one": 2, "zero": 2},
}
NUMBER = 12  # recordings of the training people
LINE = re.compile(r"([0-9a-f]{64})  (\w+)/([0-9a-f]+)_nohash_(\d+)\.wav")


def recording_of(word: str, voice: int) -> NDArray[np.float32]:
    """Returns a second with `word` in its middle, and quiet noise all over."""
    spoken = speak(word, all_speakers()[voice])[:12_000]
    recording = np.zeros(16_000, np.float32)
    start = (len(recording) - len(spoken)) // 2
    recording[start : start + len(spoken)] = 0.5 * spoken
    return recording + 0.001 * np.random.default_rng(voice).standard_normal(16_000).astype(np.float32)


def write_archive(home: Path) -> None:
    for voice, (speaker, words) in enumerate(PEOPLE.items()):
        for word, times in words.items():
            (home / word).mkdir(parents=True, exist_ok=True)
            for number in range(times):
                recording = (0.8 + 0.1 * number) * recording_of(word, voice)
                soundfile.write(home / word / f"{speaker}_nohash_{number}.wav", recording, 16_000, subtype="PCM_16")


def list_of(home: Path) -> str:
    paths = sorted(path.relative_to(home).as_posix() for path in home.rglob("*_nohash_*.wav"))
    return "".join(f"{hashlib.sha256((home / path).read_bytes()).hexdigest()}  {path}\n" for path in paths)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny archive, which no test changes."""
    home = tmp_path_factory.mktemp("archive")
    write_archive(home)
    return home


@pytest.fixture
def root(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the archive that is found, and whose recordings are the list."""
    home = tmp_path / "root"
    for path in archive.rglob("*.wav"):
        copy = home / path.relative_to(archive)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PAPER_LIB_SPEECH_COMMANDS", str(home))
    put_list(tmp_path, list_of(archive), monkeypatch)
    return home


def put_list(directory: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = directory / f"{hashlib.sha256(text.encode()).hexdigest()[:8]}.sha256"
    path.write_text(text)
    monkeypatch.setattr(speech_commands, "LIST", path)
    return path


def settings_of(**changes: Any) -> SpeechCommandsSettings:
    return SpeechCommandsSettings(**{"passes": {"train": 2, "dev": 1, "test": 1}} | changes)


def utterances_of(settings: SpeechCommandsSettings, split: Any = "train") -> list[Utterance]:
    corpus = open_corpus(settings)
    return [utterance for k in range(corpus.shards(split)) for utterance in corpus.shard(split, k).utterances]


@pytest.mark.usefixtures("root")
def test_every_pass_has_each_recording_of_a_person_once() -> None:
    utterances = utterances_of(settings_of())
    assert {u.speaker for u in utterances} == {"00000001", "00ff00ff"}
    for speaker in ("00000001", "00ff00ff"):
        for number in ("0", "1"):
            own = [u for u in utterances if u.speaker == speaker and u.id.split("-")[2] == number]
            assert Counter(word for u in own for word in u.text.split()) == PEOPLE[speaker]
            assert all(1 <= len(u.text.split()) <= 4 for u in own)
    assert len({u.id for u in utterances}) == len(utterances)
    assert {(u.domain, u.channel) for u in utterances} == {("people", "recorded")}
    first, second = ([u.text for u in utterances if u.id.split("-")[2] == number] for number in ("0", "1"))
    assert sorted(first) != sorted(second)


@pytest.mark.usefixtures("root")
def test_people_are_in_the_split_of_their_name() -> None:
    assert {u.speaker for u in utterances_of(settings_of(), "test")} == {"a1b2c3d4", "deadbeef"}
    assert open_corpus(settings_of()).count("dev") == 0
    (alone,) = [u for u in utterances_of(settings_of(), "test") if u.speaker == "a1b2c3d4"]
    assert (alone.id, alone.text) == ("test-a1b2c3d4-0-0", "go")


@pytest.mark.usefixtures("root")
def test_the_order_is_drawn_and_shards_are_its_pieces() -> None:
    whole = utterances_of(settings_of())
    assert [u.id for u in whole] != sorted(u.id for u in whole)
    assert {u.speaker for u in whole[: len(whole) // 2]} == {"00000001", "00ff00ff"}
    assert utterances_of(settings_of(shard_utterances=3)) == whole


@pytest.mark.usefixtures("root")
def test_another_seed_makes_other_strings() -> None:
    one, other = utterances_of(settings_of(most_words=2)), utterances_of(settings_of(most_words=2, seed=1))
    assert {(u.id, u.text) for u in one} != {(u.id, u.text) for u in other}


@pytest.mark.usefixtures("root")
def test_features_are_those_of_the_waveform() -> None:
    corpus = open_corpus(settings_of())
    shard = corpus.shard("train", 0)
    for index, utterance in enumerate(shard.utterances):
        waveform = corpus.waveform(utterance.id)
        assert waveform.dtype == np.float32
        np.testing.assert_array_equal(shard.features(index), log_mel(waveform).astype(np.float16))


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("id", ["train-00000001-0-99", "test-00000001-0-0", "train-00000001-5-0", "103-1240-0000"])
def test_an_id_that_is_not_there_is_refused(id: str) -> None:
    with pytest.raises(ValueError, match=f"the corpus has no utterance {id}"):
        open_corpus(settings_of()).waveform(id)


@pytest.mark.usefixtures("root")
def test_words_are_as_far_apart_as_the_settings_say() -> None:
    def seconds(pause: float) -> dict[str, float]:
        corpus = open_corpus(settings_of(pause_seconds=(pause, pause)))
        return {u.id: len(corpus.waveform(u.id)) / 16_000 for u in corpus.shard("train", 0).utterances}

    close, apart = seconds(0), seconds(0.2)
    for utterance in utterances_of(settings_of(pause_seconds=(0, 0))):
        pauses = len(utterance.text.split()) - 1
        assert apart[utterance.id] - close[utterance.id] == pytest.approx(0.2 * pauses, abs=1e-3)


@pytest.mark.usefixtures("root")
def test_drawn_pauses_differ_and_are_in_their_range() -> None:
    corpus, close = open_corpus(settings_of()), open_corpus(settings_of(pause_seconds=(0, 0)))
    pairs = [u.id for u in utterances_of(settings_of()) if len(u.text.split()) == 2]
    pauses = [(len(corpus.waveform(id)) - len(close.waveform(id))) / 16_000 for id in pairs]
    assert len(pairs) == len(set(pauses)) > 1
    assert 0.05 <= min(pauses) < max(pauses) <= 0.3


@pytest.mark.parametrize("pauses", [(-0.1, 0.2), (0.3, 0.2), (0, float("inf")), (float("nan"), 1)])
def test_pauses_that_cannot_be_are_refused(pauses: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match=r"pause_seconds is .*; it must be a shortest, from 0, and a longest"):
        SpeechCommandsSettings(pause_seconds=pauses)


@pytest.mark.usefixtures("root")
def test_the_list_is_part_of_what_the_corpus_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = open_corpus(settings_of())
    put_list(tmp_path, "".join(speech_commands.LIST.read_text().splitlines(keepends=True)[1:]), monkeypatch)
    assert open_corpus(settings_of()).digest != whole.digest


def test_what_was_made_is_used_without_the_recordings(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = utterances_of(settings_of())
    monkeypatch.setenv("PAPER_LIB_SPEECH_COMMANDS", str(root / "nowhere"))
    assert utterances_of(settings_of()) == made


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("place", [".", "speech_commands_v0.02", "SpeechCommands/speech_commands_v0.02"])
def test_it_is_found_in_every_layout(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    expected = utterances_of(settings_of())
    shutil.copytree(archive, tmp_path / "other" / place)
    monkeypatch.setenv("PAPER_LIB_SPEECH_COMMANDS", str(tmp_path / "other"))
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "another cache"))
    assert utterances_of(settings_of()) == expected


def test_missing_recordings_say_where_how_much_and_how(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = root / "elsewhere"
    monkeypatch.setenv("PAPER_LIB_SPEECH_COMMANDS", str(elsewhere))
    with pytest.raises(MissingDataError) as error:
        open_corpus(settings_of()).shard("train", 0)
    message = str(error.value)
    assert message.startswith(f"{elsewhere} has no recordings of Speech Commands; to download, 2.3 GB:")
    assert f"PAPER_LIB_SPEECH_COMMANDS={elsewhere} python -m paper_lib download speech_commands" in message


def test_a_recording_of_another_split_that_is_missing_is_named_at_once(root: Path) -> None:
    (root / "one/deadbeef_nohash_1.wav").unlink()
    (root / "zero/deadbeef_nohash_0.wav").unlink()
    with pytest.raises(MissingDataError, match=r"lacks 2 recordings of the list, the first one/dead"):
        open_corpus(settings_of()).shard("train", 0)


def test_a_recording_that_differs_from_the_list_is_named(root: Path) -> None:
    path = root / "go/a1b2c3d4_nohash_0.wav"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=f"^{path} is not the recording of the list: its SHA-256 is [0-9a-f]+ ins"):
        open_corpus(settings_of()).shard("test", 0)


TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4000) / 16_000)
SPEECH = np.concatenate([np.zeros(6000), TONE, np.zeros(6000)])
TICK = np.concatenate([np.zeros(8000), TONE[:800], np.zeros(7200)])


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (SPEECH, 8000, "has 1 channels at 8000 Hz instead of one at 16000 Hz"),
        (np.stack([SPEECH, SPEECH], 1), 16_000, "has 2 channels at 16000 Hz instead of one at 16000 Hz"),
        (np.zeros(0), 16_000, "holds no sound: it is empty or cut off"),
        (SPEECH[6000:6399], 16_000, "has 399 samples: less than a window, 400"),
        (np.zeros(16_000), 16_000, "is silent: nothing in it stands out from its background"),
        (np.full(16_000, 0.1), 16_000, "is silent"),
        (np.random.default_rng(0).normal(0, 0.01, 16_000), 16_000, "is silent"),
        (np.clip(4 * SPEECH, -1, 1), 16_000, r"is clipped: 16\.\d\d% of it is at full scale, at most 1% may"),
        (TICK, 16_000, "has [567]0 ms of speech: less than a word"),
    ],
    ids=["rate", "channels", "empty", "short", "silent", "offset", "noise", "clipped", "tick"],
)
def test_a_recording_that_cannot_be_used_is_refused_by_its_path(
    root: Path, monkeypatch: pytest.MonkeyPatch, samples: NDArray[np.float64], rate: int, message: str
) -> None:
    path = root / "go/a1b2c3d4_nohash_0.wav"
    soundfile.write(path, samples, rate, subtype="PCM_16")
    put_list(root, list_of(root), monkeypatch)
    with pytest.raises(RecordingError, match=f"^{path} {message}"):
        open_corpus(settings_of()).shard("test", 0)


def test_what_is_no_sound_file_is_refused_by_its_path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "go/a1b2c3d4_nohash_0.wav"
    path.write_text("go")
    put_list(root, list_of(root), monkeypatch)
    with pytest.raises(RecordingError, match=f"^{path} is no sound file"):
        open_corpus(settings_of()).shard("test", 0)


SUM = 64 * "0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{SUM}  go/1_nohash_0.wav\n{SUM}  go/1_nohash_0.wav\n", "line 2: go/1_nohash_0.wav is in the list twice"),
        (
            f"{SUM}  go/1_nohash_0.wav\n{SUM}  go/1_nohash_1.wav\n",
            "line 2: go/1_nohash_1.wav is the same recording as go/1",
        ),
        (f"{SUM}  go/1_nohash_0.wav\n\n", "line 2: '' is not SHA256  WORD/SPEAKER_nohash_NUMBER.wav"),
        (f"{SUM[1:]}  go/1_nohash_0.wav\n", "line 1: '0+  go/1_nohash_0.wav' is not SHA256"),
        (f"{SUM}  go/bob_nohash_0.wav\n", "line 1: .* is not SHA256"),
        (f"{SUM}  ../go/1_nohash_0.wav\n", "line 1: .* is not SHA256"),
    ],
    ids=["twice", "copy", "empty line", "short sum", "name", "path"],
)
def test_a_list_that_cannot_be_read_is_refused_by_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    path = put_list(tmp_path, text, monkeypatch)
    with pytest.raises(ValueError, match=f"{path}, {message}"):
        open_corpus(settings_of())


def pack(archive: Path, root: Path) -> None:
    """Puts a tiny archive where a download leaves it."""
    (root / ".download").mkdir(parents=True)
    with tarfile.open(root / ".download/speech_commands_v0.02.tar.gz", "w:gz") as packed:
        packed.add(archive, ".")


@pytest.fixture
def elsewhere(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another place to look for the recordings, in which there is nothing yet."""
    place = root.with_name("elsewhere")
    monkeypatch.setenv("PAPER_LIB_SPEECH_COMMANDS", str(place))
    return place


def test_a_download_unpacks_and_leaves_only_the_data(archive: Path, elsewhere: Path) -> None:
    pack(archive, elsewhere)
    # What an interrupted unpacking leaves.
    (elsewhere / ".download/SpeechCommands/speech_commands_v0.02/go").mkdir(parents=True)
    result = CliRunner().invoke(main, ["download", "speech_commands"], catch_exceptions=False)
    assert result.exit_code == 0
    assert [path.name for path in elsewhere.iterdir()] == ["SpeechCommands"]
    assert len(utterances_of(settings_of(most_words=1))) == 2 * NUMBER
    download()


def test_a_download_that_lacks_a_recording_of_the_list_is_refused(root: Path, elsewhere: Path) -> None:
    (root / "one/deadbeef_nohash_1.wav").unlink()
    pack(root, elsewhere)
    with pytest.raises(IncompleteDownloadError, match=r"one/deadbeef_nohash_1.wav is missing; delete .* and down"):
        download()


def test_a_download_with_another_recording_is_refused(root: Path, elsewhere: Path) -> None:
    (root / "one/deadbeef_nohash_1.wav").write_bytes((root / "one/deadbeef_nohash_0.wav").read_bytes())
    pack(root, elsewhere)
    with pytest.raises(IncompleteDownloadError, match=r"one/deadbeef_nohash_1.wav is not the recording of the list"):
        download()


def test_the_list_of_the_package_is_sorted_and_names_each_recording_once() -> None:
    lines = [LINE.fullmatch(line) for line in LIST.read_text().splitlines()]
    parts = [line.groups() for line in lines if line]
    assert len(parts) == len(lines) == 4968
    paths = [f"{word}/{speaker}_nohash_{number}.wav" for _, word, speaker, number in parts]
    assert paths == sorted(set(paths))
    assert len({sha256 for sha256, *_ in parts}) == 4968
    assert {word for _, word, _, _ in parts} == {"down", "eight", "five", "go", "left", "one", "right", "up", "zero"}


def test_the_list_of_the_package_is_split_by_people() -> None:
    parts = [line.groups() for line in map(LINE.fullmatch, LIST.read_text().splitlines()) if line]
    recordings = Counter(split_of(speaker) for _, _, speaker, _ in parts)
    people = Counter(split_of(speaker) for speaker in {speaker for _, _, speaker, _ in parts})
    assert people == {"train": 333, "dev": 53, "test": 91}
    assert recordings == {"train": 3481, "dev": 575, "test": 912}
    corpus = open_corpus(SpeechCommandsSettings(most_words=1))
    assert [corpus.count(split) for split in ("train", "dev", "test")] == [4 * 3481, 575, 2 * 912]


def test_the_list_is_credited() -> None:
    credit = LIST.with_suffix(".LICENSE.md").read_text()
    assert all(part in credit for part in ("Pete Warden", "1804.03209", "creativecommons.org/licenses/by/4.0", "4968"))
