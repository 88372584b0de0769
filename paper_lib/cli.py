"""The command line: chapters, the book, and studies without a notebook.

Commands import what they need when they run: help and refusals come at once, and `run` works on a machine that has no
notebook stack.
"""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import click

from paper_lib.chapters.declarations import CHAPTERS
from paper_lib.chapters.parameters import ParameterError, check_text, describe
from paper_lib.commands import Commands
from paper_lib.manifest_commands import manifest
from paper_lib.options import engine_of, engine_options, parameter_option, profile_option, root_option


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A book on the layers of a Conformer speech recogniser, and the experiments behind it."""


@main.command()
@click.argument("name")
@parameter_option
@root_option
def chapter(name: str, parameters: dict[str, str], root: Path) -> None:
    """Run chapter NAME with other parameters; writes _build/chapters/NAME.ipynb."""
    try:
        checked = check_text(name, parameters)
    except ParameterError as error:
        raise click.UsageError(str(error)) from None

    from paper_lib.chapters.runner import ChapterError, execute

    try:
        click.echo(execute(name, checked.model_dump(), root))
    except ChapterError as error:
        raise click.ClickException(str(error)) from None


@main.command()
@root_option
def chapters(root: Path) -> None:
    """List the chapters with their parameters, types, defaults and ranges."""
    from paper_lib.chapters.sources import title_of

    for name, declared in CHAPTERS.items():
        click.echo(f"{name}: {title_of(name, root)}")
        for parameter, field in declared.model_fields.items():
            click.echo(f"  -p {parameter:<9}{describe(declared, parameter)}; default {_typed(field.default)}")
            click.echo(f"{'':<14}{field.description}")


@main.command()
@profile_option("How much is computed, on what corpus, with which models.", default="quick", show_default=True)
@root_option
def book(profile: str, root: Path) -> None:
    """Run all chapters and build the HTML in _build/html."""
    from paper_lib.chapters.book import BuildError, build_book
    from paper_lib.chapters.runner import ChapterError

    try:
        click.echo(build_book(profile, root))
    except (ChapterError, BuildError) as error:
        raise click.ClickException(str(error)) from None


@main.command()
@root_option
def pdf(root: Path) -> None:
    """Print the built book to _build/book.pdf by Chromium."""
    from paper_lib.chapters.printing import PrintError, print_book

    try:
        click.echo(print_book(root))
    except PrintError as error:
        raise click.ClickException(str(error)) from None


@main.command()
@root_option
def links(root: Path) -> None:
    """Follow every link of the built book, and ask each address outside it whether it answers."""
    from paper_lib.chapters.links import broken_links, silent_addresses

    html = root / "_build" / "html"
    if not (html / "index.html").is_file():
        raise click.ClickException(f"{html / 'index.html'} is not there: build the book first (make book)")
    if faults := [*broken_links(html), *silent_addresses(html)]:
        raise click.ClickException("\n".join(["these links lead nowhere:", *faults]))


@main.command()
@click.option("--study", required=True, help="The chapter whose records are computed.")
@profile_option("How much is computed, on what corpus, with which models.", required=True)
@parameter_option
@engine_options
def run(study: str, profile: str, parameters: dict[str, str], engine: str, address: str | None) -> None:
    """Compute the records of a study in the terminal, without a notebook.

    It takes the chapter's parameters; those that only say what the page shows play no part.
    """
    if "profile" in parameters:
        raise click.UsageError(f"profile is given twice: --profile {profile} and -p profile {parameters['profile']}")
    try:
        values = check_text(study, {**parameters, "profile": profile}).model_dump()
    except ParameterError as error:
        raise click.UsageError(str(error)) from None

    from paper_lib.cluster import ClusterError
    from paper_lib.profiles import profile_of
    from paper_lib.studies import STUDIES
    from paper_lib.studies.measurements import NotMeasuredError

    if study not in STUDIES:
        raise click.UsageError(f"chapter {study} computes no records; these do: {', '.join(STUDIES)}")
    plan = STUDIES[study]
    wanted = {name: value for name, value in values.items() if name in signature(plan).parameters}
    asked = plan(**wanted | {"profile": profile_of(values["profile"])})
    try:
        asked.measure(engine=engine_of(engine, address))
        lines = asked.summary()
    except (NotMeasuredError, ClusterError) as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(lines))


@main.command()
@profile_option("Whose model.", required=True)
@click.option(
    "--model", type=click.Choice(["S", "M", "L", "clients"]), required=True, help="A size; clients: what they adapt."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of weights, batches and masks.")
def train(profile: str, model: Any, seed: int) -> None:
    """Train one model; on several devices, torchrun --nproc-per-node N -m paper_lib train ... does.

    The model stays in the cache, where `records --make` and `run` find it. Killed and started again it goes on.
    """
    from paper_lib.processes import ProcessesError
    from paper_lib.profiles import profile_of
    from paper_lib.studies.together import run_named, train
    from paper_lib.training import NonFiniteLossError

    of = profile_of(profile)
    try:
        record = train(of, run_named(of, model, seed))
    except (ProcessesError, NonFiniteLossError) as error:
        raise click.ClickException(str(error)) from None
    if record:
        losses, wers = record.result["losses"], list(record.result["dev_wer"].values())
        wer = f", WER {100 * wers[-1]:.2f} % on dev speech" if wers else ""
        click.echo(f"loss {losses[-1]:.2f} nats an utterance{wer}  {record.kind}/{record.digest}.json")


@main.command()
@profile_option("Whose records.", required=True)
@click.option("--make", "making", is_flag=True, help="Make what is missing; killed and started again it goes on.")
@click.option("--workers", type=click.IntRange(min=1), help="Measurements at a time; by default one per core, or GPU.")
@engine_options
def records(profile: str, making: bool, workers: int | None, engine: str, address: str | None) -> None:
    """List what is measured for the chapters, what is missing, and how long that will take; or make it."""
    from paper_lib.profiles import profile_of

    if not making:
        from paper_lib.studies.listing import listing

        click.echo("\n".join(listing(profile_of(profile), workers)))
        return

    from paper_lib.studies.making import MeasurementError, make

    try:
        make(profile_of(profile), workers, click.echo, engine_of(engine, address))
    except MeasurementError as error:
        raise click.ClickException(str(error)) from None


@main.command()
@profile_option("Whose records.", required=True)
@click.option("--to", "directory", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where to.")
def export(profile: str, directory: Path) -> None:
    """Write what is measured as tables (CSV, Parquet), manifests of what was heard (JSON lines), and plans (JSON)."""
    from paper_lib.export import export
    from paper_lib.tables import TablesError

    try:
        for path in export(profile, directory):
            click.echo(path)
    except (OSError, TablesError) as error:
        raise click.ClickException(str(error)) from None


@main.command()
@profile_option("Whose records; by default all that are published.")
@click.option("--sample", type=click.IntRange(min=1), default=1, show_default=True, help="Records of each profile.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Draw the records by it; by default the cheapest that this kind of machine made.",
)
def verify(profile: str | None, sample: int, seed: int | None) -> None:
    """Compute published records anew, from nothing, and say whether they come out the same."""
    from paper_lib.profiles import PUBLISHED, profile_of
    from paper_lib.studies.verifying import verify_all

    profiles = [profile_of(name) for name in ([profile] if profile else PUBLISHED)]
    if not verify_all(profiles, sample, seed, click.echo):
        raise click.exceptions.Exit(1)


@main.command()
def sizes() -> None:
    """Print the parameters of the paper's model sizes beside the slides' numbers."""
    from paper_lib.conformer.sizes import table

    click.echo(table())


@main.command()
@click.argument("corpus", type=click.Choice(["librispeech", "librispeech_mini", "speech_commands"]))
def download(corpus: str) -> None:
    """Fetch recordings of people: the paper's corpus, five hours of it, or single words.

    They go where PAPER_LIB_LIBRISPEECH or PAPER_LIB_SPEECH_COMMANDS says, by default data/ in the cache.
    """
    from paper_lib.corpus import librispeech, speech_commands
    from paper_lib.settings import MINI_LIBRISPEECH, LibriSpeechSettings

    if corpus == "speech_commands":
        speech_commands.download()
    else:
        librispeech.download(MINI_LIBRISPEECH if corpus == "librispeech_mini" else LibriSpeechSettings())


main.add_command(manifest)


def _typed(default: Any) -> str:
    """Returns a default as one types it after `-p NAME`."""
    return ",".join(default) if isinstance(default, tuple) else str(default)
