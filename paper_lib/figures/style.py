"""The look of every figure, and `show`, which puts one on a page with its caption and its alternative text.

    @book_style()
    def learning_curve(losses: Sequence[float]) -> Figure:
        figure = new_figure(height=3)
        axes = figure.subplots()
        ...
        return figure

    show(learning_curve(losses), caption="Loss of the training, nats an utterance.", alt="A falling curve, ...")

Figures do without pyplot: they keep no state, and a program without a notebook saves them by `figure.savefig`.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.figure import Figure

from paper_lib.figures.download import Row, csv_link
from paper_lib.figures.markup import Markup, escaped

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Inches; at 96 pixels an inch, the column of a page.
WIDTH = 7.5

# Okabe & Ito (2008), "Color universal design": told apart with any kind of colour vision.
BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
YELLOW, BLUE, VERMILION, PURPLE = "#f0e442", "#0072b2", "#d55e00", "#cc79a7"
GREY, LIGHT = "#666666", "#d9d9d9"  # for what is not data
PALETTE = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, YELLOW, BLACK)
# Of numbers without a sign: perceptually uniform, and legible in grey.
COLOUR_MAP = "viridis"

_SETTINGS: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "grid.color": LIGHT,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "patch.linewidth": 0.8,
    "image.cmap": COLOUR_MAP,
    "image.interpolation": "none",  # the SVG holds the data's own pixels
    "figure.facecolor": "white",  # on a dark page too
    "figure.dpi": 96,
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "paper_lib",  # equal figures are equal files
}


@contextmanager
def book_style() -> Iterator[None]:
    """Draws what its body (or the function that it decorates) draws in the style of the book."""
    with rc_context():
        rcdefaults()  # A user's own matplotlibrc changes no figure.
        rcParams.update(_SETTINGS)
        yield


class DataFigure(Figure):
    """A figure that keeps the numbers that it draws, for the reader to save."""

    def __init__(self, height: float, width: float) -> None:
        super().__init__(figsize=(width, height), layout="constrained")
        self.rows: list[Row] = []

    def note(self, **row: str | int | float) -> None:
        """Keeps a row of numbers; keys are the columns' names, with the unit where there is one: `wer_percent`."""
        self.rows.append(row)


def new_figure(height: float, width: float = WIDTH) -> DataFigure:
    """Returns an empty figure of `width` × `height` inches that fits its labels in."""
    return DataFigure(height, width)


def show(figure: Figure, *, caption: str | Markup, alt: str, name: str = "") -> Markup:
    """Returns `figure` as a page shows it: vector graphics, with its caption below.

    `caption` says what is drawn, from which data, with which interval; it may be empty where other text says so. `alt`
    tells one who cannot see the figure what it shows. A page's address with #`name` leads to the figure. Below stands
    a link to the numbers that the figure has noted.
    """
    source = f"data:image/svg+xml,{quote(to_svg(figure), safe=_PLAIN)}"
    # As wide as it was drawn, in units of text, and no wider than the page.
    width = f"{figure.get_figwidth() * 6:g}rem"
    link = csv_link(figure.rows, name or "figure") if isinstance(figure, DataFigure) else ""
    below = f"<figcaption>{escaped(caption)} {link}</figcaption>" if caption else ""
    anchor = f' id="{name}"' if name else ""
    return Markup(
        f'<figure class="drawing"{anchor}><div class="scroll" tabindex="0">'
        f'<img src="{source}" alt="{html.escape(alt)}" style="width: {width}">'
        f"</div>{below}</figure>",
        text=f"[figure: {alt}]",
    )


def to_svg(figure: Figure) -> str:
    """Returns `figure` as SVG, without the date and without what only an editor reads."""
    file = io.StringIO()
    with book_style():
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = file.getvalue()
    svg = re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # A double quote would cost three characters in an address.
    return re.sub(r"\s*\n\s*", " ", svg).replace('"', "'").strip()


# What an address between double quotes may hold as it is.
_PLAIN = " !$'()*+,-./:;=?@[]_{}|~"
