"""The claims of the slides "Numerical Signatures" on the non-streaming model, judged from trainings and reset sweeps.

A signature has no test set: what varies is the training. Intervals are Student's t over trainings of one size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from paper_lib.claims import Claim, Finding, Part, above_over_seeds, conclude, mean_over_seeds, plain
from paper_lib.claims.stability import Chance, better_than_chance
from paper_lib.layers.agreement import TooFewTrainingsError, mean_of_pairs, rank_correlation
from paper_lib.layers.changes import Floats, spearman
from paper_lib.layers.matrices import ATTENTION, CONVOLUTION
from paper_lib.layers.signatures import harm, signature, spread

_RECORDS = "trainings of all sizes and seeds"
_OVER_SEEDS = "Student's t over trainings"

UPPER_LAYERS_MOVE_MORE = Claim(
    id="upper-layers-move-more",
    slide="Numerical Signatures",
    chapter="signatures",
    figure="signatures",
    statement="Upper layers experience more updates, in all attention-related weights.",
    statistic=f"Spearman's ρ between layer and signature, mean over q, k, v, pos, out; {_OVER_SEEDS}",
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
    statistic=f"spread (1 less the least signature) of attention less that of convolution matrices; {_OVER_SEEDS}",
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
    statistic=f"spread of the attention matrices at the last step less at the first that was recorded; {_OVER_SEEDS}",
    part="The spread grows",
    parts="in every size",
    records=_RECORDS,
)
STABLE_UNDER_SEEDS = Claim(
    id="signature-is-stable",
    slide="Takeaways (after Numerical Signatures)",
    chapter="signatures",
    figure="signatures",
    statement="The signature of attention weights is stable under different seeds.",
    statistic=(
        "Spearman's ρ between trainings of the layers' signatures, mean over attention matrices; permutation test, "
        "Bonferroni over sizes"
    ),
    part="The trainings agree better than shuffled layers do (and fails where they agree no better on average)",
    parts="in every size",
    records=_RECORDS,
)
LESS_PRONOUNCED_IN_SMALLER_MODELS = Claim(
    id="less-pronounced-in-smaller-models",
    slide="Takeaways (after Numerical Signatures)",
    chapter="signatures",
    figure="signatures",
    statement="The signature of attention weights is less pronounced for smaller models.",
    statistic=f"spread of the attention matrices, larger less smaller model of one seed; {_OVER_SEEDS}",
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
        f"re-initialisation; {_OVER_SEEDS}"
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


def judge(
    trainings: Mapping[str, Sequence[Training]], sweeps: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[Finding]:
    """Returns the findings on all claims, from results of trainings and of their reset sweeps: by size, one per seed.

    Raises TooFewTrainingsError where a size has fewer than two.
    """
    if few := [size for size, runs in trainings.items() if len(runs) < 2]:
        raise TooFewTrainingsError(f"intervals over trainings need at least 2 seeds; of {', '.join(few)} there is one")
    return [
        _in_every_size(UPPER_LAYERS_MOVE_MORE, trainings, upward),
        _in_every_size(CONVOLUTIONS_MOVE_ALIKE, trainings, excess_spread),
        _in_every_size(EMERGES_DURING_TRAINING, trainings, growth),
        stable_under_seeds(trainings),
        less_pronounced_in_smaller_models(trainings),
        shares_features_with_wer(trainings, sweeps),
    ]


def upward(training: Training) -> float:
    """Returns Spearman's ρ between layer and signature, mean over the attention matrices."""
    signatures = signature(training, ATTENTION)
    return float(spearman(signatures, np.arange(signatures.shape[-1], dtype=float)).mean())


def attention_spread(training: Training, step: int | None = None) -> float:
    """Returns the spread of the signature, mean over the attention matrices."""
    return float(spread(signature(training, ATTENTION, step)).mean())


def excess_spread(training: Training) -> float:
    """Returns by how much the attention matrices' spread exceeds the convolution matrices', means of each."""
    return attention_spread(training) - float(spread(signature(training, CONVOLUTION)).mean())


def growth(training: Training) -> float:
    """Returns by how much the attention matrices' spread has grown from the first recorded step to the last."""
    return attention_spread(training) - attention_spread(training, training["distance_steps"][0])


def stable_under_seeds(trainings: Mapping[str, Sequence[Training]]) -> Finding:
    """Judges STABLE_UNDER_SEEDS."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, runs in trainings.items():
        layers: Floats = np.stack([signature(run, ATTENTION).mean(0) for run in runs])
        part, p = better_than_chance(layers, rank_correlation, Chance.of_ranks(layers.shape[-1]), len(trainings))
        evidence.append(f"{size}: ρ {mean_of_pairs(rank_correlation(layers)):.2f}, p = {p:.2g}")
        parts[size] = part
    return conclude(STABLE_UNDER_SEEDS, evidence, parts)


def less_pronounced_in_smaller_models(trainings: Mapping[str, Sequence[Training]]) -> Finding:
    """Judges LESS_PRONOUNCED_IN_SMALLER_MODELS."""
    spreads = {size: [attention_spread(run) for run in runs] for size, runs in trainings.items()}
    evidence = [f"spread {', '.join(f'{size} {np.mean(values):.2f}' for size, values in spreads.items())}"]
    parts: dict[str, Part] = {}
    for (smaller, less), (larger, more) in pairwise(spreads.items()):
        differences = [more[seed] - less[seed] for seed in range(min(len(less), len(more)))]
        evidence.append(f"{larger} − {smaller} {plain(mean_over_seeds(differences))}")
        parts[f"{larger} − {smaller}"] = above_over_seeds(differences)
    return conclude(LESS_PRONOUNCED_IN_SMALLER_MODELS, evidence, parts)


def shares_features_with_wer(
    trainings: Mapping[str, Sequence[Training]], sweeps: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Finding:
    """Judges SHARES_FEATURES_WITH_WER."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for size, runs in trainings.items():
        pairs = zip(runs, sweeps[size], strict=True)
        rhos = [float(spearman(signature(run, ATTENTION).mean(0), harm(sweep))) for run, sweep in pairs]
        evidence.append(f"{size}: ρ {plain(mean_over_seeds(rhos))}")
        parts[size] = above_over_seeds(rhos)
    return conclude(SHARES_FEATURES_WITH_WER, evidence, parts)


def _in_every_size(
    claim: Claim, trainings: Mapping[str, Sequence[Training]], value: Callable[[Training], float]
) -> Finding:
    values = {size: [value(run) for run in runs] for size, runs in trainings.items()}
    return conclude(
        claim,
        [f"{size}: {plain(mean_over_seeds(of_size))}" for size, of_size in values.items()],
        {size: above_over_seeds(of_size) for size, of_size in values.items()},
    )
