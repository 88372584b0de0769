"""One training in several processes: what is the same as in one, and what happens when one of them is killed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import CPU
from train_together import run_of

from paper_lib.checkpoint import load_tensors
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import collate, training_batches
from paper_lib.corpus.tokens import make_tokenizer
from paper_lib.federated.clients import running_statistics
from paper_lib.objective import Objective, hear_as
from paper_lib.processes import ALONE, Processes
from paper_lib.training import fit

TESTS = Path(__file__).parent

pytestmark = pytest.mark.book  # processes that import torch


def torchrun(
    processes: int, *arguments: str, restarts: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(processes), "--max-restarts", str(restarts), *arguments),
        ],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def trained_together(
    processes: int, corpus: Corpus, cache: Path, directory: Path, updates: int | None = None, **changes: Any
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Returns the history and the tensors of the last checkpoint; the last process dies once before `updates`."""
    arguments = [str(TESTS / "train_together.py"), str(cache), str(directory), json.dumps(changes)]
    more = [] if updates is None else [str(updates)]
    ended = torchrun(processes, *arguments, *more, restarts=len(more))
    assert ended.returncode == 0, ended.stderr
    tensors, metadata = load_tensors(directory / "checkpoint.safetensors")
    return json.loads(metadata["history"]), tensors


@pytest.mark.parametrize(
    ("processes", "changes"),
    [
        (2, {"norm": "batch", "clip_norm": 0.5}),  # batches of several utterances, an odd number too
        (3, {"norm": "batch", "batch_frames": 250, "sorted_epochs": 1}),  # some have fewer than there are processes
        (2, {"norm": "group", "ctc_weight": 0.0}),
    ],
)
def test_several_processes_have_the_loss_of_one_with_the_whole_batch(
    processes: int, changes: dict[str, Any], tiny_corpus: Corpus, tiny_cache: Path, tmp_path: Path
) -> None:
    # Adam divides a gradient by its size: at a high rate it makes much of the rounding of one that is 0.
    changes = changes | {"learning_rate": 1e-3}
    alone = fit(run_of(0.0, **changes), tiny_corpus, tmp_path / "alone", CPU)
    history, tensors = trained_together(
        processes, tiny_corpus, tiny_cache, tmp_path / "together", dropout=0.0, **changes
    )
    assert history["processes"] == processes
    assert history["losses"] == pytest.approx(alone.history.losses, rel=1e-5)
    assert len(set(history["losses"])) == len(history["losses"]) == 6
    assert history["dev_wer"] == {str(step): wer for step, wer in alone.history.dev_wer.items()}
    # Weights say less: those whose gradient is nothing but rounding, Adam moves by its sign.
    for name, tensor in running_statistics(alone.model).items():
        torch.testing.assert_close(tensors[f"objective.model.{name}"], tensor, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("count", [2, 3])
def test_the_gradients_of_shares_are_in_the_mean_that_of_the_batch(count: int, tiny_corpus: Corpus) -> None:
    run = run_of(0.0, norm="group", batch_frames=800)
    torch.manual_seed(0)
    objective = Objective(run).train()
    hear_as(objective.model, tiny_corpus)
    items = next(training_batches(tiny_corpus, run.training.batch_frames, run.seed, 0))
    tokenizer = make_tokenizer(run.tokens, (shard.utterances[row].text for shard, row in items))
    frames = [shard.utterances[row].frames for shard, row in items]

    def gradients(processes: int) -> dict[str, torch.Tensor]:
        objective.zero_grad()
        for rank in range(processes):
            share = Processes(rank, processes).share(frames)
            batch = collate([items[row] for row in share.rows] if share else items, tokenizer)
            (objective(batch, torch.Generator().manual_seed(1), share) / processes).backward()
        return {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}

    whole, shared = gradients(1), gradients(count)
    assert len(items) > count
    for name, gradient in whole.items():
        # What all keys have in common no softmax sees: that gradient is rounding, and nothing else.
        if not name.endswith("attention.k.bias"):
            assert float((shared[name] - gradient).norm() / gradient.norm()) < 1e-4, name


def test_a_killed_process_costs_what_was_trained_since_the_last_checkpoint(
    tiny_corpus: Corpus, tiny_cache: Path, tmp_path: Path
) -> None:
    undisturbed, killed = (
        trained_together(2, tiny_corpus, tiny_cache, tmp_path / str(updates), updates, dropout=0.1, norm="batch")
        for updates in (None, 3)
    )
    for part in ("losses", "dev_wer", "distances"):
        assert undisturbed[0][part] == killed[0][part]
    assert all(torch.equal(tensor, killed[1][name]) for name, tensor in undisturbed[1].items())


def test_every_utterance_of_a_batch_counts_once() -> None:
    for count in (1, 2, 3, 5):
        shares = [Processes(rank, 3).share([100] * count) for rank in range(3)]
        rows = [row for share in shares if share and share.weight for row in share.rows]
        assert sorted(rows) == list(range(count))
        assert sum(share.weight * len(share.rows) for share in shares if share) / 3 == pytest.approx(1)
    assert ALONE.share([100, 100]) is None


def test_the_command_line_trains_one_model_in_several_processes(tmp_path: Path) -> None:
    arguments = ("-m", "paper_lib", "train", "--profile", "smoke", "--model", "S")
    ended = torchrun(2, *arguments, PAPER_LIB_CACHE=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    assert re.fullmatch(r"loss [\d.]+ nats an utterance, WER [\d.]+ % on dev speech  training/[0-9a-f]{16}\.json", line)
    record = json.loads((tmp_path / "records" / line.split("  ")[1]).read_text())
    assert record["result"]["processes"] == 2
    # It is there for whoever wants it next.
    again = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PAPER_LIB_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert again.stdout == ended.stdout
