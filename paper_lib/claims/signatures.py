"""The claims of the slides "Numerical Signatures" on the non-streaming model, judged from trainings and reset sweeps.

A signature has no test set. How large something is varies with the training: intervals are Student's t over trainings.
Whether something goes with something else from layer to layer is a matter of layers: these are shuffled, in all
trainings alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from paper_lib.claims import Claim, Finding, Part, above, conclude, p_text, plain, tested
from paper_lib.claims.stability import MORE_TRAININGS
from paper_lib.inference import Floats, mean_over_trainings
from paper_lib.layers.agreement import agreement_p, association, rank_agreements, spearman
from paper_lib.layers.matrices import ATTENTION, CONVOLUTION
from paper_lib.layers.signature import signature, signatures_over_time, spread
from paper_lib.layers.sweeps import Sweeps

_RECORDS = "trainings of all sizes and seeds"
_OVER_TRAININGS = "Student's t over trainings"
_SHUFFLED = "layers shuffled in all trainings alike"

UPPER_LAYERS_MOVE_MORE = Claim(
    id="upper-layers-move-more",
    slide="Numerical Signatures",
    chapter="signatures",
    figure="signatures",
    statement="Upper layers experience more updates, in all attention-related weights.",
    statistic=f"Spearman's ρ between layer and signature, mean over q, k, v, pos, out and trainings; {_SHUFFLED}",
    part="ρ is above 0",
    parts="in every size",
    records=_RECORDS,
)
CONVOLUTIONS_MOVE_ALIKE = Claim(
    id="convolutions-move-alike",
    slide="Numerical Signatures",
    chapter="signatures",
    figure="signatures",
    statement="Convolutional weights are roughly equidistributed over the layers, attention weights are not.",
    statistic=(
        "spread of a signature (one minus that of the layer that moved least: 0 if all layers move alike) in attention "
        f"matrices less that in convolution matrices; {_OVER_TRAININGS}"
    ),
    part="Attention has the larger spread",
    parts="in every size",
    records=_RECORDS,
)
EMERGES_DURING_TRAINING = Claim(
    id="signature-emerges",
    slide="Takeaways (after Numerical Signatures)",
    chapter="signatures",
    figure="signature-slider",
    statement="The per-layer signature of attention weights emerges during training.",
    statistic=(
        "Spearman's ρ over layers with the signature at the end of the other trainings, mean over attention matrices: "
        f"in the second half of the recorded steps less at the first of them; {_OVER_TRAININGS}"
    ),
    part="The training comes to resemble the others' end",
    parts="in every size",
    records=_RECORDS,
)
STABLE_UNDER_SEEDS = Claim(
    id="signature-is-stable",
    slide="Takeaways (after Numerical Signatures)",
    chapter="signatures",
    figure="signatures",
    statement="The signature of attention weights is stable under different seeds.",
    statistic="Spearman's ρ between trainings of the layers' mean signature of attention matrices; permutation test",
    part="The trainings agree better than shuffled layers do",
    parts="in every size",
    records=_RECORDS,
)
LESS_PRONOUNCED_IN_SMALLER_MODELS = Claim(
    id="less-pronounced-in-smaller-models",
    slide="Takeaways (after Numerical Signatures)",
    chapter="signatures",
    figure="signatures",
    statement="The signature of attention weights is less pronounced for smaller models.",
    statistic=f"spread of the attention matrices, larger less smaller model of one seed; {_OVER_TRAININGS}",
    part="The larger model has the larger spread",
    parts="at every step from a size to the next",
    records=_RECORDS,
)
SHARES_FEATURES_WITH_WER = Claim(
    id="signature-shares-features-with-wer",
    slide="Takeaways (after Numerical Signatures)",
    chapter="signatures",
    figure="signature-and-harm",
    statement="The signature of attention weights shares features with the WER after resets.",
    statistic=(
        "Spearman's ρ over layers between the mean signature of the attention matrices and the WER change by "
        f"re-initialisation, mean over trainings; {_SHUFFLED}. Beside it ρ at fixed depth: less what a parabola "
        "in depth tells of both"
    ),
    part="ρ is above 0",
    parts="in every size",
    records=f"{_RECORDS}, and their reset sweeps",
)
CLAIMS = (
    UPPER_LAYERS_MOVE_MORE,
    CONVOLUTIONS_MOVE_ALIKE,
    EMERGES_DURING_TRAINING,
    STABLE_UNDER_SEEDS,
    LESS_PRONOUNCED_IN_SMALLER_MODELS,
    SHARES_FEATURES_WITH_WER,
)

Training = Mapping[str, Any]
Trainings = Mapping[str, Sequence[Training]]


class TooFewTrainingsError(ValueError):
    """A comparison of trainings was asked of fewer than two."""


def judge(trainings: Trainings, sizes: Mapping[str, Sweeps]) -> list[Finding]:
    """Returns the findings on all claims, from results of trainings, by size, and of their reset sweeps.

    Raises TooFewTrainingsError where a size has fewer than two.
    """
    if few := [size for size, runs in trainings.items() if len(runs) < 2]:
        raise TooFewTrainingsError(f"intervals over trainings need at least 2 seeds; of {', '.join(few)} there is one")
    excess = {size: list(map(excess_spread, runs)) for size, runs in trainings.items()}
    return [
        upper_layers_move_more(trainings),
        _in_every_size(CONVOLUTIONS_MOVE_ALIKE, excess),
        emerges_during_training(trainings),
        stable_under_seeds(trainings),
        less_pronounced_in_smaller_models(trainings),
        shares_features_with_wer(trainings, sizes),
    ]


def attention_profile(training: Training) -> Floats:
    """Returns the mean signature of the attention matrices, [layers], at the end of training."""
    profile: Floats = signature(training, ATTENTION).mean(0)
    return profile


def attention_spread(training: Training) -> float:
    """Returns the spread of the signature, mean over the attention matrices."""
    return float(spread(signature(training, ATTENTION)).mean())


def excess_spread(training: Training) -> float:
    """Returns by how much the attention matrices' spread exceeds the convolution matrices', means of each."""
    return attention_spread(training) - float(spread(signature(training, CONVOLUTION)).mean())


def resemblance(runs: Sequence[Training]) -> Floats:
    """Returns Spearman's ρ of each training's signatures with the end of the others, [trainings, steps].

    That is over layers, mean over the attention matrices; the end of the others is the mean of their last signatures.
    Steps are those that all have recorded.
    """
    over_time = signatures_over_time(runs, ATTENTION)
    ends = np.stack([signature(run, ATTENTION) for run in runs])
    others = np.stack([np.delete(ends, training, axis=0).mean(0) for training in range(len(runs))])
    rhos: Floats = spearman(over_time, others[:, None]).mean(-1)
    return rhos


def upper_layers_move_more(trainings: Trainings) -> Finding:
    """Judges UPPER_LAYERS_MOVE_MORE."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, runs in trainings.items():
        signatures = np.concatenate([signature(run, ATTENTION) for run in runs])
        depth = np.broadcast_to(np.arange(signatures.shape[-1], dtype=float), signatures.shape)
        rho, p = association(depth, signatures)
        evidence.append(f"{size}: ρ {rho:.2f}, {p_text(p)}")
        parts[size] = tested(p, association(depth, -signatures)[1], "more layers")
    return conclude(UPPER_LAYERS_MOVE_MORE, evidence, parts)


def emerges_during_training(trainings: Trainings) -> Finding:
    """Judges EMERGES_DURING_TRAINING."""
    gains: dict[str, list[float]] = {}
    evidence: list[str] = []
    for size, runs in trainings.items():
        rhos = resemblance(runs)
        gains[size] = (rhos[:, rhos.shape[1] // 2 :].mean(1) - rhos[:, 0]).tolist()
        path = spread(signatures_over_time(runs, ATTENTION)).mean((0, 2))
        evidence.append(f"{size}: spread {path[0]:.2f} at first, {path.max():.2f} at most, {path[-1]:.2f} at the end")
    found = _in_every_size(EMERGES_DURING_TRAINING, gains)
    return replace(found, evidence="; ".join([found.evidence, *evidence]))


def stable_under_seeds(trainings: Trainings) -> Finding:
    """Judges STABLE_UNDER_SEEDS."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, runs in trainings.items():
        profiles = np.stack([attention_profile(run) for run in runs])
        p = agreement_p(profiles)
        evidence.append(f"{size}: ρ {rank_agreements(profiles).mean():.2f}, {p_text(p)}")
        parts[size] = tested(p, 1.0, MORE_TRAININGS)
    return conclude(STABLE_UNDER_SEEDS, evidence, parts)


def less_pronounced_in_smaller_models(trainings: Trainings) -> Finding:
    """Judges LESS_PRONOUNCED_IN_SMALLER_MODELS."""
    spreads = {size: [attention_spread(run) for run in runs] for size, runs in trainings.items()}
    evidence = [f"spread {', '.join(f'{size} {np.mean(values):.2f}' for size, values in spreads.items())}"]
    parts: dict[str, Part] = {}
    for (smaller, less), (larger, more) in pairwise(spreads.items()):
        difference = mean_over_trainings([more[seed] - less[seed] for seed in range(min(len(less), len(more)))])
        evidence.append(f"{larger} − {smaller} {plain(difference.estimate())}")
        parts[f"{larger} − {smaller}"] = above(difference)
    return conclude(LESS_PRONOUNCED_IN_SMALLER_MODELS, evidence, parts)


def shares_features_with_wer(trainings: Trainings, sizes: Mapping[str, Sweeps]) -> Finding:
    """Judges SHARES_FEATURES_WITH_WER."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, runs in trainings.items():
        profiles, harm = np.stack([attention_profile(run) for run in runs]), sizes[size].harm()
        depth = np.broadcast_to(np.arange(harm.shape[1], dtype=float), harm.shape)
        rho, p = association(profiles, harm)
        partial, partial_p = association(profiles, harm, given_depth=True)
        told = (
            f"{size}: ρ {rho:.2f}, {p_text(p)}; at fixed depth {partial:.2f}, {p_text(partial_p)}; "
            f"depth alone {association(depth, harm)[0]:.2f}"
        )
        evidence.append(told)
        parts[size] = tested(p, association(profiles, -harm)[1], "more layers")
    return conclude(SHARES_FEATURES_WITH_WER, evidence, parts)


def _in_every_size(claim: Claim, values: Mapping[str, Sequence[float]]) -> Finding:
    """Judges a claim that one value per training is above 0, in every size."""
    means = {size: mean_over_trainings(of_size) for size, of_size in values.items()}
    return conclude(
        claim,
        [f"{size}: {plain(mean.estimate())}" for size, mean in means.items()],
        {size: above(mean) for size, mean in means.items()},
    )
