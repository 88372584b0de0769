"""Validated settings: corpora, models, training, measurement, and the profiles that bundle them.

Every study is a pure function of these frozen objects, and the digest of their JSON names its record. A profile
changes how much is computed, never what is computed.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Domain = Literal["short_form", "prose", "dictation", "telephone", "conversation"]
PEOPLE = "people"  # the domain of recordings that no domain of synthetic speech is like
ClientDomain = Domain | Literal["people"]
Channel = Literal["clean", "telephone", "far_field", "noise"]
Split = Literal["train", "dev", "test"]
Size = Literal["S", "M", "L"]
Norm = Literal["batch", "group"]
Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]

MEL_BINS = 80  # of the features


class Settings(BaseModel):
    """Frozen, closed settings: an unknown field is an error, and equal settings have equal digests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def digest(self) -> str:
        """Returns 16 hexadecimal digits that name these settings; independent of field order.

        A field that is None does not count: an option that is added later leaves the names of what does without it.
        """
        dump = self.model_dump(mode="json", exclude_none=True)
        canonical = json.dumps(dump, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class SyntheticSettings(Settings):
    """Speech made by sentence grammars, synthetic speakers and acoustic channels."""

    source: Literal["synthetic"] = "synthetic"
    synthesiser: Literal["flite"] | None = Field(default=None, description="who speaks; none: espeak-ng")
    domains: dict[Domain, float] = Field(description="share of the utterances of each domain; any positive weights")
    channels: dict[Channel, float] = Field(default={"clean": 1.0}, description="share of each acoustic channel")
    snr_db: tuple[float, float] = Field(default=(10.0, 25.0), description="range of the noise channel's SNR, dB")
    utterances: dict[Split, Positive] = Field(description="utterances per split")
    speakers: dict[Split, Positive] = Field(description="distinct speakers per split")
    evaluation_domains: dict[Domain, float] | None = Field(
        default=None, description="share of each domain in dev and test; none: as in training"
    )
    most_words: Positive | None = Field(default=None, description="in a sentence; none: any number")
    unseen_speakers: bool = Field(
        default=True, description="dev and test speakers have vocal tracts that are never heard in training"
    )
    shard_utterances: Positive = Field(default=500, description="utterances that are made and stored together")
    seed: int = 0


class LibriSpeechSettings(Settings):
    """The paper's corpus (Panayotov et al. 2015), or a part of it, as its archives lay it out."""

    source: Literal["librispeech"] = "librispeech"
    subsets: dict[Split, tuple[str, ...]] = Field(
        default={
            "train": ("train-clean-100", "train-clean-360", "train-other-500"),
            "dev": ("dev-clean",),
            "test": ("test-clean",),
        },
        description="subsets that make up each split",
    )
    shard_utterances: Positive = 2000


class SpeechCommandsSettings(Settings):
    """Strings of words by one person each, joined from recordings of Speech Commands (Warden 2018)."""

    source: Literal["speech_commands"] = "speech_commands"
    passes: dict[Split, Positive] = Field(
        default={"train": 4, "dev": 1, "test": 2},
        description="times that a split's recordings are cut anew into strings",
    )
    most_words: Positive = Field(default=4, description="in a string")
    pause_seconds: tuple[float, float] = Field(default=(0.05, 0.3), description="range of the pauses between words")
    shard_utterances: Positive = 500
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _pauses_in_order(self) -> SpeechCommandsSettings:
        shortest, longest = self.pause_seconds
        if not 0 <= shortest <= longest < math.inf:
            raise ValueError(
                f"pause_seconds is {self.pause_seconds}; it must be a shortest, from 0, and a longest pause"
            )
        return self


# Five hours of LibriSpeech; without a test set of its own, it takes that of LibriSpeech, whose speakers are others.
MINI_LIBRISPEECH = LibriSpeechSettings(
    subsets={"train": ("train-clean-5",), "dev": ("dev-clean-2",), "test": ("test-clean",)}
)

CorpusSettings = Annotated[
    SyntheticSettings | LibriSpeechSettings | SpeechCommandsSettings, Field(discriminator="source")
]


class TokenSettings(Settings):
    """What the transducer emits: characters for the mini sizes, word-pieces for the paper's."""

    kind: Literal["characters", "word_pieces"] = "characters"
    vocabulary: Positive = Field(default=29, description="tokens, the blank included")


class StreamingSettings(Settings):
    """What makes a Conformer a streaming one: it looks back over a bounded context, and never ahead (Li et al. 2021).

    Convolutions are causal and come before the attention; GroupNorm takes its statistics from the frame alone.
    """

    left_context: Positive = Field(description="frames of 40 ms that attention looks back, beside the current one")


class EncoderSettings(Settings):
    """A Conformer encoder (Gulati et al. 2020, section 2): subsampling by four, then `layers` Conformer layers."""

    dim: Positive
    layers: Positive
    heads: Positive = 4
    kernel: Positive = 32
    channels: Positive | None = Field(default=None, description="channels of the subsampling; none: as many as dim")
    norm: Norm = "group"
    groups: Positive = Field(default=4, description="groups of GroupNorm; unused by BatchNorm")
    dropout: Fraction = 0.1
    streaming: StreamingSettings | None = None

    @model_validator(mode="after")
    def _divisible(self) -> EncoderSettings:
        for field in ("heads", "groups"):
            if self.dim % getattr(self, field):
                raise ValueError(f"{field} is {getattr(self, field)}; it must divide dim, which is {self.dim}")
        return self


class TransducerSettings(Settings):
    """An RNN transducer: Conformer encoder, LSTM prediction network, joint network (Graves 2012)."""

    encoder: EncoderSettings
    vocabulary: Positive = Field(description="tokens, the blank included")
    embedding: Positive
    prediction: Positive = Field(description="outputs of the LSTM")
    lstm_layers: Positive | None = Field(default=None, description="none: one")
    lstm_units: Positive | None = Field(
        default=None, description="cells of an LSTM layer, projected to its outputs; none: as many as outputs"
    )
    joint: Positive = Field(description="units of the joint network")


class SpecAugmentSettings(Settings):
    """Masks of SpecAugment (Park et al. 2019), without time warping."""

    frequency_masks: int = Field(default=2, ge=0)
    frequency_bins: int = Field(default=27, ge=0, le=MEL_BINS, description="widest frequency mask, mel bins")
    time_masks: int = Field(default=10, ge=0)
    time_fraction: Fraction = Field(default=0.05, description="widest time mask, share of the utterance")


class TrainingSettings(Settings):
    """Optimisation of one model: AdamW; linear warm-up, a plateau, linear decay."""

    steps: Positive = Field(description="with patience, at most")
    batch_frames: Positive = Field(description="most frames of 10 ms in a batch, padding included")
    learning_rate: float = Field(gt=0, description="peak")
    warmup_steps: int = Field(ge=0)
    decay_fraction: float = Field(default=0.4, gt=0, le=1, description="share of the steps in which the rate falls")
    patience: Positive | None = Field(
        default=None,
        description="measurements of the dev WER without a new lowest after which the rate begins to fall; none: the "
        "training has all its steps",
    )
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = Field(default=1e-6, ge=0, description="of weight matrices and kernels; none of the rest")
    clip_norm: float = Field(default=5.0, gt=0, description="largest norm of the whole gradient")
    precision: Literal["bf16"] | None = Field(
        default=None,
        description="of the networks' products: bf16 on processors that have instructions for it; none, and on others: "
        "float32. On CUDA it is always bf16",
    )
    ctc_weight: float = Field(default=0.5, ge=0, description="weight of the auxiliary CTC loss; not in the paper")
    augment: SpecAugmentSettings = SpecAugmentSettings()
    sorted_epochs: Positive | None = Field(
        default=None, description="epochs that begin with clean and short utterances (SortaGrad); not in the paper"
    )
    distance_every: Positive = Field(
        description="steps between records of the weights' distance from step 0; the first and the last have one too"
    )
    checkpoint_every: Positive = Field(description="steps between checkpoints and measurements of the dev WER")
    snapshots: tuple[NonNegative, ...] | None = Field(
        default=None, description="steps whose weights of the encoder's layers are kept, for rewinding; none: no step's"
    )

    @model_validator(mode="after")
    def _keeps_what_it_has(self) -> TrainingSettings:
        if late := [step for step in self.snapshots or () if step > self.steps]:
            raise ValueError(f"snapshots names step {late[0]}; the training has {self.steps} steps")
        return self


class TrainingRun(Settings):
    """All that determines a trained model.

    `version` is raised by one when a change of the code makes another model of the same settings.
    """

    version: int = 2
    corpus: CorpusSettings
    domains: tuple[Domain, ...] | None = Field(
        default=None, description="of the corpus, those that the model is trained and measured on; none: all"
    )
    tokens: TokenSettings
    model: TransducerSettings
    training: TrainingSettings
    base: TrainingRun | None = Field(
        default=None,
        description="training with whose last weights this one begins, a fine-tuning; step-0 weights, W(0), are those "
        "of the base. None: with fresh weights",
    )
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _fits_its_base(self) -> TrainingRun:
        for field in ("model", "tokens") if self.base else ():
            if getattr(self, field) != getattr(self.base, field):
                raise ValueError(f"{field} is {getattr(self, field)}; the base has {getattr(self.base, field)}")
        return self

    @model_validator(mode="after")
    def _of_the_corpus(self) -> TrainingRun:
        if self.domains is not None:
            there = [name for name, share in getattr(self.corpus, "domains", {}).items() if share > 0]
            if not self.domains or (foreign := [name for name in self.domains if name not in there]):
                wrong = repr(foreign[0]) if self.domains else "nothing"
                raise ValueError(f"domains names {wrong}; the corpus has {', '.join(there) or 'no domains'}")
        return self

    @model_validator(mode="after")
    def _same_vocabulary(self) -> TrainingRun:
        if self.tokens.vocabulary != self.model.vocabulary:
            raise ValueError(
                f"vocabulary is {self.model.vocabulary} in the model, {self.tokens.vocabulary} in the tokens"
            )
        return self


class ResetSettings(Settings):
    """The measurement of one model with each of its layers, or of their modules, reset; `version` as in TrainingRun."""

    version: int = 2
    unit: Literal["layer", "module"] = Field(default="layer", description="what is reset at a time")
    statistics: Literal["reset", "kept"] = Field(
        default="reset", description="whether BatchNorm's running statistics go with the layer; GroupNorm has none"
    )
    rewind: NonNegative | None = Field(
        default=None,
        description="step whose weights a re-initialisation puts back, a snapshot; 0 in a fine-tuning: those that it "
        "began with. None: W(0)",
    )
    draws: int = Field(default=3, ge=0, description="re-randomisations of every unit, each from another seed")
    split: Literal["dev", "test"] | None = Field(default=None, description="speech that is recognised; none: test")
    batch_frames: Positive = Field(default=3000, description="most frames of 10 ms in a batch, padding included")


class DropoutPlan(Settings):
    """Federated Dropout: which share of the feed-forward units of each layer a client does without."""

    name: str = Field(min_length=1)
    rates: dict[int, Fraction] = Field(default={}, description="share dropped by layer, counted from 1")
    elsewhere: Fraction = Field(default=0.0, description="share dropped in the layers that rates does not name")

    def rate(self, layer: int) -> float:
        """Returns the share that is dropped in `layer`, counted from 1."""
        return self.rates.get(layer, self.elsewhere)

    def by_rates(self) -> DropoutPlan:
        """Returns this plan under a name that is its rates, "5:0.5 6:0.5 rest:0.1": plans that drop alike are equal."""
        rates = {layer: rate for layer, rate in sorted(self.rates.items()) if rate != self.elsewhere}
        name = " ".join([*(f"{layer}:{rate:g}" for layer, rate in rates.items()), f"rest:{self.elsewhere:g}"])
        return DropoutPlan(name=name, rates=rates, elsewhere=self.elsewhere)


class ServerOptimizerSettings(Settings):
    """What the server does with the clients' mean update (Reddi et al. 2021): SGD, with momentum, or Adam (FedAdam)."""

    kind: Literal["sgd", "adam"] = "adam"
    learning_rate: float = Field(default=2e-3, gt=0)
    momentum: Fraction = Field(default=0.0, description="of SGD")
    betas: tuple[Fraction, Fraction] = Field(default=(0.9, 0.99), description="of Adam")
    epsilon: float = Field(default=1e-5, gt=0, description="of Adam")
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled, a step; only of what a client has trained")


class FederatedSettings(Settings):
    """Federated averaging (McMahan et al. 2017): a client is a speaker with their own utterances."""

    rounds: int = Field(ge=0)
    clients_per_round: Positive
    local_epochs: Positive = 1
    local_batch_frames: Positive = Field(default=1500, description="most frames of 10 ms in a client's batch")
    client_learning_rate: float = Field(default=0.1, gt=0, description="of a client's plain SGD")
    clip_norm: float = Field(default=5.0, gt=0, description="largest norm of a client's gradient")
    server: ServerOptimizerSettings = ServerOptimizerSettings()
    decay_fraction: float = Field(
        default=0.0, ge=0, le=1, description="share of the rounds, the last, in which the server's rate falls to 0"
    )
    precision: Literal["bf16"] | None = Field(
        default=None, description="of the clients' products, as in TrainingSettings; on CUDA too, where it is named"
    )
    failure_rate: Fraction = Field(default=0.0, description="share of the sampled clients that never answer")
    masks: Literal["client", "round"] = Field(default="client", description="what draws its own dropped units")
    kept_units: Literal["scaled"] | None = Field(
        default=None,
        description="scaled: a client multiplies the hidden units that it keeps by hidden / kept, as in inverted "
        "dropout; none: they stay as they are",
    )
    seed: int = Field(default=0, ge=0)
