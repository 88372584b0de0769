"""One resumable adaptation: round after round, saved after each; killed and started again, it ends with the same bits.

A round's clients, batches and masks are functions of (seed, round), so the state of the server is all that is kept.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from paper_lib.checkpoint import DamagedFileError, load_tensors, save_tensors
from paper_lib.conformer.transducer import Transducer
from paper_lib.federated.algorithm import FederatedAlgorithm, RoundReport
from paper_lib.federated.averaging import ServerState
from paper_lib.federated.clients import Client, sample
from paper_lib.locks import locked
from paper_lib.settings import FederatedSettings

logger = logging.getLogger("paper_lib")

_OWED = "owed to "  # before a client's name: what of its updates is kept for its next


@dataclass
class Adaptation:
    """What the rounds have left: reports of all of them, and dev WERs (fractions) by the number of rounds before."""

    reports: list[RoundReport] = field(default_factory=list)
    dev_wer: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0


def adapt(
    algorithm: FederatedAlgorithm,
    model: Transducer,
    clients: Sequence[Client],
    settings: FederatedSettings,
    directory: Path,
    measure: Callable[[Mapping[str, Tensor]], float],
    measure_every: int,
    position: int = 0,
    label: str = "rounds",
) -> tuple[dict[str, Tensor], Adaptation]:
    """Returns the weights after all rounds, from the last one in `directory` if there is one, and what was met.

    BatchNorm's running statistics stand among the weights. `measure` maps both to a dev WER; it is asked before the
    first round, after every `measure_every` and after the last. Raises ClientError.
    """
    place = directory / "state.safetensors"
    with locked(directory / ".lock", label):
        start = algorithm.init(model)
        state, met = _restore(place, start) or (start, Adaptation())
        began = time.perf_counter() - met.seconds
        if not met.dev_wer:
            met.dev_wer[0] = measure(state.learnt)
        with tqdm(total=settings.rounds, initial=state.rounds, desc=label, position=position, unit="round") as bar:
            while state.rounds < settings.rounds:
                chosen = [clients[index] for index in sample(settings, len(clients), state.rounds)]
                state, report = algorithm.apply(state, chosen)
                met.reports.append(report)
                if state.rounds % measure_every == 0 or state.rounds == settings.rounds:
                    met.dev_wer[state.rounds] = measure(state.learnt)
                met.seconds = time.perf_counter() - began
                _save(place, state, met)
                bar.set_postfix(dev_wer=f"{100 * list(met.dev_wer.values())[-1]:.1f}%", refresh=False)
                bar.update()
    return state.learnt, met


def _save(place: Path, state: ServerState, met: Adaptation) -> None:
    # One tensor per group: hundreds of small ones take about twice as long to write.
    groups = {"weights": state.weights, "fixed": state.fixed, "statistics": state.statistics, **state.moments}
    groups |= {f"{_OWED}{client}": tensors for client, tensors in state.owed.items()}
    flat = {name: torch.cat([tensor.flatten() for tensor in group.values()]) for name, group in groups.items() if group}
    save_tensors(place, flat, {"rounds": str(state.rounds), "adaptation": json.dumps(asdict(met))})


def _restore(place: Path, start: ServerState) -> tuple[ServerState, Adaptation] | None:
    """Returns the state after the last finished round; a damaged one is reported and the rounds begin anew.

    `start`, the state before the first round, has the names and shapes.
    """
    try:
        flat, metadata = load_tensors(place)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        logger.warning("%s: the rounds begin anew", error)
        return None
    kept = json.loads(metadata["adaptation"])
    met = Adaptation(
        [_report(report) for report in kept["reports"]],
        {int(rounds): wer for rounds, wer in kept["dev_wer"].items()},
        kept["seconds"],
    )
    moments = {moment: _unflatten(flat[moment], of_weights) for moment, of_weights in start.moments.items()}
    weights, fixed = _unflatten(flat["weights"], start.weights), _unflatten(flat["fixed"], start.fixed)
    statistics = _unflatten(flat["statistics"], start.statistics) if start.statistics else {}
    owed = {
        name.removeprefix(_OWED): _unflatten(tensor, start.weights)
        for name, tensor in flat.items()
        if name.startswith(_OWED)
    }
    return ServerState(weights, moments, fixed, int(metadata["rounds"]), statistics, owed), met


def _report(kept: Mapping[str, Any]) -> RoundReport:
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}
    return RoundReport(**fields)


def _unflatten(flat: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors that were flattened one after another into `flat`, named and shaped as `like`."""
    pieces = flat.split([tensor.numel() for tensor in like.values()])
    return {
        name: piece.view(tensor.shape).clone().to(tensor.device)
        for (name, tensor), piece in zip(like.items(), pieces, strict=True)
    }
