"""A profile that is made in seconds, whose sizes differ, and what the chapters want of it. Without torch."""

from __future__ import annotations

from functools import partial
from typing import Any

from paper_lib.profiles import SIZES, Profile, profile_of
from paper_lib.settings import EncoderSettings, TransducerSettings
from paper_lib.studies import STUDIES
from paper_lib.studies.federated import federated_dropout
from paper_lib.studies.uses import uses

PLANS = ("none", "amb-2")


def tiny_profile(**training: Any) -> Profile:
    """Returns profile `smoke` with models of three sizes, trained by `training`; its records are in the cache."""
    profile = profile_of("smoke")
    steps = {"steps": 2, "distance_every": 1, "checkpoint_every": 1} | training
    models = {}
    for size, dim in zip(SIZES, (8, 16, 24), strict=True):
        encoder = EncoderSettings(dim=dim, layers=2, heads=2, kernel=7, channels=4, groups=2, dropout=0.0)
        models[size] = TransducerSettings(encoder=encoder, vocabulary=29, embedding=8, prediction=16, joint=16)
    return profile.model_copy(
        update={
            "models": models,
            "training": {size: profile.training[size].model_copy(update=steps) for size in SIZES},
            "reset": profile.reset.model_copy(update={"draws": 1}),
        }
    )


def tiny_studies() -> dict[str, Any]:
    """Returns the studies with two plans and one round of adaptation; `test_uses` makes the many of the uses."""
    return {
        **STUDIES,
        "federated_dropout": partial(federated_dropout, plans=PLANS, rounds=1),
        "uses": lambda profile: uses(profile.model_copy(update={"beyond_seeds": None})),
    }
