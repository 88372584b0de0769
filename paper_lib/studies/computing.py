"""Makes what the store lacks: pure functions from settings to results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from paper_lib.conformer.decoding import transcribe
from paper_lib.corpus import Corpus, open_corpus
from paper_lib.corpus.batches import Item, evaluation_batches
from paper_lib.evaluation import Spoken, wer
from paper_lib.federated.adaptation import adapt
from paper_lib.federated.algorithm import centralised, federated_dropout
from paper_lib.federated.clients import clients_of
from paper_lib.federated.quantisation import quantised_layer
from paper_lib.fitted import Fit
from paper_lib.layers.activations import normalised_activations
from paper_lib.layers.path import path_sweep
from paper_lib.layers.probes import initial_norms, probe
from paper_lib.layers.reset_sweep import reset_sweep
from paper_lib.layers.set_sweep import greedy_sets, layer_resets, set_sweep
from paper_lib.layers.side_by_side import Changes, hear
from paper_lib.objective import hear_as
from paper_lib.paths import cache_root
from paper_lib.processes import ALONE, Processes
from paper_lib.results import Record, Store, computed
from paper_lib.settings import ResetSettings, TrainingRun
from paper_lib.studies.measurements import (
    KINDS,
    ActivationStudy,
    AdaptationStudy,
    GreedyStudy,
    Measurement,
    PathStudy,
    ProbeStudy,
    QuantisedStudy,
    ResetStudy,
    SetStudy,
    corpus_of,
    directory_of,
    run_of,
    seed_of,
)
from paper_lib.training import fit

# Losses in a record: enough to draw a curve.
LOSS_POINTS = 200


def compute_device() -> torch.device:
    """Returns CUDA where present, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def trained_model(run: TrainingRun, position: int = 0, processes: Processes = ALONE) -> Fit:
    """Returns the model of `run`, trained now, in several `processes` if there are, or loaded from the cache.

    `position` is the progress bar's line.
    """
    base = trained_model(run.base, position, processes) if run.base else None
    return fit(run, _corpus(run), directory_of(run), compute_device(), position, base, processes)


def _train(run: TrainingRun, position: int) -> dict[str, Any]:
    """Returns the curves of a training and the distances of its weights from step 0."""
    fitted = trained_model(run, position)
    history = fitted.history
    stride = max(1, len(history.losses) // LOSS_POINTS)
    chunks = [history.losses[start : start + stride] for start in range(0, len(history.losses), stride)]
    together = {"processes": history.processes} if history.processes > 1 else {}
    return together | {
        "losses": [round(sum(chunk) / len(chunk), 4) for chunk in chunks],
        "loss_stride": stride,
        "dev_wer": {str(step): value for step, value in history.dev_wer.items()},
        "distance_steps": history.distance_steps,
        "distances": {name: [float(f"{d:.6g}") for d in values] for name, values in history.distances.items()},
        "seconds": round(history.seconds, 1),
        "checkpoint": fitted.digest,
    }


def _reset(study: ResetStudy, position: int) -> dict[str, Any]:
    """Returns what is heard of every test utterance, intact and under every reset."""
    fitted = trained_model(study.run, position)
    corpus = corpus_of(study) if study.corpus else _corpus(study.run)
    batches = evaluation_batches(corpus, study.reset.split or "test", study.reset.batch_frames)
    result = reset_sweep(
        fitted.model,
        _put_back(fitted, study.reset),
        batches,
        fitted.tokenizer,
        study.reset,
        study.run.seed,
        compute_device(),
        position,
    )
    return result.record() | {"checkpoint": fitted.digest}


def _reset_sets(study: SetStudy | GreedyStudy, position: int) -> dict[str, Any]:
    """Returns what is heard with sets of layers reset, those that the study names or those that a search comes to."""
    fitted = trained_model(study.run, position)
    batches = evaluation_batches(_corpus(study.run), study.reset.split or "test", study.reset.batch_frames)
    resets = layer_resets(fitted.model, _put_back(fitted, study.reset), study.reset)
    speech = (batches, fitted.tokenizer, compute_device(), position)
    if isinstance(study, GreedyStudy):
        result = greedy_sets(fitted.model, resets, *speech)
    else:
        result = set_sweep(fitted.model, resets, study.sets, study.exchanges, *speech)
    return result | {"checkpoint": fitted.digest}


def _put_back(fitted: Fit, reset: ResetSettings) -> dict[str, Tensor]:
    """Returns the weights that a re-initialisation puts back, of the whole transducer."""
    return fitted.initial if reset.rewind is None else fitted.initial | fitted.snapshot(reset.rewind)


def _corpus(run: TrainingRun) -> Corpus:
    return open_corpus(run.corpus, run.domains)


def _observe_activations(study: ActivationStudy, position: int) -> dict[str, Any]:
    """Returns the quantiles over channels of the normalised activations' means and deviations."""
    fitted = trained_model(study.run, position)
    frames = 4 * study.run.training.batch_frames
    batches = evaluation_batches(_corpus(study.run), "dev", frames, study.utterances)
    activations = normalised_activations(fitted.model, fitted.initial, batches, fitted.tokenizer, compute_device())
    return {"activations": activations, "checkpoint": fitted.digest}


def _quantise(study: QuantisedStudy, position: int) -> dict[str, Any]:
    """Returns what is heard of every utterance, in float32 and with the layers' matrices in few bits."""
    fitted = trained_model(study.run, position)
    batches = evaluation_batches(_corpus(study.run), study.split, study.batch_frames)
    layers = range(1, study.run.model.encoder.layers + 1)
    bits = {plan.name: {layer: plan.of_layer(layer) for layer in layers} for plan in study.plans}
    # A layer in so many bits is one module, however many plans have it: what they have in common is computed once.
    pairs = {(layer, count) for of_plan in bits.values() for layer, count in of_plan.items() if count}
    built = {pair: quantised_layer(fitted.model.encoder.layers[pair[0] - 1], pair[1]) for pair in sorted(pairs)}
    variants: dict[str | None, Changes] = {None: {}}
    for name, of_plan in bits.items():
        variants[name] = {layer: built[layer, count] for layer, count in of_plan.items() if count}
    label = f"bits {study.run.model.encoder.dim}x{len(layers)}"
    spoken, heard = hear(fitted.model, variants, batches, fitted.tokenizer, compute_device(), label, position)
    misheard = {name: spoken.misheard(hypotheses) for name, hypotheses in heard.items()}
    return {
        **spoken.record(),
        "intact": misheard.pop(None),
        "plans": misheard,
        "checkpoint": fitted.digest,
    }


def _walk(study: PathStudy, position: int) -> dict[str, Any]:
    """Returns what is heard of every utterance with each layer on its way from W(0) to W(T), and without it."""
    fitted = trained_model(study.run, position)
    batches = evaluation_batches(_corpus(study.run), study.split, study.batch_frames)
    result = path_sweep(
        fitted.model, fitted.initial, study.shares, batches, fitted.tokenizer, compute_device(), position
    )
    return result.record() | {"checkpoint": fitted.digest}


def _probe(study: ProbeStudy, position: int) -> dict[str, Any]:
    """Returns the readings of every layer, and what they are of."""
    fitted = trained_model(study.run, position)
    one_by_one = evaluation_batches(_corpus(study.run), "dev", 1, study.utterances)
    items = list(chain.from_iterable(one_by_one))
    probes = probe(fitted.model, items, fitted.tokenizer, compute_device(), position)
    readings = {**asdict(probes), "initial_norms": initial_norms(fitted.initial, study.run.model.encoder.layers)}
    return {**_rounded(readings), "utterances": len(items), "checkpoint": fitted.digest}


def _rounded(readings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns lists of numbers, which may lie in mappings, to six digits."""
    return {
        name: _rounded(values) if isinstance(values, Mapping) else [float(f"{value:.6g}") for value in values]
        for name, values in readings.items()
    }


def _adapt(study: AdaptationStudy, position: int) -> dict[str, Any]:
    """Returns the rounds of an adaptation, and what is heard after it of every test utterance of every domain."""
    fitted = trained_model(study.run, position)
    corpus = corpus_of(study)
    held_out = open_corpus(corpus.settings, (study.held_out,))
    dev = evaluation_batches(held_out, "dev", study.batch_frames)
    test = evaluation_batches(corpus, "test", study.batch_frames)
    if study.corpus:
        hear_as(fitted.model, held_out)
        test += evaluation_batches(_corpus(study.run), "test", study.batch_frames)
    if study.method == "centralised":
        algorithm = centralised(study.federated, study.run.model, fitted.tokenizer)
    else:
        algorithm = federated_dropout(
            study.federated, study.plan, study.run.model, fitted.tokenizer, bits=study.bits, trained=study.trained
        )

    def recognise(weights: Mapping[str, Tensor], batches: Sequence[Sequence[Item]]) -> list[tuple[str, str]]:
        fitted.model.load_state_dict(dict(weights), strict=False)
        return transcribe(fitted.model, batches, fitted.tokenizer, compute_device())

    directory = cache_root() / "adaptations" / f"{study.digest()}-{corpus.digest}"
    clients = clients_of(held_out, "train")
    weights, met = adapt(
        algorithm,
        fitted.model,
        clients,
        study.federated,
        directory,
        lambda weights: wer(recognise(weights, dev)),
        study.measure_every,
        position,
        f"{study.choice if study.method == 'federated' else study.method} seed {study.federated.seed}",
    )
    spoken = Spoken.of([shard.utterances[index] for items in test for shard, index in items])
    hypotheses = [hypothesis for _, hypothesis in recognise(weights, test)]
    return {
        **spoken.record(),
        "misheard": spoken.misheard(hypotheses),
        "clients": len(clients),
        "dev_wer": {str(rounds): value for rounds, value in met.dev_wer.items()},
        "reports": [asdict(report) for report in met.reports],
        "seconds": round(met.seconds, 1),
        "checkpoint": fitted.digest,
    }


_COMPUTE: Mapping[type[Measurement], Callable[[Any, int], dict[str, Any]]] = {
    TrainingRun: _train,
    ResetStudy: _reset,
    ActivationStudy: _observe_activations,
    PathStudy: _walk,
    ProbeStudy: _probe,
    QuantisedStudy: _quantise,
    AdaptationStudy: _adapt,
    SetStudy: _reset_sets,
    GreedyStudy: _reset_sets,
}


def measure(measurement: Measurement, store: Store | None, position: int) -> Record:
    """Returns the record of a measurement, made now where `store` has none; without a store, it is made."""
    run = run_of(measurement)
    return (store.get_or_compute if store else computed)(
        KINDS[type(measurement)],
        measurement,
        lambda: _COMPUTE[type(measurement)](measurement, position),
        corpus=corpus_of(measurement).digest,
        seeds=sorted({run.seed, seed_of(measurement)}),
    )
