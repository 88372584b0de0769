"""Claims beyond the paper: that layers can be ranked without ablations, which the slides ask and do not answer.

All are judged at fixed depth: by what a reading tells of a layer beyond where the layer stands.
"""

from __future__ import annotations

from collections.abc import Sequence

from paper_lib.claims import Claim, Finding, Part, conclude, p_text, tested
from paper_lib.inference import Floats
from paper_lib.layers.agreement import association
from paper_lib.layers.cheap_ranks import CHEAP, SIGNATURE, Quantity, Ranked

_STATISTIC = (
    "Spearman's ρ over layers, at fixed depth (less what a parabola in depth tells of both), between {} and the WER "
    "change by re-initialisation of the layer, mean over trainings; layers shuffled in all trainings alike"
)
_PART = "ρ at fixed depth is above 0"

SIGNATURE_RANKS = Claim(
    id="signature-ranks-layers",
    slide="",
    chapter="cheaper_ranks",
    figure="rank-against-cost",
    statement="The numerical signature ranks layers as their resets do, beyond what depth tells.",
    statistic=_STATISTIC.format("a layer's signature, mean over its weight matrices,"),
    part=_PART,
    parts="over the trainings of size S",
    records="trainings of size S and their reset sweeps",
)
PROBES_RANK = Claim(
    id="probes-rank-layers",
    slide="",
    chapter="cheaper_ranks",
    figure="rank-against-cost",
    statement=(
        f"Probes that cost less than {CHEAP:g} evaluations rank layers as their resets do, beyond what depth tells."
    ),
    statistic=_STATISTIC.format("the probe of a layer"),
    part=_PART,
    parts="for each such probe: block influence, gradient norm, Fisher information",
    records="probes and reset sweeps of the trainings of size S",
)
CLIENTS_RANK = Claim(
    id="client-updates-rank-layers",
    slide="",
    chapter="cheaper_ranks",
    figure="rank-against-cost",
    statement="What a server sees of its clients' updates ranks layers as their resets do, beyond what depth tells.",
    statistic=_STATISTIC.format("what is seen of a layer"),
    part=_PART,
    parts="for the norm of the updates and for their agreement",
    records="adaptations without dropout and reset sweeps of the clients' models",
)
CLAIMS = (SIGNATURE_RANKS, PROBES_RANK, CLIENTS_RANK)


def judge(
    quantities: Sequence[Quantity], harm: Floats, clients: Sequence[Quantity], clients_harm: Floats | None
) -> list[Finding]:
    """Returns the findings on all claims; without `clients`, none on theirs.

    `quantities` are those of the trainings whose layers' resets do `harm` [trainings, layers], and `clients` those of
    the adaptations whose models' layers do `clients_harm`.
    """
    signatures = [quantity for quantity in quantities if quantity.name == SIGNATURE]
    probes = [quantity for quantity in quantities if quantity.source == "probe" and quantity.is_cheap]
    found = [ranks(SIGNATURE_RANKS, signatures, harm), ranks(PROBES_RANK, probes, harm)]
    return found if clients_harm is None else [*found, ranks(CLIENTS_RANK, clients, clients_harm)]


def best_cheap(ranked: Sequence[Ranked]) -> Ranked:
    """Returns, of what costs less than CHEAP evaluations, what goes best with harm at fixed depth."""
    cheap = [one for one in ranked if one.quantity.is_cheap and one.quantity.source != "depth"]
    return max(cheap, key=lambda one: one.given_depth)


def ranks(claim: Claim, quantities: Sequence[Quantity], harm: Floats) -> Finding:
    """Judges that each of `quantities` ranks layers as `harm` [trainings, layers] does, at fixed depth."""
    evidence: list[str] = []
    parts: dict[str, Part] = {}
    for quantity in quantities:
        rho, p = association(quantity.values, harm, given_depth=True)
        plain, _ = association(quantity.values, harm)
        evidence.append(f"{quantity.name}: ρ {rho:.2f} at fixed depth, {p_text(p)}; plain {plain:.2f}")
        parts[quantity.name] = tested(p, association(quantity.values, -harm, given_depth=True)[1], "more layers")
    return conclude(claim, evidence, parts)
