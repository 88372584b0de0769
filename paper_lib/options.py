"""The options that several commands take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from paper_lib.chapters.declarations import named_profile
from paper_lib.profiles import BUILT_IN, ProfileError

CHECKOUT = Path(__file__).resolve().parents[1]


def _each_once(ctx: click.Context, option: click.Parameter, given: Sequence[tuple[str, str]]) -> dict[str, str]:
    names = [name for name, _ in given]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise click.UsageError(f"parameter {doubled[0]} is given twice", ctx)
    return dict(given)


root_option = click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    default=CHECKOUT,
    help="Checkout of the book, or a copy of its configuration, licence, citation and book/; _build in it is written.",
)

parameter_option = click.option(
    "-p",
    "parameters",
    type=(str, str),
    multiple=True,
    callback=_each_once,
    metavar="NAME VALUE",
    help="A parameter; repeatable.",
)


class NamedProfile(click.ParamType[str]):
    """A built-in profile, or the path of a TOML file, which is read before anything runs."""

    name = "profile"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return named_profile(value)
        except ProfileError as error:
            self.fail(f"it must be one of {', '.join(BUILT_IN)}, or the path of a TOML file: {error}", param, ctx)


def profile_option(help: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--profile", type=NamedProfile(), metavar="NAME|FILE", help=help, **settings)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say where a command's jobs run."""
    for option in (
        click.option("--address", metavar="HOST:PORT|auto", help="Of the Ray cluster; by default one begun here."),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            help="Where it is computed: on this machine, or on a Ray cluster whose nodes share PAPER_LIB_CACHE.",
        ),
    ):
        command = option(command)
    return command


def engine_of(name: str, address: str | None) -> Any:
    """Returns the `Engine` of the options."""
    from paper_lib.jobs import Engine

    if address and name == "local":
        raise click.UsageError(f"--address {address} is of a Ray cluster: give --engine ray too")
    return Engine("ray", address) if name == "ray" else Engine()
