"""How a page came to be: read out of an executed notebook, and written at its top."""

from __future__ import annotations

import html
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from paper_lib.chapters.notebook import PROVENANCE_MIME
from paper_lib.chapters.reading import minutes_to_read
from paper_lib.durations import duration
from paper_lib.figures.download import CSV_LINK_END
from paper_lib.figures.markup import with_units
from paper_lib.profiles import BUILT_IN

SMOKE_WARNING = """\
<div class="admonition warning">
<p class="admonition-title">Numbers of profile smoke mean nothing</p>
<p>It runs every line of the chapter on a handful of utterances, to test the book. <code>make book PROFILE=quick</code>
computes real ones. A number is real where the page says that it is of another profile.</p>
</div>"""

# In the cell by which a chapter begins; see `paper_lib.chapters.begin`.
BEGIN = "from paper_lib.chapters import begin"
# The tag of the cell that shows what a chapter has found in short, wherever in the chapter it is computed.
IN_SHORT = "in-short"


@dataclass(frozen=True)
class PageProvenance:
    """What produced one page.

    Attributes:
        records: KIND/DIGEST of all that it rests on.
        computed: records that were computed while the page ran; `stored` ones were read from the store.
        record_seconds: what all these records took to compute, on the `machines` that computed them.
        page_seconds: what the page took to run, in which it computed the new ones.
        mixed: what to say of records that rest on other trainings than those that they are paired with.
    """

    chapter: str
    title: str
    parameters: dict[str, Any]
    seeds: tuple[int, ...]
    corpora: tuple[str, ...]
    machines: tuple[str, ...]
    versions: dict[str, str]
    records: tuple[str, ...]
    computed: int
    stored: int
    stored_since: datetime | None
    record_seconds: float
    page_seconds: float
    started: datetime
    mixed: tuple[str, ...] = ()


def take_provenance(notebook: NotebookNode, chapter: str) -> NotebookNode:
    """Returns the notebook without its last cell, whose output becomes `metadata.paper_lib`."""
    *cells, report = notebook.cells
    content = next(
        output.data[PROVENANCE_MIME] for output in report.outputs if PROVENANCE_MIME in output.get("data", {})
    )
    notebook.cells = cells
    notebook.metadata["paper_lib"] = {"chapter": chapter, **content}
    # papermill puts whole notebooks and this machine's paths there.
    notebook.metadata.papermill.update(input_path=f"book/{chapter}.py", output_path=f"{chapter}.ipynb")
    if (profile := notebook.metadata.papermill.parameters.get("profile")) not in (None, *BUILT_IN):
        _name_file(notebook, Path(profile).name)
    return notebook


def _name_file(notebook: NotebookNode, file: str) -> None:
    """Calls the profile by its `file` alone, wherever on this machine that is."""
    notebook.metadata.papermill.parameters["profile"] = file
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            lines = cell.source.splitlines()
            named = [f"profile = {file!r}" if line.startswith("profile = ") else line for line in lines]
            cell.source = "\n".join(named)


def page_provenance(notebook: NotebookNode) -> PageProvenance:
    """Returns what produced an executed notebook that `take_provenance` has seen."""
    page, run = notebook.metadata.paper_lib, notebook.metadata.papermill
    records = [record.provenance for record in page.records]
    found = [datetime.fromisoformat(record.provenance.created) for record in page.records if not record.computed]
    return PageProvenance(
        chapter=page.chapter,
        title=notebook.cells[0].source.partition("\n")[0].removeprefix("# "),
        parameters=dict(run.parameters),
        seeds=tuple(sorted({*page.seeds, *(seed for record in records for seed in record.seeds)})),
        corpora=_distinct([*page.corpora, *(record.corpus for record in records if record.corpus)]),
        machines=_distinct(_machine(record.machine) for record in records) or (_machine(page.machine),),
        versions=dict(page.versions),
        records=tuple(f"{record.kind}/{record.digest}" for record in page.records),
        computed=len(records) - len(found),
        stored=len(found),
        stored_since=min(found, default=None),
        record_seconds=sum(record.seconds for record in records),
        page_seconds=run.duration,
        started=datetime.fromisoformat(run.start_time),
        mixed=tuple(page.get("mixed", ())),
    )


def with_header(notebook: NotebookNode) -> NotebookNode:
    """Returns the notebook with what it found in short under its title, and then its provenance.

    Above stands a warning where its numbers mean nothing. Cells that set the chapter up, its parameters among them, are
    no part of the page: the provenance says the same.
    """
    page = page_provenance(notebook)
    in_short = [cell for cell in notebook.cells if IN_SHORT in cell.metadata.get("tags", [])]
    header = [*in_short, nbformat.v4.new_markdown_cell(_header(page, minutes_to_read(notebook)))]
    if page.parameters["profile"] == "smoke":
        header.insert(0, nbformat.v4.new_markdown_cell(SMOKE_WARNING))
    for cell in notebook.cells:
        if {"parameters", "injected-parameters"} & {*cell.metadata.get("tags", [])} or BEGIN in cell.source:
            cell.metadata.setdefault("tags", []).append("remove-cell")
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        if text := output.get("data", {}).get("text/html"):
            output.data["text/html"] = text.replace(
                CSV_LINK_END, f'{CSV_LINK_END} · <a href="#made">How it was made</a>'
            )
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and "```" not in cell.source:
            cell.source = with_units(cell.source)
    first, *rest = (cell for cell in notebook.cells if cell not in in_short)
    title, _, text = first.source.partition("\n")
    first.source = title
    below = [nbformat.v4.new_markdown_cell(text.strip())] if text.strip() else []
    notebook.cells = [first, *header, *below, *rest]
    return notebook


def how_computed(page: PageProvenance) -> str:
    """Returns in words whether the page's records were computed with it or read from the store."""
    if not page.computed + page.stored:
        return "the page rests on no stored result"
    computed = f"{page.computed} computed with this page" if page.computed else ""
    stored = f"{page.stored} read from the store ({page.stored_since:%Y-%m-%d} or later)" if page.stored else ""
    origin = ", ".join(filter(None, [computed, stored]))
    return f"{page.computed + page.stored} results: {origin}; {duration(page.record_seconds)} of computing in all"


def page_facts(page: PageProvenance) -> dict[str, str]:
    """Returns what a reader must know of a page, by name, in the order in which it is shown; each is one line."""
    chosen = {name: value for name, value in page.parameters.items() if name != "profile" and value is not None}
    facts = {
        "Profile": Path(page.parameters["profile"]).stem,
        "Parameters": ", ".join(f"{name} = {_plain(value)}" for name, value in chosen.items())
        or "none beside the profile",
        "Seeds": _plain(page.seeds) or "none",
        "Corpus": _plain(page.corpora) or "none",
        "Machine": "; ".join(page.machines),
        "Run": f"{page.started:%Y-%m-%d %H:%M} UTC, {duration(page.page_seconds)}",
        "Results": "; ".join([how_computed(page), *page.mixed]),
        "Versions": ", ".join(f"{name} {version}" for name, version in page.versions.items()),
    }
    # An empty line would end the HTML, and Markdown begin.
    return {name: " ".join(fact.split()) for name, fact in facts.items()}


def provenance_list(facts: Mapping[str, str]) -> str:
    """Returns facts by their names as HTML."""
    rows = "\n".join(f"<div><dt>{name}</dt><dd>{html.escape(fact)}</dd></div>" for name, fact in facts.items())
    return f'<dl class="provenance">\n{rows}\n</dl>'


def _header(page: PageProvenance, minutes: int) -> str:
    """Returns one line that opens: the profile, the time to read, then all facts of the page, and how to run it."""
    count = page.computed + page.stored
    told = f"{count} {'result' if count == 1 else 'results'} · " if count else ""
    profile = html.escape(page_facts(page)["Profile"])
    return (
        f'<details class="made">\n<summary>Profile <strong>{profile}</strong>'
        f" · {minutes} min to read · {told}how this page was made, and how to run it yourself</summary>\n"
        f'<div id="made">{provenance_list(page_facts(page))}\n{_rerun(page)}\n{_records(page)}</div>\n</details>'
    )


def _records(page: PageProvenance) -> str:
    """Returns links to all records that a page rests on, each a file of JSON."""
    if not page.records:
        return ""
    links = " · ".join(f'<a href="../records/{name}.json">{name}</a>' for name in map(html.escape, page.records))
    return f'<p class="records">The results, in JSON: {links}</p>'


def rerun_command(page: PageProvenance) -> str:
    """Returns the command that makes this page again, with its parameters."""
    chosen = {name: value for name, value in page.parameters.items() if value is not None}
    given = [
        f"-p {name} {shlex.quote(','.join(value) if isinstance(value, list) else str(value))}"
        for name, value in chosen.items()
    ]
    return " ".join([f"python -m paper_lib chapter {page.chapter}", *given])


def _rerun(page: PageProvenance) -> str:
    name = page.chapter
    links = {
        "executed notebook (.ipynb)": f"../notebooks/{name}.ipynb",
        "source (.py)": f"../notebooks/{name}.py",
        # Where a page is published from, GitHub's own runner says.
        **launch_links(name, os.environ.get("GITHUB_REPOSITORY")),
    }
    shown = " · ".join(
        f'<a href="{html.escape(url)}"{" download" if url.startswith("../") else ""}>{label}</a>'
        for label, url in links.items()
    )
    return (
        '<div class="rerun">\n'
        f"<pre><code>{html.escape(rerun_command(page))}</code></pre>\n"
        f"<p>This command makes this page again; change a parameter and it makes yours. {shown}</p>\n</div>"
    )


def launch_links(chapter: str, repository: str | None) -> dict[str, str]:
    """Returns links that open a chapter on Binder and Colab; none where the pages have no GitHub `repository`.

    Binder starts from the repository and opens the notebook that Jupytext pairs with the source (`postBuild`); Colab
    opens the executed one, which is published beside the pages.
    """
    if not repository:
        return {}
    return {
        "Binder": f"https://mybinder.org/v2/gh/{repository}/main?urlpath=lab/tree/notebooks/{chapter}.ipynb",
        "Colab": f"https://colab.research.google.com/github/{repository}/blob/gh-pages/notebooks/{chapter}.ipynb",
    }


def _machine(machine: NotebookNode) -> str:
    return f"{machine.cpu}, {machine.cores} cores, {machine.gpu or 'no GPU'}, {machine.system}"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
