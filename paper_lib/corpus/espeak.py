"""espeak-ng (https://github.com/espeak-ng/espeak-ng), called through ctypes.

The synthesiser carries state from one utterance into the next: the phase of its pitch flutter, its gain control, the
count of glottal cycles, libc's random generator. None of its functions resets all of that. So the library is unloaded
after every utterance, and its next loading starts from the state it was compiled with.

Choosing a voice by its name then reads all of its 250 voice files, unless the accent is the name of a file. So the
library gets a directory of its data with English alone, in which it is: an utterance takes 0.4 times as long. The
vocal tracts that it is to speak with are written there too.
"""

from __future__ import annotations

import _ctypes
import ctypes
import os
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from paper_lib.files import temporary_directory

SAMPLE_RATE = 22_050  # Hz

# Of enum espeak_AUDIO_OUTPUT, espeak_PARAMETER and espeak_POSITION_TYPE in speak_lib.h, and of its options.
_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000  # else a file that is missing ends the process
_RATE, _VOLUME = 1, 2
_BY_CHARACTER, _UTF8 = 1, 1

# Bytes of the path of its data; espeak-ng cuts off the rest (N_PATH_HOME in speech.h) and looks there, or elsewhere.
_LONGEST_PATH = 159

VARIANTS = "voices/!v"  # where it looks for a voice variant

VOLUME = 50  # at 100 the loudest voices clip

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_one_at_a_time = threading.Lock()


class SynthesiserError(RuntimeError):
    """espeak-ng could not be loaded afresh, or refused a voice."""


@dataclass(frozen=True)
class Voice:
    """An accent of English and a vocal tract."""

    name: str  # ACCENT+VARIANT, which begins with a letter
    tract: str  # a voice variant as espeak-ng's files describe them

    @property
    def variant(self) -> str:
        return self.name.rpartition("+")[2]


def synthesise(text: str, voice: Voice, rate: int) -> NDArray[np.int16]:
    """Returns `text` spoken at 22 050 Hz, [samples], `rate` words a minute.

    On one platform the samples are a function of the arguments alone. Raises SynthesiserError.
    """
    with _one_at_a_time:
        library = _load()
        try:
            return _synthesise(library, text, voice, rate)
        finally:
            library.espeak_Terminate()
            _ctypes.dlclose(library._handle)


def _load() -> ctypes.CDLL:
    path = espeakng_loader.get_library_path()
    try:
        ctypes.CDLL(path, mode=os.RTLD_NOLOAD)
    except OSError:
        return ctypes.CDLL(path)
    raise SynthesiserError(
        f"{path} is already loaded by another package of this process, or this platform does not unload libraries: "
        "what it would say depends on what it has said before"
    )


def _data(voice: Voice) -> str:
    """Returns the directory of data to start with: English alone, and the tract of `voice`.

    It is made again if a link or a directory is gone, for temporary files are cleaned away. Raises SynthesiserError.
    """
    english = _english()
    if not all(os.path.exists(f"{english.name}/{name}") for name in (*english_data(), VARIANTS)):
        english.cleanup()
        _english.cache_clear()
        english = _english()
    Path(english.name, VARIANTS, voice.variant).write_text(voice.tract)
    return english.name


@cache
def _english() -> TemporaryDirectory[str]:
    """Returns a directory of links to the data for English, and for vocal tracts."""
    reason = ""
    for parent in (None, Path("/tmp")):
        try:
            directory = temporary_directory("espeak", parent)
            (Path(directory.name) / "lang").mkdir()
            for name, target in english_data().items():
                (Path(directory.name) / name).symlink_to(target)
            (Path(directory.name) / VARIANTS).mkdir(parents=True)
        except OSError as error:
            reason = str(error)
            continue
        if len(os.fsencode(directory.name)) <= _LONGEST_PATH:
            return directory
        reason = f"the path {directory.name} has more than {_LONGEST_PATH} bytes, which espeak-ng cannot read"
        directory.cleanup()
    raise SynthesiserError(f"espeak-ng needs a directory of temporary files, for its voices: {reason}")


@cache
def english_data() -> dict[str, Path]:
    """Returns the files of data for English by their places, each accent under the lower-case name that it goes by."""
    whole = Path(espeakng_loader.get_data_path())
    links = {name: whole / name for name in ("phontab", "phonindex", "phondata", "intonations", "en_dict")}
    return links | {f"lang/{accent.name.lower()}": accent for accent in (whole / "lang" / "gmw").glob("en*")}


def _synthesise(library: ctypes.CDLL, text: str, voice: Voice, rate: int) -> NDArray[np.int16]:
    if library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(_data(voice)), _DO_NOT_EXIT) != SAMPLE_RATE:
        raise SynthesiserError(
            f"espeak-ng did not start with the data in {espeakng_loader.get_data_path()}: a file is missing or damaged"
        )
    if library.espeak_SetVoiceByName(voice.name.encode()):
        raise SynthesiserError(f"espeak-ng has no voice {voice.name!r}")
    chunks: list[bytes] = []

    def collect(samples: ctypes._Pointer[ctypes.c_short], count: int, events: int | None) -> int:
        if samples and count:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(collect)  # held here, for the library keeps no reference
    library.espeak_SetSynthCallback(callback)
    for parameter, value in ((_RATE, rate), (_VOLUME, VOLUME)):
        library.espeak_SetParameter(parameter, value, 0)
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    encoded = text.encode()
    library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, _BY_CHARACTER, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    return np.frombuffer(b"".join(chunks), np.int16)
