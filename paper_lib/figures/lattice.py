"""The lattice of a transducer: every way to spread the labels of a word over the frames."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from paper_lib.figures.diagram import arrow, canvas, label
from paper_lib.figures.drawing import drawing, is_narrow
from paper_lib.figures.style import GREY, LINE, NARROW, PALE_PURPLE, VERMILION


@drawing
def lattice(word: str, frames: int, labels_before: Sequence[int]) -> Figure:
    """Returns the lattice of `word` over `frames` frames, one alignment highlighted.

    `labels_before[u]` is the frame (from 0) in which the alignment writes label u; it never decreases.
    """
    left, bottom, above = 1.1, 0.75, 0.68
    pitch = (NARROW - left - 0.5) / frames if is_narrow() else 0.95
    figure, axes = canvas(height=bottom + above * len(word) + 0.45, width=left + pitch * frames + 0.6)

    def place(t: int, u: int) -> tuple[float, float]:
        return left + pitch * t, bottom + above * u

    on_path = set()
    t = 0
    for u, frame in enumerate(labels_before):
        on_path |= {((step, u), (step + 1, u)) for step in range(t, frame)} | {((frame, u), (frame, u + 1))}
        t = frame
    on_path |= {((step, len(word)), (step + 1, len(word))) for step in range(t, frames)}

    for u in range(len(word) + 1):
        for t in range(frames):
            x, y = place(t, u)
            axes.plot(x, y, "o", markersize=7, color=PALE_PURPLE, markeredgecolor=LINE, zorder=3)
            for after in ((t + 1, u), (t, u + 1)):
                last = after[0] == frames
                if after[1] > len(word) or (last and u < len(word)):
                    continue
                x2, y2 = place(*after)
                taken = ((t, u), after) in on_path
                dx, dy = (0.09, 0.0) if after[1] == u else (0.0, 0.09)
                colour, line = (VERMILION, 2.4) if taken else (GREY, 0.9)
                arrow(axes, [(x + dx, y + dy), (x2 - dx, y2 - dy)], colour=colour, line=line)
    for t in range(frames):
        label(axes, (place(t, 0)[0], bottom - 0.25), str(t + 1))
    between = "\n" if is_narrow() else "   "
    told = f"frame t (40 ms each).{between}→ writes the blank,  ↑ writes a label"
    label(axes, (left + pitch * (frames - 1) / 2, bottom - 0.53), told)
    for u, text in enumerate(["nothing", *(word[: n + 1] for n in range(len(word)))]):
        label(axes, (left - 0.25, place(0, u)[1]), text, align="right")
    label(axes, (left - 0.25, place(0, len(word))[1] + 0.28), "written so far", align="right", size=8)
    label(axes, (place(frames, len(word))[0] + 0.12, place(0, len(word))[1]), "end", bold=True, align="left")
    return figure
