"""The profiles: how much is computed, on what corpus, with which models. What is computed is the same in all.

Those that come with the library are TOML files beside this one; a reader's own are such files, too (see `reading`).
"""

from __future__ import annotations

from paper_lib.profiles.profile import BUILT_IN, PUBLISHED, SIZES, AdaptationProfile, Profile, ProfileName
from paper_lib.profiles.reading import profile_of, resolve
from paper_lib.profiles.refusals import ProfileError

__all__ = [
    "BUILT_IN",
    "PUBLISHED",
    "SIZES",
    "AdaptationProfile",
    "Profile",
    "ProfileError",
    "ProfileName",
    "profile_of",
    "resolve",
]
