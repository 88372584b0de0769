"""flite (http://cmuflite.org), the second synthesiser: its voices test what was found with espeak-ng's.

It is a program, called once for every utterance: no state stays. Its voices were made from recordings of people, three
by statistical models of the spectrum (clustergen) and one, kal16, from pieces of the recordings themselves (diphones);
espeak-ng computes formants by rules. A speaker is one such voice at its own pitch and pace. So there are as many
independent speakers as voices, four, and intervals over speakers are as wide as four make them: the same voice at
another pitch would be another sound, but not another person.
"""

from __future__ import annotations

import shutil
import subprocess
import wave
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from paper_lib.corpus.espeak import SynthesiserError

# The corpus is named by it, so that its records are found where the program is not installed.
VERSION = "2.2"

_INSTALL = "install it (Debian or Ubuntu: apt install flite; macOS: brew install flite)"


@dataclass(frozen=True)
class Voice:
    """One of flite's voices, by its name there."""

    name: str

    def say(self, text: str) -> NDArray[np.float32]:
        """Returns `text` spoken at 16 kHz, [samples].

        On one platform the samples are a function of voice and text alone. Raises SynthesiserError where flite is not
        installed, or is another version.
        """
        content = _run(_program(), "-voice", self.name, "-t", text, "-o", "/dev/stdout")
        with wave.open(BytesIO(content)) as spoken:
            return np.frombuffer(spoken.readframes(spoken.getnframes()), "<i2").astype(np.float32)


# The voice kal is kal16's speaker at 8 kHz, and awb_time, awb again, knows only what a clock says.
VOICES = tuple(map(Voice, ("awb", "kal16", "rms", "slt")))


def _program() -> str:
    """Returns the path of flite. Raises SynthesiserError."""
    if path := shutil.which("flite"):
        _check(path)
        return path
    raise SynthesiserError(f"the synthesiser flite is not installed: {_INSTALL}")


@cache
def _check(path: str) -> None:
    """Raises SynthesiserError for another version, or one that lacks a voice: it would speak with another, unasked."""
    if f"flite-{VERSION}-" not in (about := _run(path, "--version").decode()):
        said = next((line.strip() for line in about.splitlines() if "version" in line), "no version")
        raise SynthesiserError(f"flite {VERSION} is needed, and {path} says {said!r}: {_INSTALL}")
    there = _run(path, "-lv").decode().partition(":")[2].split()
    if missing := [voice.name for voice in VOICES if voice.name not in there]:
        raise SynthesiserError(f"{path} lacks the voices {', '.join(missing)}; it has {', '.join(there)}")


def _run(*command: str) -> bytes:
    # Its exit status tells nothing: 1 after its version, 0 where it could not write.
    process = subprocess.run(command, capture_output=True, check=False)
    if not process.stdout:
        reason = process.stderr.decode(errors="replace").strip()
        raise SynthesiserError(f"{' '.join(command)} gave nothing, status {process.returncode}: {reason}")
    return process.stdout
