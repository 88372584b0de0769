"""Clients that fail, are late, or send what no client should: a round says whom it refuses and goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from tiny_runs import Words
from torch import Tensor

from paper_lib.conformer.transducer import Transducer
from paper_lib.federated import clients as of_clients
from paper_lib.federated.algorithm import RoundReport, federated_dropout
from paper_lib.federated.averaging import ServerState
from paper_lib.federated.clients import Client, clipped
from paper_lib.federated.plans import named_plan
from paper_lib.settings import BitsPlan, FederatedSettings, ServerOptimizerSettings

PLAIN = FederatedSettings(
    rounds=2,
    clients_per_round=3,
    local_batch_frames=600,
    server=ServerOptimizerSettings(kind="sgd", learning_rate=1.0),
    seed=3,
)
PLAN = named_plan("none", [2, 1])
BITS = BitsPlan(name="eight", elsewhere=8, error_feedback=True)


def one_round(
    model: Transducer, clients: list[Client], settings: FederatedSettings = PLAIN, **options: Any
) -> tuple[ServerState, ServerState, RoundReport]:
    rounds = federated_dropout(settings, PLAN, model.settings, Words(), **options)
    start = rounds.init(model)
    return start, *rounds.apply(start, clients)


def moved(start: ServerState, end: ServerState) -> float:
    """Returns the norm of what a round did to the weights."""
    squares = [(end.weights[name] - start.weights[name]).double().square().sum() for name in start.weights]
    return float(torch.stack(squares).sum().sqrt())


def spoil(monkeypatch: pytest.MonkeyPatch, name: str, spoilt: Any) -> None:
    """Lets the client `name` send what `spoilt` makes of its update."""
    honest = of_clients._train_client

    def train(*arguments: Any) -> dict[str, Tensor]:
        update = honest(*arguments)
        return spoilt(update) if arguments[4].name == name else update

    monkeypatch.setattr(of_clients, "_train_client", train)


def not_a_number(update: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.full_like(tensor, torch.nan) for name, tensor in update.items()}


def transposed(update: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor[..., :1] for name, tensor in update.items()}


def cut_short(update: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(list(update.items())[:3])


def fails(update: dict[str, Tensor]) -> dict[str, Tensor]:
    raise RuntimeError("out of\nmemory")


@pytest.mark.parametrize("bits", [None, BITS])
@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        (not_a_number, "is not finite"),
        (transposed, "has shape"),
        (cut_short, "its update lacks "),
        (fails, "it failed: RuntimeError: out of memory"),
    ],
)
def test_a_client_whose_answer_cannot_be_used_is_named_and_the_others_count(
    spoilt: Any,
    reason: str,
    bits: BitsPlan | None,
    model: Transducer,
    clients: list[Client],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad, *good = clients[:3]
    _, without, _ = one_round(model, good, bits=bits)
    spoil(monkeypatch, bad.name, spoilt)
    _, end, report = one_round(model, [bad, *good], bits=bits)
    assert report.clients == tuple(client.name for client in good)
    (refused,) = report.refused
    assert refused.startswith(f"{bad.name}: ")
    assert reason in refused
    assert refused in caplog.text
    # To the bit what the others alone would have come to.
    assert all(torch.equal(end.model[name], tensor) for name, tensor in without.model.items())
    assert bad.name not in end.owed


def test_a_round_in_which_all_fail_leaves_the_model_as_it_was(
    model: Transducer, clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_clients, "_train_client", lambda *_: fails({}))
    start, end, report = one_round(model, clients[:2])
    assert report.clients == ()
    assert len(report.refused) == 2
    assert moved(start, end) == 0
    assert end.rounds == 1


def frames_of(client: Client) -> int:
    return sum(shard.utterances[index].frames for shard, index in client.items)


@pytest.mark.parametrize("epochs", [1, 2])
def test_who_is_slower_than_the_deadline_is_late_and_is_not_waited_for(
    epochs: int, model: Transducer, clients: list[Client]
) -> None:
    in_order = sorted(clients[:3], key=frames_of)
    deadline = epochs * frames_of(in_order[1])
    settings = PLAIN.model_copy(update={"local_epochs": epochs})
    _, without, quick = one_round(model, in_order[:2], settings)
    _, end, report = one_round(model, in_order, settings.model_copy(update={"deadline_frames": deadline}))
    slow = in_order[2]
    assert report.refused == (
        f"{slow.name}: it is late: it has {epochs * frames_of(slow)} frames to train on, and {deadline} are before the "
        "deadline",
    )
    assert (report.clients, report.bytes_down) == (quick.clients, quick.bytes_down)
    assert all(torch.equal(end.model[name], tensor) for name, tensor in without.model.items())


def too_large(update: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: 1e6 * tensor for name, tensor in update.items()}


def test_an_update_a_million_times_too_large_is_held_by_clipping(
    model: Transducer, clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    start, end, _ = one_round(model, clients[:3])
    usual = moved(start, end)
    spoil(monkeypatch, clients[0].name, too_large)
    start, end, _ = one_round(model, clients[:3])
    assert moved(start, end) > 1e4 * usual
    start, end, report = one_round(model, clients[:3], PLAIN.model_copy(update={"update_clip_norm": usual}))
    assert len(report.clients) == 3
    # A mean of updates none of which is larger.
    assert 0 < moved(start, end) <= usual * (1 + 1e-5)


def test_clipping_keeps_the_direction_and_leaves_alone_what_is_small() -> None:
    update = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([[4.0]])}
    assert clipped(update, None) is update
    assert clipped(update, 5.0) is update
    half = clipped(update, 2.5)
    assert torch.equal(half["a"], torch.tensor([1.5, 0.0]))
    assert torch.equal(half["b"], torch.tensor([[2.0]]))
    huge = clipped({"a": torch.full((2,), 1e30)}, 1.0)["a"]  # whose square no float32 holds
    torch.testing.assert_close(huge, torch.full((2,), 0.5**0.5))


def test_a_clip_that_is_never_reached_changes_no_bit(model: Transducer, clients: list[Client]) -> None:
    _, end, _ = one_round(model, clients[:3])
    _, same, _ = one_round(model, clients[:3], PLAIN.model_copy(update={"update_clip_norm": 1e9}))
    assert all(torch.equal(same.model[name], tensor) for name, tensor in end.model.items())


@pytest.mark.parametrize(
    ("field", "value"), [("update_clip_norm", 0.0), ("update_clip_norm", -1.0), ("deadline_frames", 0)]
)
def test_settings_of_clients_are_checked(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        FederatedSettings.model_validate(PLAIN.model_dump() | {field: value})


def test_what_is_not_asked_for_renames_no_record() -> None:
    dumped = json.loads(PLAIN.model_dump_json(exclude_none=True))
    assert not dumped.keys() & {"update_clip_norm", "deadline_frames"}
    asked = PLAIN.model_copy(update={"update_clip_norm": 1.0})
    assert asked.digest() != PLAIN.digest()
