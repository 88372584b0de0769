"""Settings of federated learning: what clients leave out or round, how they train, what the server does with it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from paper_lib.settings.base import Fraction, Positive, Settings

# One for the sign, one or more for the size; float32 has 24 in which it tells numbers of one exponent apart.
Bits = Annotated[int, Field(ge=2, le=16)]


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


class BitsPlan(Settings):
    """How many bits a weight of each layer has on its way to a client, and its update on the way back.

    Of the matrices and kernels of the encoder's layers: biases, norms, the subsampling, the prediction and the joint
    network stay float32.
    """

    name: str = Field(min_length=1)
    bits: dict[int, Bits] = Field(default={}, description="by layer, counted from 1")
    elsewhere: Bits | None = Field(
        default=None, description="of the layers that bits does not name; none: they stay float32"
    )
    error_feedback: Literal[True] | None = Field(
        default=None,
        description="true: what rounding took from a client's update is added to the next one that the client sends; "
        "none: it is lost",
    )

    def of_layer(self, layer: int) -> int | None:
        """Returns the bits of `layer`, counted from 1; none: float32."""
        return self.bits.get(layer, self.elsewhere)

    def by_bits(self) -> BitsPlan:
        """Returns this plan under a name that is its bits, "1:2 2:6 rest:4": plans that round alike are equal."""
        bits = {layer: count for layer, count in sorted(self.bits.items()) if count != self.elsewhere}
        rest = "float32" if self.elsewhere is None else self.elsewhere
        name = " ".join([*(f"{layer}:{count}" for layer, count in bits.items()), f"rest:{rest}"])
        return self.model_copy(update={"name": name, "bits": bits})


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
    deadline_frames: Positive | None = Field(
        default=None,
        description="frames of 10 ms, all local epochs together, that a client can train on before its round ends; "
        "who has more is late and refused; none: the round waits for everyone",
    )
    update_clip_norm: float | None = Field(
        default=None,
        gt=0,
        description="largest norm of an update of the weights; the server scales a larger one down to it; none: it "
        "takes updates as they come",
    )
    masks: Literal["client", "round"] = Field(default="client", description="what draws its own dropped units")
    kept_units: Literal["scaled"] | None = Field(
        default=None,
        description="scaled: a client multiplies the hidden units that it keeps by hidden / kept, as in inverted "
        "dropout; none: they stay as they are",
    )
    seed: int = Field(default=0, ge=0)
