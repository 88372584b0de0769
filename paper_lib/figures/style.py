"""The look of every figure, and `show`, which puts one on a page with its caption and its alternative text.

Figures do without pyplot: they keep no state, and a program without a notebook saves them by `figure.savefig`. How
they are drawn is in `paper_lib.figures.drawing`.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.figure import Figure

from paper_lib.figures.download import Row, csv_link
from paper_lib.figures.markup import Markup, escaped

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Inches; at 96 pixels an inch, the column of a page, and that of a phone.
WIDTH, NARROW = 7.5, 3.7

# Told apart with any kind of colour vision, and at least 3:1 on white: darker than those of Okabe & Ito (2008), "Color
# universal design", which the dark theme has instead (book/_static/figures.css).
BLACK, BLUE, ORANGE, GREEN = "#000000", "#00629f", "#c08400", "#009e73"
VERMILION, SKY, PURPLE, OLIVE = "#b03a00", "#2b9ccf", "#b5508c", "#998a00"
# For what is not data.
GREY, LIGHT, LINE, BAND, HARMLESS, GROUND = "#666666", "#d9d9d9", "#333333", "#eeeeee", "#e3eef8", "#ffffff"
# Tints, light enough for black text.
PALE_BLUE, PALE_ORANGE, PALE_GREEN, PALE_PURPLE, PALE_GREY = "#cfe3f2", "#fbe5b6", "#cdeade", "#f3dce9", "#ececec"
# What depends on the theme of the page, and the variable of its style sheet that it is drawn in.
THEMED = {
    BLACK: "--figure-ink",
    BLUE: "--figure-blue",
    ORANGE: "--figure-orange",
    GREEN: "--figure-green",
    VERMILION: "--figure-vermilion",
    SKY: "--figure-sky",
    PURPLE: "--figure-purple",
    LINE: "--figure-line",
    GREY: "--figure-grey",
    LIGHT: "--figure-grid",
    BAND: "--figure-band",
    HARMLESS: "--figure-harmless",
    GROUND: "--figure-ground",
    PALE_BLUE: "--figure-pale-blue",
    PALE_ORANGE: "--figure-pale-orange",
    PALE_GREEN: "--figure-pale-green",
    PALE_PURPLE: "--figure-pale-purple",
    PALE_GREY: "--figure-pale-grey",
}
# Text on a ground that is data: no theme changes it.
ON_LIGHT, ON_DARK = "#010101", "#fefefe"
PALETTE = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, OLIVE, BLACK)
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
    "axes.facecolor": "none",
    "figure.dpi": 96,
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
    """A figure that keeps the numbers that it draws, for the reader to save, and can be drawn again for a phone."""

    def __init__(self, height: float, width: float) -> None:
        super().__init__(figsize=(width, height), layout="constrained")
        self.rows: list[Row] = []
        self.narrow: Callable[[], Figure] | None = None

    def note(self, **row: str | int | float) -> None:
        """Keeps a row of numbers; keys are the columns' names, with the unit where there is one: `wer_percent`."""
        self.rows.append(row)


def show(figure: Figure, *, caption: str | Markup, alt: str, name: str = "") -> Markup:
    """Returns `figure` as a page shows it: vector graphics, with its caption below.

    `caption` says what is drawn, from which data, with which interval; it may be empty where other text says so. `alt`
    tells one who cannot see the figure what it shows. A page's address with #`name` leads to the figure. Below stands
    a link to the numbers that the figure has noted. A page that is as narrow as a phone's shows what was drawn for it.
    """
    data = figure if isinstance(figure, DataFigure) else None
    drawn = f'<div class="wide">{inline_svg(figure, alt)}</div>'
    if data and data.narrow:
        drawn += f'<div class="narrow" style="display: none">{inline_svg(data.narrow(), alt)}</div>'
    link = csv_link(data.rows, name or "figure") if data else ""
    below = f"<figcaption>{escaped(caption)} {link}</figcaption>" if caption else ""
    anchor = f' id="{name}"' if name else ""
    return Markup(f'<figure class="drawing"{anchor}>{drawn}{below}</figure>', text=f"[figure: {alt}]")


def to_svg(figure: Figure) -> str:
    """Returns `figure` as SVG on a white ground, without the date and without what only an editor reads."""
    return _svg(figure, GROUND)


def inline_svg(figure: Figure, alt: str) -> str:
    """Returns `figure` as an element of a page, without a ground, read aloud as `alt`.

    It is as wide as it was drawn, in units of text, and no wider than its place. Where no theme gives colours, those of
    the light one are used.
    """
    svg = _svg(figure, "none")
    own = hashlib.sha256(svg.encode()).hexdigest()[:8]  # ids of two drawings in one page differ
    svg = re.sub(r"<g id='[^']*'", "<g", svg)
    svg = re.sub(r"(\bid='|href='#|url\(#)", rf"\g<1>{own}-", svg)
    # This rule would hold for the whole page; inherited from the root it does the same.
    svg = re.sub(r"<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>", "", svg)
    for colour, variable in THEMED.items():
        svg = svg.replace(colour, f"var({variable}, {colour})")
    width = f"{figure.get_figwidth() * 6:g}rem"
    view = re.search(r"viewBox='[^']*'", svg)
    assert view is not None
    # Black text names no colour of its own.
    root = (
        f"<svg role='img' aria-label=\"{html.escape(alt)}\" {view.group()} style='width: {width}; "
        f"fill: var({THEMED[BLACK]}, {BLACK}); stroke-linejoin: round; stroke-linecap: butt'>"
    )
    return re.sub(r"<svg[^>]*>", lambda _: root, svg, count=1)


def _svg(figure: Figure, ground: str) -> str:
    file = io.StringIO()
    with book_style():
        if engine := figure.get_layout_engine():
            # `savefig` would draw all of it once more to find out where everything goes.
            figure.dpi = 72
            engine.execute(figure)
            figure.set_layout_engine("none")
        unneeded = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(file, format="svg", metadata=unneeded, facecolor=ground)
    svg = re.sub(
        r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", "", file.getvalue(), flags=re.DOTALL
    )
    # Nobody sees a hundredth of a pixel.
    svg = re.sub(r"(\d{2,}\.\d\d)\d+", r"\1", svg)
    return re.sub(r"\s*\n\s*", " ", svg).replace('"', "'").strip()
