"""Word error rates, and what a record keeps of a test: who said what, and what was heard in its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import jiwer
import numpy as np
from numpy.typing import NDArray

from paper_lib.corpus.cache import Utterance
from paper_lib.inference import Floats

# Of an utterance that was not recognised word for word: its place in the test, its word errors, and what was heard.
Misheard = tuple[int, int, str]


def word_errors(reference: str, hypothesis: str) -> int:
    """Returns the substitutions, insertions and deletions that separate the two texts, in words."""
    if reference == hypothesis:
        return 0
    result = jiwer.process_words(reference, hypothesis)
    return int(result.substitutions + result.insertions + result.deletions)


def wer(pairs: Sequence[tuple[str, str]]) -> float:
    """Returns the word error rate, a fraction, of (reference, hypothesis) pairs."""
    errors = sum(word_errors(reference, hypothesis) for reference, hypothesis in pairs)
    return errors / sum(len(reference.split()) for reference, _ in pairs)


@dataclass(frozen=True)
class Spoken:
    """The utterances of a test in the order in which they were recognised: [utterances] each."""

    ids: tuple[str, ...]
    speakers: tuple[str, ...]
    domains: tuple[str, ...]
    references: tuple[str, ...]

    @classmethod
    def of(cls, utterances: Sequence[Utterance]) -> Spoken:
        """Takes from `utterances` what anyone needs who would judge the test anew."""
        fields = zip(*((u.id, u.speaker, u.domain, u.text) for u in utterances), strict=True)
        return cls(*map(tuple, fields))

    @classmethod
    def read(cls, result: Mapping[str, Any]) -> Spoken:
        """Reads the result of a record, as `record` has written it."""
        return cls(**{name: tuple(values) for name, values in result["spoken"].items()})

    def record(self) -> dict[str, Any]:
        """Returns what a record keeps of the test itself."""
        return {"spoken": asdict(self)}

    def of_domains(self, domains: Collection[str]) -> NDArray[np.bool_]:
        """Returns which utterances are of `domains`, [utterances]."""
        return np.isin(self.domains, list(domains))

    @cached_property
    def words(self) -> Floats:
        """Words in the references, [utterances]."""
        return np.array([len(reference.split()) for reference in self.references], float)

    def misheard(self, hypotheses: Sequence[str]) -> list[Misheard]:
        """Returns what a record keeps of `hypotheses`, [utterances]: those that differ from their reference."""
        pairs = enumerate(zip(self.references, hypotheses, strict=True))
        return [
            (place, word_errors(said, heard), heard) for place, (said, heard) in pairs if said.split() != heard.split()
        ]

    def errors(self, misheard: Sequence[Misheard]) -> Floats:
        """Returns the word errors of every utterance, [utterances]."""
        errors = np.zeros(len(self.ids))
        for place, count, _ in misheard:
            errors[place] = count
        return errors

    def hypotheses(self, misheard: Sequence[Misheard]) -> list[str]:
        """Returns what was heard of every utterance, [utterances]."""
        heard = {place: text for place, _, text in misheard}
        return [heard.get(place, said) for place, said in enumerate(self.references)]

    def by_speaker(self, values: Floats, chosen: NDArray[np.bool_] | None = None) -> Floats:
        """Returns the sums over each speaker's utterances, [..., speakers], of `values` [..., utterances].

        With `chosen` [utterances], over those alone, and of those who speak in them. Speakers are in order of names.
        """
        chosen = np.ones(len(self.ids), bool) if chosen is None else chosen
        names, owner = np.unique(np.array(self.speakers)[chosen], return_inverse=True)
        sums: Floats = values[..., chosen] @ np.eye(len(names))[owner]
        return sums
