"""The parameters of every chapter, declared once, with the rules that each obeys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from paper_lib.federated.plans import BASE_RATE, OWN_PLAN, PLAN_NAME, PLANS, named_plan, own_plan
from paper_lib.layers.matrices import MATRICES, Matrix, check_step, recorded_steps
from paper_lib.profiles import BUILT_IN, SIZES, ProfileError, ProfileName, profile_of, resolve
from paper_lib.settings import Size


def _split_at_commas(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValueError("one is named twice")
    return values


def named_profile(text: str) -> str:
    """Returns what names a profile wherever a chapter runs: a built-in name, or the absolute path of a whole file.

    Raises ProfileError where a file is none, or names a corpus that cannot be made.
    """
    name = resolve(text)
    if name not in BUILT_IN:
        # Takes NumPy, which whoever names a built-in profile does without.
        from paper_lib.corpus import open_corpus

        profile = profile_of(name)
        second = profile.adaptation
        corpora = {
            "corpus": profile.corpus,
            "other_voices": profile.other_voices,
            "adaptation.corpus": second.corpus,
            "adaptation.clients": second.clients,
        }
        for field, corpus in corpora.items():
            try:
                if corpus:
                    open_corpus(corpus)
            except ValueError as error:
                raise ProfileError(f"{Path(name).name}: {field}: {error}") from None
    return name


# A notebook holds a list and papermill's command line a string: both are read as the tuple that they stand for.
Sizes = Annotated[
    tuple[Size, ...],
    BeforeValidator(_split_at_commas),
    Field(strict=False, min_length=1, description="model sizes, of those that the profile trains"),
]
Draws = Annotated[int | None, Field(ge=1, le=50, description="re-randomisations of every layer; None: the profile's")]
Matrices = Annotated[tuple[Matrix, ...], BeforeValidator(_split_at_commas), Field(strict=False, min_length=1)]
PlanName = Annotated[str, Field(pattern=PLAN_NAME, description="none, flat, crit-N, amb-N, random-N")]
Plans = Annotated[tuple[PlanName, ...], BeforeValidator(_split_at_commas), Field(strict=False, min_length=1)]
OwnProfile = Annotated[str, AfterValidator(named_profile), Field(description="the path of a TOML file")]
OwnPlan = Annotated[str, Field(pattern=OWN_PLAN, description="a text like '1:0.5 4:0.25 rest:0.1'")]


class ChapterParameters(BaseModel):
    """What every chapter takes. Types are strict: no `True` for 1, no `"2"` for 2."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    profile: ProfileName | OwnProfile = Field(
        default="quick", description="how much is computed, on what corpus, with which models"
    )


class CorpusParameters(ChapterParameters):
    """Parameters of the chapter on the corpus."""

    seed: int = Field(default=0, ge=0, le=1_000_000, description="draws the utterances that are shown")


class ModelSizeParameters(ChapterParameters):
    """Parameters of the chapter on model sizes."""

    seeds: int | None = Field(default=None, ge=1, le=20, description="trainings per model size; None: the profile's")
    draws: Draws = None
    sizes: Sizes = SIZES

    _distinct = field_validator("sizes")(_each_once)


class GroupNormParameters(ChapterParameters):
    """Parameters of the chapter on norms."""

    seeds: int | None = Field(default=None, ge=1, le=20, description="trainings per norm; None: the profile's")
    draws: Draws = None
    size: Size = Field(default="S", description="model size that is trained")


class StabilityParameters(ChapterParameters):
    """Parameters of the chapter on stability."""

    seeds: int | None = Field(
        default=None, ge=2, le=20, description="trainings per model size, to be compared; None: the profile's"
    )
    draws: Draws = None
    sizes: Sizes = SIZES

    _distinct = field_validator("sizes")(_each_once)


class SignaturesParameters(ChapterParameters):
    """Parameters of the chapter on numerical signatures."""

    seeds: int | None = Field(
        default=None, ge=2, le=20, description="trainings per model size, to be compared; None: the profile's"
    )
    sizes: Sizes = SIZES
    matrices: Matrices = Field(default=MATRICES, description="weight matrices of a layer that are shown")
    step: int | None = Field(
        default=None, ge=1, le=10_000_000, description="step at which weights are compared; None: the last"
    )

    _distinct = field_validator("sizes", "matrices")(_each_once)

    @field_validator("step")
    @classmethod
    def _recorded(cls, step: int | None, info: ValidationInfo) -> int | None:
        if step is not None and {"profile", "sizes"} <= info.data.keys():
            for size in info.data["sizes"]:
                check_step(step, recorded_steps(profile_of(info.data["profile"]).training[size]))
        return step


class FederatedDropoutParameters(ChapterParameters):
    """Parameters of the chapter on Federated Dropout, and of its appendix on how plans were made comparable."""

    seeds: int | None = Field(default=None, ge=1, le=20, description="adaptations by every plan; None: the profile's")
    plans: Plans = Field(default=PLANS, description="plans that are compared; N counts the layers at 50 %")
    own: OwnPlan | None = Field(default=None, description="one more plan, your own: rates by layer")
    elsewhere: float = Field(
        default=BASE_RATE, ge=0, lt=1, description="share dropped in the layers that a plan with N does not name"
    )
    rounds: int | None = Field(default=None, ge=1, le=10_000, description="rounds; None: the profile's")
    masks: Literal["client", "round"] = Field(default="client", description="what draws its own dropped units")

    _distinct = field_validator("plans")(_each_once)

    @field_validator("plans", "own")
    @classmethod
    def _fits(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and "profile" in info.data:
            layers = profile_of(info.data["profile"]).adaptation.model.encoder.layers
            if isinstance(value, str):
                own_plan(value, layers)
            else:
                for name in value:
                    named_plan(name, range(1, layers + 1))
        return value


class ExploreParameters(ChapterParameters):
    """Parameters of the page of explorers."""

    utterances: int = Field(default=8, ge=1, le=24, description="test sentences to listen to")


class OwnModelParameters(ChapterParameters):
    """Parameters of the page on models of one's own."""

    steps: int | None = Field(
        default=None,
        ge=10,
        le=100_000,
        description="training steps of the model; None: as many as take a minute",
    )


CHAPTERS: dict[str, type[ChapterParameters]] = {
    "intro": ChapterParameters,
    "corpus": CorpusParameters,
    "model": ChapterParameters,
    "model_size": ModelSizeParameters,
    "group_norm": GroupNormParameters,
    "stability": StabilityParameters,
    "signatures": SignaturesParameters,
    "federated_dropout": FederatedDropoutParameters,
    "comparable_plans": FederatedDropoutParameters,  # of the same records
    "human_speech": ChapterParameters,
    "cheaper_ranks": ChapterParameters,
    "layer_sets": ChapterParameters,
    "uses": ChapterParameters,
    "claims": ChapterParameters,
    "slides": ChapterParameters,
    "threats": ChapterParameters,
    "sure": ChapterParameters,
    "costs": ChapterParameters,
    "scale": ChapterParameters,
    "explore": ExploreParameters,
    "speak": ChapterParameters,
    "own_model": OwnModelParameters,
}
