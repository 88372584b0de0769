"""The project's parts against what one would use in their place, and how their cost grows.

    python -m benchmarks.peers                    # all, in a quarter of an hour; writes book/records/benchmark.json
    python -m benchmarks.peers encoder loss       # some of them, printed
    python -m benchmarks.peers training --against ../other    # a training step by turns with another checkout's

Whoever is compared computes the same thing: that is checked first, and a row says what was found equal. Then all are
measured by turns. Times are medians, ratios those of neighbouring turns. Peers that are not installed are left out:
`make bench` installs them, at the versions of benchmarks/peers.txt.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks import decoders, encoders, growth, losses, rounds, steps
from benchmarks.timing import Row, machine
from paper_lib.paths import published_records

GROUPS: dict[str, Callable[[], Iterator[Row]]] = {
    "encoder": encoders.rows,
    "dropout": encoders.dropout_rows,
    "loss": losses.rows,
    "decoding": decoders.decoding,
    "sweep": decoders.sweep,
    "federated": rounds.rows,
    "training": steps.rows,
}


@click.command()
@click.argument("groups", nargs=-1, type=click.Choice([*GROUPS, "growth"]))
@click.option("--record", type=click.Path(dir_okay=False, path_type=Path), help="Where to write what was measured.")
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A checkout of another commit, whose training step is measured too.",
)
def main(groups: tuple[str, ...], record: Path | None, against: Path | None) -> None:
    """Compare the GROUPS, by default all; then the record of the page "What it costs" is written."""
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    torch.set_num_threads(1)  # where a row says nothing else
    began, rows, growths = time.perf_counter(), [], []
    for group in groups or [*GROUPS, "growth"]:
        if group == "growth":
            for line in growth.axes():
                click.echo(growth.text(line))
                growths.append(line)
            continue
        for row in steps.rows(against) if group == "training" else GROUPS[group]():
            click.echo(row.text())
            rows.append(row.record())
        click.echo(f"{group}: {time.perf_counter() - began:.0f} s since the start", err=True)
        sys.stdout.flush()
    minutes = round((time.perf_counter() - began) / 60, 1)
    content: dict[str, Any] = {**machine(), "minutes": minutes, "rows": rows, "growth": growths}
    path = record or (None if groups else published_records(".") / "benchmark.json")
    if path:
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        click.echo(path)


if __name__ == "__main__":
    main()
