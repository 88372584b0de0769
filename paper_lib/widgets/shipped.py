"""The trained mini models that come with the library: seconds after opening a notebook there is one to play with.

`streaming.safetensors` is a streaming model of dictation and telephone speech by a synthesiser, small enough to come
along. `people.safetensors` is the same model fine-tuned on people who say nine words; `people.LICENSE.md` tells whose
recordings it learnt from. Both are made anew, in minutes, by

    python -m paper_lib.widgets.shipped

the second where the recordings of Speech Commands are, or their features in the cache.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from paper_lib.checkpoint import load_tensors, save_tensors
from paper_lib.conformer.decoding import transcribe
from paper_lib.conformer.skeleton import skeleton
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus import open_corpus
from paper_lib.corpus.batches import evaluation_batches
from paper_lib.corpus.tokens import CharacterTokenizer, Tokenizer
from paper_lib.evaluation import Spoken
from paper_lib.fitted import Fit
from paper_lib.inference import Estimate, rate
from paper_lib.paths import MissingDataError
from paper_lib.profiles.shipped import shipped_people_run, shipped_run
from paper_lib.settings import TrainingRun
from paper_lib.studies.measurements import is_cached

PLACE = Path(__file__).with_name("streaming.safetensors")
PEOPLE_PLACE = Path(__file__).with_name("people.safetensors")

# What CC BY asks of a file that was made from the recordings.
CREDIT = (
    "Fine-tuned on recordings of Speech Commands by Pete Warden, Google, 2018, arXiv 1804.03209, "
    "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz, licence CC BY 4.0, "
    "https://creativecommons.org/licenses/by/4.0/; words were cut out and joined into strings"
)


@dataclass(frozen=True)
class ModelCard:
    """What a model of people tells of itself."""

    words: tuple[str, ...]  # that it has learnt, in the order of the alphabet
    test_wer: Estimate  # on people whom it never heard, with its interval over them
    test_people: int
    test_words: int
    credit: str  # whose recordings it learnt from


@dataclass(frozen=True)
class ShippedModel:
    """A trained model with what its resets, its signature and its adaptation need."""

    run: TrainingRun
    model: Transducer  # in eval mode
    initial: dict[str, Tensor]  # the weights of step 0
    tokenizer: CharacterTokenizer
    training: dict[str, Any]  # as in the record of a training: "distances" and "distance_steps"
    card: ModelCard | None = None  # of a model of people


def load_shipped(path: Path = PLACE) -> ShippedModel:
    """Returns the model in `path`; raises FileNotFoundError, or DamagedFileError where the digest does not match."""
    tensors, metadata = load_tensors(path)
    run = TrainingRun.model_validate_json(metadata["run"])
    with skeleton():
        model = Transducer(run.model)
    model.load_state_dict(_part(tensors, "trained"), assign=True)
    return ShippedModel(
        run,
        model.eval(),
        _part(tensors, "initial"),
        CharacterTokenizer(),
        json.loads(metadata["training"]),
        _read_card(metadata["card"]) if "card" in metadata else None,
    )


def model_at_hand(run: TrainingRun) -> tuple[TrainingRun, Transducer, Tokenizer]:
    """Returns the model of `run` if the cache has it, else the shipped one; and the training that it is of."""
    from paper_lib.studies.computing import trained_model

    if is_cached(run):
        fitted = trained_model(run)
        return run, fitted.model.cpu(), fitted.tokenizer
    shipped = load_shipped()
    return shipped.run, shipped.model, shipped.tokenizer


def save_shipped(run: TrainingRun, fitted: Fit, path: Path = PLACE, card: ModelCard | None = None) -> None:
    """Writes `fitted`, the model of `run`, to `path`: its weights after training and before, and their distances."""
    weights = {"trained": fitted.model.state_dict(), "initial": fitted.initial}
    tensors = {f"{part}.{name}": tensor for part, named in weights.items() for name, tensor in named.items()}
    history = {
        "distances": {name: [float(f"{d:.6g}") for d in moved] for name, moved in fitted.history.distances.items()},
        "distance_steps": fitted.history.distance_steps,
    }
    metadata = {"run": run.model_dump_json(), "training": json.dumps(history)}
    save_tensors(path, tensors, metadata | ({"card": json.dumps(asdict(card))} if card else {}))


def measure_card(run: TrainingRun, fitted: Fit) -> ModelCard:
    """Returns the card of `fitted`, the model of `run`, measured on the test people of its corpus.

    Raises MissingDataError where neither their features nor the recordings are at hand.
    """
    batches = evaluation_batches(open_corpus(run.corpus), "test", 3000)
    spoken = Spoken.of([shard.utterances[index] for items in batches for shard, index in items])
    device = next(fitted.model.parameters()).device
    heard = [hypothesis for _, hypothesis in transcribe(fitted.model, batches, fitted.tokenizer, device)]
    errors, words = (spoken.by_speaker(v) for v in (spoken.errors(spoken.misheard(heard)), spoken.words))
    return ModelCard(
        words=tuple(sorted({word for text in spoken.references for word in text.split()})),
        test_wer=rate(errors[None], words).estimate(),
        test_people=len(words),
        test_words=int(words.sum()),
        credit=CREDIT,
    )


def _read_card(text: str) -> ModelCard:
    fields = json.loads(text)
    return ModelCard(**fields | {"words": tuple(fields["words"]), "test_wer": Estimate(**fields["test_wer"])})


def _part(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): t for name, t in tensors.items() if name.startswith(f"{part}.")}


def make_shipped(synthetic: TrainingRun, people: TrainingRun, directory: Path) -> None:
    """Makes both files anew in `directory`, of these trainings, which are trained now or loaded from the cache.

    Raises MissingDataError where the recordings are not at hand: then the first file alone is made.
    """
    from paper_lib.studies.computing import trained_model

    save_shipped(synthetic, trained_model(synthetic), directory / PLACE.name)
    fitted = trained_model(people)
    save_shipped(people, fitted, directory / PEOPLE_PLACE.name, measure_card(people, fitted))


if __name__ == "__main__":
    try:
        make_shipped(shipped_run(), shipped_people_run(), PLACE.parent)
    except MissingDataError as missing:
        raise SystemExit(f"{PLACE.name} is made anew; {PEOPLE_PLACE.name} is as it was: {missing}") from None
