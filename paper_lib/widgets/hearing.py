"""What the model hears: a sentence of the reader's own, recognised with each layer or module reset in its turn."""

from __future__ import annotations

from typing import Any

import ipywidgets

from paper_lib.corpus.features import log_mel
from paper_lib.evaluation import word_errors
from paper_lib.explorers.hearing import marked
from paper_lib.figures.markup import Markup, paragraph
from paper_lib.figures.sound import player
from paper_lib.figures.speech import spectrogram
from paper_lib.figures.style import show
from paper_lib.figures.tables import percent, table
from paper_lib.layers.variants import KINDS, MODULES
from paper_lib.widgets.parts import LABELLED, Panel, Status, menu, styled
from paper_lib.widgets.recogniser import Recogniser
from paper_lib.widgets.shipped import ModelCard, ShippedModel
from paper_lib.widgets.speech import MOST_CHARACTERS, Speech, SpeechError, recorded, typed, voices


class HearingPanel(Panel):
    """Type a sentence or upload a recording; choose what is reset; read what the model makes of it, layer by layer.

    It recognises its first sentence at once. A model with a card says what words it knows, and is asked no others.
    """

    def __init__(self, shipped: ShippedModel, text: str = "Good morning Tom, did you get the report?") -> None:
        self.recogniser = Recogniser(shipped)
        self.card = shipped.card
        self.text = ipywidgets.Text(
            value=text,
            description="Sentence",
            placeholder=f"at most {MOST_CHARACTERS} characters",
            continuous_update=False,  # when Enter is pressed, or another control chosen
            **LABELLED,
        )
        self.text.layout.width = "32em"
        self.speaker = menu("Speaker", voices(shipped))
        self.speak = ipywidgets.Button(description="Speak", button_style="primary", tooltip="Speak and recognise")
        self.upload = ipywidgets.FileUpload(description="Upload a recording", accept=".wav,.flac,.ogg,.mp3")
        self.upload.layout = {"width": "auto", "align_self": "flex-start"}
        self.kind = menu("Reset", KINDS)
        self.module = menu("of", [("the whole layer", None), *((module, module) for module in MODULES)])
        self.status = Status()
        self.heard = ipywidgets.HTML()
        self.transcripts = ipywidgets.HTML()
        self.speech: Speech | None = None
        self.speak.on_click(lambda _: self._speak())
        for choice in (self.text, self.speaker):
            choice.observe(lambda _: self._speak(), "value")
        self.upload.observe(lambda change: self._take(change["new"]), "value")
        for choice in (self.kind, self.module):
            choice.observe(lambda _: self._recognise(), "value")
        known = [ipywidgets.HTML(styled(paragraph(*introduced(self.card))))] if self.card else []
        self.view = ipywidgets.VBox(
            [
                *known,
                ipywidgets.HBox([self.text, self.speaker, self.speak], layout={"flex_flow": "row wrap"}),
                self.upload,
                ipywidgets.HBox([self.kind, self.module], layout={"flex_flow": "row wrap"}),
                self.status,
                self.heard,
                self.transcripts,
            ]
        )
        self._speak()

    def _speak(self) -> None:
        with self.status.refusing(SpeechError):
            self._hear(typed(self.text.value, self.speaker.value, self.card.words if self.card else None))

    def _take(self, files: tuple[dict[str, Any], ...]) -> None:
        if files:  # none where the last one was taken away
            with self.status.refusing(SpeechError):
                self._hear(recorded(bytes(files[0]["content"]), files[0]["name"]))

    def _hear(self, speech: Speech) -> None:
        self.speech = speech
        features = log_mel(speech.waveform)
        limits = float(features.min()), float(features.max())
        seen = show(spectrogram(features, limits, width=6), caption="", alt=f"Spectrogram of {speech.label}.")
        self.heard.value = styled(seen, player(speech.waveform, speech.label))
        self._recognise()

    def _recognise(self) -> None:
        if self.speech is None:
            return
        found = self.recogniser.recognise(self.speech.waveform, self.kind.value, self.module.value)
        texts = {"intact": found.intact} | {f"layer {k + 1} reset": text for k, text in enumerate(found.resets)}
        # Of a recording nobody knows what was said: it is compared with what the intact model makes of it.
        reference = found.intact if self.speech.text is None else self.speech.text
        rows: list[tuple[object, ...]] = [("said", Markup(reference, reference), "–")] if self.speech.text else []
        rows += [(name, *_compared(reference, text)) for name, text in texts.items()]
        errors = "Word errors" if self.speech.text else "Words unlike the intact"
        part = self.module.label if self.module.value else "whole layer"
        caption = f"{self.speech.label}: {self.kind.value} of one {part} at a time."
        self.transcripts.value = styled(table(rows, ["Model", "Transcript", errors], caption))
        self.status.tell(
            f"{self.speech.seconds:.1f} s of speech, recognised {len(texts)} times in {found.seconds:.2f} s."
        )


def introduced(card: ModelCard) -> tuple[str, str, str]:
    """Returns what a model of people knows, how well it understands people, and whose recordings it learnt from."""
    return (
        f"It knows {len(card.words)} words: {', '.join(card.words)}.",
        f"WER on the {card.test_people} people of the test, whom it never heard: {percent(card.test_wer)} % "
        f"(95 % interval over people; {card.test_words:,} words).",
        f"{card.credit}.",
    )


def _compared(reference: str, text: str) -> tuple[Markup, int]:
    """Returns `text` with its marks, and in how many words it differs."""
    if not reference.split():  # nothing that words could be compared with
        return Markup(f"<ins>{text}</ins>" if text else "<em>nothing</em>", text), len(text.split())
    return Markup(marked(reference, text) or "<em>nothing</em>", text), word_errors(reference, text)
