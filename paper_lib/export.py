"""Writes what has been measured at a profile for other programs: tables, hypotheses and plans."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from paper_lib.files import atomic_write
from paper_lib.tables import COLUMNS, INSTALL, TablesError, load


def export(profile: str, directory: Path) -> list[Path]:
    """Writes the records of `profile` into `directory` and returns the files.

    Every table as TABLE.csv and TABLE.parquet; what every sweep's intact model heard as hypotheses/DIGEST.jsonl, a
    manifest with "text" and "pred_text" that NeMo's tools read too, DIGEST that of the table of resets; the plans of
    Federated Dropout, rates by layer, as plans.json. Raises ProfileError or TablesError; then nothing is written.
    """
    try:
        import pyarrow  # noqa: F401 (pandas writes Parquet by it)
    except ImportError:
        raise TablesError(f"Parquet is written by pyarrow, which is not installed: {INSTALL}") from None
    tables = load(profile)
    contents: dict[str, bytes] = {}
    for name in COLUMNS:
        table, parquet = tables.table(name), io.BytesIO()
        table.to_parquet(parquet, index=False)
        contents |= {f"{name}.csv": table.to_csv(index=False).encode(), f"{name}.parquet": parquet.getvalue()}
    for sweep in tables.intact():
        contents[f"hypotheses/{sweep.digest}.jsonl"] = _lines(
            {"id": name, "speaker": speaker, "text": text, "pred_text": heard}
            for name, speaker, text, heard in sweep.heard
        )
    contents["plans.json"] = json.dumps(tables.plans(), indent=1).encode() + b"\n"
    for name, content in contents.items():
        atomic_write(directory / name, content)
    return [directory / name for name in contents]


def _lines(objects: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in objects).encode()
