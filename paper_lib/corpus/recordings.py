"""Sound files, decoded by libsndfile: one that is damaged is refused with the reason."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from paper_lib.corpus.features import SAMPLE_RATE

SLOWEST_RATE = 8000  # Hz, that of a telephone
SILENCE = 1e-4  # the peak of what is silent, −80 dB of full scale

_UNKNOWN = 2**63 - 1  # libsndfile's count of samples where a file does not tell


class RecordingError(ValueError):
    """A file that cannot be read as sound; the message names it and says why."""


def open_recording(source: bytes | Path, name: str) -> soundfile.SoundFile:
    """Returns a sound file, given by its content or its path, for its rate, its channels and `samples_of`.

    `name` is what errors call it.

    A WAV file whose sizes were never filled in goes on to its end. Raises RecordingError for what is no sound file,
    and for FLAC that does not tell its length, whose end libsndfile cannot tell from damage.
    """
    try:
        file = soundfile.SoundFile(source if isinstance(source, Path) else io.BytesIO(source))
        if file.frames == 0:
            content = source.read_bytes() if isinstance(source, Path) else source
            if _is_unfinished(content):
                file = soundfile.SoundFile(io.BytesIO(_finished(content)))
    except soundfile.LibsndfileError:
        raise RecordingError(
            f"{name} is no sound file that can be read here: WAV, FLAC, OGG, Opus and MP3 can."
        ) from None
    if file.frames == _UNKNOWN:
        raise RecordingError(f"{name} does not tell its length, as FLAC from a pipe does not: save it again as a file.")
    return file


def samples_of(file: soundfile.SoundFile, name: str, most: int = -1) -> NDArray[np.float32]:
    """Returns the first `most` samples of `file`, all by default, as [samples, channels].

    WAV, OGG and MP3 that are cut off give what is there. Raises RecordingError for FLAC that is, for damaged FLAC, and
    where there is no sample.
    """
    try:
        samples: NDArray[np.float32] = file.read(most, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        seconds = file.frames / file.samplerate
        raise RecordingError(f"{name} is cut off or damaged: not all of its {seconds:.1f} s can be read.") from None
    if not len(samples):
        raise RecordingError(f"{name} holds no sound: it is empty or cut off.")
    return samples


def read_mono(content: bytes, name: str, rate: int) -> NDArray[np.float32]:
    """Returns the sound file of `content`, called `name` in errors, as [samples].

    Raises RecordingError for one that cannot be read, and for more than one channel or another rate than `rate`, Hz.
    """
    with open_recording(content, name) as file:
        if file.samplerate != rate or file.channels != 1:
            raise RecordingError(
                f"{name} has {file.channels} channels at {file.samplerate} Hz instead of one at {rate} Hz"
            )
        return samples_of(file, name)[:, 0]


def mixed(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns one channel of `samples`, [samples, channels]: their average; a constant offset stays in it.

    Where the average leaves less than a hundredth of the sound, as of channels of opposite phase, it is the loudest.
    """
    changes = samples - samples.mean(axis=0, dtype=np.float64)
    energies = np.square(changes).mean(axis=0)
    if np.square(changes.mean(axis=1)).mean() > energies.max() / 100:
        return samples.mean(axis=1, dtype=np.float64)
    return samples[:, energies.argmax()].astype(np.float64)


def resampled(waveform: NDArray[np.float64], rate: int) -> NDArray[np.float32]:
    """Returns `waveform`, [samples] at `rate` Hz, at 16 kHz."""
    common = math.gcd(rate, SAMPLE_RATE)
    same = rate == SAMPLE_RATE
    return (waveform if same else resample_poly(waveform, SAMPLE_RATE // common, rate // common)).astype(np.float32)


def _is_unfinished(content: bytes) -> bool:
    """Returns whether this is a WAV file whose own size is that of a stream, or less than it is."""
    size = int.from_bytes(content[4:8], "little")
    return content[:4] == b"RIFF" and (size == 0xFFFFFFFF or size + 8 < len(content))


def _finished(content: bytes) -> bytes:
    """Returns a WAV file with the size of its samples that stands for "to the end of the file"."""
    place = content.find(b"data") + 4
    return content[:place] + b"\xff" * 4 + content[place + 4 :]


def is_cut_off(head: bytes, size: int) -> bool:
    """Returns whether a file of `size` bytes that begins with `head`, 12 bytes, is WAV that says it has more.

    Sizes from 2 GiB on are what writers to a pipe put there.
    """
    said = int.from_bytes(head[4:8], "little") + 8
    return head[:4] == b"RIFF" and head[8:] == b"WAVE" and size < said < 0x7FFF0000
