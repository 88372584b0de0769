"""The trained mini model that comes with the library: seconds after opening a notebook there is one to play with.

It is a streaming model of dictation and telephone speech, small enough to come along. It is made anew, in minutes, by

    python -m paper_lib.widgets.shipped
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from paper_lib.checkpoint import load_tensors, save_tensors
from paper_lib.conformer.skeleton import skeleton
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus.tokens import CharacterTokenizer, Tokenizer
from paper_lib.profiles.mini import shipped_run
from paper_lib.settings import TrainingRun
from paper_lib.studies.measurements import is_cached
from paper_lib.training import Fit

PLACE = Path(__file__).with_name("streaming.safetensors")


@dataclass(frozen=True)
class ShippedModel:
    """A trained model with what its resets, its signature and its adaptation need."""

    run: TrainingRun
    model: Transducer  # in eval mode
    initial: dict[str, Tensor]  # the weights of step 0
    tokenizer: CharacterTokenizer
    training: dict[str, Any]  # as in the record of a training: "distances" and "distance_steps"


def load_shipped(path: Path = PLACE) -> ShippedModel:
    """Returns the model in `path`; raises FileNotFoundError, or DamagedFileError where the digest does not match."""
    tensors, metadata = load_tensors(path)
    run = TrainingRun.model_validate_json(metadata["run"])
    with skeleton():
        model = Transducer(run.model)
    model.load_state_dict(_part(tensors, "trained"), assign=True)
    return ShippedModel(
        run, model.eval(), _part(tensors, "initial"), CharacterTokenizer(), json.loads(metadata["training"])
    )


def model_at_hand(run: TrainingRun) -> tuple[TrainingRun, Transducer, Tokenizer]:
    """Returns the model of `run` if the cache has it, else the shipped one; and the training that it is of."""
    from paper_lib.studies.computing import trained_model

    if is_cached(run):
        fitted = trained_model(run)
        return run, fitted.model.cpu(), fitted.tokenizer
    shipped = load_shipped()
    return shipped.run, shipped.model, shipped.tokenizer


def save_shipped(run: TrainingRun, fitted: Fit, path: Path = PLACE) -> None:
    """Writes `fitted`, the model of `run`, to `path`: its weights after training and before, and their distances."""
    weights = {"trained": fitted.model.state_dict(), "initial": fitted.initial}
    tensors = {f"{part}.{name}": tensor for part, named in weights.items() for name, tensor in named.items()}
    history = {
        "distances": {name: [float(f"{d:.6g}") for d in moved] for name, moved in fitted.history.distances.items()},
        "distance_steps": fitted.history.distance_steps,
    }
    save_tensors(path, tensors, {"run": run.model_dump_json(), "training": json.dumps(history)})


def _part(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): t for name, t in tensors.items() if name.startswith(f"{part}.")}


def _main() -> None:
    from paper_lib.studies.computing import trained_model

    run = shipped_run()
    save_shipped(run, trained_model(run))


if __name__ == "__main__":
    _main()
