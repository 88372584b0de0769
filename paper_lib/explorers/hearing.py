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
from paper_lib.evaluation import Misheard, Spoken
from paper_lib.explorers.parts import explorer, select
from paper_lib.figures.download import Row
from paper_lib.figures.markup import Markup
from paper_lib.figures.sound import player
from paper_lib.figures.speech import spectrogram
from paper_lib.figures.style import show
from paper_lib.layers.variants import ALL_KINDS, Kind


@dataclass(frozen=True)
class HeardUtterance:
    """One test utterance, to listen to where its sound is given."""

    reference: str
    speaker: str
    waveform: NDArray[np.float32] | None = None  # [samples] at 16 kHz


@dataclass(frozen=True)
class Transcripts:
    """What one model hears of some utterances, [utterances]: intact, and by kind of reset with each layer reset."""

    intact: list[str]
    resets: dict[Kind, list[list[str]]]  # [layers][utterances]

    @classmethod
    def of(cls, sweep: Mapping[str, Any], ids: Sequence[str]) -> Transcripts:
        """Reads the result of a reset sweep's record; of the draws of a re-randomisation the first one."""
        spoken = Spoken.read(sweep)
        places = [spoken.ids.index(id_) for id_ in ids]

        def heard(misheard: Sequence[Misheard]) -> list[str]:
            hypotheses = spoken.hypotheses(misheard)
            return [hypotheses[place] for place in places]

        made = {reset["kind"] for reset in sweep["resets"]}
        resets: dict[Kind, list[list[str]]] = {kind: [] for kind in ALL_KINDS if kind in made}
        for reset in sorted(sweep["resets"], key=lambda reset: reset["layer"]):
            if reset["draw"] == 0:
                resets[reset["kind"]].append(heard(reset["misheard"]))
        return cls(heard(sweep["intact"]), resets)


def hearing(
    utterances: Sequence[HeardUtterance],
    transcripts: Mapping[str, Transcripts],
    *,
    caption: str,
    name: str = "hearing",
) -> Markup:
    """Returns the explorer; `transcripts` are by model size, of these utterances in order.

    Without JavaScript the page plays the sounds that are given and shows the references.
    """
    kinds = [kind for kind in ALL_KINDS if any(kind in heard.resets for heard in transcripts.values())]
    data = {
        "kinds": kinds,
        "sizes": list(transcripts),
        "models": [
            {
                "intact": _marked(utterances, heard.intact),
                # By kind, then by layer, then by utterance.
                "resets": [[_marked(utterances, texts) for texts in heard.resets.get(kind, [])] for kind in kinds],
            }
            for heard in transcripts.values()
        ],
    }
    layers = max(len(of_kind) for heard in transcripts.values() for of_kind in heard.resets.values())
    body = (
        f'<div class="controls">{select("Utterance", "utterance", [u.reference for u in utterances])}'
        f"{select('Size', 'size', list(transcripts))}{select('Reset', 'kind', kinds)}"
        f"{select('Layer', 'layer', [str(layer + 1) for layer in range(layers)])}</div>{_cards(utterances)}"
        '<dl class="provenance transcripts" aria-live="polite">'
        f'<div><dt>Said</dt><dd data-fact="said">{html.escape(utterances[0].reference)}</dd></div>'
        '<div><dt>Intact</dt><dd data-fact="intact"></dd></div>'
        '<div><dt>Reset</dt><dd data-fact="reset"></dd></div></dl>'
    )
    rows: list[Row] = []
    for size, heard in transcripts.items():
        told: list[tuple[str | int, str, list[str]]] = [("intact", "none", heard.intact)]
        told += [(layer, kind, texts) for kind in kinds for layer, texts in enumerate(heard.resets.get(kind, []), 1)]
        rows += [
            {"size": size, "layer": layer, "reset": kind, "said": utterance.reference, "heard": text}
            for layer, kind, texts in told
            for utterance, text in zip(utterances, texts, strict=True)
        ]
    return explorer("hearing", body, data, caption, name, rows, shares=True)


def _cards(utterances: Sequence[HeardUtterance]) -> str:
    """Returns the spectrogram and the sound of every utterance as HTML, the first one's in sight."""
    heard = [(u, u.waveform, log_mel(u.waveform)) for u in utterances if u.waveform is not None]
    if not heard:
        return ""
    features = [mel for _, _, mel in heard]
    limits = float(np.quantile(np.concatenate(features), 0.02)), float(np.max([mel.max() for mel in features]))
    return "".join(
        f'<div class="utterance"{"" if place == 0 else " hidden"}>'
        f"{show(spectrogram(mel, limits, width=6), caption='', alt=f'Spectrogram of “{u.reference}”.').html}"
        f"{player(waveform, f'“{u.reference}”, speaker {u.speaker}').html}</div>"
        for place, (u, waveform, mel) in enumerate(heard)
    )


def _marked(utterances: Sequence[HeardUtterance], texts: Sequence[str]) -> list[str]:
    return [marked(utterance.reference, text) for utterance, text in zip(utterances, texts, strict=True)]


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
