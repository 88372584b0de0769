"""What the chapters beyond the paper have in common: whose trainings they ask, and which profile they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paper_lib.profiles import Profile, profile_of
from paper_lib.results import Store
from paper_lib.settings import Size
from paper_lib.studies.measurements import NotMeasuredError, StudyPlan, is_published, store_of

SIZE: Size = "S"


def profile_beyond(profile: Profile) -> Profile:
    """Returns `profile` where it has `beyond_seeds`, else `laptop`, whose records are published with the book."""
    return profile if profile.beyond_seeds else profile_of("laptop")


@dataclass(frozen=True)
class BeyondPlan(StudyPlan):
    """What a chapter beyond the paper wants to know; of a profile whose beyond_seeds is none it is nothing."""

    @property
    def seeds(self) -> Sequence[int]:
        """Of the trainings that are asked."""
        return self.profile.beyond_seeds or ()

    def filled_store(self, workers: int | None) -> Store:
        """Returns the store, with all that the chapter wants; of a published profile as it is.

        Raises NotMeasuredError where the profile wants nothing.
        """
        if not self.seeds:
            raise NotMeasuredError(
                f"profile {self.profile.name} asks nothing beyond the paper: its beyond_seeds is none"
            )
        if not is_published(self.profile):
            self.measure(workers)
        return store_of(self.profile)
