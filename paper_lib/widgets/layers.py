"""Layer by layer: each layer, or each module of it, is reset, and the WER measured on test sentences."""

from __future__ import annotations

import time

import ipywidgets
import torch

from paper_lib.corpus import open_corpus
from paper_lib.corpus.batches import evaluation_batches
from paper_lib.figures.resets import change_intervals
from paper_lib.figures.style import show
from paper_lib.figures.tables import percent, table
from paper_lib.layers.ranking import MARGIN, LayerEffect, intact_wer, layer_effects
from paper_lib.layers.reset_sweep import reset_sweep
from paper_lib.layers.sweeps import Sweeps
from paper_lib.settings import ResetSettings, SyntheticSettings
from paper_lib.threads import one_thread
from paper_lib.widgets.parts import LABELLED, Panel, Status, menu, styled
from paper_lib.widgets.shipped import ShippedModel

MOST_SENTENCES = 200


class LayersPanel(Panel):
    """Choose how many test sentences, and whether layers or modules are reset."""

    def __init__(self, shipped: ShippedModel) -> None:
        self.shipped = shipped
        self.sentences = ipywidgets.IntSlider(
            value=40, min=20, max=MOST_SENTENCES, step=20, description="Test sentences", **LABELLED
        )
        self.unit = menu("Reset one", [("layer", "layer"), ("module of a layer", "module")])
        self.measure = ipywidgets.Button(description="Measure", button_style="primary")
        self.status = Status()
        self.result = ipywidgets.HTML()
        self.effects: list[LayerEffect] = []
        self.measure.on_click(lambda _: self._start())
        controls = [self.sentences, self.unit, self.measure]
        self.view = ipywidgets.VBox(
            [ipywidgets.HBox(controls, layout={"flex_flow": "row wrap"}), self.status, self.result]
        )
        self.status.tell("Some seconds, longer with more sentences; the first time they are also spoken.")

    def _start(self) -> None:
        self.measure.disabled = True
        try:
            with self.status.refusing():
                self._measure()
        finally:
            self.measure.disabled = False

    def _measure(self) -> None:
        count = self.sentences.value
        self.status.tell(f"Recognising {count} sentences, intact and under every reset …")
        began = time.perf_counter()
        settings = ResetSettings(unit=self.unit.value, draws=1 if self.unit.value == "layer" else 0)
        batches = evaluation_batches(open_corpus(spoken_tests(self.shipped)), "test", settings.batch_frames, count)
        with one_thread():
            found = reset_sweep(
                self.shipped.model,
                self.shipped.initial,
                batches,
                self.shipped.tokenizer,
                settings,
                self.shipped.run.seed,
                torch.device("cpu"),
            )
        sweeps = Sweeps.of([found.record()])
        intact = intact_wer(sweeps)
        self.effects = layer_effects(sweeps)
        rows = [
            (
                f"{effect.layer}" + (f", {effect.module}" if effect.module else ""),
                effect.kind,
                percent(effect.wer),
                percent(effect.change, sign=True),
                effect.classification,
            )
            for effect in self.effects
        ]
        shown = []
        if self.unit.value == "layer":
            shown.append(
                show(
                    change_intervals({f"{count} sentences": self.effects}),
                    caption="Change of the WER with its interval; hollow: re-randomised. Grey band: less than "
                    f"{100 * MARGIN:.0f} points.",
                    alt="The WER change of every layer with its interval; the table below has the numbers.",
                )
            )
        numbers = table(
            rows,
            ["Layer", "Reset", "WER, %", "Change, points", "Class"],
            f"Intact WER {percent(intact)} % on {count} new sentences of dictation and telephone speech by known "
            "speakers. 95 % intervals over the speakers; changes simultaneous over the layers. With few speakers most "
            "are unresolved: that is what the intervals say.",
        )
        self.result.value = styled(*shown, numbers)
        self.status.tell(f"{len(self.effects)} resets, {count} sentences: {time.perf_counter() - began:.1f} s.")


def spoken_tests(shipped: ShippedModel) -> SyntheticSettings:
    """Returns a small corpus of new sentences, of the domains and by the speakers that the model was trained on."""
    corpus = shipped.run.corpus
    assert isinstance(corpus, SyntheticSettings)
    assert shipped.run.domains
    return corpus.model_copy(
        update={
            "domains": {domain: corpus.domains[domain] for domain in shipped.run.domains},
            "evaluation_domains": None,
            "utterances": {"test": MOST_SENTENCES},
        }
    )
