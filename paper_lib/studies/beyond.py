"""Which profile the chapters beyond the paper show: the book's, or where it measures nothing of them, `laptop`."""

from __future__ import annotations

from paper_lib.profiles import Profile, profile_of


def profile_beyond(profile: Profile) -> Profile:
    """Returns `profile` where it has `beyond_seeds`, else `laptop`, whose records are published with the book."""
    return profile if profile.beyond_seeds else profile_of("laptop")
