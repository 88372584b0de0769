"""Commands that refuse what is given twice, and that tell in a line what ends them."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

import click

from paper_lib.ending import Terminated, terminable
from paper_lib.files import StorageError, needed
from paper_lib.results import DamagedRecordError


class Command(click.Command):
    """A command that refuses an option that is given twice; click would take the last in silence."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for option in self.params:
            if isinstance(option, click.Option) and not option.multiple and given.count(option) > 1:
                raise click.UsageError(f"{option.opts[0]} is given twice", ctx)
        return super().parse_args(ctx, args)


class Ending(click.ClickException):
    """A command was told to end."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}: what is finished is kept, and the same command goes on from there")

    def show(self, file: IO[Any] | None = None) -> None:
        # Progress bars may have left the line unfinished.
        click.echo(f"\n{self.message}", file, err=True)


class Interrupted(Ending):
    """By Ctrl-C."""

    exit_code = 128 + signal.SIGINT


class Killed(Ending):
    """By SIGTERM."""

    exit_code = 128 + signal.SIGTERM


class Commands(click.Group):
    """The commands, each of which is a `Command`; what ends one of them is told in a line."""

    command_class = Command

    def invoke(self, ctx: click.Context) -> Any:
        _print_anything()
        try:
            with terminable():
                return super().invoke(ctx)
        except Terminated:
            raise Killed("ended by SIGTERM") from None
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None
        except (StorageError, DamagedRecordError) as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            if not error.filename:  # a pipe that nobody reads any more, which click passes over
                raise
            raise click.ClickException(needed(Path(os.fsdecode(error.filename)), error)) from None


def _print_anything() -> None:
    """Lets a path, or a title, be printed in any locale, if need be by escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.encoding.lower() in ("ascii", "ansi_x3.4-1968"):  # no terminal is that any more
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
        elif sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="backslashreplace")
