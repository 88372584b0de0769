"""The figures of the benchmark: the book's parts against others, and how their cost grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from paper_lib.figures.drawing import add_legend, drawing, new_figure, new_panels
from paper_lib.figures.markup import Markup, escaped
from paper_lib.figures.style import BLACK, BLUE, GREY, LIGHT, PALETTE

# What a record calls the book's own part, and how the others are drawn.
OURS = "ours"
_UNITS: dict[str, tuple[float, str]] = {"seconds": (1.0, "seconds"), "bytes": (2.0**20, "MiB above the start")}


def clock(seconds: float) -> str:
    """Returns seconds with three digits, in the unit that a reader wants: "3.1 ms", "2.05 s"."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def others(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns those lines of a row that are of other code than the book's own."""
    return [line for line in row["seconds"] if "ratio" in line and not line["name"].startswith(OURS)]


def slopes(growth: Sequence[Mapping[str, Any]], of: Literal["seconds", "bytes"]) -> dict[str, float]:
    """Returns the exponents at the larger sizes by what grows, in a word or two."""
    return {line["axis"].partition(",")[0].partition(" of ")[0]: line["exponents"][of] for line in growth}


def listed(found: Mapping[str, float]) -> str:
    """Returns exponents as a caption lists them: "layers 0.9, width 1.3"."""
    return ", ".join(f"{name} {_slope(slope)}" for name, slope in found.items()) or "nothing"


def _slope(value: float) -> str:
    """Returns an exponent with one digit, without a minus before 0."""
    return f"{round(value, 1) + 0.0:.1f}"


@drawing
def compared(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Returns how many times as long as ours the others take, row by row, on a logarithmic axis.

    `rows` are lines of the record in which others were measured. A bar spans half of the turns.
    """
    labels = [f"{row['group']}: {row['what']}" for row in rows]
    names = list(dict.fromkeys(line["name"] for row in rows for line in others(row)))
    # One colour for a library; a ring where it has our library for products.
    libraries = list(dict.fromkeys(name.partition(",")[0] for name in names))
    colours = {name: PALETTE[libraries.index(name.partition(",")[0]) % len(PALETTE)] for name in names}
    inside = {name: "none" if "," in name else colours[name] for name in names}
    figure = new_figure(height=1.3 + 0.3 * len(rows))
    axes = figure.subplots()
    axes.axvline(1, color=BLACK, linewidth=1, linestyle=":")
    for place, (label, row) in enumerate(zip(labels, rows, strict=True)):
        measured = others(row)
        for which, line in enumerate(measured):
            name, y = line["name"], place + 0.17 * (which - (len(measured) - 1) / 2)
            low, high = line["ratio_quartiles"]
            axes.plot([low, high], [y, y], color=colours[name], linewidth=1.4)
            axes.plot(line["ratio"], y, "o", color=colours[name], markerfacecolor=inside[name], markersize=5)
            figure.note(part=row["group"], what=label, against=name, times_as_long=line["ratio"])
    for name in names:
        axes.plot([], [], "o", color=colours[name], markerfacecolor=inside[name], markersize=5, label=name)
    axes.set_xscale("log")
    axes.set_xticks(ticks := [0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 40], [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("times as long as the book's own part")
    axes.grid(axis="x", color=LIGHT)
    add_legend(figure)
    return figure


@drawing
def grown(growth: Sequence[Mapping[str, Any]], of: Literal["seconds", "bytes"]) -> Figure:
    """Returns time or memory over the size of the work, both axes logarithmic, with the slope at the larger sizes."""
    divisor, unit = _UNITS[of]
    rows = -(-len(growth) // 3)
    figure, grid = new_panels(height=2.3 * rows, columns=3, rows=rows, least=1.8)
    for axes in grid.flat[len(growth) :]:
        axes.set_axis_off()
    for axes, line in zip(grid.flat, growth, strict=False):
        sizes = [point["size"] for point in line["points"]]
        values = [point[of] / divisor for point in line["points"]]
        # A line of slope 1 through the last point: what grows with the work.
        axes.plot(sizes, [values[-1] * size / sizes[-1] for size in sizes], color=GREY, linewidth=0.9, linestyle="--")
        axes.plot(sizes, values, "o-", color=BLUE, markersize=4)
        for size, value in zip(sizes, values, strict=True):
            figure.note(axis=line["axis"], size=size, **{unit.replace(" ", "_"): round(value, 4)})
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(min(values) / 2, 2 * max(values))
        axes.set_xticks(sizes, [f"{size // 1000}k" if size % 1000 == 0 else str(size) for size in sizes])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=9))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.minorticks_off()
        what, _, rest = line["axis"].partition(", ")
        axes.set_xlabel(what)
        axes.set_title(f"{rest}\n" * bool(rest) + f"slope {_slope(line['exponents'][of])}", fontsize=8.5)
        axes.grid(color=LIGHT)
    for row in grid:
        row[0].set_ylabel(unit)
    return figure


def finding(found: Mapping[str, Any]) -> Markup:
    """Returns the page's first answer, with the numbers of the record `found`, one thread."""
    rows = [row for row in found["rows"] if row["threads"] == 1]

    def ratios(group: str, name: str) -> list[float]:
        return [
            line["ratio"] for row in rows if row["group"] == group for line in row["seconds"] if line["name"] == name
        ]

    def span(values: Sequence[float]) -> str:
        low, high = f"{min(values):.2g}", f"{max(values):.2g}"
        return low if low == high else f"{low} to {high}"

    sentences: list[str] = []
    for group, name, words in (
        (
            "encoder",
            "torchaudio",
            "The encoder of torchaudio, without positions, takes {} times as long as ours",
        ),
        ("encoder", "torchaudio, oneDNN", "and {} times with the products of oneDNN that ours has"),
        ("encoder", "transformers", "that of transformers, with positions, {} times"),
        ("encoder", "transformers, oneDNN", "and {} times with those"),
        ("loss", "torchaudio", "The transducer loss of torchaudio takes {} times as long"),
        (
            "decoding",
            "torchaudio beam 1",
            "To decode, torchaudio takes {} times as long, the more the more we take at once",
        ),
        ("decoding", "loop over frames", "a plain loop, for one sentence, {} times"),
        ("decoding", "NeMo label looping", "NeMo's decoder, for sixteen and more together, {} times"),
        ("decoding", "ours, batch 1", "Our decoder takes {} times as long for these one by one"),
        ("sweep", "full evaluations", "To evaluate each reset alone takes {} times as long as a reset sweep"),
        ("federated", "pfl", "A federated round takes pfl {} times as long"),
        ("federated", "Flower simulation", "Flower's simulation {} times"),
    ):
        if measured := ratios(group, name):
            joined = words[0].islower() or words.startswith(("NeMo", "Flower"))
            sentences.append(
                (", " if joined and sentences else ". " if sentences else "") + words.format(span(measured))
            )
    text = "".join(sentences) + "."
    return Markup(f'<p class="finding"><strong>What was found.</strong> {escaped(text)}</p>', text=text)
