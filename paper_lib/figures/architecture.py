"""The Conformer transducer, drawn: the whole, one layer, and the two resets of a layer."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_lib.figures.diagram import (
    arrow,
    box,
    canvas,
    label,
    plus,
)
from paper_lib.figures.drawing import drawing, is_narrow
from paper_lib.figures.style import (
    BAND,
    BLUE,
    GREEN,
    LINE,
    ON_DARK,
    PALE_BLUE,
    PALE_GREEN,
    PALE_GREY,
    PALE_ORANGE,
    PALE_PURPLE,
    PURPLE,
    VERMILION,
)

# One colour per module, in the drawing of a layer and in the chart of its parameters.
MODULE_FILLS = {
    "ffn1": PALE_BLUE,
    "attention": PALE_ORANGE,
    "convolution": PALE_GREEN,
    "ffn2": PALE_BLUE,
    "norm": PALE_GREY,
}


@drawing
def transducer() -> Figure:
    """Returns the drawing of the whole: encoder and prediction network meet in the joint network."""
    return _transducer_below() if is_narrow() else _transducer_beside()


def _transducer_beside() -> Figure:
    figure, axes = canvas(height=3.85)
    encoder, prediction, right = 2.75, 1.0, 4.95
    box(axes, (2.97, encoder), (3.96, 1.5), fill=BAND, edge=BLUE)
    label(axes, (1.0, 3.64), "encoder", bold=True, align="left")
    box(axes, (2.97, prediction), (3.96, 0.85), fill=BAND, edge=GREEN)
    label(axes, (1.0, 1.56), "prediction network", bold=True, align="left")

    box(axes, (1.75, encoder), (1.25, 1.0), "subsampling\n3×3, stride 2\n3×3, stride 2\nlinear", fontsize=8)
    for step in (3, 2, 1):
        box(axes, (3.8 + 0.07 * step, encoder + 0.07 * step), (1.65, 0.8), fill=PALE_BLUE)
    box(axes, (3.8, encoder), (1.65, 0.8), "Conformer layer\n× N, width d", fill=PALE_BLUE, bold=True)
    arrow(axes, [(2.375, encoder), (2.975, encoder)])
    label(axes, (2.66, encoder + 0.16), "40 ms", size=8)
    label(axes, (0.04, encoder + 0.42), "log-mel:\n80 bands\neach 10 ms", align="left", size=8)
    arrow(axes, [(0.1, encoder), (1.125, encoder)])

    box(axes, (1.75, prediction), (1.25, 0.5), "embedding")
    box(axes, (3.8, prediction), (1.65, 0.5), "LSTM", fill=PALE_GREEN, bold=True)
    arrow(axes, [(2.375, prediction), (2.975, prediction)])
    label(axes, (0.04, prediction + 0.28), "labels\nso far", align="left", size=8)

    joint = (5.85, (encoder + prediction) / 2)
    box(axes, joint, (1.25, 1.0), "joint network\ntanh, linear,\nsoftmax over\nlabels + blank", PALE_PURPLE, PURPLE)
    arrow(axes, [(4.625, encoder), (joint[0], encoder), (joint[0], joint[1] + 0.5)])
    label(axes, (right + 0.1, encoder + 0.17), "$h_t$, frame t", align="left")
    arrow(axes, [(4.625, prediction), (joint[0], prediction), (joint[0], joint[1] - 0.5)])
    label(axes, (right + 0.1, prediction - 0.17), "$g_u$, after u labels", align="left")

    arrow(axes, [(joint[0] + 0.625, joint[1]), (6.78, joint[1])])
    label(axes, (6.82, joint[1]), "$P(k\\mid t,u)$", align="left")
    arrow(axes, [(7.1, joint[1] + 0.18), (7.1, encoder + 0.1)])
    label(axes, (6.9, encoder + 0.42), "k is blank:\nto frame t + 1")
    arrow(axes, [(7.1, joint[1] - 0.18), (7.1, 0.25), (0.1, 0.25), (0.1, prediction), (1.125, prediction)])
    label(axes, (4.0, 0.12), "k is a label: write it, feed it back, stay at frame t")
    return figure


def _transducer_below() -> Figure:
    """Returns the same from above to below, for a phone."""
    figure, axes = canvas(height=5.75)
    encoder, joint, prediction, left, right = 4.25, 2.65, 1.0, 0.85, 2.65
    box(axes, (1.85, encoder), (3.5, 1.5), fill=BAND, edge=BLUE)
    label(axes, (3.55, encoder + 0.62), "encoder", bold=True, align="right")
    box(axes, (1.85, prediction), (3.5, 1.0), fill=BAND, edge=GREEN)
    label(axes, (3.55, prediction - 0.37), "prediction network", bold=True, align="right")

    label(axes, (left, 5.6), "log-mel: 80 bands each 10 ms", size=8)
    arrow(axes, [(left, 5.47), (left, encoder + 0.5)])
    box(axes, (left, encoder), (1.2, 1.0), "subsampling\n3×3, stride 2\n3×3, stride 2\nlinear", fontsize=8)
    for step in (2, 1):
        box(axes, (right + 0.05 * step, encoder + 0.05 * step), (1.5, 0.8), fill=PALE_BLUE)
    box(axes, (right, encoder), (1.5, 0.8), "Conformer layer\n× N, width d", fill=PALE_BLUE, bold=True)
    arrow(axes, [(left + 0.6, encoder), (right - 0.75, encoder)])
    label(axes, (1.67, encoder + 0.16), "40 ms", size=8)

    box(axes, (left, prediction), (1.2, 0.5), "embedding")
    box(axes, (right, prediction), (1.5, 0.5), "LSTM", fill=PALE_GREEN, bold=True)
    arrow(axes, [(left + 0.6, prediction), (right - 0.75, prediction)])

    inside = "joint network\ntanh, linear,\nsoftmax over\nlabels + blank"
    box(axes, (right, joint), (1.25, 1.0), inside, PALE_PURPLE, PURPLE)
    arrow(axes, [(right, encoder - 0.4), (right, joint + 0.5)])
    label(axes, (right + 0.08, joint + 0.66), "$h_t$, frame t", align="left")
    arrow(axes, [(right, prediction + 0.25), (right, joint - 0.5)])
    label(axes, (right + 0.08, joint - 0.8), "$g_u$, u labels", align="left")

    arrow(axes, [(right - 0.625, joint), (left + 0.4, joint)])
    label(axes, (left, joint), "$P(k\\mid t,u)$")
    arrow(axes, [(left, joint + 0.18), (left, encoder - 0.75)])
    label(axes, (left + 0.08, joint + 0.52), "k is blank:\nto frame t + 1", align="left", size=8)
    arrow(axes, [(left, joint - 0.18), (left, prediction + 0.25)])
    label(
        axes,
        (left + 0.08, joint - 0.6),
        "k is a label:\nwrite it, feed it\nback, stay at t",
        align="left",
        size=8,
    )
    return figure


@drawing
def conformer_layer(kernel: int = 32) -> Figure:
    """Returns the drawing of one Conformer layer: four modules beside the residual stream, then a LayerNorm.

    `kernel` is the width of the depthwise convolution, in frames. The norm inside the convolution is highlighted.
    """
    norm = "Layer-\nNorm"
    feed_forward = [norm, "linear\nd → 4d", "Swish", "linear\n4d → d"]
    attention = [norm, "queries, keys,\nvalues, relative\npositions", "softmax\nper head", "linear\nd → d"]
    convolution = [
        norm,
        "pointwise\nd → 2d",
        "GLU",
        f"depthwise\nkernel {kernel}",
        "group or\nbatch\nnorm",
        "Swish",
        "pointwise\nd → d",
    ]
    rows = [
        ("ffn1", "feed-forward module 1", feed_forward, "× ½"),
        ("attention", "self-attention", attention, "× 1"),
        ("convolution", "convolution", convolution, "× 1"),
        ("ffn2", "feed-forward module 2", feed_forward, "× ½"),
    ]
    if is_narrow():
        return _layer_below(rows)
    figure, axes = canvas(height=6.35)
    stream, top, pitch = 0.5, 5.95, 1.27
    last = top - pitch * (len(rows) - 1) - 1.0
    arrow(axes, [(stream, 6.3), (stream, last - 0.24)], line=1.4)
    label(axes, (stream + 0.12, 6.22), "x: d numbers for every 40 ms", align="left")
    for place, (module, title, steps, weight) in enumerate(rows):
        _branch(axes, stream, top - pitch * place, module, title, steps, weight)
    box(axes, (stream, last - 0.42), (0.84, 0.36), "LayerNorm", fill=MODULE_FILLS["norm"], fontsize=8)
    arrow(axes, [(stream, last - 0.6), (stream, 0.04)], line=1.4)
    label(axes, (stream + 0.12, 0.16), "y: to the next layer", align="left")
    return figure


def _layer_below(rows: Sequence[tuple[str, str, list[str], str]]) -> Figure:
    """Returns the layer with the steps of a module below each other, for a phone."""
    step, head, stream, middle = 0.34, 0.66, 0.5, 2.2
    figure, axes = canvas(height=1.55 + sum(step * len(steps) + head + 0.1 for _, _, steps, _ in rows))
    y = figure.get_figheight() - 0.35
    arrow(axes, [(stream, y + 0.3), (stream, 0.96)], line=1.4)
    label(axes, (stream + 0.12, y + 0.22), "x: d numbers for every 40 ms", align="left")
    for module, title, steps, weight in rows:
        high = step * len(steps) + head
        box(axes, (middle, y - high / 2), (2.8, high), fill=MODULE_FILLS[module], edge="none")
        label(axes, (middle - 1.3, y - 0.14), title, bold=True, align="left")
        first = y - 0.45
        arrow(axes, [(stream, first), (middle - 1.2, first)])
        for number, text in enumerate(steps):
            centre = (middle, first - step * number)
            special = text.startswith("group")
            edge, line = (VERMILION, 2.2) if special else (LINE, 0.9)
            words = text.replace("-\n", "").replace("\n", " ")
            box(axes, centre, (2.4, 0.24), words, edge=edge, line=line, bold=special, fontsize=7.5)
            if number < len(steps) - 1:
                arrow(axes, [(middle, centre[1] - 0.12), (middle, centre[1] - step + 0.12)], line=0.8)
        last = first - step * (len(steps) - 1)
        arrow(axes, [(middle, last - 0.12), (middle, last - 0.27), (stream + 0.1, last - 0.27)])
        plus(axes, (stream, last - 0.27))
        label(axes, (stream - 0.3, last - 0.27), weight, bold=True)
        y -= high + 0.1
    box(axes, (stream + 0.1, 0.78), (0.84, 0.36), "LayerNorm", fill=MODULE_FILLS["norm"], fontsize=8)
    arrow(axes, [(stream, 0.6), (stream, 0.04)], line=1.4)
    label(axes, (stream + 0.12, 0.16), "y: to the next layer", align="left")
    return figure


def _branch(axes: Axes, stream: float, y: float, module: str, title: str, steps: list[str], weight: str) -> None:
    """Draws a module to the right of the stream: out at `y` - 0.3, through its steps, and back into a sum below."""
    middle, back, gap = y - 0.5, y - 1.0, 0.13
    box(axes, ((stream + 0.62 + 7.45) / 2, y - 0.45), (6.83 - stream, 0.88), fill=MODULE_FILLS[module], edge="none")
    label(axes, (stream + 0.72, y - 0.13), title, bold=True, align="left")
    width = min((6.0 - gap * (len(steps) - 1)) / len(steps), 1.25)
    left = stream + 0.74
    arrow(axes, [(stream, middle), (left, middle)])
    for number, step in enumerate(steps):
        centre = left + width / 2 + number * (width + gap)
        special = step.startswith("group")
        edge, line = (VERMILION, 2.2) if special else (LINE, 0.9)
        box(axes, (centre, middle), (width, 0.52), step, edge=edge, line=line, bold=special, fontsize=8)
        if number < len(steps) - 1:
            arrow(axes, [(centre + width / 2, middle), (centre + width / 2 + gap, middle)], line=0.8)
    end = left + len(steps) * (width + gap) - gap
    arrow(axes, [(end, middle), (end + 0.1, middle), (end + 0.1, back), (stream + 0.1, back)])
    plus(axes, (stream, back))
    label(axes, (stream + 0.36, back + 0.13), weight, bold=True)


@drawing
def two_resets(layers: int = 6, reset: int = 3) -> Figure:
    """Returns four stacks of `layers` layers: before training, trained, and with layer `reset` (from 1) reset twice."""
    figure, axes = canvas(height=6.4 if is_narrow() else 3.3)
    height = 2.2 / layers
    # The lower left corners of the stacks; on a phone two stand above the two others.
    corners = [(0.52, 0.5), (2.42, 0.5), (4.27, 0.5), (6.12, 0.5)]
    if is_narrow():
        corners = [(0.5, 3.6), (2.3, 3.6), (0.5, 0.55), (2.3, 0.55)]
    stacks: list[tuple[str, set[int], str, str | None]] = [
        ("step 0\nW(0)", set(range(1, layers + 1)), PALE_GREY, None),
        ("trained\nW(T)", set(), "", None),
        (f"layer {reset}\nre-initialised", {reset}, PALE_GREY, None),
        (f"layer {reset}\nre-randomised", {reset}, PALE_ORANGE, "////"),
    ]
    for (left, floor), (title, untrained, fill, hatch) in zip(corners, stacks, strict=True):
        x = left + 0.58
        label(axes, (x, floor + 2.5), title, bold=True, size=9)
        for number in range(1, layers + 1):
            centre = (x, floor + (number - 0.5) * height)
            size = (1.15, height - 0.06)
            if number in untrained:
                box(axes, centre, size, fill=fill, hatch=hatch)
                if hatch:
                    box(axes, centre, (0.6, 0.2), fill=fill, edge="none")
                label(axes, centre, f"layer {number}")
            else:
                box(axes, centre, size, fill=BLUE, edge=BLUE)
                label(axes, centre, f"layer {number}", colour=ON_DARK)
    before, trained, again, anew = ((left, floor + (reset - 0.5) * height) for left, floor in corners)
    middle = before[1] + 1.1 - (reset - 0.5) * height
    arrow(axes, [(before[0] + 1.23, middle), (trained[0] - 0.05, middle)], line=1.6)
    label(axes, (before[0] + 1.53, middle + 0.16), "training", size=8)
    aside, below = before[0] - 0.22, corners[2][1] - 0.2
    if is_narrow():
        arrow(axes, [before, (aside, before[1]), (aside, again[1]), again], dashed=True)
        label(axes, (again[0] + 0.58, below), "the step-0 weights of that\nlayer, from this very run", size=8)
        label(axes, (anew[0] + 0.58, below), "a new draw,\nsame initialiser", size=8)
    else:
        round_below = [(aside, before[1]), (aside, below), (again[0] - 0.25, below), (again[0] - 0.25, again[1])]
        arrow(axes, [before, *round_below, again], dashed=True)
        label(axes, (2.1, 0.15), "the step-0 weights of that layer, from this very run")
        label(axes, (6.3, 0.15), "a new draw, same initialiser")
    arrow(axes, [(anew[0] - 0.22, below), (anew[0] - 0.22, anew[1]), anew], dashed=True)
    return figure
