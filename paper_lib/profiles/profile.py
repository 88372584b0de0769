"""What a profile is: the settings that a study needs to know beside its own question."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from paper_lib.settings import (
    ClientDomain,
    CorpusSettings,
    FederatedSettings,
    NonNegative,
    Positive,
    ResetSettings,
    ServerOptimizerSettings,
    Settings,
    Size,
    SyntheticSettings,
    TokenSettings,
    TrainingRun,
    TrainingSettings,
    TransducerSettings,
)

# Of the profiles that come with the library: NAME.toml beside this file.
ProfileName = Literal["smoke", "quick", "laptop", "human", "gpu", "librispeech", "librispeech_mini"]
BUILT_IN: tuple[ProfileName, ...] = get_args(ProfileName)
# Those whose records are published with the book.
PUBLISHED: tuple[ProfileName, ...] = ("laptop", "human", "gpu", "librispeech", "librispeech_mini")
SIZES: tuple[Size, ...] = ("S", "M", "L")
# The plans of Federated Dropout that are compared drop more in up to so many layers.
LEAST_LAYERS = 4


class AdaptationProfile(Settings):
    """The paper's second experiment: a streaming model learns all domains but one, and clients bring that one.

    Or any model, and clients whose speech is of another corpus.
    """

    corpus: SyntheticSettings = Field(description="all domains (MD)")
    clients: CorpusSettings | None = Field(
        default=None, description="that the clients' speech is of; none: the held-out domain of the training's"
    )
    held_out: ClientDomain = Field(default="short_form", description="domain of the clients' speech (SF)")
    tokens: TokenSettings
    model: TransducerSettings
    training: TrainingSettings
    reset: ResetSettings
    federated: FederatedSettings
    centralised: ServerOptimizerSettings = Field(
        default=ServerOptimizerSettings(kind="adam", learning_rate=3e-3, betas=(0.9, 0.98)),
        description="optimizer of the reference that pools a round's speech; it takes several steps a round",
    )
    centralised_batch_frames: Positive = Field(default=3000, description="most frames of 10 ms in one of its batches")
    measure_every: Positive = Field(description="rounds between measurements of the dev WER")
    trainings: Positive = Field(description="models that are trained before, from seeds 0, 1, ...")
    seeds: Positive = Field(description="adaptations by every plan, from seeds 0, 1, ...; they share the trainings")
    sensitivity_seeds: tuple[NonNegative, ...] | None = Field(
        default=None,
        description="those of these seeds from which plans are adapted again with settings varied; none: nothing is "
        "varied",
    )
    norm_seeds: Positive | None = Field(
        default=None,
        description="of these seeds, the first, from which clients adapt models with BatchNorm and with GroupNorm; "
        "none: the profile does not compare norms under clients",
    )

    @model_validator(mode="after")
    def _can_be_compared(self) -> AdaptationProfile:
        layers, domains = self.model.encoder.layers, self.corpus.domains
        if layers < LEAST_LAYERS:
            raise ValueError(f"model.encoder.layers is {layers}; it must be at least {LEAST_LAYERS}, for as many drop")
        if self.clients is None and (self.held_out not in domains or len(domains) < 2):
            raise ValueError(
                f"held_out is {self.held_out!r}; it must be one of several domains of the corpus: {', '.join(domains)}"
            )
        clients, asked = self.corpus.speakers.get("train", 0), self.federated.clients_per_round
        if self.clients is None and asked > clients:
            raise ValueError(
                f"federated.clients_per_round is {asked}; it must be at most corpus.speakers.train, {clients}"
            )
        _check_named("sensitivity_seeds", self.sensitivity_seeds, "adaptations", self.seeds)
        return self

    @property
    def model_name(self) -> str:
        """What the model that clients adapt is called in lists."""
        return "streaming" if self.model.encoder.streaming else "the clients' first model"

    def run(self, seed: int) -> TrainingRun:
        """Returns the training without the held-out domain (MD - SF), of the model that adaptation `seed` begins with.

        Clients of another corpus find a model that was trained on all domains of its own. Tokens are learnt from the
        same speech.
        """
        return TrainingRun(
            corpus=self.corpus,
            domains=None
            if self.clients
            else tuple(domain for domain in self.corpus.domains if domain != self.held_out),
            tokens=self.tokens,
            model=self.model,
            training=self.training,
            seed=seed % self.trainings,
        )


class Profile(Settings):
    """Everything that a study needs to know beside its own question."""

    name: str = Field(min_length=1, description="of the profile, or of the file that it is read from; not in a digest")
    pretrained: Profile | None = Field(
        default=None, description="whose trainings those of this one begin with, fine-tunings; none: fresh weights"
    )
    corpus: CorpusSettings
    other_voices: CorpusSettings | None = Field(
        default=None, description="that models are tested on beside their own corpus, with their layers re-initialised"
    )
    tokens: TokenSettings
    models: dict[Size, TransducerSettings]
    training: dict[Size, TrainingSettings]
    reset: ResetSettings
    seeds: dict[Size, Positive] = Field(
        description="trainings by model size, from seeds 0, 1, ...; a size that is missing is not trained"
    )
    norm_seeds: Positive = Field(description="trainings per norm, from seeds 0, 1, ...")
    module_repeats: Positive = Field(
        description="trainings per model of which single modules are reset, layers rewound to snapshots, and other "
        "voices are heard"
    )
    beyond_seeds: tuple[NonNegative, ...] | None = Field(
        default=None,
        description="trainings of size S, and of the clients' first model, of which the chapters beyond the paper ask "
        "more, by their seeds; none: those chapters show the published records of laptop",
    )
    adaptation: AdaptationProfile

    @model_validator(mode="after")
    def _has_every_size(self) -> Profile:
        for field in ("models", "training"):
            if missing := [size for size in SIZES if size not in getattr(self, field)]:
                raise ValueError(f"{field}.{missing[0]} is missing; there must be {', '.join(SIZES)}")
        if not self.seeds:
            raise ValueError(f"seeds names no size; it must have one or more of {', '.join(SIZES)}")
        _check_named("beyond_seeds", self.beyond_seeds, "trainings of size S", self.seeds.get("S", 0))
        return self

    def model_name(self, size: Size) -> str:
        """Returns what the model of one size is called in lists: "S GroupNorm, 8 groups"."""
        return f"{size} {self.models[size].encoder.norm_name}"

    def run(self, size: Size, seed: int) -> TrainingRun:
        """Returns the training of one size from one seed."""
        return TrainingRun(
            corpus=self.corpus,
            tokens=self.tokens,
            model=self.models[size],
            training=self.training[size],
            base=self.pretrained.run(size, seed) if self.pretrained else None,
            seed=seed,
        )


def _check_named(field: str, named: tuple[int, ...] | None, what: str, seeds: int) -> None:
    if named is not None and (not named or len({*named}) < len(named) or not {*named} <= {*range(seeds)}):
        raise ValueError(f"{field} is {list(named)}; it names {what} by their seeds, each once: {list(range(seeds))}")
