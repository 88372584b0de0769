"""A small federated run with a plan of the reader's own: WER round by round, until the last one or the stop button."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial

import ipywidgets
import torch

from paper_lib.conformer.decoding import transcribe
from paper_lib.conformer.sizes import count_parameters
from paper_lib.corpus import open_corpus
from paper_lib.corpus.batches import Item, evaluation_batches
from paper_lib.evaluation import wer
from paper_lib.explorers.planner import HIGHEST, PRESETS, STEP
from paper_lib.federated.accounting import dropped_parameters
from paper_lib.federated.algorithm import federated_dropout
from paper_lib.federated.averaging import ServerState
from paper_lib.federated.clients import Client, clients_of, sample
from paper_lib.federated.dropout import Mask, sub_model
from paper_lib.federated.quantisation import FLOAT_BYTES
from paper_lib.figures.federated import own_curves
from paper_lib.figures.style import show
from paper_lib.figures.tables import table
from paper_lib.profiles import profile_of
from paper_lib.settings import DropoutPlan, SyntheticSettings
from paper_lib.threads import one_thread
from paper_lib.widgets.parts import LABELLED, Panel, Status, styled
from paper_lib.widgets.shipped import ShippedModel

SENTENCES = 60  # that the WER is measured on


class FederatedPanel(Panel):
    """Set what each layer drops, start, watch. Runs stay for comparison until they are cleared.

    Clients are speakers of voice commands, the domain that the model was not trained on. The rounds run in a thread of
    their own, so that the stop button answers.
    """

    def __init__(self, shipped: ShippedModel) -> None:
        self.shipped = shipped
        self.rates = [
            ipywidgets.IntSlider(
                value=0, min=0, max=HIGHEST, step=STEP, description=f"Layer {layer + 1}, % dropped", **LABELLED
            )
            for layer in range(shipped.run.model.encoder.layers)
        ]
        self.presets = [ipywidgets.Button(description=name) for name in PRESETS]
        self.rounds = ipywidgets.IntSlider(value=12, min=1, max=40, description="Rounds", **LABELLED)
        self.start = ipywidgets.Button(description="Start", button_style="primary")
        self.stop = ipywidgets.Button(description="Stop", disabled=True)
        self.clear = ipywidgets.Button(description="Forget the runs")
        self.saved = ipywidgets.HTML()
        self.status = Status()
        self.result = ipywidgets.HTML()
        self.runs: dict[str, dict[int, float]] = {}  # WER by the number of rounds, by the label of a run
        self.thread = threading.Thread()
        self._stopped = threading.Event()
        self._speech: tuple[list[Client], list[list[Item]]] | None = None
        for preset in self.presets:
            preset.on_click(lambda button: self._set_all(PRESETS[button.description]))
        for slider in self.rates:
            slider.observe(lambda _: self._account(), "value")
        self.start.on_click(lambda _: self._start())
        self.stop.on_click(lambda _: self._stop())
        self.clear.on_click(lambda _: self._forget())
        wrapped = partial(ipywidgets.HBox, layout={"flex_flow": "row wrap"})
        self.view = ipywidgets.VBox(
            [
                wrapped(self.presets),
                wrapped(self.rates),
                self.saved,
                wrapped([self.rounds, self.start, self.stop, self.clear]),
                self.status,
                self.result,
            ]
        )
        self._account()

    @property
    def plan(self) -> DropoutPlan:
        """What the sliders say."""
        rates = {layer: slider.value / 100 for layer, slider in enumerate(self.rates, 1) if slider.value}
        return DropoutPlan(name="own", rates=rates)

    def _set_all(self, rate: int) -> None:
        for slider in self.rates:
            slider.value = rate

    def _account(self) -> None:
        settings = self.shipped.run.model
        total, dropped = count_parameters(settings).total, dropped_parameters(self.plan, settings)
        self.saved.value = (
            f"A client does without {dropped:,} of {total:,} parameters ({100 * dropped / total:.1f} %) and receives "
            f"{FLOAT_BYTES * (total - dropped) / 1e6:.2f} MB a round."
        )

    def _start(self) -> None:
        self._stopped.clear()
        self._running(True)
        plan, rounds = self.plan, self.rounds.value
        label = f"{len(self.runs) + 1}: " + "/".join(str(slider.value) for slider in self.rates)
        self.thread = threading.Thread(target=self._run, args=(label, plan, rounds), daemon=True)
        self.thread.start()

    def _running(self, running: bool) -> None:
        self.start.disabled = self.clear.disabled = running
        self.stop.disabled = not running

    def _stop(self) -> None:
        self._stopped.set()
        self.status.tell("Stops after this round …")

    def _forget(self) -> None:
        self.runs = {}
        self._draw()

    def _run(self, label: str, plan: DropoutPlan, rounds: int) -> None:
        try:
            with self.status.refusing():
                self._adapt(label, plan, rounds)
        finally:
            self._running(False)

    def _adapt(self, label: str, plan: DropoutPlan, rounds: int) -> None:
        began = time.perf_counter()
        self.status.tell("The clients' sentences are spoken …")
        clients, sentences = self._spoken()
        model_settings = self.shipped.run.model
        settings = profile_of("quick").adaptation.federated.model_copy(update={"rounds": rounds})
        algorithm = federated_dropout(settings, plan, model_settings, self.shipped.tokenizer)
        state = algorithm.init(self.shipped.model)
        measured = self.runs[label] = {}
        sent = 0
        for round_ in range(rounds + 1):
            measured[round_] = self._measure(state, sentences)
            self._draw()
            self.status.tell(
                f"Round {round_} of {rounds}: WER {100 * measured[round_]:.1f} %, {sent / 1e6:.1f} MB sent, "
                f"{time.perf_counter() - began:.0f} s."
            )
            if round_ == rounds or self._stopped.is_set():
                break
            state, report = algorithm.apply(state, [clients[k] for k in sample(settings, len(clients), round_)])
            sent += report.bytes_down + report.bytes_up
        ended = "Stopped" if round_ < rounds else "Done"
        self.status.tell(
            f"{ended} after {round_} rounds: WER {100 * measured[0]:.1f} → {100 * measured[round_]:.1f} %, "
            f"{sent / 1e6:.1f} MB sent, {time.perf_counter() - began:.0f} s."
        )

    def _spoken(self) -> tuple[list[Client], list[list[Item]]]:
        if self._speech is None:
            corpus = open_corpus(spoken_commands(self.shipped))
            self._speech = clients_of(corpus, "train"), evaluation_batches(corpus, "dev", 3000)
        return self._speech

    def _measure(self, state: ServerState, sentences: Sequence[Sequence[Item]]) -> float:
        with one_thread():
            model = sub_model(self.shipped.run.model, Mask({}))
            model.load_state_dict(state.model, assign=True)
            return wer(transcribe(model, sentences, self.shipped.tokenizer, torch.device("cpu")))

    def _draw(self) -> None:
        if not self.runs:
            self.result.value = ""
            return
        figure = show(
            own_curves(self.runs),
            caption=f"WER on {SENTENCES} new voice commands. A run is called by the per cent that its layers drop.",
            alt="The WER of every run by rounds; the table below has the last values.",
        )
        rows = [
            (label, len(run) - 1, f"{100 * run[0]:.1f}", f"{100 * list(run.values())[-1]:.1f}")
            for label, run in self.runs.items()
        ]
        last = table(
            rows,
            ["Run", "Rounds", "WER before, %", "WER now, %"],
            "One run of one seed on few sentences: differences of some points are noise. The chapter compares plans "
            "with five seeds and intervals.",
        )
        self.result.value = styled(figure, last)


def spoken_commands(shipped: ShippedModel) -> SyntheticSettings:
    """Returns a small corpus of voice commands: 24 clients of some 14 utterances, and what measures the WER."""
    corpus = shipped.run.corpus
    assert isinstance(corpus, SyntheticSettings)
    return corpus.model_copy(
        update={
            "domains": {"short_form": 1.0},
            "evaluation_domains": None,
            "utterances": {"train": 336, "dev": SENTENCES},
            "speakers": {"train": 24, "dev": 24},
        }
    )
