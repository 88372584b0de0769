"""Federated Dropout on devices of their own: the algorithm of `federated` as a ServerApp and a ClientApp of Flower.

Flower (Beutel et al. 2020, arXiv 2007.14390) carries the messages. The server cuts the sub-model of every client, sends
it and nothing else, and averages what comes back: `federated.algorithm` does that, as in a simulation, and the rounds
have its weights. A device holds the speech of one or more clients and tells of it names and lengths alone.

    flower/            the app, for `flwr run`; its pyproject.toml has the settings of a run
    --node-config      of a SuperNode: 'partition="0/2"', the first half of the clients of the profile's corpus

flwr is no part of the book's environment (`make test-devices` has one with it).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from torch import Tensor

from paper_lib.checkpoint import save_tensors
from paper_lib.corpus import open_corpus
from paper_lib.corpus.tokens import CharacterTokenizer, Tokenizer, WordPieceTokenizer
from paper_lib.federated.algorithm import Asked, federated_dropout
from paper_lib.federated.averaging import Weights
from paper_lib.federated.clients import Client, answer, clients_of, sample
from paper_lib.federated.dropout import Mask, extract
from paper_lib.federated.plans import named_plan, own_plan
from paper_lib.profiles import profile_of
from paper_lib.settings import FederatedSettings, TransducerSettings
from paper_lib.studies.adaptations import adaptation
from paper_lib.studies.computing import trained_model
from paper_lib.studies.measurements import AdaptationStudy

WEIGHTS, ASKED, ANSWER, WHO = "weights", "asked", "answer", "who"


class DeviceError(RuntimeError):
    """The devices cannot do what the run asks for; the message says which setting does not fit."""


@dataclass(frozen=True)
class OnDevice:
    """A client whose speech is on the device `node`."""

    name: str
    utterances: int
    frames: int
    node: int


def study_of(said: Mapping[str, Any]) -> AdaptationStudy:
    """Returns what a run with these settings computes: `profile`, `plan` ("none", or rates by layer), `seed`, `rounds`.

    Raises DeviceError where the clients of the profile hear by other statistics than its model.
    """
    settings = profile_of(str(said["profile"])).adaptation
    if settings.clients:
        raise DeviceError(f"profile is {said['profile']!r}: its clients are of another corpus than its model")
    layers = settings.model.encoder.layers
    plan = named_plan("none", ()) if said["plan"] == "none" else own_plan(str(said["plan"]), layers)
    federated = settings.federated.model_copy(update={"rounds": int(said["rounds"])})
    return adaptation(settings, int(said["seed"]), plan, federated)


def _serve(grid: Grid, context: Context) -> None:
    """Runs all rounds, and writes the weights after them to `output`, with the reports of the rounds."""
    said = context.run_config
    study = study_of(said)
    fitted = trained_model(study.run)
    clients = _present(grid, int(said["nodes"]))
    ask = partial(_ask, grid, study, fitted.tokenizer)
    algorithm = federated_dropout(
        study.federated, study.plan, study.run.model, fitted.tokenizer, trained=study.trained, ask=ask
    )
    state, reports = algorithm.init(fitted.model), []
    while state.rounds < study.federated.rounds:
        chosen = [clients[place] for place in sample(study.federated, len(clients), state.rounds)]
        state, report = algorithm.apply(state, chosen)
        reports.append(asdict(report))
    save_tensors(Path(str(said["output"])), state.learnt, {"reports": json.dumps(reports)})


def _present(grid: Grid, nodes: int) -> list[OnDevice]:
    """Returns the clients of all devices by name, once `nodes` devices are there."""
    while len(found := list(grid.get_node_ids())) < nodes:
        time.sleep(1)
    asked = [Message(RecordDict(), dst_node_id=node, message_type="query") for node in found]
    clients = []
    for reply in grid.send_and_receive(asked):
        if reply.has_error():
            raise DeviceError(f"device {reply.metadata.src_node_id} says: {reply.error.reason}")
        told = reply.content[WHO]
        each = zip(told["names"], told["utterances"], told["frames"], strict=True)
        clients += [OnDevice(*of_client, reply.metadata.src_node_id) for of_client in each]
    return sorted(clients, key=lambda client: client.name)


def _ask(
    grid: Grid, study: AdaptationStudy, tokenizer: Tokenizer, full: Weights, asked: Sequence[Asked]
) -> Iterator[dict[str, Tensor] | str]:
    """Sends every client its sub-model, and yields what they answer in the order of `asked`."""
    known = {
        "settings": study.federated.model_dump_json(),
        "model": study.run.model.model_dump_json(),
        "tokenizer": tokenizer.alphabet if isinstance(tokenizer, CharacterTokenizer) else _pieces(tokenizer),
    }
    messages = [
        Message(
            RecordDict(
                {
                    WEIGHTS: ArrayRecord(extract(full, mask)),
                    ASKED: ConfigRecord(
                        {
                            **known,
                            "client": client.name,
                            "round": round_,
                            "modules": list(mask.kept),
                            "units": [len(kept) for kept in mask.kept.values()],
                        }
                    ),
                }
            ),
            dst_node_id=client.node,
            message_type="train",
        )
        for client, mask, round_ in asked
    ]
    answers: dict[str, dict[str, Tensor] | str] = {}
    failed: dict[int, str] = {}
    for reply in grid.send_and_receive(messages):
        if reply.has_error():
            failed[reply.metadata.src_node_id] = f"its device failed: {reply.error.reason}"
            continue
        told = reply.content[ANSWER]
        moved = reply.content[WEIGHTS].to_torch_state_dict() if WEIGHTS in reply.content else str(told["reason"])
        answers[str(told["client"])] = moved
    for client, _, _ in asked:
        yield answers.get(client.name) or failed.get(client.node, "it did not answer")


def _pieces(tokenizer: Tokenizer) -> bytes:
    assert isinstance(tokenizer, WordPieceTokenizer)
    return tokenizer.model


def _tell(message: Message, context: Context) -> Message:
    """Says which clients' speech is here, and how much."""
    clients = _clients_here(str(context.run_config["profile"]), str(context.node_config["partition"]))
    record = ConfigRecord(
        {
            "names": [client.name for client in clients],
            "utterances": [client.utterances for client in clients],
            "frames": [client.frames for client in clients],
        }
    )
    return Message(RecordDict({WHO: record}), reply_to=message)


def _train(message: Message, context: Context) -> Message:
    """Trains the sub-model that came, on the speech of the client that is named."""
    told = message.content[ASKED]
    clients = _clients_here(str(context.run_config["profile"]), str(context.node_config["partition"]))
    client = next(client for client in clients if client.name == told["client"])
    kept = {name: torch.arange(units) for name, units in zip(told["modules"], told["units"], strict=True)}
    alphabet = told["tokenizer"]
    moved = answer(
        FederatedSettings.model_validate_json(told["settings"]),
        TransducerSettings.model_validate_json(told["model"]),
        message.content[WEIGHTS].to_torch_state_dict(),
        Mask(kept),
        client,
        CharacterTokenizer(alphabet) if isinstance(alphabet, str) else WordPieceTokenizer(alphabet),
        int(told["round"]),
        None,
    )
    record = {"client": client.name} | ({"reason": moved} if isinstance(moved, str) else {})
    content = RecordDict({ANSWER: ConfigRecord(record)})
    if not isinstance(moved, str):
        content[WEIGHTS] = ArrayRecord(moved)
    return Message(content, reply_to=message)


@cache
def _clients_here(profile: str, partition: str) -> list[Client]:
    """Returns the clients of the profile's held-out domain that are of this `partition`: "K/N", from 0."""
    settings = profile_of(profile).adaptation
    place, _, count = partition.partition("/")
    corpus = open_corpus(settings.corpus, (settings.held_out,))
    return clients_of(corpus, "train")[int(place) :: int(count)]


server_app = ServerApp()
server_app.main()(_serve)
client_app = ClientApp()
client_app.query()(_tell)
client_app.train()(_train)
