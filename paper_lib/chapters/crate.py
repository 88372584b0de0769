"""What machines read of a book: an RO-Crate of its pages, notebooks and records, and a CodeMeta file of its library.

RO-Crate 1.1 with the profile Process Run Crate 0.5: the run of a notebook is an action, by the notebook's source, on
the records that it asked for, whose result is a page. https://w3id.org/ro/crate/1.1
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from paper_lib.chapters.provenance import PageProvenance

PACKAGE = "paper_lib"
PAPER = {
    "@id": "https://doi.org/10.48550/arXiv.2110.04267",
    "@type": "ScholarlyArticle",
    "name": "Exploring Heterogeneous Characteristics of Layers in ASR Models for More Efficient Training",
    "author": "Lillian Zhou, Dhruv Guliani, Andreas Kabel, Giovanni Motta, Françoise Beaufays",
}
_CRATE, _PROCESS = "https://w3id.org/ro/crate/1.1", "https://w3id.org/ro/wfrun/process/0.5"
_MIT = "https://spdx.org/licenses/MIT"

Entity = dict[str, Any]


def publish_metadata(pages: Sequence[PageProvenance], stores: Sequence[Path], html: Path) -> None:
    """Writes both files into the book at `html`, and into `records/` the records that its pages rest on.

    `stores` are directories in which records may be, KIND/DIGEST.json. A page that was made elsewhere may rest on
    others; those are in no store here, and so not in the book.
    """
    kept = []
    for record in dict.fromkeys(record for page in pages for record in page.records):
        if found := next((path for store in stores if (path := store / f"{record}.json").exists()), None):
            (target := html / "records" / f"{record}.json").parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, target)
            kept.append(record)
    _write(html / "ro-crate-metadata.json", crate(pages, kept))
    _write(html / "codemeta.json", codemeta())


def crate(pages: Sequence[PageProvenance], kept: Collection[str]) -> Entity:
    """Returns the RO-Crate of a book with these pages and the records that it has `kept`, as JSON-LD."""
    software = importlib.metadata.metadata(PACKAGE)
    graph: list[Entity] = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "conformsTo": {"@id": _CRATE},
            "about": {"@id": "./"},
        },
        {"@id": _PROCESS, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        PAPER,
    ]
    files: dict[str, Entity] = {}
    actions = []
    for page in pages:
        name = page.chapter
        source, shown = f"notebooks/{name}.py", f"book/{name}.html"
        records = [f"records/{record}.json" for record in page.records if record in kept]
        files |= {record: _file(record, "application/json", "Record of the results store") for record in records}
        files[source] = _file(source, "text/x-python", page.title) | {
            "@type": ["File", "SoftwareSourceCode", "SoftwareApplication"],
            "version": software["Version"],
        }
        files[f"notebooks/{name}.ipynb"] = _file(f"notebooks/{name}.ipynb", "application/x-ipynb+json", page.title)
        files[shown] = _file(shown, "text/html", page.title)
        actions.append(
            {
                "@id": f"#run-{name}",
                "@type": "CreateAction",
                "name": f"Run of the chapter {page.title}",
                "instrument": {"@id": source},
                "object": [{"@id": record} for record in records],
                "result": [{"@id": shown}, {"@id": f"notebooks/{name}.ipynb"}],
                "startTime": page.started.isoformat(),
                "description": f"Parameters: {json.dumps(page.parameters)}. Machine: {'; '.join(page.machines)}",
            }
        )
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": "Which layers of a speech recogniser matter?",
        "description": software["Summary"],
        "datePublished": max(page.started for page in pages).date().isoformat(),
        "license": {"@id": _MIT},
        "conformsTo": {"@id": _PROCESS},
        "isBasedOn": {"@id": PAPER["@id"]},
        "hasPart": [{"@id": name} for name in files],
        "mentions": [{"@id": action["@id"]} for action in actions],
    }
    licence = {"@id": _MIT, "@type": "CreativeWork", "name": "MIT License"}
    return {"@context": f"{_CRATE}/context", "@graph": [*graph, root, licence, *files.values(), *actions]}


def codemeta() -> Entity:
    """Returns the description of the library by CodeMeta 3.0, as JSON-LD."""
    software = importlib.metadata.metadata(PACKAGE)
    required = [text for text in importlib.metadata.requires(PACKAGE) or () if "extra ==" not in text]
    return {
        "@context": "https://w3id.org/codemeta/3.0",
        "type": "SoftwareSourceCode",
        "name": PACKAGE,
        "description": software["Summary"],
        "version": software["Version"],
        "license": _MIT,
        "programmingLanguage": "Python",
        "runtimePlatform": f"Python {software['Requires-Python']}",
        "softwareRequirements": required,
        "referencePublication": PAPER["@id"],
    }


def _file(name: str, media: str, title: str) -> Entity:
    return {"@id": name, "@type": "File", "name": title, "encodingFormat": media}


def _write(path: Path, content: Entity) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
