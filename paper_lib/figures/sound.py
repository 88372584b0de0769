"""Speech to listen to, in the page itself."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
import soundfile
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_lib.corpus.features import SAMPLE_RATE
from paper_lib.figures.markup import Markup, escaped
from paper_lib.figures.style import show


def player(waveform: NDArray[np.float32], label: str) -> Markup:
    """Returns an audio player of `waveform`, [samples] at 16 kHz; `label` says to a screen reader what it plays.

    The page holds the sound as FLAC: 16 bits, no loss, played by every browser. Only what exceeds full scale is turned
    down.
    """
    file = io.BytesIO()
    loudest = max(1.0, float(np.abs(waveform).max()))
    soundfile.write(file, waveform / loudest, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    data = base64.b64encode(file.getvalue()).decode()
    return Markup(
        f'<audio controls preload="metadata" aria-label="{html.escape(label)}" style="width: 100%" '
        f'src="data:audio/flac;base64,{data}"></audio>',
        text=f"[sound: {label}]",
    )


def samples(entries: Sequence[tuple[str, Figure, str, NDArray[np.float32]]], caption: str) -> Markup:
    """Returns figures side by side, each with its sound: `entries` are (heading, figure, its alt text, [samples])."""
    cells = "\n".join(
        f'<div class="sample"><strong>{escaped(heading)}</strong>{show(figure, caption="", alt=alt).html}'
        f"{player(waveform, heading).html}</div>"
        for heading, figure, alt, waveform in entries
    )
    return Markup(
        '<div class="samples" style="display: grid; gap: 1rem; grid-template-columns: '
        f'repeat(auto-fit, minmax(min(100%, 18rem), 1fr))">{cells}</div><p class="caption">{escaped(caption)}</p>',
        text=f"[sounds: {', '.join(heading for heading, *_ in entries)}]",
    )
