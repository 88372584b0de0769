"""What figures show, in words: sentences for captions and alternative texts, computed from what is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from paper_lib.claims import points
from paper_lib.claims.federated_dropout import SAME, Comparison
from paper_lib.claims.use_sentences import harmless
from paper_lib.federated.choices import LOW
from paper_lib.federated.comparison import Adapted
from paper_lib.inference import SIGNIFICANCE, Estimate, Floats
from paper_lib.layers.cheap_ranks import Ranked
from paper_lib.layers.ranking import CLASSES, MARGIN, LayerEffect
from paper_lib.layers.signature import Correlation
from paper_lib.studies.use_records import QuantisedRecords
from paper_lib.summaries.words import counted, layers_named, listed, sentence, worse_of
from paper_lib.typography import minus_signs

_LINE = f"within {100 * MARGIN:g} points of the intact line"


def at_the_line(effects: Mapping[str, Sequence[LayerEffect]]) -> str:
    """Says by model which layers stay at the line of the intact model when they are re-initialised, and which do not.

    `effects` may hold other resets too. Layers that are neither ambient nor critical are named as such.
    """
    return " ".join(_of_model(name, of_model) for name, of_model in effects.items())


def _of_model(name: str, effects: Sequence[LayerEffect]) -> str:
    reset = [effect for effect in effects if effect.kind == "re-initialisation"]
    by_class = {group: [effect.layer for effect in reset if effect.classification == group] for group in CLASSES}
    stay, rise, open_ = (by_class[group] for group in CLASSES)
    if len(stay) == len(reset):
        told = [f"all {len(reset)} layers stay {_LINE}"]
    else:
        told = [
            f"{layers_named(stay)} {'stays' if len(stay) == 1 else 'stay'} {_LINE}"
            if stay
            else f"no layer is sure to stay {_LINE}"
        ]
        if rise:
            told.append(f"{layers_named(rise)} {'rises' if len(rise) == 1 else 'rise'} above it")
        if open_:
            told.append(f"of {layers_named(open_)} it cannot be told")
    return f"{name}: {'; '.join(told)}."


def trainings_apart(harm: Mapping[str, Floats]) -> str:
    """Says by size in which layer trainings differ most; `harm` is [trainings, layers]."""
    told = []
    for size, of_size in harm.items():
        apart = np.ptp(of_size, axis=0)
        layer = int(apart.argmax())
        low, high = (f"{100 * value:+.1f}" for value in (of_size[:, layer].min(), of_size[:, layer].max()))
        within = int((apart < MARGIN).sum())
        told.append(
            f"{size}: trainings differ most in layer {layer + 1}, from {low} to {high} points; in {within} of "
            f"{len(apart)} layers by less than {100 * MARGIN:g}."
        )
    return minus_signs(" ".join(told))


def ends_of_ranks(harm: Mapping[str, Floats]) -> str:
    """Says by size which layers are in the most and in the least harmful quarter in every training."""
    told = []
    for size, of_size in harm.items():
        ranks = of_size.argsort(1).argsort(1)
        quarter = max(1, of_size.shape[1] // 4)
        ends = []
        for name, inside in (("most", ranks >= of_size.shape[1] - quarter), ("least", ranks < quarter)):
            always = (np.flatnonzero(inside.all(0)) + 1).tolist()
            ends.append(f"{layers_named(always) if always else 'no layer'} always among the {quarter} {name} harmful")
        told.append(f"{size}: {', '.join(ends)}.")
    return " ".join(told)


def told_beyond_depth(correlations: Mapping[str, Sequence[Correlation]], matrices: Sequence[str]) -> str:
    """Says by size of which of `matrices` the signature goes with the harm at fixed depth, too."""
    told = []
    for size, of_size in correlations.items():
        named = dict(zip(matrices, of_size, strict=True))
        beyond = [matrix for matrix, found in named.items() if found.p_given_depth < SIGNIFICANCE]
        best = max(named, key=lambda matrix: named[matrix].given_depth)
        largest = f"ρ = {named[best].given_depth:.2f} of {best}"
        told.append(
            f"{size}: at fixed depth, too, the signature of {listed(beyond)} goes with the harm, {len(beyond)} of "
            f"{len(named)} matrices, at most at {largest}."
            if beyond
            else f"{size}: at fixed depth no matrix's signature is shown to go with the harm, at most at {largest}."
        )
    return minus_signs(" ".join(told))


def farthest_moved(profiles: Mapping[str, Floats]) -> str:
    """Says by size in which layer attention moved farthest and least; `profiles` are mean signatures, [layers]."""
    told = []
    for size, profile in profiles.items():
        most, least = int(profile.argmax()), int(profile.argmin())
        told.append(
            f"{size}: attention moved farthest in layer {most + 1}, least in layer {least + 1} ({profile[least]:.2f} "
            f"against {profile[most]:.2f}, mean over its matrices)."
        )
    return " ".join(told)


def best_and_worst(plans: Mapping[str, Adapted]) -> str:
    """Says which plans end with the highest and the lowest WER, FedAvg without dropout left out."""
    wers = {name: 100 * adapted.mean.value for name, adapted in plans.items() if name != "none"}
    ends = [f"highest with {max(wers, key=lambda name: wers[name])}, {max(wers.values()):.1f} %"]
    if len(wers) > 1:
        ends.append(f"lowest with {min(wers, key=lambda name: wers[name])}, {min(wers.values()):.1f} %")
    whole = f"; without dropout it is {100 * plans['none'].mean.value:.1f} %" if "none" in plans else ""
    return sentence(f"of plans that drop units, the WER is {listed(ends)}{whole}.")


def differences_found(primary: Adapted | None, secondary: Sequence[Comparison]) -> str:
    """Says what the paired differences of plans show: the primary one, and how many others, alone and together."""
    told = []
    if primary:
        estimate = primary.mean.estimate()
        told.append(
            f"Crit-N less Amb-N is {points(estimate)}, {worse_of(estimate, 'critical layers', 'ambient layers')}."
        )
    if secondary:
        estimates = {(one.worse, one.better): one.difference.mean.estimate() for one in secondary}
        apart = [f"{worse} − {better}" for (worse, better), one in estimates.items() if one.low > 0 or one.high < 0]
        verb = "excludes" if len(apart) == 1 else "exclude"
        together = (
            f"tested together (Holm), {sum(one.survives for one in secondary) or 'none'}"
            if any(one.p is not None for one in secondary)
            else "with one seed they cannot be tested together"
        )
        told.append(
            f"Of {counted(len(secondary), 'secondary difference')}, each by itself, "
            f"{f'{len(apart)} {verb} 0 ({listed(apart)})' if apart else 'none excludes 0'}; {together}."
        )
        same = [f"{one.worse} and {one.better}" for one in secondary if not one.difference.errors.any()]
        if same:
            told.append(f"Not one error differs between {listed(same)}.")
    return " ".join(told)


def forgotten(before: Estimate, after: Mapping[str, Estimate]) -> str:
    """Says how the WER on the other domains goes from that before the adaptation to those after it, by plan."""
    wers = {name: 100 * one.value for name, one in after.items()}
    least, most = (end(wers, key=lambda name: wers[name]) for end in (min, max))
    whole = f", {wers['none']:.1f} % without dropout" if "none" in wers else ""
    return (
        f"The WER on the other domains goes from {100 * before.value:.1f} % to between {wers[least]:.1f} % ({least}) "
        f"and {wers[most]:.1f} % ({most}){whole}."
    )


def highest_at_depth(ranked: Sequence[Ranked]) -> str:
    """Says which reading goes best with harm at fixed depth, of all and of the cheap ones; depth itself is none."""
    readings = [one for one in ranked if one.quantity.source != "depth"]
    best, cheap = (
        max(of, key=lambda one: one.given_depth) for of in (readings, [r for r in readings if r.quantity.is_cheap])
    )
    return minus_signs(
        f"At fixed depth ρ is highest for “{best.quantity.name}”, {best.given_depth:.2f}; of the cheap readings for "
        f"“{cheap.quantity.name}”, {cheap.given_depth:.2f}."
    )


def close_to_fedavg(choices: Mapping[str, tuple[Adapted, Adapted]]) -> str:
    """Says which choices stay, with confidence, near the WER of FedAvg; parameters as for `harmless`."""
    kept = harmless(choices)
    return (
        f"With confidence less than {100 * SAME:.0f} % above the WER of plain FedAvg: "
        f"{listed(kept) if kept else 'no choice'}, of {len(choices)}."
    )


def bits_by_half(quantised: QuantisedRecords) -> str:
    """Says what few bits cost in the more ambient and in the more critical half of the layers."""
    ambient, critical = (100 * quantised.heard(name).mean.value for name in ("amb-low", "crit-low"))
    return (
        f"With {LOW} bits in the more ambient half of the layers the WER is {ambient:.1f} %, with {LOW} bits in the "
        f"other half {critical:.1f} %."
    )


def halves(quantised: QuantisedRecords) -> str:
    """Says which layers the more ambient half is in every training, and in how many it is one block."""
    harm = quantised.harm()
    chosen = [sorted(int(layer) + 1 for layer in of.argsort(kind="stable")[: len(of) // 2]) for of in harm]
    blocks = sum(of[-1] - of[0] == len(of) - 1 for of in chosen)
    return (
        f"The more ambient half, by training: {'; '.join(map(layers_named, chosen))}. In {blocks} of "
        f"{counted(len(chosen), 'training')} it is one block, which a plan by depth could choose, too: there the gain "
        "need not be the ranking's."
    )
