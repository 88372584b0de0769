"""The signature through training: how far every weight matrix had moved, at the step of a slider."""

from __future__ import annotations

import ipywidgets

from paper_lib.figures.signatures import signature_maps
from paper_lib.figures.style import show
from paper_lib.layers.matrices import MATRICES
from paper_lib.layers.signature import signature
from paper_lib.widgets.parts import LABELLED, Panel, Status, styled
from paper_lib.widgets.shipped import ShippedModel


class SignaturePanel(Panel):
    """Choose a step of the training that made the model."""

    def __init__(self, shipped: ShippedModel) -> None:
        self.training = shipped.training
        steps = shipped.training["distance_steps"]
        self.step = ipywidgets.SelectionSlider(
            options=steps, value=steps[-1], description="Step", continuous_update=False, **LABELLED
        )
        self.step.layout.width = "32em"
        self.status = Status()
        self.map = ipywidgets.HTML()
        self.step.observe(lambda _: self._draw(), "value")
        self.view = ipywidgets.VBox([self.step, self.status, self.map])
        self._draw()

    def _draw(self) -> None:
        values = signature(self.training, MATRICES, self.step.value)
        matrix, layer = divmod(int(values.argmin()), values.shape[1])
        shown = show(
            signature_maps({f"step {self.step.value}": values}, MATRICES),
            caption="Distance of every weight matrix from its initial value, over that of the farthest layer.",
            alt=f"Heat map of the signature of {len(MATRICES)} matrices in {values.shape[1]} layers.",
        )
        self.map.value = styled(shown)
        self.status.tell(
            f"Moved least, beside the farthest of its kind: {MATRICES[matrix]} of layer {layer + 1} "
            f"({values.min():.2f})."
        )
