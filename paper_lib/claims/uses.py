"""The uses that the slide "Motivation" names, judged from models in few bits and from adaptations by clients.

The slides promise them and measure one, Federated Dropout, whose claims are in `federated_dropout`. Choices are
compared at equal bytes, or at equal parameters trained. The claims of BEYOND are ours and no slide's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paper_lib.claims import Claim, Finding, conclude, points
from paper_lib.claims.federated_dropout import SAME, beyond
from paper_lib.federated.comparison import Adapted

SLIDE = "Motivation"
_PAIRED = "difference of the WERs on the held-out domain, paired by seed and speaker"

TRAIN_MOST_IMPORTANT = Claim(
    id="train-most-important",
    slide=SLIDE,
    chapter="uses",
    figure="uses-costs",
    statement="Only train the most important layers.",
    statistic=f"{_PAIRED}: a quarter of the layers trained alone, at equal parameters",
    part="The ambient layers trained alone, and the random ones, give a higher WER than the critical ones",
    parts="each on average over seeds",
    records="adaptations in which clients train those layers alone",
)
COMPRESS_LEAST_IMPORTANT = Claim(
    id="compress-least-important",
    slide=SLIDE,
    chapter="uses",
    figure="uses-bits",
    statement="Target compression techniques to the least important layers.",
    statistic=(
        "WER of models of size S after training with half of their layers in 2 bits and half in 6, or all in 4, paired "
        "by training and speaker"
    ),
    part=(
        "2 bits in the critical half, 2 bits in a half by lot, and 4 bits in every layer, give a higher WER than 2 "
        "bits in the ambient half"
    ),
    parts="each on average over trainings",
    records="models of size S in few bits",
)
BITS_BY_IMPORTANCE = Claim(
    id="bits-by-importance",
    slide=SLIDE,
    chapter="uses",
    figure="uses-costs",
    statement="Transport compression: allocate the bit budget by each layer's importance.",
    statistic=f"{_PAIRED}, at equal bytes down and up",
    part="4 bits in every layer, and 2 in the critical half, give a higher WER than 2 bits in the ambient half",
    parts="each on average over seeds",
    records="adaptations in which weights and updates are sent in few bits",
)
CLAIMS = (TRAIN_MOST_IMPORTANT, COMPRESS_LEAST_IMPORTANT, BITS_BY_IMPORTANCE)

PLANNED_BY_THE_SERVER = Claim(
    id="planned-by-the-server",
    slide="",
    chapter="uses",
    figure="uses-costs",
    statement="A plan from what the server sees in the first rounds does as well as one from ablations.",
    statistic=f"{_PAIRED}, against a margin of {100 * SAME:.0f} % of the WER by the plan from resets (non-inferiority)",
    part="The plan's WER is less than that margin above the WER by the plan from resets",
    parts="on average over seeds",
    records="adaptations with three layers at 50 %",
)
PLANNED_BY_SIGNATURE = Claim(
    id="planned-by-signature",
    slide="",
    chapter="uses",
    figure="uses-costs",
    statement="A plan from the numerical signature does as well as one from ablations.",
    statistic=PLANNED_BY_THE_SERVER.statistic,
    part=PLANNED_BY_THE_SERVER.part,
    parts=PLANNED_BY_THE_SERVER.parts,
    records=PLANNED_BY_THE_SERVER.records,
)
BEYOND = (PLANNED_BY_THE_SERVER, PLANNED_BY_SIGNATURE)

# By claim, the choices that should give more WER, and the one that should give less.
_WORSE: tuple[tuple[Claim, tuple[str, ...], str], ...] = (
    (TRAIN_MOST_IMPORTANT, ("ambient", "random"), "critical"),
    (COMPRESS_LEAST_IMPORTANT, ("crit-low", "lot-low", "uniform-4"), "amb-low"),
    (BITS_BY_IMPORTANCE, ("uniform-4", "crit-low"), "amb-low"),
)
_AS_GOOD = ((PLANNED_BY_THE_SERVER, "updates-3"), (PLANNED_BY_SIGNATURE, "signature-3"))


def judge(
    quantised: Mapping[str, Adapted],
    bits: Mapping[str, Adapted],
    trained: Mapping[str, Adapted],
) -> list[Finding]:
    """Returns the findings on CLAIMS: from word errors by the name of a choice.

    After training, models `quantised`; in the rounds, `bits` and layers `trained`. Where those were not measured, which
    a claim is about, there is no finding on it.
    """
    sources = (trained, quantised, bits)
    return [
        _worse(claim, worse, better, heard)
        for (claim, worse, better), heard in zip(_WORSE, sources, strict=True)
        if {*worse, better} <= heard.keys()
    ]


def judge_beyond(dropped: Mapping[str, Adapted]) -> list[Finding]:
    """Returns the findings on BEYOND from the word errors after Federated Dropout by the name of the plan."""
    return [_as_good(claim, dropped, name) for claim, name in _AS_GOOD if {name, "amb-3"} <= dropped.keys()]


def _worse(claim: Claim, worse: Sequence[str], better: str, heard: Mapping[str, Adapted]) -> Finding:
    differences = {f"{name} − {better}": heard[name].less(heard[better]) for name in worse}
    evidence = [f"{name}: {points(one.mean.estimate())}" for name, one in differences.items()]
    return conclude(claim, evidence, {name: beyond(one) for name, one in differences.items()})


def _as_good(claim: Claim, heard: Mapping[str, Adapted], name: str) -> Finding:
    by_resets = heard["amb-3"]
    difference = by_resets.less(heard[name])
    evidence = [
        f"amb-3: {100 * by_resets.mean.value:.1f} %",
        f"{name} − amb-3: {points(heard[name].less(by_resets).mean.estimate())}",
    ]
    part = beyond(difference, -SAME * by_resets.mean.value)
    return conclude(claim, evidence, {f"amb-3 + margin − {name}": part})
