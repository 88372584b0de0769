"""The parameters of every chapter, declared once: the notebook, papermill and the command line all obey them.

papermill alone would only log an unknown name and check no type.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from paper_lib.federated.plans import BASE_RATE, OWN_PLAN, PLAN_NAME, PLANS, named_plan, own_plan
from paper_lib.layers.matrices import MATRICES, Matrix, check_step, recorded_steps
from paper_lib.profiles import BUILT_IN, ProfileError, ProfileName, profile_of, resolve
from paper_lib.profiles.refusals import shown
from paper_lib.settings import Size


class ParameterError(ValueError):
    """A parameter, or a chapter, that is refused; the message names what would be accepted."""


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
Sizes = Annotated[tuple[Size, ...], BeforeValidator(_split_at_commas), Field(strict=False, min_length=1)]
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
    draws: int | None = Field(
        default=None, ge=1, le=50, description="re-randomisations of every layer; None: the profile's"
    )
    sizes: Sizes = Field(default=("S", "M", "L"), description="model sizes, of those that the profile trains")

    _distinct = field_validator("sizes")(_each_once)


class GroupNormParameters(ChapterParameters):
    """Parameters of the chapter on norms."""

    seeds: int | None = Field(default=None, ge=1, le=20, description="trainings per norm; None: the profile's")
    draws: int | None = Field(
        default=None, ge=1, le=50, description="re-randomisations of every layer; None: the profile's"
    )
    size: Size = Field(default="S", description="model size that is trained")


class StabilityParameters(ChapterParameters):
    """Parameters of the chapter on stability."""

    seeds: int | None = Field(
        default=None, ge=2, le=20, description="trainings per model size, to be compared; None: the profile's"
    )
    draws: int | None = Field(
        default=None, ge=1, le=50, description="re-randomisations of every layer; None: the profile's"
    )
    sizes: Sizes = Field(default=("S", "M", "L"), description="model sizes, of those that the profile trains")

    _distinct = field_validator("sizes")(_each_once)


class SignaturesParameters(ChapterParameters):
    """Parameters of the chapter on numerical signatures."""

    seeds: int | None = Field(
        default=None, ge=2, le=20, description="trainings per model size, to be compared; None: the profile's"
    )
    sizes: Sizes = Field(default=("S", "M", "L"), description="model sizes, of those that the profile trains")
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


def parameters_of(chapter: str) -> type[ChapterParameters]:
    """Returns the parameters that `chapter` declares.

    Raises:
        ParameterError: there is no such chapter.
    """
    if chapter not in CHAPTERS:
        raise ParameterError(f"there is no chapter {chapter!r}{_nearest(chapter, CHAPTERS)}: {', '.join(CHAPTERS)}")
    return CHAPTERS[chapter]


def check(chapter: str, values: Mapping[str, Any]) -> ChapterParameters:
    """Returns the parameters of `chapter` with `values`, and defaults for those that are not given.

    Raises:
        ParameterError: a name is unknown, a type is wrong or a value is out of range; all of them are listed.
    """
    declared = parameters_of(chapter)
    try:
        return declared.model_validate(dict(values))
    except ValidationError as error:
        refusals = {str(detail["loc"][0]): detail for detail in error.errors()}
        lines = [_refusal(declared, name, values, detail) for name, detail in refusals.items()]
        raise ParameterError("\n".join(f"chapter {chapter}: {line}" for line in lines)) from None


def check_text(chapter: str, values: Mapping[str, Any]) -> ChapterParameters:
    """Returns what `check` does, for values as they were typed; each is read by the type that its parameter declares.

    A text that is a valid value stays text (`007` for a name); else it is JSON (`2`, `["S", "M"]`) or `None`. A value
    that is no text stays what it is.

    Raises:
        ParameterError: as `check`.
    """
    declared = parameters_of(chapter)
    return check(
        chapter,
        {name: _read(declared, name, value) if isinstance(value, str) else value for name, value in values.items()},
    )


def describe(declared: type[ChapterParameters], name: str) -> str:
    """Returns the values that a parameter accepts, in words: "an integer from 1 to 20, or None"."""
    return _in_words(declared.model_json_schema()["properties"][name])


def _read(declared: type[ChapterParameters], name: str, text: str) -> Any:
    try:
        declared.model_validate({name: text})
    except ValidationError:
        try:
            return None if text == "None" else json.loads(text)
        except (ValueError, RecursionError):  # no JSON, an integer of too many digits, or too many brackets
            pass
    return text


def _refusal(declared: type[ChapterParameters], name: str, values: Mapping[str, Any], detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        names = declared.model_fields
        return f"there is no parameter {name!r}{_nearest(name, names)}; it takes {', '.join(names)}"
    # A rule of our own says more than the type.
    reason = f": {detail['ctx']['error']}" if detail["type"] == "value_error" else ""
    return f"{name} is {shown(values[name])}; it must be {describe(declared, name)}{reason}"


def _nearest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _in_words(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return ", or ".join(_in_words(option) for option in schema["anyOf"])
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    match schema["type"]:
        case "array":
            items = schema["items"]
            return f"one or more of {', '.join(items['enum']) if 'enum' in items else items['description']}, each once"
        case "integer" if "minimum" in schema:
            return f"an integer from {schema['minimum']} to {schema['maximum']}"
        case "number":
            return f"a number of at least {schema['minimum']} and less than {schema['exclusiveMaximum']}"
        case "string":
            return str(schema["description"])
        case "null":
            return "None"
        case other:
            raise NotImplementedError(f"say in words what a parameter of JSON type {other} accepts")
