"""The claim on clients of the slide "Batch Normalization vs Group Normalization", judged from adaptations.

The slide refers to Hsieh et al. (2019): where clients are unlike each other, BatchNorm loses by being trained on them,
for its statistics are those of one client at a time, and GroupNorm does not. A norm may be better or worse without any
client; so what counts is the WER that federation adds to the same training on the clients' pooled speech.
"""

from __future__ import annotations

from collections.abc import Mapping

from paper_lib.claims import Claim, Finding, conclude, points
from paper_lib.claims.federated_dropout import beyond
from paper_lib.federated.comparison import Adapted

GROUP_NORM_SUITS_CLIENTS = Claim(
    id="group-norm-suits-clients",
    slide="Batch Normalization vs Group Normalization",
    chapter="human_speech",
    figure="norms-by-round",
    statement="Group Normalization is ideal for federated learning.",
    statistic=(
        "WER that FedAvg adds to the pooled reference, with BatchNorm less with GroupNorm (difference of differences), "
        "paired by seed and speaker"
    ),
    part="FedAvg adds more WER with BatchNorm than with GroupNorm",
    parts="on average over seeds",
    records="adaptations of the models with either norm, federated and pooled",
)
CLAIMS = (GROUP_NORM_SUITS_CLIENTS,)


def judge(federated: Mapping[str, Adapted], centralised: Mapping[str, Adapted]) -> list[Finding]:
    """Returns the finding on the claim from the word errors after FedAvg and after pooled training.

    Both are by the name of the norm: BatchNorm, and one GroupNorm.
    """
    added = {norm: one.less(centralised[norm]) for norm, one in federated.items()}
    batch, group = "BatchNorm", next(norm for norm in added if norm != "BatchNorm")
    more = added[batch].less(added[group])
    name = f"{batch} − {group}"
    evidence = {f"FedAvg − pooled, {norm}": one for norm, one in added.items()} | {name: more}
    told = [f"{what}: {points(one.mean.estimate())}" for what, one in evidence.items()]
    return [conclude(GROUP_NORM_SUITS_CLIENTS, told, {name: beyond(more)})]
