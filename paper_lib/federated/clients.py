"""Clients: speakers with their own utterances, sampled round by round, and the training that one of them does."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from paper_lib.conformer.loss import transducer_loss
from paper_lib.conformer.normalization import MaskedBatchNorm
from paper_lib.conformer.products import multiplies_bf16
from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.corpus import Corpus, Shard
from paper_lib.corpus.batches import Item, bucket, collate
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.federated.dropout import Mask, is_trained, reused_sub_model
from paper_lib.settings import FederatedSettings, Split, TransducerSettings
from paper_lib.threads import one_thread


class ClientError(ValueError):
    """More clients were asked for than there are; the message names how many."""


@dataclass(frozen=True)
class Client:
    """One speaker's utterances, in the order of the corpus."""

    name: str
    items: tuple[Item, ...]

    @property
    def utterances(self) -> int:
        return len(self.items)

    @property
    def frames(self) -> int:
        """Of all its utterances."""
        return sum(shard.utterances[index].frames for shard, index in self.items)


class Participant(Protocol):
    """What a server knows of a client, wherever its speech is."""

    @property
    def name(self) -> str: ...

    @property
    def utterances(self) -> int: ...

    @property
    def frames(self) -> int: ...


def clients_of(corpus: Corpus, split: Split) -> list[Client]:
    """Returns the speakers of a split as clients, by name."""
    spoken: dict[str, list[Item]] = {}
    for k in range(corpus.shards(split)):
        shard = corpus.shard(split, k)
        for index, utterance in enumerate(shard.utterances):
            spoken.setdefault(utterance.speaker, []).append((shard, index))
    return [Client(name, tuple(items)) for name, items in sorted(spoken.items())]


def alone(client: Client) -> Client:
    """Returns `client` with its own speech in memory, and nothing of the others' shards: to be sent to a machine."""
    utterances = [shard.utterances[index] for shard, index in client.items]
    shard = Shard(utterances, np.concatenate([shard.features(index) for shard, index in client.items]))
    return Client(client.name, tuple((shard, index) for index in range(len(utterances))))


def sample(settings: FederatedSettings, clients: int, round_: int) -> list[int]:
    """Returns the clients, of `clients`, that answer in a round: sampled without replacement, less those that fail.

    A function of (seed, round) alone: plans that share a seed meet the same clients. Raises ClientError.
    """
    if settings.clients_per_round > clients:
        raise ClientError(f"clients_per_round is {settings.clients_per_round}; there are {clients} clients")
    rng = np.random.default_rng((settings.seed, round_))
    chosen = rng.choice(clients, settings.clients_per_round, replace=False)
    answers = rng.random(settings.clients_per_round) >= settings.failure_rate
    return [int(client) for client in chosen[answers]]


def local_batches(settings: FederatedSettings, client: Client, seed: Sequence[int]) -> list[list[Item]]:
    """Returns the batches of a client's local epochs, each epoch cut and ordered anew.

    Utterances of like length go together, as in `training_batches`: with a handful of them padding would be a third.
    """
    rng = np.random.default_rng(seed)
    batches: list[list[Item]] = []
    lengths = np.array([shard.utterances[index].frames for shard, index in client.items])
    for _ in range(settings.local_epochs):
        places = np.argsort(lengths * rng.uniform(0.95, 1.05, len(lengths)), kind="stable")
        cut = bucket([client.items[place] for place in places], settings.local_batch_frames)
        batches += [cut[place] for place in rng.permutation(len(cut))]
    return batches


def trainable(model: nn.Module) -> dict[str, Tensor]:
    """Returns the weights that clients train, detached, by name."""
    return {name: tensor.detach() for name, tensor in model.named_parameters() if tensor.requires_grad}


def running_statistics(model: nn.Module) -> dict[str, Tensor]:
    """Returns the running means and variances of BatchNorm by name; a model with GroupNorm has none."""
    norms = [(name, module) for name, module in model.named_modules() if isinstance(module, MaskedBatchNorm)]
    return {name: tensor for prefix, norm in norms for name, tensor in norm.named_buffers(prefix)}


def answer(
    settings: FederatedSettings,
    model_settings: TransducerSettings,
    received: dict[str, Tensor],
    mask: Mask,
    client: Client,
    tokenizer: Tokenizer,
    round_: int,
    trained: tuple[int, ...] | None,
) -> dict[str, Tensor] | str:
    """Returns the update of a client, or why there is none: a device may fail, and the round goes on.

    `received` and `trained` as in `client_update`; of `mask` only the numbers of units matter.
    """
    try:
        return _train_client(settings, model_settings, received, mask, client, tokenizer, round_, trained)
    except (ArithmeticError, LookupError, RuntimeError, ValueError) as error:
        return " ".join(f"it failed: {type(error).__name__}: {error}".split())


def _train_client(
    settings: FederatedSettings,
    model_settings: TransducerSettings,
    received: dict[str, Tensor],
    mask: Mask,
    client: Client,
    tokenizer: Tokenizer,
    round_: int,
    trained: tuple[int, ...] | None,
) -> dict[str, Tensor]:
    with one_thread():
        seed = client_seed(settings, round_, client.name)
        batches = local_batches(settings, client, (seed,))
        return client_update(settings, model_settings, received, mask, batches, tokenizer, seed, trained)


def client_update(
    settings: FederatedSettings,
    model_settings: TransducerSettings,
    received: dict[str, Tensor],
    mask: Mask,
    batches: Sequence[Sequence[Item]],
    tokenizer: Tokenizer,
    seed: int,
    trained: tuple[int, ...] | None = None,
) -> dict[str, Tensor]:
    """Returns what a client sends back: by how much its trainable weights have moved, and its running statistics.

    `received` is the state of the client's (sub-)model, buffers included. Plain SGD on the transducer loss, of the
    layers that are `trained`, from 1, or of all there is. `seed` is that of the dropout; nothing else is random.
    """
    model = reused_sub_model(model_settings, mask, settings.kept_units == "scaled", trained)
    model.load_state_dict({name: tensor.clone() for name, tensor in received.items()}, assign=True)
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for items in batches:
            compute_gradient(settings, model, items, tokenizer)
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.grad is not None:
                        parameter.sub_(settings.client_learning_rate * parameter.grad)
    moved = {name: tensor - received[name] for name, tensor in trainable(model).items()}
    return moved | {name: t for name, t in running_statistics(model).items() if is_trained(name, trained)}


def compute_gradient(
    settings: FederatedSettings, model: Transducer, items: Sequence[Item], tokenizer: Tokenizer
) -> None:
    """Leaves in `model` the gradient of the transducer loss on one batch, clipped."""
    device = model.feature_mean.device
    batch = collate(items, tokenizer).to(device)
    bf16 = settings.precision == "bf16" and multiplies_bf16(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        encoded, frames = model.encode(batch.features, batch.frames)
        logits = model.logits(encoded, batch.targets)
    loss = transducer_loss(logits, batch.targets, frames, batch.lengths, BLANK).mean()
    model.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)


def absence(settings: FederatedSettings, client: Participant) -> str | None:
    """Returns why a client has no part in a round, or nothing where it trains."""
    if not client.utterances:
        return "it has no utterances"
    frames = settings.local_epochs * client.frames
    if settings.deadline_frames is not None and frames > settings.deadline_frames:
        return f"it is late: it has {frames} frames to train on, and {settings.deadline_frames} are before the deadline"
    return None


def clipped(update: dict[str, Tensor], norm: float | None) -> dict[str, Tensor]:
    """Returns `update`, or where its norm is larger than `norm`, what is left of it at that norm."""
    if norm is None:
        return update
    # In float64: of what is 10⁶ times too large the squares might be too many.
    length = math.sqrt(sum(float(tensor.double().square().sum()) for tensor in update.values()))
    return {name: tensor * (norm / length) for name, tensor in update.items()} if length > norm else update


def refusal(update: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> str | None:
    """Returns why the server cannot use a client's update, or nothing where it can; `shapes` are those it sent out."""
    if update.keys() != shapes.keys():
        odd = sorted(update.keys() ^ shapes.keys())[0]
        return f"its update {'lacks' if odd in shapes else 'has a foreign'} {odd}"
    for name, tensor in update.items():
        if tensor.shape != shapes[name]:
            return f"its update of {name} has shape {list(tensor.shape)} instead of {list(shapes[name])}"
    bounds = torch.cat([tensor.flatten() for tensor in update.values()]).aminmax()  # NaN passes through
    if all(bool(bound.isfinite()) for bound in bounds):
        return None
    broken = next(name for name, tensor in update.items() if not bool(tensor.isfinite().all()))
    return f"its update of {broken} is not finite"


def client_seed(settings: FederatedSettings, round_: int, name: str) -> int:
    """Returns the seed of all that is random in what the client `name` does in round `round_`."""
    place = (settings.seed, round_, zlib.crc32(name.encode()))
    return int(np.random.SeedSequence(place).generate_state(1)[0])
