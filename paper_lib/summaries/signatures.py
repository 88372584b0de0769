"""What the chapter on numerical signatures says in short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paper_lib.claims import p_text
from paper_lib.claims.signatures import attention_profile, resemblance
from paper_lib.inference import SIGNIFICANCE
from paper_lib.layers.agreement import agreement_p, association, rank_agreements
from paper_lib.layers.matrices import ATTENTION, CONVOLUTION, MATRICES
from paper_lib.layers.signature import common_steps, correlation_with_harm, signature
from paper_lib.layers.sweeps import Sweeps
from paper_lib.summaries.captions import told_beyond_depth
from paper_lib.summaries.summary import Question, Summary
from paper_lib.summaries.words import listed, rests_on, sentence


def summarise(trainings: Mapping[str, Sequence[Mapping[str, Any]]], sizes: Mapping[str, Sweeps]) -> Summary:
    """Returns what is to be said of results of trainings, by size, at least two of each, and of their reset sweeps."""
    profiles = {size: np.stack([attention_profile(run) for run in runs]) for size, runs in trainings.items()}
    harm = {size: sweeps.harm() for size, sweeps in sizes.items()}
    by_matrix = {size: correlation_with_harm(runs, harm[size]) for size, runs in trainings.items()}
    with_harm, at_depth, with_depth = [], [], []
    for size, of_size in profiles.items():
        rho, p = association(of_size, harm[size])
        rest, rest_p = association(of_size, harm[size], given_depth=True)
        depth = np.broadcast_to(np.arange(of_size.shape[1], dtype=float), of_size.shape)
        upward, upward_p = association(depth, of_size)
        with_harm.append(f"ρ = {rho:.2f} in Conformer{size} ({p_text(p)})")
        at_depth.append(f"ρ = {rest:.2f} in {size} ({p_text(rest_p)})")
        with_depth.append(f"ρ = {upward:.2f} in {size} ({p_text(upward_p)})")
    agree = listed(
        f"ρ = {rank_agreements(of).mean():.2f} in {size} ({p_text(agreement_p(of))})" for size, of in profiles.items()
    )
    least = [f"{_least(runs, ATTENTION)} and {_least(runs, CONVOLUTION)} in {size}" for size, runs in trainings.items()]
    early = []
    for size, runs in trainings.items():
        rhos, steps = resemblance(runs).mean(0), common_steps(runs)
        early.append(f"In {size} at step {steps[0]} ρ = {rhos[0]:.2f}, at step {steps[-1]} ρ = {rhos[-1]:.2f}.")
    return Summary(
        (
            sentence(
                "how far a layer's attention weights moved in training goes with the harm of its reset at Spearman's "
                f"{listed(with_harm)}; at fixed depth, beyond what a layer's place tells, there is left "
                f"{listed(at_depth)}."
            ),
            f"Matrix by matrix (p < {SIGNIFICANCE:g}, corrected for {len(MATRICES)} matrices): "
            + told_beyond_depth(by_matrix, MATRICES),
            sentence(f"upper layers move more than lower ones at {listed(with_depth)}."),
            rests_on(sizes),
        ),
        (
            Question(
                "Do attention or convolution weights move more unequally?",
                "The layer that moved least has moved so far, as a share of the one that moved farthest, in attention "
                f"and in convolution matrices: {listed(least)}. Near 1, all layers move alike.",
            ),
            Question(
                "Is the signature the same in another training, and when is it there?",
                sentence(
                    f"two trainings agree on it at {agree}. With the end of the other trainings it goes together as "
                    f"follows. {' '.join(early)}"
                ),
            ),
        ),
    )


def _least(runs: Sequence[Mapping[str, Any]], matrices: Sequence[str]) -> str:
    return f"{np.mean([signature(run, matrices).min(-1).mean() for run in runs]):.2f}"
