"""The project's parts against what one would use in their place, and how their cost grows.

    python -m benchmarks.peers                # all tables, in a quarter of an hour; writes book/records/benchmark.json
    python -m benchmarks.peers encoder loss   # some of them, printed

Whoever is compared computes the same thing: that is checked first, and a row says what was found equal. Then all are
measured by turns. Times are medians, ratios those of neighbouring turns. Peers that are not installed are left out:
`make bench` installs them, at the versions of benchmarks/peers.txt.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks import decoders, encoders, losses
from benchmarks.timing import Row, machine
from paper_lib.paths import published_records

GROUPS: dict[str, Callable[[], Iterator[Row]]] = {
    "encoder": encoders.rows,
    "dropout": encoders.dropout_rows,
    "loss": losses.rows,
    "decoding": decoders.decoding,
    "sweep": decoders.sweep,
}


@click.command()
@click.argument("groups", nargs=-1, type=click.Choice(list(GROUPS)))
@click.option("--record", type=click.Path(dir_okay=False, path_type=Path), help="Where to write what was measured.")
def main(groups: tuple[str, ...], record: Path | None) -> None:
    """Compare the GROUPS, by default all; then the record of the page "What it costs" is written."""
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    torch.set_num_threads(1)  # where a row says nothing else
    rows: list[dict[str, Any]] = []
    for group in groups or GROUPS:
        for row in GROUPS[group]():
            click.echo(row.text())
            rows.append(row.record())
    path = record or (None if groups else published_records(".") / "benchmark.json")
    if path:
        path.write_text(json.dumps({**machine(), "rows": rows}, indent=1, ensure_ascii=False) + "\n")
        click.echo(path)


if __name__ == "__main__":
    main()
