"""LibriSpeech, the paper's corpus (Panayotov et al. 2015), read through `torchaudio.datasets.LIBRISPEECH`."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paper_lib.corpus.cache import Shard, Utterance
from paper_lib.corpus.features import SAMPLE_RATE, log_mel
from paper_lib.paths import librispeech_root
from paper_lib.settings import LibriSpeechSettings, Split

if TYPE_CHECKING:
    from torchaudio.datasets import LIBRISPEECH

# A change of the features or of the order of the utterances raises this by one.
FORMAT_VERSION = 1


class Subset(NamedTuple):
    """Size of a subset as https://www.openslr.org/12 has it."""

    gigabytes: float  # of the archive
    utterances: int


SUBSETS = {
    "train-clean-100": Subset(6.3, 28_539),
    "train-clean-360": Subset(23.0, 104_014),
    "train-other-500": Subset(30.0, 148_688),
    "dev-clean": Subset(0.337, 2_703),
    "dev-other": Subset(0.314, 2_864),
    "test-clean": Subset(0.346, 2_620),
    "test-other": Subset(0.328, 2_939),
}


class MissingDataError(FileNotFoundError):
    """A subset of LibriSpeech is not in `librispeech_root()`; the message tells how to get it."""


class IncompleteDownloadError(RuntimeError):
    """A downloaded subset has not as many utterances as LibriSpeech's authors put into it."""


def version() -> str:
    """Returns what, beside the settings, determines the corpus."""
    return f"librispeech {FORMAT_VERSION}"


def check(settings: LibriSpeechSettings) -> None:
    """Raises ValueError for a subset that LibriSpeech does not have; where the data are is not looked at yet."""
    if unknown := [name for names in settings.subsets.values() for name in names if name not in SUBSETS]:
        raise ValueError(f"LibriSpeech has no subset {', '.join(unknown)}; it has {', '.join(SUBSETS)}")


def count(settings: LibriSpeechSettings, split: Split) -> int:
    """Returns the number of utterances of `split`. Raises MissingDataError."""
    return sum(len(subset) for subset in _subsets(settings, split))


def make_shard(settings: LibriSpeechSettings, split: Split, k: int) -> Shard:
    """Returns shard `k` of `split`, its features computed now. Raises MissingDataError.

    The order of the utterances is drawn once and for all: torchaudio sorts them by speaker, and shards of a few
    speakers each would make poor batches and poor statistics.
    """
    subsets = _subsets(settings, split)
    starts = np.cumsum([0, *(len(subset) for subset in subsets)])
    order = np.random.default_rng(0).permutation(count(settings, split))
    utterances, features = [], []
    for place in order[k * settings.shard_utterances : (k + 1) * settings.shard_utterances]:
        number = int(np.searchsorted(starts, place, side="right")) - 1
        path, _, text, speaker, _, _ = subsets[number].get_metadata(int(place - starts[number]))
        frames = log_mel(_read(_home() / path)).astype(np.float16)
        utterances.append(Utterance(Path(path).stem, text.lower(), str(speaker), "librispeech", "clean", len(frames)))
        features.append(frames)
    return Shard(utterances, np.concatenate(features))


def waveform(settings: LibriSpeechSettings, utterance_id: str) -> NDArray[np.float32]:
    """Returns the recording of an utterance, [samples] at 16 kHz. Raises MissingDataError."""
    speaker, chapter, _ = utterance_id.split("-")
    names = [name for names in settings.subsets.values() for name in names]
    paths = [_home() / name / speaker / chapter / f"{utterance_id}.flac" for name in names]
    for path in paths:
        if path.exists():
            return _read(path)
    raise MissingDataError(f"no recording of {utterance_id} in {_home()}, subsets {', '.join(names)}")


def download(settings: LibriSpeechSettings) -> None:
    """Downloads and unpacks the subsets of `settings` that are not in `librispeech_root()` yet.

    A subset appears there when it is whole; an interrupted download goes on with the next call at the last archive.
    Raises IncompleteDownloadError.
    """
    from torchaudio.datasets import LIBRISPEECH

    staging = librispeech_root() / ".download"
    for name in _missing(settings):
        unpacked = staging / "LibriSpeech" / name
        shutil.rmtree(unpacked, ignore_errors=True)
        staging.mkdir(parents=True, exist_ok=True)
        found = len(LIBRISPEECH(staging, name, download=True))
        if found != SUBSETS[name].utterances:
            raise IncompleteDownloadError(
                f"{unpacked} has {found} utterances instead of {SUBSETS[name].utterances}; "
                f"delete {staging / name}.tar.gz and download again"
            )
        _home().mkdir(exist_ok=True)
        unpacked.rename(_home() / name)
        (staging / f"{name}.tar.gz").unlink()
    shutil.rmtree(staging, ignore_errors=True)


def _home() -> Path:
    return librispeech_root() / "LibriSpeech"


def _missing(settings: LibriSpeechSettings) -> list[str]:
    names = [name for names in settings.subsets.values() for name in names]
    return [name for name in names if not (_home() / name).is_dir()]


@cache
def _index(root: Path, name: str) -> LIBRISPEECH:
    # Imported here: it takes seconds, and synthetic speech does without.
    from torchaudio.datasets import LIBRISPEECH

    return LIBRISPEECH(root, name)


def _subsets(settings: LibriSpeechSettings, split: Split) -> list[LIBRISPEECH]:
    missing = _missing(settings)
    for name in settings.subsets.get(split, ()):
        if name in missing:
            size = sum(SUBSETS[name].gigabytes for name in missing)
            raise MissingDataError(
                f"{_home() / name} does not exist; missing of LibriSpeech: {', '.join(missing)}, "
                f"{size:.1f} GB to download by\n"
                f"    PAPER_LIB_LIBRISPEECH={librispeech_root()} python -m paper_lib download librispeech"
            )
    return [_index(librispeech_root(), name) for name in settings.subsets.get(split, ())]


def _read(path: Path) -> NDArray[np.float32]:
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32")
    if rate != SAMPLE_RATE or samples.ndim != 1:
        raise ValueError(f"{path} has {samples.ndim} channels at {rate} Hz instead of one at {SAMPLE_RATE} Hz")
    return samples
