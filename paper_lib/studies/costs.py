"""What measurements cost: compared by their settings, and in seconds by the records that this machine has made."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cache
from typing import Any

import torch

from paper_lib.circumstances import machine
from paper_lib.conformer.sizes import count_parameters
from paper_lib.corpus.batches import Batch
from paper_lib.layers.variants import MODULES
from paper_lib.objective import Objective
from paper_lib.results import Record
from paper_lib.settings import MEL_BINS, TrainingRun, TransducerSettings
from paper_lib.studies.measurements import (
    ActivationStudy,
    AdaptationStudy,
    GreedyStudy,
    Measurement,
    PathStudy,
    ProbeStudy,
    QuantisedStudy,
    ResetStudy,
    SetStudy,
    run_of,
)
from paper_lib.threads import one_thread

# Frames that a training of the same model takes in the time in which a split is recognised under one reset, and one
# utterance's activations are observed: measured at the mini sizes.
RESET_FRAMES, ACTIVATION_FRAMES = 25_000, 500
# And in which one utterance is probed, alone in its batch: measured at size S.
PROBE_FRAMES = 850
# Parameters that a product of matrices takes through in the time that one channel of one layer spends outside of
# products: a step of M took 1.9 times, one of L 4.8 times as long as one of S.
CHANNEL_PARAMETERS = 28_000

# A training is timed on noise: utterances of 2.5 s, with as many labels as a voice command has characters.
TIMED_STEPS, UTTERANCE_FRAMES, UTTERANCE_LABELS = 3, 250, 25


def cost(measurement: Measurement) -> float:
    """Returns the frames that a measurement computes with, times what its model does with one: a number to compare."""
    run = run_of(measurement)
    if isinstance(measurement, AdaptationStudy):
        federated = measurement.federated
        # What is recognised at the end counts as one more round.
        frames = (federated.rounds + 1) * federated.clients_per_round * federated.local_batch_frames
    elif isinstance(measurement, ResetStudy):
        units = run.model.encoder.layers * (len(MODULES) if measurement.reset.unit == "module" else 1)
        frames = RESET_FRAMES * (1 + units * (1 + measurement.reset.draws))
    elif isinstance(measurement, PathStudy):
        frames = RESET_FRAMES * (1 + run.model.encoder.layers * (len(measurement.shares) + 1))
    elif isinstance(measurement, ProbeStudy):
        frames = PROBE_FRAMES * measurement.utterances
    elif isinstance(measurement, SetStudy):
        frames = RESET_FRAMES * (1 + len(measurement.sets) + len(measurement.exchanges))
    elif isinstance(measurement, GreedyStudy):
        layers = run.model.encoder.layers
        frames = RESET_FRAMES * (1 + layers * (layers + 1) // 2)
    elif isinstance(measurement, QuantisedStudy):
        frames = RESET_FRAMES * (1 + len(measurement.plans))
    elif isinstance(measurement, ActivationStudy):
        frames = ACTIVATION_FRAMES * measurement.utterances
    else:
        frames = run.training.steps * run.training.batch_frames
    encoder = run.model.encoder
    return frames * (_parameters(run.model) + CHANNEL_PARAMETERS * encoder.dim * encoder.layers)


@cache
def _parameters(model: TransducerSettings) -> int:
    return count_parameters(model).total


class Times:
    """What measurements take on this machine, by those of their sort that it has made.

    Where it has made no training of a sort, some steps are timed.

    Attributes:
        made: the records that the times are taken from.
        timed: seconds of the trainings that were timed, by their cost.
    """

    def __init__(self, measured: Iterable[tuple[Measurement, Record]], device: torch.device) -> None:
        self.made = 0
        self.timed: dict[float, float] = {}
        self._known: dict[Any, list[tuple[float, float]]] = {}  # (cost, seconds) by sort
        self._device = device
        here = machine()
        for measurement, record in measured:
            made_by = record.provenance["machine"]
            alone = record.result.get("processes", 1) == 1
            if alone and (made_by["cpu"], made_by["gpu"]) == (here["cpu"], here["gpu"]):
                self._known.setdefault(_sort(measurement), []).append((cost(measurement), record.seconds))
                self.made += 1

    def seconds(self, measurement: Measurement) -> float | None:
        """Returns what `measurement` will take by those of its sort whose costs are nearest, or None without any."""
        wanted = cost(measurement)
        if known := self._known.get(_sort(measurement)):
            nearest = min((cost for cost, _ in known), key=lambda cost: max(cost / wanted, wanted / cost))
            took = [seconds for cost, seconds in known if cost == nearest]
            return sum(took) / len(took) * wanted / nearest
        if not isinstance(measurement, TrainingRun):
            return None
        if wanted not in self.timed:
            self.timed[wanted] = time_training(measurement, self._device)
        return self.timed[wanted]


def _sort(measurement: Measurement) -> Any:
    """Returns what measurements have in common whose times are as their costs."""
    corpus = run_of(measurement).corpus.digest()
    if isinstance(measurement, AdaptationStudy):
        return corpus, measurement.method, measurement.federated.rounds > 0
    return corpus, type(measurement)


def time_training(run: TrainingRun, device: torch.device) -> float:
    """Returns the seconds that all steps of `run` would take, by a few steps on noise in the place of speech.

    What a training does beside its steps (speech that is made, dev WERs) is not counted.
    """
    batch = _noise(run).to(device)
    with one_thread(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        objective = Objective(run).to(device)
        optimizer = torch.optim.AdamW(objective.parameters(), fused=True)
        began = 0.0
        for step in range(1 + TIMED_STEPS):
            if step == 1:  # The first one takes longer.
                began = time.perf_counter()
            loss = objective(batch, torch.Generator().manual_seed(step))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            next(objective.parameters()).detach().sum().item()  # A GPU has come to the end of the step.
        return (time.perf_counter() - began) / TIMED_STEPS * run.training.steps


def _noise(run: TrainingRun) -> Batch:
    count = max(1, run.training.batch_frames // UTTERANCE_FRAMES)
    random = torch.Generator().manual_seed(0)
    return Batch(
        utterances=[],
        features=torch.randn(count, UTTERANCE_FRAMES, MEL_BINS, generator=random),
        frames=torch.full((count,), UTTERANCE_FRAMES),
        targets=torch.randint(1, run.model.vocabulary, (count, UTTERANCE_LABELS), generator=random),
        lengths=torch.full((count,), UTTERANCE_LABELS),
    )
