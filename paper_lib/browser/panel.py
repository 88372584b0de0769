"""The part of a page that a reader speaks to: it loads the recogniser when asked, and recognises while one waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paper_lib.browser.sentences import Prepared
from paper_lib.browser.synthesis import typing_of
from paper_lib.explorers.parts import explorer, select
from paper_lib.figures.download import Row
from paper_lib.figures.markup import Markup
from paper_lib.figures.sound import player
from paper_lib.layers.variants import KINDS
from paper_lib.widgets.shipped import ShippedModel

# Where the scripts lie, seen from the pages of the book.
SCRIPT, SYNTHESISER = "../recogniser/recogniser.js", "../recogniser/synthesiser.js"
EACH = "each in turn"


def speak_panel(
    prepared: Mapping[str, Sequence[Prepared]],
    models: Mapping[str, ShippedModel],
    labels: Mapping[str, str],
    layer: int,
    sizes: tuple[int, int],
    *,
    caption: str,
    name: str = "recogniser",
) -> Markup:
    """Returns the panel; `prepared` are by the model's name in the script, `labels` tell a reader what the models are.

    It begins with `layer`, from 1. `sizes` are those of the recogniser's and the synthesiser's scripts in bytes, which
    the page tells before it loads them. Without JavaScript the page plays the first sentence.
    """
    size, of_synthesiser = (f"{bytes_ / 1e6:.1f} MB" for bytes_ in sizes)
    layers = next(iter(models.values())).run.model.encoder.layers
    data = {
        "script": SCRIPT,
        "synthesiser": SYNTHESISER,
        "kinds": KINDS,
        "layer": layer - 1,
        "models": {
            model: {"sentences": [{"text": p.text, "voice": p.voice} for p in of_model], **typing_of(models[model])}
            for model, of_model in prepared.items()
        },
    }
    sounds = "".join(
        f'<div class="utterance"{"" if model == next(iter(prepared)) and place == 0 else " hidden"}>'
        f"{player(p.waveform, f'“{p.text}”, {p.voice}').html}</div>"
        for model, of_model in prepared.items()
        for place, p in enumerate(of_model)
    )
    choices = [str(number) for number in range(1, layers + 1)]
    menus = {
        "layer": select("Layer", "layer", [*choices, EACH]),
        "kind": select("Reset", "kind", KINDS),
        "model": select("Model", "model", list(labels.values())),
        "sentence": select("Sentence", "sentence", []),
        "voice": select("Voice", "voice", []),
        "speaker": select("By", "speaker", []),
    }
    body = (
        f'<p><button type="button" data-do="load">Load the recogniser ({size})</button></p>'
        f'<div class="controls">{menus["model"]}{menus["sentence"]}{menus["voice"]}</div>{sounds}'
        '<div class="utterance own" hidden><audio controls style="width: 100%"></audio></div>'
        '<form class="controls"><label class="typed">Type a sentence <input type="text" autocomplete="off"></label>'
        f'{menus["speaker"]}<button type="submit" data-size="{of_synthesiser}">Say it</button></form>'
        '<div class="controls"><button type="button" data-do="record" aria-pressed="false">Speak yourself</button>'
        '<label>A recording <input type="file" accept="audio/*,.flac,.ogg,.wav,.mp3"></label></div>'
        f'<div class="controls">{menus["kind"]}{menus["layer"]}</div>'
        '<p role="status" data-fact="status"></p>'
        '<dl class="provenance transcripts" aria-live="polite"></dl>'
    )
    return explorer("panel", body, data, caption, name, _rows(prepared, labels), package=__package__)


def _rows(prepared: Mapping[str, Sequence[Prepared]], labels: Mapping[str, str]) -> list[Row]:
    """Returns what the library makes of every prepared sentence."""
    rows: list[Row] = []
    for model, of_model in prepared.items():
        for p in of_model:
            heard = [("intact", "none", p.intact)]
            heard += [(str(k), kind, text) for kind, texts in p.resets.items() for k, text in enumerate(texts, 1)]
            rows += [
                {"model": labels[model], "voice": p.voice, "layer": k, "reset": kind, "said": p.text, "heard": text}
                for k, kind, text in heard
            ]
    return rows
