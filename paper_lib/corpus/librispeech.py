"""LibriSpeech, the paper's corpus (Panayotov et al. 2015), and Mini LibriSpeech, five hours of it."""

from __future__ import annotations

import shutil
import tarfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from paper_lib.corpus.cache import Shard, Utterance
from paper_lib.corpus.features import SAMPLE_RATE, log_mel
from paper_lib.paths import MissingDataError, librispeech_root
from paper_lib.settings import MINI_LIBRISPEECH, LibriSpeechSettings, Split

# A change of the features or of the order of the utterances raises this by one.
FORMAT_VERSION = 1


class Subset(NamedTuple):
    """Size of a subset."""

    gigabytes: float  # of the archive
    utterances: int


# As https://www.openslr.org/12 has them and, of Mini LibriSpeech, https://www.openslr.org/31. The latter does not count
# the utterances: these are the counts of several public projects that unpacked the archives.
SUBSETS = {
    "train-clean-100": Subset(6.3, 28_539),
    "train-clean-360": Subset(23.0, 104_014),
    "train-other-500": Subset(30.0, 148_688),
    "dev-clean": Subset(0.337, 2_703),
    "dev-other": Subset(0.314, 2_864),
    "test-clean": Subset(0.346, 2_620),
    "test-other": Subset(0.328, 2_939),
    "train-clean-5": Subset(0.332, 1_519),
    "dev-clean-2": Subset(0.126, 1_089),
}

# Mini LibriSpeech, which torchaudio does not know: where its archives are, and their SHA-256. OpenSLR publishes only
# their MD5; these are what several public projects agree on.
MINI_ADDRESS = "https://www.openslr.org/resources/31"
MINI_DIGESTS = {
    "train-clean-5": "47805806c8b15f7549f3c51bd6b7da72ec0128a34d32830c8014a88658c0292d",
    "dev-clean-2": "176ec501490eced2d6c1f89f4f0ddc7dfe799e649e5322f8ba49fe3ff50c8012",
}


class IncompleteDownloadError(RuntimeError):
    """A subset has not the utterances that LibriSpeech's authors put into it; the message tells what to delete."""


class _Recording(NamedTuple):
    path: Path
    text: str  # in small letters


def version(settings: LibriSpeechSettings) -> str:
    """Returns what, beside the settings, determines the corpus."""
    return f"librispeech {FORMAT_VERSION}"


def check(settings: LibriSpeechSettings) -> None:
    """Raises ValueError for a subset that LibriSpeech does not have; where the data are is not looked at yet."""
    if unknown := [name for names in settings.subsets.values() for name in names if name not in SUBSETS]:
        raise ValueError(f"LibriSpeech has no subset {', '.join(unknown)}; it has {', '.join(SUBSETS)}")


def count(settings: LibriSpeechSettings, split: Split) -> int:
    """Returns the number of utterances of `split`. Raises as `make_shard`."""
    return len(_recordings(settings, split))


def make_shard(settings: LibriSpeechSettings, split: Split, k: int) -> Shard:
    """Returns shard `k` of `split`, its features computed now.

    The order of the utterances is drawn once and for all: subsets are sorted by speaker, and shards of a few speakers
    each would make poor batches and poor statistics. Raises MissingDataError, IncompleteDownloadError for a subset of
    which a part is missing, and ValueError for a transcript or a recording that cannot be read.
    """
    recordings = _recordings(settings, split)
    order = np.random.default_rng(0).permutation(len(recordings))
    utterances, features = [], []
    for place in order[k * settings.shard_utterances : (k + 1) * settings.shard_utterances]:
        path, text = recordings[place]
        speaker, _, _ = path.stem.partition("-")
        frames = log_mel(_read(path)).astype(np.float16)
        utterances.append(Utterance(path.stem, text, speaker, "librispeech", "clean", len(frames)))
        features.append(frames)
    return Shard(utterances, np.concatenate(features))


def waveform(settings: LibriSpeechSettings, utterance_id: str) -> NDArray[np.float32]:
    """Returns the recording of an utterance, [samples] at 16 kHz. Raises MissingDataError."""
    speaker, chapter, _ = utterance_id.split("-")
    names = _names(settings)
    paths = [_home() / name / speaker / chapter / f"{utterance_id}.flac" for name in names]
    for path in paths:
        if path.exists():
            return _read(path)
    raise MissingDataError(f"no recording of {utterance_id} in {_home()}, subsets {', '.join(names)}")


def download(settings: LibriSpeechSettings) -> None:
    """Downloads and unpacks the subsets of `settings` that are not in `librispeech_root()` yet.

    A subset appears there when it is whole; an interrupted download goes on with the next call at the last archive.
    Raises IncompleteDownloadError, and RuntimeError for an archive that is not the published one, which is not kept.
    """
    staging = _home() / ".download"  # on the disk of the subsets, which may not be that of the root
    for name in _missing(settings):
        unpacked = staging / "LibriSpeech" / name
        shutil.rmtree(unpacked, ignore_errors=True)
        staging.mkdir(parents=True, exist_ok=True)
        _fetch(name, staging)
        try:
            _index(unpacked)
        except IncompleteDownloadError as error:
            raise IncompleteDownloadError(f"{error}; delete {staging / name}.tar.gz and download again") from None
        unpacked.rename(_home() / name)
        (staging / f"{name}.tar.gz").unlink()
    shutil.rmtree(staging, ignore_errors=True)


def _fetch(name: str, staging: Path) -> None:
    """Unpacks a subset into `staging`, from its archive there, which is downloaded where it is not there yet."""
    from torch.hub import download_url_to_file
    from torchaudio.datasets import LIBRISPEECH

    if name not in MINI_DIGESTS:
        LIBRISPEECH(staging, name, download=True)
        return
    archive = staging / f"{name}.tar.gz"
    if not archive.exists():
        download_url_to_file(f"{MINI_ADDRESS}/{archive.name}", str(archive), MINI_DIGESTS[name])
    with tarfile.open(archive) as packed:
        packed.extractall(staging, filter="data")


def _home() -> Path:
    """Returns the directory of the subsets: LibriSpeech/ in the root, or another where some are already."""
    root = librispeech_root()
    homes = (root / "LibriSpeech", root / "librispeech", root)
    return next((home for home in homes if any((home / name).is_dir() for name in SUBSETS)), homes[0])


def _names(settings: LibriSpeechSettings) -> list[str]:
    return [name for names in settings.subsets.values() for name in names]


def _missing(settings: LibriSpeechSettings) -> list[str]:
    return [name for name in _names(settings) if not (_home() / name).is_dir()]


def _recordings(settings: LibriSpeechSettings, split: Split) -> list[_Recording]:
    missing = _missing(settings)
    corpus = "librispeech_mini" if set(_names(settings)) <= set(_names(MINI_LIBRISPEECH)) else "librispeech"
    again = f"\n    PAPER_LIB_LIBRISPEECH={librispeech_root()} python -m paper_lib download {corpus}"
    recordings: list[_Recording] = []
    for name in settings.subsets.get(split, ()):
        if name in missing:
            size = sum(SUBSETS[name].gigabytes for name in missing)
            raise MissingDataError(
                f"{_home() / name} does not exist; missing of LibriSpeech: {', '.join(missing)}, "
                f"{size:.1f} GB to download by{again}"
            )
        try:
            recordings += _index(_home() / name)
        except IncompleteDownloadError as error:
            raise IncompleteDownloadError(f"{error}; delete {_home() / name} and download it again by{again}") from None
    return recordings


@cache
def _index(subset: Path) -> list[_Recording]:
    """Returns the utterances in the directory `subset`, sorted by their ids.

    Raises IncompleteDownloadError where they are not as many as the subset of that name has, or a recording is without
    its transcript or a transcript without its recording; ValueError for a transcript that cannot be read.
    """
    # Names with a dot in front are what macOS leaves beside a file on a foreign disk.
    texts: dict[str, str] = {}
    for path in subset.glob("[!.]*/[!.]*/[!.]*.trans.txt"):
        texts |= _transcripts(path)
    paths = {path.stem: path for path in subset.glob("[!.]*/[!.]*/[!.]*.flac")}
    whole = sorted(paths.keys() & texts.keys())
    lacking = [f"{id} has no {'recording' if id in texts else 'transcript'}" for id in paths.keys() ^ texts.keys()]
    expected = SUBSETS[subset.name].utterances
    if lacking or len(whole) != expected:
        example = f" ({min(lacking)})" if lacking else ""
        raise IncompleteDownloadError(f"{subset} has {len(whole)} utterances instead of {expected}{example}")
    return [_Recording(paths[id], texts[id]) for id in whole]


def _transcripts(path: Path) -> dict[str, str]:
    """Returns the texts in the file `path` by the ids of their utterances. Raises ValueError, with the line."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        wrong = error.object[error.start : error.end]
        raise ValueError(f"{path}, line {number}: {wrong!r} is not UTF-8") from None
    texts = {}
    for number, line in enumerate(lines, 1):
        words = line.strip().split(maxsplit=1)
        if len(words) == 1:
            raise ValueError(f"{path}, line {number}: {words[0]} has no text")
        if words:
            texts[words[0]] = words[1].lower()
    return texts


def _read(path: Path) -> NDArray[np.float32]:
    # Imported here: synthetic speech does without soundfile.
    from paper_lib.corpus.recordings import read_mono

    return read_mono(path.read_bytes(), str(path), SAMPLE_RATE)
