"""What the model hears: an utterance to listen to, and its transcripts with the model intact and with a layer reset."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jiwer
import numpy as np
from numpy.typing import NDArray

from paper_lib.corpus.features import log_mel
from paper_lib.explorers.parts import explorer, select
from paper_lib.figures.download import Row
from paper_lib.figures.markup import Markup
from paper_lib.figures.sound import player
from paper_lib.figures.speech import spectrogram
from paper_lib.figures.style import show
from paper_lib.layers.variants import KINDS


@dataclass(frozen=True)
class HeardUtterance:
    """One test utterance, and what every model makes of it."""

    reference: str
    speaker: str
    waveform: NDArray[np.float32]  # [samples] at 16 kHz


def hearing(
    utterances: Sequence[HeardUtterance],
    transcripts: Mapping[str, Mapping[str, Any]],
    *,
    caption: str,
    name: str = "hearing",
) -> Markup:
    """Returns the explorer; `transcripts` are the results of records by model size, of these utterances in order.

    Without JavaScript the page plays the sounds and shows the references.
    """
    data = {
        "kinds": KINDS,
        "models": [
            {
                "intact": [marked(u.reference, text) for u, text in zip(utterances, result["intact"], strict=True)],
                # By kind, then by layer, then by utterance.
                "resets": [
                    [
                        [marked(u.reference, text) for u, text in zip(utterances, reset["texts"], strict=True)]
                        for reset in sorted(result["resets"], key=lambda reset: reset["layer"])
                        if reset["kind"] == kind
                    ]
                    for kind in KINDS
                ],
            }
            for result in transcripts.values()
        ],
    }
    features = [log_mel(utterance.waveform) for utterance in utterances]
    limits = float(np.quantile(np.concatenate(features), 0.02)), float(np.max([f.max() for f in features]))
    cards = "".join(
        f'<div class="utterance"{"" if place == 0 else " hidden"}>'
        f"{show(spectrogram(f, limits, width=6), caption='', alt=f'Spectrogram of “{u.reference}”.').html}"
        f"{player(u.waveform, f'“{u.reference}”, speaker {u.speaker}').html}</div>"
        for place, (u, f) in enumerate(zip(utterances, features, strict=True))
    )
    layers = max(1 + reset["layer"] for result in transcripts.values() for reset in result["resets"])
    body = (
        f'<div class="controls">{select("Utterance", "utterance", [u.reference for u in utterances])}'
        f"{select('Size', 'size', list(transcripts))}{select('Reset', 'kind', KINDS)}"
        f"{select('Layer', 'layer', [str(layer + 1) for layer in range(layers)])}</div>{cards}"
        '<dl class="provenance transcripts" aria-live="polite">'
        f'<div><dt>Said</dt><dd data-fact="said">{html.escape(utterances[0].reference)}</dd></div>'
        '<div><dt>Intact</dt><dd data-fact="intact"></dd></div>'
        '<div><dt>Reset</dt><dd data-fact="reset"></dd></div></dl>'
    )
    rows: list[Row] = [
        {"size": size, "layer": layer, "reset": kind, "said": utterance.reference, "heard": text}
        for size, result in transcripts.items()
        for layer, kind, texts in (
            ("intact", "none", result["intact"]),
            *((reset["layer"] + 1, reset["kind"], reset["texts"]) for reset in result["resets"]),
        )
        for utterance, text in zip(utterances, texts, strict=True)
    ]
    return explorer("hearing", body, data, caption, name, rows)


def marked(reference: str, hypothesis: str) -> str:
    """Returns `hypothesis` as HTML: words that were said and not heard in <del>, heard and not said in <ins>."""
    said, heard = reference.split(), hypothesis.split()
    parts = []
    for chunk in jiwer.process_words(reference, hypothesis).alignments[0]:
        missed = html.escape(" ".join(said[chunk.ref_start_idx : chunk.ref_end_idx]))
        added = html.escape(" ".join(heard[chunk.hyp_start_idx : chunk.hyp_end_idx]))
        if chunk.type == "equal":
            parts.append(added)
        else:
            parts += [f"<del>{missed}</del>"] * bool(missed) + [f"<ins>{added}</ins>"] * bool(added)
    return " ".join(parts)
