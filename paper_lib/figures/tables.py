"""Tables with a caption and headers that a screen reader can follow."""

from __future__ import annotations

from collections.abc import Sequence

from paper_lib.figures.markup import Markup, escaped
from paper_lib.inference import Estimate
from paper_lib.typography import minus_signs


def table(
    rows: Sequence[Sequence[object]],
    columns: Sequence[str | Markup],
    caption: str | Markup,
    *,
    row_headers: int = 1,
    folded: str = "",
) -> Markup:
    """Returns an HTML table: `columns` are its headers, units included, and the first `row_headers` cells head a row.

    A cell is text, a whole number (it gets commas) or `Markup`; other numbers are formatted by the caller, who knows
    their precision. Columns of numbers, of either kind, are set to the right. A long table is `folded` behind a line of
    this text, which opens it, and its number of rows.

    Raises:
        ValueError: a row has more or fewer cells than there are columns.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"the table has {len(columns)} columns, and a row has {len(row)} cells: {list(row)}")
    right = [bool(rows) and all(_is_numeric(row[place]) for row in rows) for place in range(len(columns))]

    def cells(row: Sequence[object], heads: int, scope: str) -> str:
        return "".join(
            f'<th scope="{scope}"{_class(right[place], scope == "row" and len(_plain(cell)) > 24)}>{escaped(cell)}</th>'
            if place < heads
            else f"<td{_class(right[place], len(_plain(cell)) > 60)}>{escaped(cell)}</td>"
            for place, cell in enumerate(row)
        )

    head = f"<tr>{cells(columns, len(columns), 'col')}</tr>"
    body = "\n".join(f"<tr>{cells(row, row_headers, 'row')}</tr>" for row in rows)
    whole = (
        f'<div class="scroll" tabindex="0"><table class="dataframe"><caption>{escaped(caption)}</caption>\n'
        f"<thead>{head}</thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )
    if folded:
        summary = f"{escaped(folded)} ({len(rows)} {'row' if len(rows) == 1 else 'rows'})"
        whole = f'<details class="folded">\n<summary>{summary}</summary>\n{whole}\n</details>'
    return Markup(whole, text="\n".join("\t".join(map(_plain, row)) for row in (columns, *rows)))


def percent(estimate: Estimate, *, sign: bool = False) -> str:
    """Returns a fraction and its interval in per cent, or in points of WER where it is a change and shows its sign."""
    value, low, high = (f"{100 * x:{'+' if sign else ''}.1f}" for x in (estimate.value, estimate.low, estimate.high))
    return minus_signs(f"{value} [{low}, {high}]")


def p_value(p: float) -> str:
    """Returns a p-value to three digits."""
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _class(right: bool, long: bool = False) -> str:
    """Returns the class of a cell: numbers are set to the right, and long text has room for a few words a line."""
    return ' class="number"' if right else ' class="long"' if long else ""


def _is_numeric(cell: object) -> bool:
    """Returns whether a cell is a number, or text such as "8.1M", "12.5 %", "16 × 0.5M" or "–" for none."""
    if isinstance(cell, int | float):
        return True
    return isinstance(cell, str) and bool(cell) and (cell[0] in "0123456789+−-±<≈" or cell == "–")


def _plain(cell: object) -> str:
    if isinstance(cell, Markup):
        return cell.text
    return f"{cell:,}" if isinstance(cell, int) else minus_signs(str(cell))
