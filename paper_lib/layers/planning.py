"""Which resets a sweep makes, and with which seeds; how they are evaluated is another matter. Without torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from paper_lib.layers.places import Place
from paper_lib.layers.variants import ALL_KINDS, Kind, Variant
from paper_lib.settings import NonNegative, Settings


class Reset(Settings):
    """What is done to one layer, as a small dictionary: {"layer": "encoder.layers.3", "kind": "skip"} for example.

    - *re-initialisation* puts back the values of an earlier state: those of step 0, as in the paper, or of a later
      checkpoint, the start of a fine-tuning for example.
    - *re-randomisation* draws new values from `seed`, by the initialiser of the model.
    - *skip* hands on the layer's input as its output.

    A layer with a residual path that is reset still adds what it computes to its input: it is not the identity. A
    skipped one is.
    """

    layer: str = Field(min_length=1, description="name of the module, as model.named_modules() gives it")
    kind: Kind
    seed: NonNegative | None = Field(default=None, description="of a re-randomisation, and of no other kind")

    @model_validator(mode="after")
    def _seed_of_a_re_randomisation(self) -> Reset:
        if (self.kind == "re-randomisation") != (self.seed is not None):
            needed = "an integer of at least 0" if self.kind == "re-randomisation" else "left out"
            raise ValueError(f"seed is {self.seed}; for a {self.kind} it must be {needed}")
        return self

    def dictionary(self) -> dict[str, Any]:
        """Returns this reset as it is stored and shared."""
        return self.model_dump(mode="json", exclude_none=True)


Specification = Reset | Mapping[str, Any]


def read_reset(specification: Specification) -> Reset:
    """Returns the reset that a dictionary says; raises pydantic's ValidationError, which names the wrong field."""
    return specification if isinstance(specification, Reset) else Reset.model_validate(dict(specification))


def draw_seed(seed: int, layer: int, draw: int) -> int:
    """Returns the seed of one re-randomisation of `layer`: `seed`, the training's, gives each draw one of its own."""
    return int(np.random.SeedSequence((seed, layer, draw)).generate_state(1)[0])


def plan_resets(places: Sequence[Place], kinds: Collection[Kind], draws: int, seed: int) -> dict[Variant, Reset]:
    """Returns the resets of every place, by place and then by kind; `draws` re-randomisations of each."""
    planned: dict[Variant, Reset] = {}
    for place in places:
        for kind in (one for one in ALL_KINDS if one in kinds):
            if kind == "re-randomisation":
                seeds: list[int | None] = [draw_seed(seed, place.layer, draw) for draw in range(draws)]
            else:
                seeds = [None]
            for draw, drawn in enumerate(seeds):
                variant = Variant(place.layer, kind, draw, place.module)
                planned[variant] = Reset(layer=place.name, kind=kind, seed=drawn)
    return planned
