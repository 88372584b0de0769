"""Times in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Returns a time to two units at most: "8 s", "3 min 20 s", "2 h 5 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
