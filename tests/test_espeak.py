"""espeak-ng as a function: no state of it stays, and what it lacks is told."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from paper_lib.corpus.espeak import SynthesiserError, Voice, synthesise
from paper_lib.corpus.speakers import all_speakers


def test_speech_does_not_depend_on_what_was_said_before() -> None:
    # Of every way to carry state: pitch flutter, roughness, echo, the Klatt synthesiser, libc's random numbers.
    for lines in ("flutter 20", "roughness 7", "echo 120 40", "klatt 4", "klatt 2\nroughness 5\nbreath 60 40 30"):
        voice = Voice("en-us+tried", f"language variant\n{lines}\n")
        first = synthesise("turn on the kitchen light", voice, 180)
        synthesise("and now for something entirely different", all_speakers()[4].voice, 220)
        np.testing.assert_array_equal(first, synthesise("turn on the kitchen light", voice, 180))


def test_a_voice_is_its_tract_whatever_has_had_its_name_before() -> None:
    high, low = all_speakers()[0].voice, all_speakers()[1].voice
    spoken = [synthesise("call mom", Voice("en+one", tract), 200) for tract in (high.tract, low.tract, high.tract)]
    assert not np.array_equal(spoken[0], spoken[1])
    np.testing.assert_array_equal(spoken[0], spoken[2])
    np.testing.assert_array_equal(spoken[0], synthesise("call mom", high, 200))  # an "en" too


def test_an_unknown_accent_is_refused() -> None:
    with pytest.raises(SynthesiserError, match=r"no voice 'xx-nowhere\+p000'"):
        synthesise("hello", Voice("xx-nowhere+p000", all_speakers()[0].voice.tract), 180)


SPEAK = """
import os, shutil, tempfile
from pathlib import Path
import espeakng_loader
from paper_lib.corpus.espeak import SynthesiserError, synthesise
from paper_lib.corpus.speakers import all_speakers

def speak():
    print(synthesise("call mom", all_speakers()[0].voice, 200).tobytes().hex())

def refuse(*arguments, **options):
    raise PermissionError("it is read-only")

def shown(call):
    try:
        call()
    except SynthesiserError as error:
        print(error)

temporary, data = Path(tempfile.gettempdir()), Path(espeakng_loader.get_data_path())
"""
CALL_MOM = synthesise("call mom", all_speakers()[0].voice, 200).tobytes().hex()


def printed_by(program: str, temporary: Path) -> list[str]:
    """Returns the lines that `program` prints in a process of its own, whose directory for temporary files this is."""
    temporary.mkdir(parents=True)
    process = subprocess.run(
        [sys.executable, "-c", SPEAK + textwrap.dedent(program)],
        env=os.environ | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert not list(temporary.iterdir())
    return process.stdout.splitlines()


@pytest.mark.parametrize("length", [143, 144, 230])
def test_the_directory_of_temporary_files_may_have_a_long_path(tmp_path: Path, length: int) -> None:
    temporary = tmp_path / ("x" * (length - len(str(tmp_path)) - 1))
    assert printed_by("speak()", temporary) == [CALL_MOM]


def test_what_is_cleaned_away_is_made_again(tmp_path: Path) -> None:
    program = """
        speak()
        for gone in ("", "voices", "voices/!v", "phontab", "lang", "lang/en-us"):
            (english,) = temporary.iterdir()
            place = english / gone
            place.unlink() if place.is_symlink() else shutil.rmtree(place)
            speak()
    """
    assert printed_by(program, tmp_path / "temporary") == [CALL_MOM] * 7


def test_without_a_directory_of_temporary_files_the_reason_is_told(tmp_path: Path) -> None:
    (message,) = printed_by("os.mkdir = refuse; shown(speak)", tmp_path / "temporary")
    assert message == (
        "espeak-ng needs a directory of temporary files, for its voices: /tmp must be readable and writable, and is "
        "not (it is read-only): change that"
    )


def test_a_path_that_is_too_long_wherever_temporary_files_lie_is_told(tmp_path: Path) -> None:
    temporary = tmp_path / ("x" * 160)
    program = f"""
        own = tempfile.mkdtemp
        tempfile.mkdtemp = lambda suffix, prefix, dir: own(suffix, prefix, {str(temporary)!r})
        shown(speak)
    """
    (message,) = printed_by(program, temporary)
    assert f"for its voices: the path {temporary}/espeak-" in message
    assert "has more than 159 bytes, which espeak-ng cannot read" in message


def test_data_at_a_long_path_are_read_by_links(tmp_path: Path) -> None:
    link = tmp_path / ("x" * 160)
    program = f"""
        os.symlink(data, {str(link)!r})
        espeakng_loader.get_data_path = lambda: {str(link)!r}
        speak()
    """
    assert printed_by(program, tmp_path / "temporary") == [CALL_MOM]


def test_data_that_are_incomplete_are_refused_and_the_process_lives(tmp_path: Path) -> None:
    program = f"""
        shutil.copytree(data, {str(tmp_path / "data")!r}, ignore=shutil.ignore_patterns("phontab", "??_dict"))
        espeakng_loader.get_data_path = lambda: {str(tmp_path / "data")!r}
        shown(speak)
    """
    (message,) = printed_by(program, tmp_path / "temporary")
    assert f"did not start with the data in {tmp_path / 'data'}: a file is missing" in message


def test_no_temporary_files_stay(tmp_path: Path, cache: Path) -> None:
    program = """
        from paper_lib.corpus import open_corpus
        from paper_lib.settings import SyntheticSettings

        counts = {"train": 3, "test": 2}
        corpus = open_corpus(
            SyntheticSettings(
                domains={"prose": 1.0}, channels={"clean": 1.0}, utterances=counts, speakers=counts, shard_utterances=1
            )
        )
        corpus.prepare(("test",), workers=2)
        with corpus.prefetch("train", [0, 1, 2], workers=1):
            corpus.shard("train", 0)
    """
    assert printed_by(program, tmp_path / "temporary") == []
