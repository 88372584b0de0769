"""Sentences on the second experiment: their numbers and their words follow from its records alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from paper_lib.claims import points, wer
from paper_lib.federated.comparison import Adapted, late_gain
from paper_lib.federated.plans import COUNTS
from paper_lib.inference import Estimate, Floats, Mean
from paper_lib.layers.agreement import spearman
from paper_lib.layers.ranking import CLASSES, MARGIN, LayerEffect
from paper_lib.typography import minus_signs

# Above this WER a model hardly knows a domain: most words are wrong.
UNKNOWN = 0.5
# Rounds are enough if their last quarter brings less than this share of the whole gain.
LATE_GAIN = 0.1


def ambient_layers(effects: Sequence[LayerEffect], intact: Estimate) -> str:
    """Says how many of a model's layers are ambient, and whether the paper's question can be asked of it.

    `intact` is the WER without a reset, on the same speech.
    """
    by_class = {name: [e.layer for e in effects if e.classification == name] for name in CLASSES}
    counts = {name: len(layers) for name, layers in by_class.items()}
    which = f": {', '.join(map(str, by_class['ambient']))}" if by_class["ambient"] else ""
    found = (
        f"By the definition of this book (a reset adds less than {100 * MARGIN:g} points of WER on dev speech, with "
        f"confidence) {counts['ambient'] or 'none'} of the {len(effects)} layers of this streaming model "
        f"{'are' if counts['ambient'] > 1 else 'is'} ambient{which}; {counts['critical']} critical, "
        f"{counts['unresolved']} unresolved. Without a reset the model's WER on that speech is "
        f"{wer(intact)}."
    )
    if intact.value > UNKNOWN:
        return (
            f"{found} With most words wrong as it is, resets tell nothing of its layers, and the paper's question "
            "cannot be asked of this model."
        )
    if not counts["ambient"]:
        return (
            f"{found} The paper's question cannot be asked of this model: below, Amb-N means its N least critical "
            "layers, and no comparison of plans on this page speaks for or against the paper."
        )
    if counts["ambient"] < max(COUNTS):
        return (
            f"{found} So the paper's question can be asked of it for N up to {counts['ambient']}: Amb-N with more "
            "takes layers that are not ambient too."
        )
    return f"{found} So the paper's question can be asked of it."


def domain_learnt(before: Mean, after: Mean, plan: str) -> str:
    """Says what the model knew of the held-out domain before the adaptation and what it knows after one by `plan`."""
    how = "without dropout" if plan == "none" else f"by the plan {plan}"
    known = (
        "So it hardly knew the domain, and learns it here rather than being fine-tuned."
        if before.value > UNKNOWN
        else "So this is the fine-tuning of a recogniser, as in the paper."
    )
    return (
        f"On the held-out domain (SF) its WER is {wer(before.estimate())} before the adaptation and "
        f"{wer(after.estimate())} after it, {how}. {known}"
    )


def enough_rounds(curves: Mapping[str, Sequence[Mapping[int, float]]]) -> str:
    """Says whether the rounds were enough; `curves` hold, by plan, WERs by the number of rounds, one for each run."""
    shares = {plan: late_gain(of_plan) for plan, of_plan in curves.items()}
    gained = {plan: share for plan, share in shares.items() if share is not None}
    criterion = (
        f"Enough rounds means: less than {100 * LATE_GAIN:g} % of the whole fall of the dev WER comes in the last "
        "quarter of the rounds."
    )
    if not gained:
        return f"{criterion} Here it cannot be said: by no plan does the WER fall at all."
    first, most = next(iter(gained)), max(gained, key=lambda plan: gained[plan])
    late = [plan for plan, share in gained.items() if share >= LATE_GAIN]
    told = (
        "The rounds are enough for every plan."
        if not late
        else f"The rounds are not enough for {len(late)} of {len(gained)} plans: {', '.join(late)}."
    )
    still = [plan for plan, share in shares.items() if share is None]
    return (
        f"{criterion} With {first} it is {_share(gained[first])}, at most {_share(gained[most])} ({most}). {told}"
        + (f" With these the WER does not fall at all: {', '.join(still)}." if still else "")
    )


def updates_by_layer(norms: Floats, disagreements: Floats, harm: Floats, clients: float) -> str:
    """Says which layers the clients move, where they disagree, and whether that goes with the harm of a reset.

    All are [runs, layers], means over rounds; `clients` is how many are averaged in a round.
    """

    def ends(values: Floats) -> tuple[int, float, int, float]:
        mean = values.mean(0)
        return int(mean.argmax()) + 1, float(mean.max()), int(mean.argmin()) + 1, float(mean.min())

    far, longest, near, shortest = ends(norms)
    most, apart, least, together = ends(disagreements)
    rho = {
        "norm": float(spearman(norms, harm).mean()),
        "disagreement": float(spearman(disagreements, harm).mean()),
    }
    ratio = f", {longest / shortest:.1f} times as far as layer {near} ({shortest:.3g})" if shortest else ""
    return (
        f"The clients move layer {far} farthest (norm {longest:.3g}){ratio}. They disagree most in layer {most} "
        f"({apart:.2f}) and least in layer {least} ({together:.2f}); {clients:.3g} updates of one size that have "
        f"nothing in common would give {1 - 1 / clients:.2f}. Spearman's ρ of a layer's harm when it is reset with the "
        f"norm is {_signed(rho['norm'])}, with the disagreement {_signed(rho['disagreement'])}, mean over seeds."
    )


def learnt_and_forgotten(before: tuple[Adapted, Adapted], after: Mapping[float, tuple[Adapted, Adapted]]) -> str:
    """Says by how much smaller server learning rates learn less and forget less.

    `after` holds by the share of the profile's rate the errors on the held-out domain and on the others, the largest
    first; `before` holds those of the model before.
    """
    (whole, (learnt, kept)), *smaller = after.items()
    changes = [
        f"× {share:g}: {points(sf.less(learnt).mean.estimate())} on SF and {points(md.less(kept).mean.estimate())} on "
        "MD − SF"
        for share, (sf, md) in smaller
    ]
    return (
        f"With the server's learning rate × {whole:g} the adaptation changes the WER by "
        f"{points(learnt.less(before[0]).mean.estimate())} on SF and by {points(kept.less(before[1]).mean.estimate())} "
        f"on MD − SF, the domains that the model came with. Smaller rates, against × {whole:g}, paired by seed and "
        f"speaker: {'; '.join(changes)}."
    )


def not_varied(profile: str, wanted: bool) -> str:
    """Says that `profile` has not varied what the paper does not tell; `wanted`: it is to do so."""
    return f"Profile {profile} {'has not measured this yet.' if wanted else 'does not measure this; laptop does.'}"


def clients_by_norm(federated: Mapping[str, Adapted], centralised: Mapping[str, Adapted]) -> str:
    """Says which of two norms loses more by clients, of models after FedAvg and after pooled training, by norm."""
    added = {norm: one.less(centralised[norm]) for norm, one in federated.items()}
    (first, one), (second, other) = added.items()
    more = one.less(other).mean.estimate()
    told = (
        f"With {first} clients cost more than with {second}."
        if more.low > 0
        else f"With {second} clients cost more than with {first}."
        if more.high < 0
        else "With which norm clients cost more, these numbers do not tell."
    )
    seeds = len(one.errors)
    return (
        f"Clients add to the WER of the pooled model {points(one.mean.estimate())} with {first} and "
        f"{points(other.mean.estimate())} with {second}. The difference is {points(more)}, over "
        + (
            f"{seeds} seeds and {len(one.words)} speakers. {told}"
            if seeds > 1
            else f"{len(one.words)} speakers. {told}"
        )
        + (" With one training of each norm that is said of these two models alone." if seeds == 1 else "")
    )


def by_lot(drawn: Floats, ambient: Floats, critical: Floats) -> str:
    """Says how random layers compare with the ranking's ends: WERs `drawn` [seeds, draws], the others [seeds]."""
    spread = float(np.sqrt(drawn.var(1, ddof=1).mean()))
    worse, better = int((drawn > ambient[:, None]).sum()), int((drawn < critical[:, None]).sum())
    return (
        f"Standard deviation over the draws of a seed {100 * spread:.1f} points. Of {drawn.size} draws {worse} have a "
        f"higher WER than the ambient layers of their seed, and {better} a lower one than the critical layers."
    )


def _share(value: float) -> str:
    return minus_signs(f"{100 * value:.1f} %")


def _signed(value: float) -> str:
    return minus_signs(f"{value:+.2f}")
