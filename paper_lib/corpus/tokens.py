"""Text to label ids and back. Id 0 is the transducer's blank; no tokenizer ever emits it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Protocol

import sentencepiece

from paper_lib.settings import ALPHABET, TokenSettings


class Tokenizer(Protocol):
    """Ids run from 1 to vocabulary - 1."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


class CharacterTokenizer:
    """One id per character of `alphabet`."""

    def __init__(self, alphabet: str = ALPHABET) -> None:
        self.alphabet = alphabet
        self._ids = {character: place for place, character in enumerate(alphabet, 1)}

    def encode(self, text: str) -> list[int]:
        """Returns the ids of `text`; raises ValueError for a character outside the alphabet."""
        try:
            return [self._ids[character] for character in text]
        except KeyError:
            foreign = sorted(set(text) - set(self.alphabet))
            raise ValueError(f"text {text!r} has characters {foreign} outside {self.alphabet!r}") from None

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.alphabet[label - 1] for label in ids).strip()


class WordPieceTokenizer:
    """A sentencepiece unigram model (Kudo 2018), its ids moved up by one to leave room for the blank."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int) -> WordPieceTokenizer:
        """Learns `vocabulary` - 1 pieces, or as many as `texts` support: the words of a grammar are few."""
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=vocabulary - 1,
            hard_vocab_limit=False,
            character_coverage=1.0,
            bos_id=-1,
            eos_id=-1,
            num_threads=1,  # more threads sum in another order: other pieces
            minloglevel=2,
        )
        return cls(model.getvalue())

    def encode(self, text: str) -> list[int]:
        return [piece + 1 for piece in self._processor.encode(text)]

    def pieces(self, text: str) -> list[str]:
        """Returns the pieces of `text` as they are written; "▁" begins a word."""
        pieces: list[str] = self._processor.encode(text, out_type=str)
        return pieces

    def decode(self, ids: Sequence[int]) -> str:
        # A model may have more outputs than the texts supported pieces; untrained, it emits them too.
        pieces = self._processor.get_piece_size()
        text: str = self._processor.decode([label - 1 for label in ids if label <= pieces])
        return text


def make_tokenizer(settings: TokenSettings, texts: Iterable[str]) -> Tokenizer:
    """Returns the tokenizer of `settings`; only word-pieces read `texts`, the training transcripts.

    Raises ValueError where characters do not fill the vocabulary asked for.
    """
    if settings.kind == "word_pieces":
        return WordPieceTokenizer.train(texts, settings.vocabulary)
    alphabet = settings.alphabet or ALPHABET
    if settings.vocabulary != len(alphabet) + 1:
        raise ValueError(f"vocabulary is {settings.vocabulary}; characters and the blank make {len(alphabet) + 1}")
    return CharacterTokenizer(alphabet)
