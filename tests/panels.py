"""What a browser sends to a panel, and what a reader sees of what the panel shows."""

from __future__ import annotations

import html
import io
import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray


def file_of(waveform: NDArray[np.float32], rate: int, **options: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform, rate, format=options.pop("format", "WAV"), **options)
    return file.getvalue()


def words(markup: str) -> str:
    text = re.sub(r"<style>.*?</style>|<[^>]*>", " ", markup, flags=re.DOTALL)
    return " ".join(html.unescape(text).split())


def uploaded(name: str, content: bytes) -> tuple[dict[str, Any]]:
    """Returns what the browser sends."""
    now = datetime.now(UTC)
    file = {"name": name, "type": "audio/wav", "size": len(content), "last_modified": now}
    return (file | {"content": memoryview(content)},)
