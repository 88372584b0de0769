"""The part of the command line for one's own recordings: `python -m paper_lib manifest`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from paper_lib.commands import Commands


@click.group(cls=Commands)
def manifest() -> None:
    """Your own recordings: write the manifest of a corpus, and check it."""


def _converted(convert: Callable[[Path, Path], int], directory: Path, out: Path) -> None:
    from paper_lib.corpus.manifests.converting import ConversionError

    try:
        click.echo(f"{convert(directory, out)} utterances in {out}; next: python -m paper_lib manifest check {out}")
    except ConversionError as error:
        raise click.ClickException(str(error)) from None


directory_argument = click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
out_argument = click.argument("out", type=click.Path(dir_okay=False, path_type=Path))


@manifest.command()
@directory_argument
@out_argument
def kaldi(directory: Path, out: Path) -> None:
    """Write the manifest OUT of a Kaldi data directory: wav.scp, text, utt2spk, segments."""
    from paper_lib.corpus.manifests.converting import from_kaldi

    _converted(from_kaldi, directory, out)


@manifest.command()
@directory_argument
@out_argument
def folder(directory: Path, out: Path) -> None:
    """Write the manifest OUT of sound files that have their transcripts beside them: x.wav, x.txt."""
    from paper_lib.corpus.manifests.converting import from_folder

    _converted(from_folder, directory, out)


@manifest.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--alphabet", help="Characters of the texts; by default English small letters, apostrophe and space.")
def check(file: str, alphabet: str | None) -> None:
    """List the faults of the manifest FILE, its hours, speakers and words, and what the normaliser would change."""
    from pydantic import ValidationError

    from paper_lib.corpus.manifests.report import report
    from paper_lib.settings import RecordingsSettings

    try:
        settings = RecordingsSettings(manifest=file, alphabet=alphabet)
    except ValidationError as error:
        raise click.UsageError(error.errors()[0]["msg"]) from None
    lines, usable = report(settings)
    click.echo("\n".join(lines))
    if not usable:
        raise click.exceptions.Exit(1)
