"""What the chapter on stability says in short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from paper_lib.claims import p_text, plain
from paper_lib.inference import mean_over_trainings
from paper_lib.layers.agreement import agreement_p, instability, rank_agreements
from paper_lib.layers.ranking import MARGIN
from paper_lib.layers.sweeps import Sweeps
from paper_lib.summaries.summary import Question, Summary
from paper_lib.summaries.words import layers_named, listed, rests_on, sentence, share_of_layers
from paper_lib.typography import minus_signs


def summarise(sizes: Mapping[str, Sweeps], asked: Sequence[str]) -> Summary:
    """Returns what is to be said of the reset sweeps of several trainings a size; `asked` are all sizes in question."""
    harm = {size: sweeps.harm() for size, sweeps in sizes.items()}
    agreement = listed(
        f"ρ = {rank_agreements(of).mean():.2f} in Conformer{size} ({p_text(agreement_p(of))})"
        for size, of in harm.items()
    )
    safe = {size: np.flatnonzero((of < MARGIN).all(0)) + 1 for size, of in harm.items()}
    always = listed(f"{share_of_layers(len(layers), harm[size].shape[1])} of {size}" for size, layers in safe.items())
    deviations = listed(
        f"{plain(mean_over_trainings(instability(of)).estimate())} in {size}" for size, of in harm.items()
    )
    missing = [size for size in asked if size not in sizes]
    alone = f" There are not two trainings of {listed(missing)} to compare." if missing else ""
    return Summary(
        (
            sentence(
                f"two trainings agree on the ranks of the layers by harm at Spearman's {agreement}, mean over pairs."
            ),
            sentence(f"{always} {_add(safe)} less than {100 * MARGIN:g} points of WER in every training."),
            "How far a training lies from the others, over how far layers differ (0: all trainings are alike; 1: "
            f"ranks are worth nothing): {deviations}.",
            f"{rests_on(sizes)}{alone}",
        ),
        (
            Question(
                "Which layers would a user with any one of these trainings have called safe?",
                " ".join(
                    f"{size}: {layers_named(layers.tolist()) if len(layers) else 'none'}, of {harm[size].shape[1]}."
                    for size, layers in safe.items()
                )
                + f" Their measured harm is below {100 * MARGIN:g} points in every training.",
            ),
            Question(
                "Which layer has the least certain place in the ranks?",
                " ".join(_least_certain(size, of) for size, of in harm.items()),
            ),
        ),
    )


def _add(safe: Mapping[str, np.ndarray]) -> str:
    return "adds" if [len(layers) for layers in safe.values()] == [1] else "add"


def _least_certain(size: str, harm: np.ndarray) -> str:
    ranks = harm.argsort(1).argsort(1) + 1
    layer = int(np.ptp(ranks, axis=0).argmax())
    of_layer = ranks[:, layer]
    return minus_signs(
        f"In {size} layer {layer + 1}: its rank goes from {of_layer.min()} to {of_layer.max()} of {len(ranks[0])}, and "
        f"its harm from {100 * harm[:, layer].min():+.1f} to {100 * harm[:, layer].max():+.1f} points."
    )
