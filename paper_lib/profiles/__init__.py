"""The profiles: how much is computed, on what corpus, with which models. What is computed is the same in all."""

from __future__ import annotations

from functools import cache

from paper_lib.profiles.human import human
from paper_lib.profiles.laptop import laptop
from paper_lib.profiles.large import gpu, librispeech, librispeech_mini
from paper_lib.profiles.mini import quick, smoke
from paper_lib.profiles.profile import SIZES, AdaptationProfile, Profile, ProfileName

__all__ = ["SIZES", "AdaptationProfile", "Profile", "ProfileName", "profile_of"]

_MAKERS = {
    "smoke": smoke,
    "quick": quick,
    "laptop": laptop,
    "human": human,
    "gpu": gpu,
    "librispeech": librispeech,
    "librispeech_mini": librispeech_mini,
}


@cache
def profile_of(name: ProfileName) -> Profile:
    """Returns the profile called `name`."""
    return _MAKERS[name]()
