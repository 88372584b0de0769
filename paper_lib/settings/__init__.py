"""Validated settings: corpora, models, training, measurement, and the profiles that bundle them.

Every study is a pure function of these frozen objects, and the digest of their JSON names its record. A profile
changes how much is computed, never what is computed.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from paper_lib.settings.base import (
    ALPHABET,
    MEL_BINS,
    PEOPLE,
    Alphabet,
    Channel,
    ClientDomain,
    Domain,
    Fraction,
    NonNegative,
    Norm,
    Positive,
    Settings,
    Size,
    Split,
)
from paper_lib.settings.corpora import (
    MINI_LIBRISPEECH,
    CorpusSettings,
    LibriSpeechSettings,
    RecordingsSettings,
    SpeechCommandsSettings,
    SyntheticSettings,
)
from paper_lib.settings.federated import BitsPlan, DropoutPlan, FederatedSettings, ServerOptimizerSettings

__all__ = [
    "ALPHABET",
    "MEL_BINS",
    "MINI_LIBRISPEECH",
    "PEOPLE",
    "Alphabet",
    "BitsPlan",
    "Channel",
    "ClientDomain",
    "CorpusSettings",
    "Domain",
    "DropoutPlan",
    "EncoderSettings",
    "FederatedSettings",
    "Fraction",
    "LibriSpeechSettings",
    "NonNegative",
    "Norm",
    "Positive",
    "RecordingsSettings",
    "ResetSettings",
    "ServerOptimizerSettings",
    "Settings",
    "Size",
    "SpecAugmentSettings",
    "SpeechCommandsSettings",
    "Split",
    "StreamingSettings",
    "SyntheticSettings",
    "TokenSettings",
    "TrainingRun",
    "TrainingSettings",
    "TransducerSettings",
]


class TokenSettings(Settings):
    """What the transducer emits: characters for the mini sizes, word-pieces for the paper's."""

    kind: Literal["characters", "word_pieces"] = "characters"
    vocabulary: Positive = Field(default=29, description="tokens, the blank included")
    alphabet: Alphabet | None = Field(
        default=None, description="the characters, in the order of their ids; none: those of English texts"
    )

    @model_validator(mode="after")
    def _alphabet_and_vocabulary_agree(self) -> TokenSettings:
        if self.alphabet is None:
            return self
        if self.kind != "characters":
            raise ValueError(f"alphabet is {self.alphabet!r}; {self.kind} have none")
        if self.vocabulary != len(self.alphabet) + 1:
            raise ValueError(
                f"vocabulary is {self.vocabulary}; the alphabet's {len(self.alphabet)} characters and the blank make "
                f"{len(self.alphabet) + 1}"
            )
        return self


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

    @property
    def norm_name(self) -> str:
        """What the norm of the convolution module is called in tables and figures."""
        if self.norm == "batch":
            return "BatchNorm"
        return f"GroupNorm, {self.groups} group{'s' if self.groups > 1 else ''}"

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
    def _writes_the_corpus(self) -> TrainingRun:
        spoken, written = getattr(self.corpus, "alphabet", None) or ALPHABET, self.tokens.alphabet or ALPHABET
        if self.tokens.kind == "characters" and (lacking := sorted(set(spoken) - set(written))):
            raise ValueError(f"alphabet of the tokens is {written!r}; that of the corpus has {lacking} too")
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
