"""One resumable `fit`: killed at any step and started again, it ends with the same bits as if it had never stopped.

Every step's batch, masks and dropout are functions of (seed, step), so a checkpoint needs weights, optimizer moments
and the history, and no state of a random generator.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
import torch.distributed
from torch import Tensor, nn
from tqdm import tqdm

from paper_lib.checkpoint import content_digest, save_tensors
from paper_lib.conformer.decoding import transcribe
from paper_lib.conformer.normalization import MaskedBatchNorm
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import WINDOW, Batch, Item, collate, evaluation_batches, training_batches
from paper_lib.corpus.tokens import Tokenizer, make_tokenizer
from paper_lib.evaluation import wer
from paper_lib.fitted import INITIAL, Fit, History, State, keep_layers, load_state, save_state
from paper_lib.locks import locked
from paper_lib.objective import Objective, decay_groups, hear_as, weight_matrices
from paper_lib.processes import ALONE, Processes, Share
from paper_lib.schedule import last_step, learning_rate
from paper_lib.settings import Split, TrainingRun

DEV_UTTERANCES = 300
TRAINING_SPLITS: tuple[Split, ...] = ("train", "dev")
# Batches that a thread puts together while a GPU trains.
AHEAD = 4


class NonFiniteLossError(RuntimeError):
    """The loss or its gradient became NaN or infinite; the message names the step and the utterances of its batch."""


def fit(
    run: TrainingRun,
    corpus: Corpus,
    directory: Path,
    device: torch.device,
    position: int = 0,
    base: Fit | None = None,
    processes: Processes = ALONE,
) -> Fit:
    """Trains the model of `run` in `directory`, from its last checkpoint if there is one, and returns it.

    A finished training is loaded. Training speech that is not in the cache is made by other processes meanwhile.
    `position` is the progress bar's line; `base` is the training that a fine-tuning begins with. Several `processes`
    train together and return the same; the first of them writes the files. Raises NonFiniteLossError, StorageError,
    ProcessesError where the processes see other checkpoints, and ValueError for a corpus without training or dev
    speech.
    """
    if empty := [split for split in TRAINING_SPLITS if not corpus.count(split)]:
        raise ValueError(f"the corpus has no {empty[0]} speech: a training needs {' and '.join(TRAINING_SPLITS)}")
    with torch.random.fork_rng(devices=_cuda_devices(device)), ExitStack() as held:
        if processes.is_first:
            held.enter_context(locked(directory / ".lock", _label(run)))
            held.enter_context(corpus.prefetch("train", range(corpus.shards("train"))))
        processes.gather(None)  # The others wait until nobody else writes here.
        session = _Session(run, corpus, base, directory, device, processes)
        processes.agree("the step of the last checkpoint", session.step)
        session.run_to_end(position)
        return session.result()


def _tokenizer(run: TrainingRun, corpus: Corpus) -> Tokenizer:
    shards = (corpus.shard("train", k) for k in range(min(WINDOW, corpus.shards("train"))))
    return make_tokenizer(run.tokens, (utterance.text for shard in shards for utterance in shard.utterances))


def _label(run: TrainingRun) -> str:
    return f"train {run.model.encoder.dim}x{run.model.encoder.layers} seed {run.seed}"


def _seed(*place: int) -> int:
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def _cuda_devices(device: torch.device) -> list[int]:
    if device.type != "cuda":
        return []
    return [torch.cuda.current_device() if device.index is None else device.index]


class _Session:
    """The state of a training: objective, optimizer, history; `run_to_end` is the loop."""

    def __init__(
        self,
        run: TrainingRun,
        corpus: Corpus,
        base: Fit | None,
        directory: Path,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self.run, self.corpus = run, corpus
        self.tokenizer = base.tokenizer if base else _tokenizer(run, corpus)
        self.directory, self.device = directory, device
        self.processes = processes
        self.history = History()
        torch.manual_seed(run.seed)
        self.objective = Objective(run)
        model = self.objective.model
        if base:
            model.load_state_dict(base.initial)
        hear_as(model, corpus)
        self.initial = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if base:
            model.load_state_dict(base.model.state_dict())
            hear_as(model, corpus)
        self.objective.to(device)
        self.moments: dict[int, dict[str, Tensor]] = {}  # of the optimizer, at the last checkpoint
        self._restore()

    @property
    def step(self) -> int:
        return len(self.history.losses)

    @property
    def last_step(self) -> int:
        """As far as is known: it may come nearer with every measurement of the dev WER."""
        return last_step(self.run.training, self.history.dev_wer)

    def run_to_end(self, position: int) -> None:
        """Trains from the current step to the last."""
        settings, run = self.run.training, self.run
        if self.step == self.last_step:
            return
        self.objective.train()
        self.optimizer = self._make_optimizer()
        self.history.processes = max(self.history.processes, self.processes.count)
        together = self._together()
        if self.step == 0 and self.processes.is_first:
            save_tensors(self.directory / INITIAL, self.initial)
            if 0 in (settings.snapshots or ()):
                self._keep_layers()
        began = time.perf_counter() - self.history.seconds
        with tqdm(
            total=self.last_step,
            initial=self.step,
            desc=_label(run),
            position=position,
            unit="step",
            disable=not self.processes.is_first,
        ) as bar:
            for batch, share in self._batches():
                loss = self._update(together, batch, share)
                self.history.losses.append(loss)
                bar.set_postfix(loss=f"{loss:.2f}", dev_wer=self._last_dev_wer(), refresh=False)
                bar.update()
                last = self.step == self.last_step
                if self.step % settings.distance_every == 0 or self.step == 1 or last:
                    self._record_distances()
                if self.step in (settings.snapshots or ()) and self.processes.is_first:
                    self._keep_layers()
                if self.step % settings.checkpoint_every == 0 or last:
                    self._measure_dev_wer()
                    self.history.seconds = time.perf_counter() - began
                    if self.processes.is_first:
                        self._save()
                    bar.total = self.last_step
                if last:
                    break

    def _make_optimizer(self) -> torch.optim.AdamW:
        """Returns the optimizer as it was at the last checkpoint; a finished model does without: it takes seconds."""
        settings = self.run.training
        decayed, kept = decay_groups(self.objective)
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings.weight_decay},
                {"params": kept, "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
            betas=settings.betas,
            fused=True,
        )
        optimizer.load_state_dict({"state": self.moments, "param_groups": optimizer.state_dict()["param_groups"]})
        return optimizer

    def _together(self) -> nn.Module:
        """Returns the objective, whose gradients are averaged over the processes where there are several."""
        if self.processes.count == 1:
            return self.objective
        # Statistics need no copies of the first process's: all compute the same.
        return nn.parallel.DistributedDataParallel(
            self.objective, broadcast_buffers=False, find_unused_parameters=not self.run.training.ctc_weight
        )

    def _batches(self) -> Iterator[tuple[Batch, Share | None]]:
        """Yields the batches that are left, of each the rows that this process has; None: all.

        Each is collated while the one before it is trained on where that helps.
        """
        settings = self.run.training
        batches = training_batches(self.corpus, settings.batch_frames, self.run.seed, settings.sorted_epochs or 0)
        left = islice(batches, self.step, settings.steps)
        if self.device.type == "cpu":
            yield from map(self._own_rows, left)
            return
        with ThreadPoolExecutor(1) as thread:
            ahead: deque[Future[tuple[Batch, Share | None]]] = deque()
            for items in left:
                ahead.append(thread.submit(self._own_rows, items))
                if len(ahead) > AHEAD:
                    batch, share = ahead.popleft().result()
                    yield batch.to(self.device), share
            while ahead:
                batch, share = ahead.popleft().result()
                yield batch.to(self.device), share

    def _own_rows(self, items: Sequence[Item]) -> tuple[Batch, Share | None]:
        share = self.processes.share([shard.utterances[index].frames for shard, index in items])
        return collate([items[row] for row in share.rows] if share else items, self.tokenizer), share

    def _update(self, together: nn.Module, batch: Batch, share: Share | None) -> float:
        settings = self.run.training
        seed = _seed(self.run.seed, self.step)
        torch.manual_seed(seed if self.processes.is_first else _seed(self.run.seed, self.step, self.processes.rank))
        self._sum_statistics(share.total if share else None)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(settings, self.step, self.last_step)
        loss = together(batch, torch.Generator().manual_seed(seed), share)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.objective.parameters(), settings.clip_norm)
        value, norm_value = self._mean(loss.detach()), float(norm)
        if not (math.isfinite(value) and math.isfinite(norm_value)):
            ids = ", ".join(utterance.id for utterance in batch.utterances)
            raise NonFiniteLossError(
                f"the loss is {value} and the norm of its gradient {norm_value} at step {self.step}; "
                f"utterances of the batch: {ids}"
            )
        self.optimizer.step()
        return value

    def _sum_statistics(self, total: Callable[[Tensor], Tensor] | None) -> None:
        """Gives BatchNorm the sum over the processes."""
        for module in self.objective.modules():
            if isinstance(module, MaskedBatchNorm):
                module.total = total

    def _mean(self, loss: Tensor) -> float:
        """Returns the whole batch's loss, by those of the processes."""
        if self.processes.count > 1:
            torch.distributed.all_reduce(loss)
        return float(loss) / self.processes.count

    @torch.no_grad()
    def _record_distances(self) -> None:
        self.history.distance_steps.append(self.step)
        for name, weight in weight_matrices(self.objective.model).items():
            start = self.initial[f"encoder.{name}"].to(self.device)
            self.history.distances.setdefault(name, []).append(float(torch.linalg.vector_norm(weight - start)))

    def _keep_layers(self) -> None:
        keep_layers(self.directory, self.step, self.objective.model.state_dict())

    def _measure_dev_wer(self) -> None:
        batches = evaluation_batches(self.corpus, "dev", 4 * self.run.training.batch_frames, DEV_UTTERANCES)
        own = batches[self.processes.rank :: self.processes.count]
        pairs = transcribe(self.objective.model, own, self.tokenizer, self.device)
        self.history.dev_wer[self.step] = wer(list(chain.from_iterable(self.processes.gather(pairs))))
        self.objective.train()

    def _last_dev_wer(self) -> str:
        return f"{100 * list(self.history.dev_wer.values())[-1]:.1f}%" if self.history.dev_wer else "-"

    def _save(self) -> None:
        moments = self.optimizer.state_dict()["state"]
        save_state(self.directory, State(self.history, self.objective.state_dict(), moments))

    def _restore(self) -> None:
        """Takes up the last checkpoint, if there is one that is whole."""
        if kept := load_state(self.directory, self.run.training.snapshots or ()):
            state, self.initial = kept
            self.history, self.moments = state.history, state.moments
            self.objective.load_state_dict(state.weights)

    def result(self) -> Fit:
        self._sum_statistics(None)
        model = self.objective.model.eval()
        digest = content_digest({name: tensor.cpu() for name, tensor in model.state_dict().items()}, {})
        return Fit(model, self.initial, self.tokenizer, self.history, digest, self.directory)
