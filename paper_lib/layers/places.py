"""Where the layers of any model are: patterns over the names of its modules. Without torch: names are all it takes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class ResetError(ValueError):
    """A layer that is not there, or a reset that cannot be made; the message names both and what would do."""


@dataclass(frozen=True)
class Place:
    """One layer, or one part of it (`module`), by its name in the model; `layer` counts from 1."""

    name: str
    layer: int
    module: str | None = None


@dataclass(frozen=True)
class Layout:
    """Where a toolkit's Conformer has its encoder layers, and what their parts are called, as a frame passes them."""

    layers: str
    parts: tuple[str, ...]

    def part(self, name: str) -> str:
        """Returns the pattern of one part of every layer; raises ResetError where the layers have none of that name."""
        if name not in self.parts:
            raise ResetError(f"part is {name!r}; {self.layers} has {', '.join(self.parts)}")
        return f"{self.layers}.{name}"


LAYOUTS: dict[str, Layout] = {
    "NeMo": Layout("encoder.layers.*", ("feed_forward1", "self_attn", "conv", "feed_forward2")),
    "ESPnet": Layout("encoder.encoders.*", ("feed_forward_macaron", "self_attn", "conv_module", "feed_forward")),
    "Wav2Vec2-Conformer": Layout("wav2vec2_conformer.encoder.layers.*", ("ffn1", "self_attn", "conv_module", "ffn2")),
    "Parakeet": Layout("encoder.layers.*", ("feed_forward1", "self_attn", "conv", "feed_forward2")),
    "torchaudio": Layout("conformer_layers.*", ("ffn1", "self_attn", "conv_module", "ffn2")),
    "paper_lib": Layout("encoder.layers.*", ("ffn1", "attention", "convolution", "ffn2")),
}


def find_places(names: Iterable[str], layers: str | Sequence[str]) -> tuple[Place, ...]:
    """Returns the places that `layers` names among the `names` of modules, which come in the model's order.

    A pattern has one `*`, which stands for (a part of) one dotted component: "encoder.layers.*" is every layer, and
    "encoder.layers.*.self_attn" that part of every layer. A layer's number is its place among its siblings, so that
    the parts of a layer have the layer's number. Several patterns give several parts of each layer, by layer. Names
    without `*` are layers in the order in which they are listed, from 1.

    Raises:
        ResetError: a pattern matches nothing or has several `*`, a name is not there or comes twice, or patterns and
            names are mixed.
    """
    names = [name for name in names if name]
    wanted = [layers] if isinstance(layers, str) else list(layers)
    if not wanted:
        raise ResetError(f"layers is empty; {_suggestions(names, '')}")
    starred = ["*" in one for one in wanted]
    if any(starred) != all(starred):
        raise ResetError(f"layers is {wanted}; it must be patterns with one * each, or names, but not both")
    if not all(starred):
        for name in wanted:
            if name not in names:
                raise ResetError(f"layers has {name!r}, and the model no such module; {_suggestions(names, name)}")
        places = [Place(name, number) for number, name in enumerate(wanted, 1)]
    else:
        found = [place for pattern in wanted for place in _matches(names, pattern)]
        places = sorted(found, key=lambda place: place.layer)  # stable: the parts of a layer as the patterns come
    if len({place.name for place in places}) < len(places):
        raise ResetError(f"layers is {wanted}; it names a module twice")
    return tuple(places)


def _matches(names: Sequence[str], pattern: str) -> list[Place]:
    if pattern.count("*") != 1:
        raise ResetError(f"layers has {pattern!r}; a pattern has one *, the layer's place, not {pattern.count('*')}")
    before, after = pattern.split("*")
    within, _, part = after.partition(".")
    expression = re.compile(f"({re.escape(before)}([^.]+){re.escape(within)})(?:[.](.+))?")
    matches = [match for match in map(expression.fullmatch, names) if match]
    # All siblings count, whether or not they have the part. Some state dictionaries have "10" before "2".
    siblings = list(dict.fromkeys((match[2], match[1]) for match in matches))
    if all(star.isdecimal() for star, _ in siblings):
        siblings.sort(key=lambda sibling: int(sibling[0]))
    number = {name: place for place, (_, name) in enumerate(siblings, 1)}
    places = [Place(match[0], number[match[1]], part or None) for match in matches if match[3] == (part or None)]
    if not places:
        raise ResetError(f"layers is {pattern!r}, which matches no module; {_suggestions(names, pattern)}")
    return places


def _suggestions(names: Sequence[str], wanted: str) -> str:
    """Returns what would match, in words: the nearest names, and the stacks of layers."""
    stacks: dict[str, set[str]] = {}
    for name in names:
        stack, _, place = name.rpartition(".")
        if place.isdecimal() and not any(component.isdecimal() for component in stack.split(".")):
            stacks.setdefault(f"{stack}.*".removeprefix("."), set()).add(place)
    counted = {pattern: len(members) for pattern, members in stacks.items() if len(members) > 1}
    near = difflib.get_close_matches(wanted, [*counted, *([] if "*" in wanted else names)], n=5, cutoff=0.5)
    shown = list(dict.fromkeys([*near, *sorted(counted, key=lambda pattern: -counted[pattern])]))[:8]
    if not shown:
        return f"it has {', '.join(names[:8]) or 'no named modules'}"
    return f"there are {', '.join(f'{name} ({counted[name]} modules)' if name in counted else name for name in shown)}"
