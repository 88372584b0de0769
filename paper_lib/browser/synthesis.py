"""The synthesiser as a script for a page: espeak-ng in JavaScript, with the library's data for English.

What it says is, sample for sample, what the library's says. The script stands apart from the recogniser's: it is loaded
when a reader types a sentence, and its licence is another (`espeak/README.md`).
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from importlib import resources
from typing import Any

from paper_lib.corpus import espeak
from paper_lib.corpus.features import SAMPLE_RATE
from paper_lib.corpus.speakers import DOWN, LEVEL, MARGIN, QUIET, UP, Person, low_pass
from paper_lib.settings import ALPHABET
from paper_lib.widgets.shipped import ShippedModel
from paper_lib.widgets.speech import MOST_CHARACTERS, PAUSE, voices

# Where espeak-ng looks for its data, in the file system that the script makes in memory.
_DATA = "/usr/share/espeak-ng-data"
# The program names all files of its data, most of which are of other languages, and where each lies in one large file.
_PACKAGE = re.compile(r"loadPackage\(\{files:\[.*?\],remote_package_size:\d+\}\)")


def synthesiser_script() -> str:
    """Returns the script, which defines `Synthesiser`."""
    contents = {f"{_DATA}/{name}": path.read_bytes() for name, path in espeak.english_data().items()}
    files, end = [], 0
    for name, content in contents.items():
        files.append({"filename": name, "start": end, "end": end + len(content)})
        end += len(content)
    package = f"loadPackage({json.dumps({'files': files, 'remote_package_size': end})})"
    program, count = _PACKAGE.subn(lambda _: package, gzip.decompress(licensed("espeak-ng.js.gz")).decode())
    assert count == 1, "the program does not name its data as it did"
    data = {
        "program": program,
        "data": base64.b64encode(b"".join(contents.values())).decode(),
        "variants": f"{_DATA}/{espeak.VARIANTS}",
        "volume": espeak.VOLUME,
        "filter": base64.b64encode(low_pass().astype("<f4").tobytes()).decode(),
        "up": UP,
        "down": DOWN,
        "rate": SAMPLE_RATE,
        "quiet": QUIET,
        "level": LEVEL,
        "margin": MARGIN,
        "pause": round(PAUSE * SAMPLE_RATE),
    }
    assigned = f"globalThis.synthesiserData = {json.dumps(data, separators=(',', ':'))};"
    return f"{assigned}\n{resources.files(__package__).joinpath('synthesiser.js').read_text(encoding='utf-8')}"


def licensed(name: str) -> bytes:
    """Returns a file of espeak-ng, its licence for example."""
    return resources.files(__package__).joinpath("espeak", name).read_bytes()


def typing_of(shipped: ShippedModel) -> dict[str, Any]:
    """Returns what a page must know to speak for a model: the voices, and what letters and words may be typed."""
    people = [(label, person) for label, person in voices(shipped) if isinstance(person, Person)]
    return {
        "voices": [
            {"label": label, "name": person.voice.name, "tract": person.voice.tract, "rate": person.rate}
            for label, person in people
        ],
        "alphabet": ALPHABET,
        "longest": MOST_CHARACTERS,
        "words": list(shipped.card.words) if shipped.card else None,
    }
