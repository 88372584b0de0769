"""What all settings share: a frozen, closed model with a digest, and the types of their fields."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Domain = Literal["short_form", "prose", "dictation", "telephone", "conversation"]
PEOPLE = "people"  # the domain of recordings that no domain of synthetic speech is like
ClientDomain = Domain | Literal["people"]
Channel = Literal["clean", "telephone", "far_field", "noise"]
Split = Literal["train", "dev", "test"]
Size = Literal["S", "M", "L"]
Norm = Literal["batch", "group"]
Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]

MEL_BINS = 80  # of the features
ALPHABET = " 'abcdefghijklmnopqrstuvwxyz"  # of texts, where settings name no other


def _alphabet(characters: str) -> str:
    if characters != unicodedata.normalize("NFC", characters):
        raise ValueError(f"alphabet is {characters!r}; it must be in Unicode's composed form, NFC")
    if doubled := sorted({character for character in characters if characters.count(character) > 1}):
        raise ValueError(f"alphabet has {doubled[0]!r} twice; each character must be there once")
    if blank := [character for character in characters if character != " " and not character.isprintable()]:
        raise ValueError(f"alphabet has {blank[0]!r}; of what is not printed it may have the space alone")
    return characters


Alphabet = Annotated[str, Field(min_length=1), AfterValidator(_alphabet)]


class Settings(BaseModel):
    """Frozen, closed settings: an unknown field is an error, and equal settings have equal digests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def digest(self) -> str:
        """Returns 16 hexadecimal digits that name these settings; independent of field order.

        A field that is None does not count: an option that is added later leaves the names of what does without it.
        """
        dump = self.model_dump(mode="json", exclude_none=True)
        canonical = json.dumps(dump, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
