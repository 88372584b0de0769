"""The numbers of a figure as a file that a reader can save, in the page itself."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from paper_lib.inference import Estimate

# How every link to numbers ends: a page has more to say behind it.
CSV_LINK_END = "Data (CSV)</a>"

Row = Mapping[str, str | int | float]


def csv_text(rows: Sequence[Row]) -> str:
    """Returns `rows` as CSV: a column per key, in the order in which the keys come; what a row lacks stays empty."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _written(value) for key, value in row.items()} for row in rows)
    return file.getvalue()


def csv_link(rows: Sequence[Row], name: str) -> str:
    """Returns a link that saves `rows` as NAME.csv; nothing where there are none."""
    if not rows:
        return ""
    address = f"data:text/csv;charset=utf-8,{quote(csv_text(rows), safe=' ,')}"
    return f'<a class="download" download="{html.escape(name)}.csv" href="{address}">{CSV_LINK_END}'


def _written(value: str | int | float) -> str:
    # numpy's numbers are no Python floats.
    return f"{value:.6g}" if not isinstance(value, str | int) else str(value)


def hundredfold(name: str, estimate: Estimate) -> dict[str, float]:
    """Returns a fraction in per cent or in points as columns: `name`, and with _low and _high its interval's ends."""
    ends = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
    return {f"{name}{end}": 100 * value for end, value in ends.items()}
