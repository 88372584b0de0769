"""What a server sees of its clients' updates, as readings of layers: their norms, and how far they agree.

Both come with the rounds, whatever they are for; per-layer norms of updates are also what clips them by layer (Pelikan
et al. 2023, arXiv 2310.00098). See `updates` for the definitions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paper_lib.federated.comparison import updates_of
from paper_lib.inference import Floats
from paper_lib.layers.cheap_ranks import Early, Quantity, early

NORM, AGREEMENT = "norm of updates", "agreement of clients"


def client_quantities(results: Sequence[Mapping[str, Any]]) -> list[Quantity]:
    """Returns both readings, means over all rounds of the adaptations of `results`, [adaptations, layers].

    A layer should matter where clients move it far, and where they agree: there is something in common to learn.
    """
    norms, disagreements = (updates_of(results, kind) for kind in ("update_norms", "disagreements"))
    return [Quantity(NORM, "clients", norms), Quantity(AGREEMENT, "clients", 1 - disagreements)]


def early_clients(results: Sequence[Mapping[str, Any]], harm: Floats) -> list[Early]:
    """Returns how both go with `harm` [adaptations, layers] after 1, 2, 4, 8, ... rounds, and after all of them."""
    answered = [[report for report in result["reports"] if report["update_norms"]] for result in results]
    most = min(map(len, answered))
    times = sorted({*(2**power for power in range(most.bit_length())), most} - {0})
    until = [client_quantities([{"reports": reports[:time]} for reports in answered]) for time in times]
    return [
        early(of_time[0].name, times, np.stack([one.values for one in of_time], axis=1), harm)
        for of_time in zip(*until, strict=True)
    ]
