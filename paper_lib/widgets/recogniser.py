"""A trained model that recognises one utterance intact and with each of its layers reset, in one pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from paper_lib.conformer.decoding import greedy_decode
from paper_lib.conformer.layer import ConformerLayer
from paper_lib.corpus.features import log_mel
from paper_lib.layers.reset_sweep import replacements
from paper_lib.layers.side_by_side import encode_variants
from paper_lib.layers.variants import Kind, Module, Variant
from paper_lib.settings import ResetSettings
from paper_lib.threads import one_thread
from paper_lib.widgets.shipped import ShippedModel


@dataclass(frozen=True)
class Recognition:
    """What was recognised, and how long that took."""

    intact: str
    resets: Sequence[str]  # by layer, from the first
    seconds: float


class Recogniser:
    """Holds the layers that take the trained ones' places: each is made once."""

    def __init__(self, shipped: ShippedModel) -> None:
        self.model, self.tokenizer = shipped.model, shipped.tokenizer
        self._resets: dict[Variant, ConformerLayer] = {}
        for unit in ("layer", "module"):
            settings = ResetSettings.model_validate({"unit": unit, "draws": 1})
            self._resets |= replacements(shipped.model, shipped.initial, settings, shipped.run.seed)

    @torch.inference_mode()
    def recognise(self, waveform: NDArray[np.float32], kind: Kind, module: Module | None = None) -> Recognition:
        """Returns what the model makes of `waveform` [samples] at 16 kHz, and with `module` (or all) of a layer reset.

        Re-randomised is by the first draw of the reset sweeps.
        """
        began = time.perf_counter()
        resets = [{v.layer: reset} for v, reset in self._resets.items() if v.kind == kind and v.module == module]
        features = torch.from_numpy(log_mel(waveform))[None]
        with one_thread():
            stack = encode_variants(self.model, [{}, *resets], features, torch.tensor([features.shape[1]]))
            intact, *others = (self.tokenizer.decode(ids) for ids in greedy_decode(self.model, stack.x, stack.frames))
        return Recognition(intact, others, time.perf_counter() - began)
