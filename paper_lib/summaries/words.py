"""Numbers in sentences: how many of what, which layers, and what a finding rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from paper_lib.inference import Estimate
from paper_lib.layers.sweeps import Sweeps
from paper_lib.typography import minus_signs


def counted(count: int, noun: str) -> str:
    """Returns "1 training", "3 trainings"; `noun` is the singular."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(texts: Iterable[str]) -> str:
    """Returns "a", "a and b", "a, b and c"."""
    *others, last = texts
    return f"{', '.join(others)} and {last}" if others else last


def seeds_named(seeds: Sequence[int]) -> str:
    """Returns "seed 3", "seeds 0 and 3"."""
    return f"seed{'' if len(seeds) == 1 else 's'} {listed(map(str, seeds))}"


def layers_named(layers: Sequence[int]) -> str:
    """Returns "layer 3", "layers 2 to 7 and 9"; runs of three and more layers are shortened. `layers` rise."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    told = [text for run in runs for text in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))]
    return f"layer{'' if len(layers) == 1 else 's'} {listed(told)}"


def share_of_layers(count: int, layers: int) -> str:
    """Returns "none of the 16 layers", "3 of the 16 layers", "all 16 layers"."""
    return f"all {layers} layers" if count == layers else f"{count or 'none'} of the {layers} layers"


def sentence(text: str) -> str:
    """Returns `text` with a capital letter first, and the minus sign before numbers below 0."""
    return minus_signs(f"{text[:1].upper()}{text[1:]}")


def worse_of(difference: Estimate, first: str, second: str) -> str:
    """Says which of two is the worse, by the interval of the first's WER less the second's."""
    if difference.low > 0:
        return f"so {first} did worse"
    return f"so {second} did worse" if difference.high < 0 else "which does not tell them apart"


def rests_on(models: Mapping[str, Sweeps]) -> str:
    """Says how many trainings and speakers the intervals of a page are over; `models` are by size or norm."""
    counts = {name: sweeps.trainings for name, sweeps in models.items()}
    speakers = counted(len(next(iter(models.values())).words), "speaker")
    if len(set(counts.values())) == 1:
        each = " each" if len(counts) > 1 else ""
        told = f"{counted(next(iter(counts.values())), 'training')} of {listed(counts)}{each}"
    else:
        told = listed(f"{counted(count, 'training')} of {name}" for name, count in counts.items())
    alone = [name for name, count in counts.items() if count == 1]
    about = (
        ""
        if not alone
        else "; with one training an interval is about that trained model alone"
        if len(alone) == len(counts)
        else f"; with one training, of {listed(alone)}, an interval is about that trained model alone"
    )
    return f"This rests on {told}, tested by {speakers}{about}."
