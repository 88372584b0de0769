"""What the clients' updates of a round look like, encoder layer by encoder layer: how large, and how far they agree.

With the update u[k] of client k, scattered into the full model, and the client's weight w[k] in the server's mean,

    norm            sum_k w[k] ‖u[k]‖ / sum_k w[k]
    disagreement    1 - sum_c W[c] ū[c]² / sum_c sum_k w[k] u[k, c]²

per layer, over the layer's coordinates c. ū[c] is the mean over the clients that trained c, and W[c] the sum of their
weights: a client counts for the coordinates that it trained and for no other. Where all clients train all coordinates
this is 1 - ‖mean update‖² / mean(‖update‖²). It is 0 where the clients agree and 1 where they cancel; n clients with
independent updates of one size have 1 - 1/n. A coordinate that one client alone trained adds no disagreement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from paper_lib.federated.averaging import CoordinateMean, Weights
from paper_lib.layers.variants import name_of


class LayerUpdates:
    """Running sums over the clients of a round, beside those of a `CoordinateMean`, for a model of `layers` layers."""

    def __init__(self, layers: int) -> None:
        self.prefixes = [f"encoder.{name_of(layer)}." for layer in range(1, layers + 1)]
        self.weight = 0.0
        self.sums = torch.zeros(layers, dtype=torch.float64)  # of the norms, weighted
        self.squares = torch.zeros(layers, dtype=torch.float64)  # of the norms' squares, weighted

    def add(self, update: Weights, weight: float) -> None:
        """Adds one client's `update`, of its sub-model or scattered, which has the same norms."""
        by_layer = [nn.utils.get_total_norm(tensors) for tensors in self._by_layer(update)]
        norms = torch.stack(by_layer).to(self.sums)
        self.weight += weight
        self.sums += weight * norms
        self.squares += weight * norms.square()

    def norms(self) -> tuple[float, ...]:
        """Returns the mean norm of the clients' updates by layer, to four digits; nothing where no client answered."""
        return tuple(float(f"{value:.4g}") for value in (self.sums / self.weight).tolist()) if self.weight else ()

    def disagreements(self, mean: CoordinateMean) -> tuple[float, ...]:
        """Returns the disagreement by layer, to four decimals; `mean` is of the same updates, scattered."""
        if not self.weight:
            return ()
        agreed = {name: total.square() / mean.weight[name].clamp(min=1e-12) for name, total in mean.total.items()}
        shared = torch.stack(
            [
                # A layer that is not trained has no updates.
                torch.stack([tensor.sum(dtype=torch.float64) for tensor in of]).sum() if of else torch.tensor(0.0)
                for of in self._by_layer(agreed)
            ]
        ).to(self.squares)
        # Where nothing moved, nobody disagrees.
        values = torch.where(self.squares > 0, 1 - shared / self.squares, 0.0)
        return tuple(round(max(0.0, value), 4) for value in values.tolist())

    def _by_layer(self, tensors: Mapping[str, Tensor]) -> list[Sequence[Tensor]]:
        return [[tensor for name, tensor in tensors.items() if name.startswith(prefix)] for prefix in self.prefixes]
