"""Verdicts on the paper's claims: made-up sweeps that must give each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from paper_lib.claims.model_size import judge, larger_is_more_robust, layers_differ, resets_are_similar
from paper_lib.layers.ranking import layer_effects, layer_errors, pooled

UTTERANCES, WORDS = 400, 5


def sweep(first: list[float], second: list[float] | None = None, seed: int = 0, scale: int = 1) -> dict[str, Any]:
    """Returns a sweep whose layers add the WERs `first` when re-initialised, and `second` when re-randomised."""
    rng = np.random.default_rng(seed)
    intact = rng.binomial(1, 0.1, UTTERANCES * scale)

    def errors(change: float) -> list[int]:
        return [int(e) for e in intact + rng.binomial(WORDS, max(change, 0), len(intact))]

    return {
        "words": [WORDS] * len(intact),
        "intact": intact.tolist(),
        "resets": [
            {"layer": layer, "kind": kind, "draw": 0, "errors": errors(change)}
            for kind, changes in (("re-initialisation", first), ("re-randomisation", second or first))
            for layer, change in enumerate(changes)
        ],
    }


@pytest.mark.parametrize(
    ("first", "verdict"),
    [
        ([0.0, 0.3, 0.0], "reproduced"),
        ([0.3, 0.4, 0.5], "not reproduced"),
        ([0.0, 0.0, 0.0], "not reproduced"),
        ([0.02, 0.02, 0.02], "not resolved"),
    ],
)
def test_layers_differ(first: list[float], verdict: str) -> None:
    assert layers_differ({"S": sweep(first)}).verdict == verdict


def test_a_claim_on_every_size_is_partly_reproduced_when_one_size_fails() -> None:
    finding = layers_differ({"S": sweep([0.3, 0.4]), "L": sweep([0.0, 0.4])})
    assert finding.verdict == "partly reproduced"
    assert "S: 0 ambient, 2 critical, 0 unresolved of 2" in finding.evidence


@pytest.mark.parametrize(
    ("harms", "verdict"),
    [
        ((0.4, 0.3, 0.1), "reproduced"),
        ((0.4, 0.1, 0.3), "partly reproduced"),
        ((0.1, 0.3, 0.4), "not reproduced"),
        ((0.2, 0.2, 0.2), "not resolved"),
    ],
)
def test_larger_is_more_robust(harms: tuple[float, ...], verdict: str) -> None:
    results = {size: sweep([harm / 2, harm], seed=4) for size, harm in zip("SML", harms, strict=True)}
    finding = larger_is_more_robust(results)
    assert finding.verdict == verdict
    assert "S − M" in finding.evidence


def test_one_size_says_nothing_of_larger_ones() -> None:
    assert larger_is_more_robust({"S": sweep([0.1, 0.2])}).verdict == "not resolved"


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([0.0, 0.1, 0.3, 0.5], [0.0, 0.1, 0.3, 0.5], "reproduced"),
        ([0.0, 0.1, 0.3, 0.5], [0.2, 0.4, 0.6, 0.9], "partly reproduced"),
        ([0.0, 0.1, 0.3, 0.5], [0.9, 0.6, 0.4, 0.2], "not reproduced"),
    ],
)
def test_resets_are_similar(first: list[float], second: list[float], verdict: str) -> None:
    assert resets_are_similar({"S": sweep(first, second, scale=4)}).verdict == verdict


def test_resets_of_layers_that_all_do_the_same_rank_nothing() -> None:
    result = sweep([0.0, 0.0])
    for reset in result["resets"]:
        reset["errors"] = result["intact"]
    finding = resets_are_similar({"S": result})
    assert "ρ 0.00 [0.00, 0.00]" in finding.evidence
    assert finding.verdict == "partly reproduced"  # the levels agree


def test_judge_has_a_finding_on_every_claim_of_the_slide() -> None:
    findings = judge({"S": sweep([0.0, 0.4]), "L": sweep([0.0, 0.2])})
    assert [f.claim.id for f in findings] == ["layers-differ", "larger-is-more-robust", "resets-are-similar"]
    assert all(f.evidence for f in findings)


def test_pooled_trainings_are_the_mean_of_each() -> None:
    one, other = sweep([0.1, 0.4], seed=1), sweep([0.2, 0.0], seed=2)
    both = pooled([one, other])
    for kind in ("re-initialisation", "re-randomisation"):
        np.testing.assert_allclose(layer_errors(both, kind), (layer_errors(one, kind) + layer_errors(other, kind)) / 2)
    for effect in layer_effects(both):
        alone = [e for r in (one, other) for e in layer_effects(r) if (e.layer, e.kind) == (effect.layer, effect.kind)]
        assert effect.change.value == pytest.approx(np.mean([e.change.value for e in alone]))
        assert effect.draws == pytest.approx([e.wer.value for e in alone])
