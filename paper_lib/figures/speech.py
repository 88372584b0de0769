"""Figures of speech: spectrograms, masks, durations, vocabularies and padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from paper_lib.corpus.features import FFT, HOP, SAMPLE_RATE, mel_filters
from paper_lib.figures.drawing import drawing, new_figure, new_panels
from paper_lib.figures.style import BLACK, BLUE, COLOUR_MAP, GROUND, LIGHT, ON_DARK, ON_LIGHT, PALETTE
from paper_lib.settings import MEL_BINS

SECONDS_PER_FRAME = HOP / SAMPLE_RATE
# Hz, at the marks of a spectrogram's vertical axis.
MARKS = (250, 500, 1000, 2000, 4000, 7000)
# Shades of a spectrogram: more are not told apart, and make the page's files larger.
COLOURS = 32


@drawing
def spectrogram(features: NDArray[np.float32], limits: tuple[float, float], width: float = 3.6) -> Figure:
    """Returns a drawing of log-mel `features` [frames, 80], natural logarithm; colours span `limits`."""
    figure = new_figure(height=1.8, width=width)
    axes = figure.subplots()
    image = _draw(axes, features, limits)
    figure.colorbar(image, ax=axes, pad=0.02, aspect=14).set_label("log power", labelpad=2)
    axes.set_ylabel("frequency, kHz")
    axes.set_xlabel("time, s")
    return figure


@drawing
def masks(before: NDArray[np.float32], after: NDArray[np.float32]) -> Figure:
    """Returns normalised features [frames, 80], in standard deviations, before and after SpecAugment, side by side.

    What the masks cover, exactly 0 in `after`, is white.
    """
    figure, panels = new_panels(height=2.4, columns=2, sharey=True)
    left, right = panels[0]
    seen = np.ma.masked_equal(after, 0)
    for axes, features, title in ((left, before, "as heard"), (right, seen, "as one training step sees it")):
        image = _draw(axes, features, (-2.5, 2.5))
        axes.set_title(title)
        axes.set_xlabel("time, s")
    left.set_ylabel("frequency, kHz")
    figure.colorbar(image, ax=(left, right), pad=0.01, aspect=18).set_label("standard deviations\nfrom the bin's mean")
    return figure


def _draw(axes: Axes, features: NDArray[np.float32], limits: tuple[float, float]) -> AxesImage:
    """Draws `features` [frames, 80] over seconds and mel bins, the latter marked in kHz."""
    frames = len(features)
    image = axes.imshow(
        features.T,
        origin="lower",
        aspect="auto",
        extent=(0, frames * SECONDS_PER_FRAME, -0.5, MEL_BINS - 0.5),
        vmin=limits[0],
        vmax=limits[1],
        cmap=colormaps[COLOUR_MAP].resampled(COLOURS),
    )
    axes.set_yticks(_bins_of(MARKS), [f"{hertz / 1000:g}" for hertz in MARKS])
    return image


def _bins_of(hertz: Sequence[float]) -> NDArray[np.float64]:
    """Returns where frequencies in Hz lie on the axis of mel bins, between the filters' centres of gravity."""
    filters = mel_filters()
    frequencies = np.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1)
    return np.interp(hertz, filters @ frequencies / (filters @ np.ones_like(frequencies)), np.arange(MEL_BINS))


@drawing
def overlap(vocabularies: Mapping[str, frozenset[str]]) -> Figure:
    """Returns a heat map: the share of the words of each domain (row) that another one (column) has too, in percent."""
    names = list(vocabularies)
    shares = np.array([[len(vocabularies[r] & vocabularies[c]) / len(vocabularies[r]) for c in names] for r in names])
    figure = new_figure(height=2.7, width=6.2)
    axes = figure.subplots()
    image = axes.imshow(100 * shares, vmin=0, vmax=100, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set_yticks(range(len(names)), [f"{n.replace('_', ' ')}\n{len(vocabularies[n])} words" for n in names])
    axes.set_xlabel("... are also words of")
    axes.set_ylabel("words of ...")
    for row, column in np.ndindex(*shares.shape):
        share = shares[row, column]
        figure.note(words_of=names[row], are_also_words_of=names[column], share_percent=100 * float(share))
        axes.text(
            column, row, f"{100 * share:.0f}", ha="center", va="center", color=ON_DARK if share > 0.55 else ON_LIGHT
        )
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, pad=0.02).set_label("share of the row's words, %")
    return figure


@drawing
def durations(seconds: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Returns histograms of the utterances' durations [utterances] in seconds, one below the other by split."""
    figure = new_figure(height=0.7 + 1.05 * len(seconds), width=6.2)
    rows = figure.subplots(len(seconds), 1, sharex=True, squeeze=False)[:, 0]
    longest = max(values.max() for values in seconds.values())
    edges = np.linspace(0, longest, 41)
    for axes, (split, values), colour in zip(rows, seconds.items(), PALETTE, strict=False):
        counts, *_ = axes.hist(values, edges, color=colour, edgecolor=GROUND, linewidth=0.4)
        for start, end, count in zip(edges[:-1], edges[1:], np.asarray(counts), strict=True):
            figure.note(split=split, from_seconds=start, to_seconds=end, utterances=int(count))
        axes.axvline(float(np.median(values)), color=BLACK, linewidth=1, linestyle="--")
        axes.set_title(f"{split}: {len(values):,} utterances, median {np.median(values):.1f} s (dashed)")
        axes.set_ylabel("utterances")
        axes.set_xlim(0, longest)
    rows[-1].set_xlabel("duration, s")
    return figure


@drawing
def padding(batches: Mapping[str, Sequence[int]]) -> Figure:
    """Returns one batch of each kind as bars: the frames of its utterances, and the padding up to its longest one."""
    figure, panels = new_panels(
        height=0.9 + min(0.13 * max(map(len, batches.values())), 3), columns=len(batches), sharex=True
    )
    for axes, (kind, frames) in zip(panels[0], batches.items(), strict=True):
        seconds = np.array(frames) * SECONDS_PER_FRAME
        rows = np.arange(len(frames))
        for row in rows:
            figure.note(batch=kind, utterance=int(row) + 1, seconds=seconds[row])
        longest = seconds.max()
        axes.barh(rows, longest - seconds, left=seconds, height=0.8, color=LIGHT, hatch="////", edgecolor=GROUND)
        axes.barh(rows, seconds, height=0.8, color=BLUE)
        axes.set_title(f"{kind}: {100 - 100 * seconds.sum() / (longest * len(frames)):.0f} % padding")
        axes.set_xlabel("time, s")
        axes.set_ylabel(f"{len(frames)} utterances")
        axes.set_yticks([])
        axes.invert_yaxis()
    return figure
