"""Numbers as type sets them: formatted, they have a hyphen before what is below 0."""

from __future__ import annotations

import re

# Not in names (crit-3), ranges and dates (2022-05-07); of a power of ten, too (4e-05).
_HYPHEN = re.compile(r"(?<!\w)-(?=\d)|(?<=\de)-(?=\d)")


def minus_signs(text: str) -> str:
    """Returns `text` with minus signs in the place of the hyphens of its negative numbers and exponents."""
    return _HYPHEN.sub("−", text)
