"""The normaliser: texts as people write them, in the characters of an alphabet; it tells what it changed."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import partial

from paper_lib.settings import ALPHABET

APOSTROPHES = "’‘ʼ＇`´"
# Between two words, or the parts of one.
DASHES = "-‐‑‒–—―/"
# What is not spoken. "%", "&" and their like are: they must be written as words.
PUNCTUATION = '.,;:!?…¿¡·"“”„‟«»‹›()[]{}。、，！？：；「」『』،؛؟।'


class Normaliser:
    """Changes a text so that it has the characters of `alphabet`, as far as this needs no guess.

    In this order: Unicode's composed form, NFC; small letters (or capitals) where the alphabet has no others;
    apostrophes of all shapes; spaces for dashes and slashes; no punctuation; single spaces. A character of the alphabet
    is never changed.
    """

    def __init__(self, alphabet: str | None = None) -> None:
        self.alphabet = alphabet or ALPHABET
        self._letters = frozenset(self.alphabet)
        self._steps: list[tuple[str, Callable[[str], str]]] = [
            ("characters were composed (Unicode NFC)", lambda text: unicodedata.normalize("NFC", text))
        ]
        if self.alphabet == self.alphabet.lower():
            self._steps.append(("capitals became small letters", self._small))
        elif self.alphabet == self.alphabet.upper():
            self._steps.append(("small letters became capitals", str.upper))
        for told, characters, replacement in (
            ("an apostrophe became a straight one", APOSTROPHES, "'"),
            ("dashes and slashes became spaces", DASHES, " "),
            ("punctuation was taken out", PUNCTUATION, ""),
        ):
            table = str.maketrans(dict.fromkeys(set(characters) - set(self.alphabet), replacement))
            self._steps.append((told, partial(_translated, table)))
        self._steps.append(("spaces were joined or cut off", lambda text: " ".join(text.split())))

    def __call__(self, text: str) -> tuple[str, list[str]]:
        """Returns `text` in its normal form, and what was changed for it, in the order of the changes."""
        if self._letters.issuperset(text) and " ".join(text.split()) == text:
            return text, []
        changes = []
        for told, step in self._steps:
            if (after := step(text)) != text:
                changes.append(told)
            text = after
        return text, changes

    def foreign(self, text: str) -> tuple[str, str] | None:
        """Returns the kind and the message of the fault of a text with characters outside the alphabet."""
        if not (foreign := sorted(set(text) - self._letters)):
            return None
        named = " ".join(map(_named, foreign))
        if all(character.isdigit() for character in foreign):
            return "digits are not in the alphabet", f"text {text!r} has the digits {named}: write numbers as words"
        return "characters are not in the alphabet", f"text {text!r} has {named}, not in the alphabet {self.alphabet!r}"

    def _small(self, text: str) -> str:
        if "ı" in self.alphabet:  # of Turkish and Azerbaijani, whose small I has no dot
            text = text.replace("I", "ı").replace("İ", "i")
        return text.lower()


def _translated(table: dict[int, str], text: str) -> str:
    return text.translate(table)


def _named(character: str) -> str:
    """Returns `character`, or its number where it would not be seen alone."""
    visible = character.isprintable() and character != " " and not unicodedata.combining(character)
    return character if visible else f"U+{ord(character):04X}"
