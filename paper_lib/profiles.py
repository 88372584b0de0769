"""The profiles: how much is computed, on what corpus, with which models. What is computed is the same in all."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic import Field

from paper_lib.models import (
    CHARACTERS,
    WORD_PIECES,
    laptop_streaming,
    mini_size,
    mini_streaming,
    paper_size,
    streaming_size,
)
from paper_lib.recipes import MINI_AUGMENT, NO_AUGMENT, deep_training, mini_training, paper_training
from paper_lib.settings import (
    CorpusSettings,
    Domain,
    EncoderSettings,
    FederatedSettings,
    LibriSpeechSettings,
    Positive,
    ResetSettings,
    ServerOptimizerSettings,
    Settings,
    Size,
    StreamingSettings,
    SyntheticSettings,
    TokenSettings,
    TrainingRun,
    TrainingSettings,
    TransducerSettings,
)

ProfileName = Literal["smoke", "quick", "laptop", "gpu", "librispeech"]


class AdaptationProfile(Settings):
    """The paper's second experiment: a streaming model learns all domains but one, and clients bring that one."""

    corpus: SyntheticSettings = Field(description="all domains (MD)")
    clients: CorpusSettings | None = Field(
        default=None, description="that the clients' speech is of; none: the held-out domain of the training's"
    )
    held_out: Domain = Field(default="short_form", description="domain of the clients' speech (SF)")
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
    sensitivity_seeds: Positive = Field(
        description="of these seeds, the first, from which plans are adapted again with settings varied"
    )

    def run(self, seed: int) -> TrainingRun:
        """Returns the training without the held-out domain (MD - SF), of the model that adaptation `seed` begins with.

        Tokens are learnt from the same speech.
        """
        return TrainingRun(
            corpus=self.corpus,
            domains=tuple(domain for domain in self.corpus.domains if domain != self.held_out),
            tokens=self.tokens,
            model=self.model,
            training=self.training,
            seed=seed % self.trainings,
        )


class Profile(Settings):
    """Everything that a study needs to know beside its own question."""

    name: ProfileName
    base: Profile | None = Field(default=None, description="whose trainings those of this one begin with; none: fresh")
    corpus: CorpusSettings
    tokens: TokenSettings
    models: dict[Size, TransducerSettings]
    training: dict[Size, TrainingSettings]
    reset: ResetSettings
    seeds: dict[Size, Positive] = Field(
        description="trainings by model size, from seeds 0, 1, ...; a size that is missing is not trained"
    )
    norm_seeds: Positive = Field(description="trainings per norm, from seeds 0, 1, ...")
    module_repeats: Positive = Field(
        description="trainings per model of which single modules are reset, and layers rewound to snapshots"
    )
    adaptation: AdaptationProfile

    def run(self, size: Size, seed: int) -> TrainingRun:
        """Returns the training of one size from one seed."""
        return TrainingRun(
            corpus=self.corpus,
            tokens=self.tokens,
            model=self.models[size],
            training=self.training[size],
            base=self.base.run(size, seed) if self.base else None,
            seed=seed,
        )


SIZES: tuple[Size, ...] = ("S", "M", "L")

# A speaker has some fifteen short utterances in the mini profiles: about two steps of a client.
MINI_FEDERATED = FederatedSettings(
    rounds=0,
    clients_per_round=4,
    local_batch_frames=1500,
    client_learning_rate=0.15,
    server=ServerOptimizerSettings(kind="adam", learning_rate=1.25e-3, betas=(0.8, 0.99)),
    decay_fraction=0.25,
)

# Short-form utterances are the shortest: about a tenth of the utterances is 7 % of the time, as in the slides (27k of
# 400k hours).
MULTI_DOMAIN: dict[Domain, float] = {"short_form": 0.09, "dictation": 0.34, "telephone": 0.57}
BALANCED: dict[Domain, float] = {"short_form": 0.5, "dictation": 0.25, "telephone": 0.25}


def _smoke() -> Profile:
    encoder = EncoderSettings(dim=16, heads=2, layers=2, kernel=7, channels=4, groups=2, dropout=0.0)
    model = TransducerSettings(encoder=encoder, vocabulary=CHARACTERS.vocabulary, embedding=8, prediction=16, joint=16)
    return Profile(
        name="smoke",
        corpus=SyntheticSettings(
            domains={"short_form": 1.0},
            utterances={"train": 24, "dev": 8, "test": 12},
            speakers={"train": 8, "dev": 4, "test": 4},
        ),
        tokens=CHARACTERS,
        models=dict.fromkeys(SIZES, model),
        training=dict.fromkeys(SIZES, mini_training(4, 1500, 2e-3, MINI_AUGMENT, snapshots=(1, 2))),
        reset=ResetSettings(draws=2),
        seeds=dict.fromkeys(SIZES, 2),
        norm_seeds=2,
        module_repeats=1,
        adaptation=AdaptationProfile(
            corpus=SyntheticSettings(
                domains=MULTI_DOMAIN,
                evaluation_domains=BALANCED,
                most_words=8,
                utterances={"train": 60, "dev": 12, "test": 16},
                speakers={"train": 4, "dev": 4, "test": 4},
            ),
            tokens=CHARACTERS,
            model=model.model_copy(
                update={
                    "encoder": encoder.model_copy(update={"layers": 4, "streaming": StreamingSettings(left_context=8)})
                }
            ),
            training=mini_training(4, 1500, 2e-3, NO_AUGMENT, sorted_epochs=1),
            reset=ResetSettings(draws=0, split="dev"),
            # WERs after 0, 5 and 10 rounds: sorted as texts they would be out of order.
            federated=FederatedSettings(rounds=10, clients_per_round=2),
            measure_every=5,
            trainings=1,
            seeds=2,
            sensitivity_seeds=1,
        ),
    )


QUICK_SNAPSHOTS = (25, 100, 300)


def _quick() -> Profile:
    return Profile(
        name="quick",
        corpus=SyntheticSettings(
            domains={"short_form": 1.0},
            utterances={"train": 3600, "dev": 300, "test": 500},
            speakers={"train": 40, "dev": 40, "test": 40},
            unseen_speakers=False,
        ),
        tokens=CHARACTERS,
        models={size: mini_size(size) for size in SIZES},
        training={
            "S": mini_training(750, 2400, 5e-3, NO_AUGMENT, snapshots=QUICK_SNAPSHOTS),
            "M": mini_training(750, 2400, 4e-3, NO_AUGMENT, snapshots=QUICK_SNAPSHOTS),
            "L": mini_training(800, 2000, 2.5e-3, NO_AUGMENT, snapshots=QUICK_SNAPSHOTS),
        },
        reset=ResetSettings(draws=2),
        seeds=dict.fromkeys(SIZES, 2),
        norm_seeds=2,
        module_repeats=1,
        adaptation=AdaptationProfile(
            corpus=SyntheticSettings(
                domains={**MULTI_DOMAIN, "short_form": 0.08},  # its other sentences are shorter than those of laptop
                evaluation_domains=BALANCED,
                most_words=8,
                utterances={"train": 4400, "dev": 300, "test": 800},
                speakers={"train": 24, "dev": 24, "test": 24},
                unseen_speakers=False,
            ),
            tokens=CHARACTERS,
            model=mini_streaming(),
            training=mini_training(900, 3000, 5e-3, NO_AUGMENT, sorted_epochs=1),
            reset=ResetSettings(draws=0, split="dev"),
            federated=MINI_FEDERATED.model_copy(update={"rounds": 22}),
            measure_every=5,
            trainings=1,
            seeds=2,
            sensitivity_seeds=1,
        ),
    )


def _laptop() -> Profile:
    return Profile(
        name="laptop",
        corpus=SyntheticSettings(
            domains={"short_form": 0.35, "dictation": 0.35, "telephone": 0.3},
            channels={"clean": 0.5, "noise": 0.2, "far_field": 0.15, "telephone": 0.15},
            snr_db=(5.0, 20.0),
            most_words=10,
            utterances={"train": 8000, "dev": 400, "test": 1000},
            speakers={"train": 300, "dev": 48, "test": 150},
        ),
        tokens=CHARACTERS,
        models={size: paper_size(size, vocabulary=CHARACTERS.vocabulary) for size in SIZES},
        training={
            "S": deep_training(1e-3, 300),
            "M": deep_training(8e-4, 300),
            "L": deep_training(3e-4, 500),
        },
        reset=ResetSettings(draws=2),
        seeds={"S": 5, "M": 5, "L": 3},
        norm_seeds=5,
        module_repeats=2,
        adaptation=AdaptationProfile(
            corpus=SyntheticSettings(
                domains={"short_form": 0.11, "conversation": 0.33, "dictation": 0.28, "telephone": 0.28},
                evaluation_domains={"short_form": 0.4, "conversation": 0.2, "dictation": 0.2, "telephone": 0.2},
                most_words=8,
                utterances={"train": 8000, "dev": 600, "test": 1600},
                speakers={"train": 80, "dev": 80, "test": 80},
                unseen_speakers=False,
            ),
            tokens=CHARACTERS,
            model=laptop_streaming(),
            training=deep_training(1e-3, 300),
            reset=ResetSettings(draws=0, split="dev"),
            federated=FederatedSettings(
                rounds=32,
                clients_per_round=8,
                local_batch_frames=1000,
                client_learning_rate=0.03,
                server=ServerOptimizerSettings(kind="adam", learning_rate=5e-4, betas=(0.8, 0.99)),
                decay_fraction=0.25,
                precision="bf16",
            ),
            measure_every=4,
            trainings=5,
            seeds=5,
            sensitivity_seeds=3,
        ),
    )


def _gpu() -> Profile:
    return Profile(
        name="gpu",
        corpus=SyntheticSettings(
            domains=ALL_DOMAINS,
            channels={"clean": 0.4, "telephone": 0.2, "far_field": 0.2, "noise": 0.2},
            utterances={"train": 160_000, "dev": 1000, "test": 2000},
            speakers={"train": 300, "dev": 48, "test": 100},
        ),
        tokens=WORD_PIECES,
        models={size: paper_size(size) for size in SIZES},
        training={size: paper_training(size, 8000, 6000) for size in SIZES},
        reset=ResetSettings(draws=3, batch_frames=12_000),
        seeds=dict.fromkeys(SIZES, 2),
        norm_seeds=2,
        module_repeats=1,
        adaptation=_full_adaptation(),
    )


def _librispeech() -> Profile:
    return Profile(
        name="librispeech",
        corpus=LibriSpeechSettings(),
        tokens=WORD_PIECES,
        models={size: paper_size(size) for size in SIZES},
        training={size: paper_training(size, 100_000, 60_000) for size in SIZES},
        reset=ResetSettings(draws=3, batch_frames=12_000),
        seeds=dict.fromkeys(SIZES, 5),
        norm_seeds=5,
        module_repeats=5,
        adaptation=_full_adaptation(),  # LibriSpeech has one domain; nor is the paper's second experiment on it
    )


def _full_adaptation() -> AdaptationProfile:
    return AdaptationProfile(
        corpus=SyntheticSettings(
            domains={"short_form": 0.13, "prose": 0.29, "dictation": 0.29, "telephone": 0.29},
            evaluation_domains=ALL_DOMAINS,
            channels={"clean": 0.4, "telephone": 0.2, "far_field": 0.2, "noise": 0.2},
            utterances={"train": 160_000, "dev": 1000, "test": 2000},
            speakers={"train": 400, "dev": 400, "test": 400},
            unseen_speakers=False,
        ),
        tokens=TokenSettings(kind="word_pieces", vocabulary=4096),
        model=streaming_size(),
        training=paper_training("L", 8000, 6000),
        reset=ResetSettings(draws=0, split="dev", batch_frames=12_000),
        federated=FederatedSettings(rounds=100, clients_per_round=16, local_batch_frames=6000, decay_fraction=0.25),
        measure_every=10,
        trainings=1,
        seeds=3,
        sensitivity_seeds=1,
    )


ALL_DOMAINS: dict[Domain, float] = {"short_form": 0.4, "prose": 0.2, "dictation": 0.2, "telephone": 0.2}


def shipped_run() -> TrainingRun:
    """Returns the training of the model that comes with the library: a mini streaming model of messages and calls."""
    return TrainingRun(
        corpus=SyntheticSettings(
            domains=MULTI_DOMAIN,
            evaluation_domains=BALANCED,
            most_words=8,
            utterances={"train": 8800, "dev": 600, "test": 1600},
            speakers={"train": 80, "dev": 80, "test": 80},
            unseen_speakers=False,
        ),
        domains=("dictation", "telephone"),
        tokens=CHARACTERS,
        model=mini_streaming(),
        training=mini_training(3000, 3000, 5e-3, MINI_AUGMENT, sorted_epochs=1),
        seed=0,
    )


_MAKERS = {"smoke": _smoke, "quick": _quick, "laptop": _laptop, "gpu": _gpu, "librispeech": _librispeech}


@cache
def profile_of(name: ProfileName) -> Profile:
    """Returns the profile called `name`."""
    return _MAKERS[name]()
