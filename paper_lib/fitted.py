"""A finished training, and the files of one that goes on: its state, its step-0 weights, its layers at some steps."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from paper_lib.checkpoint import DamagedFileError, load_tensors, save_tensors
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.paths import CHECKPOINT

logger = logging.getLogger("paper_lib")

INITIAL = "initial.safetensors"


@dataclass
class History:
    """What a training leaves beside its weights. Steps count finished updates; WERs are fractions."""

    losses: list[float] = field(default_factory=list)  # of every step, nats per utterance
    dev_wer: dict[int, float] = field(default_factory=dict)  # by step
    distances: dict[str, list[float]] = field(default_factory=dict)  # ‖W(t) - W(0)‖_F by weight matrix
    distance_steps: list[int] = field(default_factory=list)
    seconds: float = 0.0
    processes: int = 1  # that trained together, at most


@dataclass(frozen=True)
class Fit:
    """A finished training: the model in eval mode, its step-0 weights and its history."""

    model: Transducer
    initial: dict[str, Tensor]
    tokenizer: Tokenizer
    history: History
    digest: str  # of the trained weights alone: a training that is repeated to the bit has the same
    directory: Path  # of its files

    def snapshot(self, step: int) -> dict[str, Tensor]:
        """Returns the encoder layers' weights after `step`, named as in the whole model.

        Raises ValueError where the training kept none, and DamagedFileError. A damaged file is removed: the training
        starts anew when it is asked for again.
        """
        path = _snapshot(self.directory, step)
        try:
            return load_tensors(path)[0]
        except FileNotFoundError:
            steps = len(self.history.losses)
            raise ValueError(f"the training kept no weights of step {step}; it had {steps} steps") from None
        except DamagedFileError as error:
            path.unlink()
            raise DamagedFileError(f"{error}; it was removed, and the next run trains this model anew") from error


@dataclass(frozen=True)
class State:
    """A training after its last checkpoint."""

    history: History
    weights: dict[str, Tensor]  # of the objective
    moments: dict[int, dict[str, Tensor]]  # of the optimizer, by the index of a parameter


def save_state(directory: Path, state: State) -> None:
    """Writes the checkpoint of a training."""
    tensors = {f"objective.{name}": tensor for name, tensor in state.weights.items()}
    for index, moments in state.moments.items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
    save_tensors(directory / CHECKPOINT, tensors, {"history": json.dumps(asdict(state.history))})


def load_state(directory: Path, snapshots: Sequence[int]) -> tuple[State, dict[str, Tensor]] | None:
    """Returns the state of a training and its step-0 weights; nothing where there is none that can be gone on with.

    That is where one of its files is damaged, or missing though it was past that step; it is reported. `snapshots` are
    the steps whose layers it keeps.
    """
    try:
        tensors, metadata = load_tensors(directory / CHECKPOINT)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        logger.warning("%s: training starts anew", error)
        return None
    history = _history(json.loads(metadata["history"]))
    passed = [step for step in snapshots if step <= len(history.losses)]
    needed = [directory / INITIAL, *(_snapshot(directory, step) for step in passed)]
    if missing := [path for path in needed if not path.exists()]:
        logger.warning("%s is missing: training starts anew", missing[0])
        return None
    try:
        initial = load_tensors(directory / INITIAL)[0]
    except DamagedFileError as error:
        logger.warning("%s: training starts anew", error)
        return None
    weights = {name.removeprefix("objective."): t for name, t in tensors.items() if name.startswith("objective.")}
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, key = rest.split(".")
            moments.setdefault(int(index), {})[key] = tensor
    return State(history, weights, moments), initial


def keep_layers(directory: Path, step: int, weights: Mapping[str, Tensor]) -> None:
    """Writes the layers of the encoder as they are after `step`; `weights` are the model's."""
    layers = {name: tensor for name, tensor in weights.items() if name.startswith("encoder.layers.")}
    save_tensors(_snapshot(directory, step), layers)


def _snapshot(directory: Path, step: int) -> Path:
    return directory / f"snapshot-{step}.safetensors"


def _history(kept: dict[str, Any]) -> History:
    return History(**kept | {"dev_wer": {int(step): wer for step, wer in kept["dev_wer"].items()}})
