"""What all settings share: a frozen, closed model with a digest, and the types of their fields."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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
