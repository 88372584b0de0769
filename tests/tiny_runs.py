"""A tiny corpus and tiny trainings on it, some of which kill themselves: real speech, real models, seconds."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from paper_lib.conformer.decoding import greedy_decode
from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import Item, collate
from paper_lib.fitted import Fit
from paper_lib.layers.results import SweepResult
from paper_lib.layers.side_by_side import Changes
from paper_lib.layers.variants import Variant
from paper_lib.settings import (
    EncoderSettings,
    Norm,
    StreamingSettings,
    SyntheticSettings,
    TokenSettings,
    TrainingRun,
    TrainingSettings,
    TransducerSettings,
)
from paper_lib.training import fit

CPU = torch.device("cpu")

TINY_CORPUS = SyntheticSettings(
    domains={"short_form": 1.0},
    utterances={"train": 24, "dev": 4, "test": 6},
    speakers={"train": 3, "dev": 2, "test": 2},
    shard_utterances=10,
)


def tiny_run(
    norm: Norm = "group",
    seed: int = 0,
    layers: int = 2,
    streaming: StreamingSettings | None = None,
    **training: Any,
) -> TrainingRun:
    encoder = EncoderSettings(
        dim=16, layers=layers, heads=2, kernel=5, channels=4, norm=norm, groups=2, dropout=0.1, streaming=streaming
    )
    fields: dict[str, Any] = {
        "steps": 6,
        "batch_frames": 400,
        "learning_rate": 1e-2,
        "warmup_steps": 3,
        "distance_every": 2,
        "checkpoint_every": 2,
    }
    return TrainingRun(
        corpus=TINY_CORPUS,
        tokens=TokenSettings(kind="characters", vocabulary=29),
        model=TransducerSettings(encoder=encoder, vocabulary=29, embedding=8, prediction=16, joint=16),
        training=TrainingSettings(**fields | training),
        seed=seed,
    )


class Words:
    """A tokenizer with a word for every label: almost any change of a model's output changes its word errors."""

    words = (
        *(
            "a",
            "add",
            "alarm",
            "call",
            "cancel",
            "five",
            "for",
            "hours",
            "in",
            "is",
            "it",
            "kitchen",
            "light",
            "lights",
        ),
        *("minutes", "my", "off", "on", "paris", "play", "set", "seven", "stop", "the", "timer", "to", "turn", "what"),
    )

    def encode(self, text: str) -> list[int]:
        return [1 + self.words.index(word) if word in self.words else 1 for word in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.words[label - 1] for label in ids)


def babbling(
    norm: Norm, corpus: Corpus, streaming: StreamingSettings | None = None, layers: int = 2
) -> tuple[Transducer, dict[str, torch.Tensor]]:
    """Returns a model that emits many labels, and its weights before they were changed as if by training.

    A model that was trained for seconds emits nothing, whatever is reset.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = Transducer(tiny_run(norm, streaming=streaming, layers=layers).model).eval()
        mean, std = corpus.feature_statistics()
        model.feature_mean.copy_(torch.from_numpy(mean))
        model.feature_std.copy_(torch.from_numpy(std))
        initial = copy.deepcopy(model.state_dict())
        for tensor in model.encoder.layers.state_dict().values():
            tensor.mul_(1 + 0.5 * torch.rand(tensor.shape)).add_(0.05 * torch.rand(tensor.shape))
        model.joint.encoder.weight.normal_(std=2.0)
        model.joint.out.weight.normal_()
        model.joint.out.bias[BLANK] += 4
    return model, dict(initial)


@torch.inference_mode()
def heard_by(model: Transducer, changes: Changes, batches: list[list[Item]]) -> list[str]:
    """Returns what a copy of the model with `changes` in it hears of every utterance, each alone."""
    changed = copy.deepcopy(model).eval()
    for layer, module in changes.items():
        changed.encoder.layers[layer - 1] = module
    heard = []
    for item in (item for batch in batches for item in batch):
        batch = collate([item], Words())
        (labels,) = greedy_decode(changed, *changed.encode(batch.features, batch.frames))
        heard.append(Words().decode(labels))
    return heard


def in_process(function: Callable[..., None], *arguments: Any) -> int | None:
    """Runs `function` in a process of its own and returns its exit code: -9 where SIGKILL ended it.

    The processes are forked from one that has imported torch, with the part that the first optimizer imports, and done
    nothing else.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["paper_lib.studies.computing", "torch._dynamo"])
    process = context.Process(target=function, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def train(run: TrainingRun, cache: Path, directory: Path) -> Fit:
    torch.set_num_threads(1)
    base = train(run.base, cache, directory / "base") if run.base else None
    return fit(run, Corpus(run.corpus, cache), directory, CPU, base=base)


def train_until_update(run: TrainingRun, cache: Path, directory: Path, updates: int) -> None:
    """Trains, and dies before update number `updates` of this process, from 0."""
    die_before_update(updates)
    train(run, cache, directory)


def die_before_update(updates: int) -> None:
    """Lets this process die before its update number `updates`, from 0."""
    step, done = torch.optim.AdamW.step, []

    def counted(*arguments: Any, **named: Any) -> Any:
        if len(done) == updates:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(1)
        return step(*arguments, **named)

    torch.optim.AdamW.step = counted  # type: ignore[method-assign]


def train_until_checkpoint(run: TrainingRun, cache: Path, directory: Path, checkpoint: int, stage: str) -> None:
    """Trains, and dies when checkpoint number `checkpoint`, from 0, is "half written", "written" or "in place"."""
    replace, seen = os.replace, []

    def lethal(source: str, destination: str | Path) -> None:
        if Path(destination).name == "checkpoint.safetensors":
            if len(seen) == checkpoint:
                if stage == "half written":
                    os.truncate(source, os.path.getsize(source) // 2)
                if stage == "in place":
                    replace(source, destination)
                os.kill(os.getpid(), signal.SIGKILL)
            seen.append(1)
        replace(source, destination)

    os.replace = lethal  # type: ignore[assignment]
    train(run, cache, directory)


def resets_of(result: SweepResult) -> list[tuple[Variant, list[str]]]:
    """Returns what was heard under every reset, in the order of the sweep."""
    return [(variant, heard) for variant, heard in result.hypotheses.items() if variant]
