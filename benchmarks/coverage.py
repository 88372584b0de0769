"""How often the book's intervals hold and its tests find something where there is nothing, simulated.

    python benchmarks/coverage.py               # some minutes on one core; writes book/records/coverage.json

Every interval and every test that a page prints is drawn here from speech and trainings whose truth is known. Word
errors are counts: Poisson, with a rate that differs from speaker to speaker, from training to training, and from
speaker to speaker within a training (gamma, skewed). The page "How sure is this?" shows the result.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import click
import numpy as np
import scipy

from paper_lib import inference
from paper_lib.claims import federated_dropout, signatures
from paper_lib.inference import difference_of_means, mean_over_trainings, rate
from paper_lib.layers import agreement
from paper_lib.layers.matrices import MATRICES
from paper_lib.layers.sweeps import Sweeps, Unit
from paper_lib.moderation import rates
from paper_lib.paths import published_records

Floats = inference.Floats
# Fewer orders than on the pages: a test with so many holds its level as well.
SIMULATED_ORDERS = 999
SENTENCES, WORDS = 15, 4  # of a speaker, and of a sentence, on average
LAYERS = (6, 7, 16)
# What resets of layers do to the WER, about as in the models of this book with so many layers.
HARMS = {
    6: (0.06, 0.02, 0.01, 0.03, 0.04, 0.2),
    16: (0.01, 0.005, 0, 0, 0, 0, 0, 0, 0.001, 0.002, 0.008, 0.005, 0.015, 0.02, 0.035, 0.18),
}
CHURN = 0.006  # errors a word that any reset makes, and takes away elsewhere


def factors(rng: np.random.Generator, variation: float, shape: tuple[int, ...]) -> Floats:
    """Returns factors of mean 1 with this coefficient of variation, gamma distributed."""
    return rng.gamma(variation**-2, variation**2, shape) if variation else np.ones(shape)


def errors(
    rng: np.random.Generator, trainings: int, speakers: int, wer: float, by_training: float, by_speaker: float
) -> tuple[Floats, Floats]:
    """Returns word errors [trainings, speakers] and words [speakers]; variations are of the rate."""
    words = WORDS * (1.0 + rng.poisson(SENTENCES - 1, speakers))
    rates = (
        wer
        * factors(rng, by_training, (trainings, 1))
        * factors(rng, by_speaker, (1, speakers))
        * factors(rng, 0.5, (trainings, speakers))
    )
    return rng.poisson(rates * words).astype(float), words


def resets(
    rng: np.random.Generator, trainings: int, speakers: int, harms: Sequence[float], by_training: float, unlike: float
) -> tuple[Floats, Floats]:
    """Returns the errors that resets add, [trainings, layers, speakers], and words [speakers].

    From training to training a layer's harm varies by `by_training`, in some layers more and in others less: by a
    factor with the deviation `unlike` of its logarithm. Speakers are more unlike (moves with a skewness of 1.6 to 2 at
    80 speakers) than in most layers of this book's models (0.5 to 1.8 at 149).
    """
    words = WORDS * (1.0 + rng.poisson(SENTENCES - 1, speakers))
    of_speaker = factors(rng, 0.8, (speakers,))
    added = []
    for harm in harms:
        of_training = factors(rng, by_training * np.exp(unlike * rng.standard_normal()), (trainings, 1))
        peculiar = factors(rng, 0.5, (trainings, speakers))
        more = rng.poisson(words * of_speaker * (CHURN + harm * of_training * peculiar))
        added.append(more - rng.poisson(words * of_speaker * CHURN, more.shape))
    return np.stack(added, axis=1).astype(float), words


def intervals(rng: np.random.Generator, draws: int) -> Iterator[dict[str, Any]]:
    """Yields how often intervals hold the truth: of 95 %, and those of one of 16 layers (Bonferroni)."""
    levels = {"of_95": 0.95, "of_layers": 1 - 0.05 / 16}
    for trainings, speakers, (wer, by_speaker), by_training in product(
        (1, 2, 3, 5), (20, 40, 80), ((0.01, 2.0), (0.02, 1.0), (0.1, 0.5)), (0.0, 0.2, 0.4)
    ):
        if trainings == 1 and by_training:  # of this one training: another would be another question
            continue
        held = dict.fromkeys(levels, 0)
        for _ in range(draws):
            mean = rate(*errors(rng, trainings, speakers, wer, by_training, by_speaker))
            for name, level in levels.items():
                estimate = mean.estimate(level)
                held[name] += estimate.low <= wer <= estimate.high
        yield {
            "interval": "WER, or harm",
            "trainings": trainings,
            "speakers": speakers,
            "wer": wer,
            "variation_by_speaker": by_speaker,
            "variation_by_training": by_training,
            **{name: count / draws for name, count in held.items()},
        }
    for trainings, speakers in product((2, 3, 5), (20, 80)):
        held = dict.fromkeys(levels, 0)
        for _ in range(draws):
            # Two plans that cost alike, paired by seed and speaker; a seed favours one or the other.
            first, words = errors(rng, trainings, speakers, 0.3, 0.1, 0.5)
            second = rng.poisson(first.mean(0) * factors(rng, 0.1, (trainings, 1)))
            mean = rate(first - second, words)
            for name, level in levels.items():
                estimate = mean.estimate(level)
                held[name] += estimate.low <= 0 <= estimate.high
        yield {
            "interval": "difference of two plans",
            "trainings": trainings,
            "speakers": speakers,
            **{name: count / draws for name, count in held.items()},
        }
    for trainings, (layers, harms), (by_training, unlike) in product(
        (2, 3, 5), HARMS.items(), ((0.0, 0.0), (0.2, 0.0), (0.4, 0.0), (0.3, 0.7))
    ):
        each = {"of_95": 0.95, "of_layers": 1 - 0.05 / layers}
        held, together, widths = dict.fromkeys(levels, 0.0), 0, []
        for _ in range(draws):
            added, words = resets(rng, trainings, 80, harms, by_training, unlike)
            means = rates(added, words)
            for name, level in each.items():
                ends = [mean.estimate(level) for mean in means]
                hold = [end.low <= harm <= end.high for end, harm in zip(ends, harms, strict=True)]
                held[name] += np.mean(hold)
            together += all(hold)
            alone = [rate(added[:, layer], words).estimate(each["of_layers"]) for layer in range(layers)]
            widths.append([(a.high - a.low) / (b.high - b.low) for a, b in zip(ends, alone, strict=True)])
        yield {
            "interval": f"harm of one of {layers} layers, moderated",
            "trainings": trainings,
            "speakers": 80,
            "variation_by_training": by_training,
            "unlike": unlike,
            **{name: count / draws for name, count in held.items()},
            "together": together / draws,
            "width": float(np.median(widths)),
        }
    for trainings, (shape, draw) in product((2, 3, 5), {"normal": rng.standard_normal, "gamma": skewed(rng)}.items()):
        held = dict.fromkeys(levels, 0)
        for _ in range(draws):
            values = draw(trainings)
            for name, level in levels.items():
                estimate = mean_over_trainings(values).estimate(level)
                held[name] += estimate.low <= 0 <= estimate.high
        yield {
            "interval": f"mean over trainings, {shape}",
            "trainings": trainings,
            **{name: count / draws for name, count in held.items()},
        }


def skewed(rng: np.random.Generator) -> Callable[[int], Floats]:
    """Returns a function that draws values of mean 0 and variation 0.3 about what they were taken from."""
    return lambda count: factors(rng, 0.3, (count,)) - 1


def profiles(rng: np.random.Generator, trainings: int, layers: int, noise: float, slope: float = 0.0) -> Floats:
    """Returns one profile over layers, some of which tie but for noise, in several trainings: [trainings, layers]."""
    shared = rng.exponential(size=layers) * (rng.random(layers) < 0.6) + slope * np.linspace(-1, 1, layers)
    return shared + noise * rng.standard_normal((trainings, layers))


def training(rng: np.random.Generator, pattern: Floats, noise: float, steps: int = 20) -> dict[str, Any]:
    """Returns the distances of a training whose layers move by `pattern` from the first step on, but for noise."""
    moved = np.exp(np.log(pattern) + noise * rng.standard_normal((len(MATRICES), steps, len(pattern))))
    distances = {
        f"layers.{layer}.{matrix}.weight": moved[row, :, layer].tolist()
        for row, matrix in enumerate(MATRICES)
        for layer in range(len(pattern))
    }
    return {"distance_steps": list(range(1, steps + 1)), "distances": distances}


def tests(rng: np.random.Generator, draws: int) -> Iterator[dict[str, Any]]:
    """Yields how often each test rejects at 5 % where there is nothing to find."""

    def share(found: Callable[[], bool]) -> float:
        return sum(found() for _ in range(draws)) / draws

    for trainings, layers in product((2, 3, 5), LAYERS):

        def agree(trainings: int = trainings, layers: int = layers) -> bool:
            own = np.concatenate([profiles(rng, 1, layers, 0.05) for _ in range(trainings)])
            return agreement.agreement_p(own) < inference.SIGNIFICANCE

        def share_sets(trainings: int = trainings, layers: int = layers) -> bool:
            return agreement.sets_p(rng.random((trainings, layers)) < 0.4) < inference.SIGNIFICANCE

        where = {"trainings": trainings, "layers": layers}
        yield {"test": "trainings rank layers alike", **where, "rejects": share(agree)}
        yield {"test": "trainings share safe layers", **where, "rejects": share(share_sets)}
    for trainings, layers in product((1, 5), LAYERS):
        where = {"trainings": trainings, "layers": layers}

        def associated(given_depth: bool, slope: float, trainings: int = trainings, layers: int = layers) -> bool:
            first, second = (profiles(rng, trainings, layers, 0.2, slope) for _ in range(2))
            return agreement.association(first, second, given_depth)[1] < inference.SIGNIFICANCE

        yield {
            "test": "signature goes with harm",
            **where,
            "rejects": share(lambda associated=associated: associated(False, 0.0)),  # type: ignore[misc]
        }
        yield {
            "test": "the same at fixed depth, both follow depth",
            **where,
            "rejects": share(lambda associated=associated: associated(True, 1.0)),  # type: ignore[misc]
        }

        def dips(trainings: int = trainings, layers: int = layers) -> bool:
            pattern = factors(rng, 0.3, (layers,))
            runs = [training(rng, pattern, 0.05, steps=1) for _ in range(trainings)]
            harm = profiles(rng, trainings, layers, 0.2)
            sweeps = Sweeps(
                np.ones(1), np.zeros((trainings, 1)), tuple(map(Unit, range(layers))), _resets(harm), _resets(harm)
            )
            finding = federated_dropout.dips_at_least_critical(runs, sweeps)
            return finding.p < inference.SIGNIFICANCE

        yield {"test": "signature dips at the least critical layer", **where, "rejects": share(dips)}
    for trainings, layers in product((3, 5), LAYERS):
        where = {"trainings": trainings, "layers": layers}

        def steadier(trainings: int = trainings, layers: int = layers) -> bool:
            shared = rng.exponential(size=layers)
            first, second = (agreement.instability(shared * factors(rng, 0.4, (trainings, layers))) for _ in range(2))
            return difference_of_means(first, second).p_value(0) < inference.SIGNIFICANCE

        def emerges(trainings: int = trainings, layers: int = layers) -> bool:
            pattern = factors(rng, 0.3, (layers,))
            rhos = signatures.resemblance([training(rng, pattern, 0.2) for _ in range(trainings)])
            gains = rhos[:, rhos.shape[1] // 2 :].mean(1) - rhos[:, 0]
            return mean_over_trainings(gains).p_value(0) < inference.SIGNIFICANCE

        yield {"test": "one size is steadier than another", **where, "rejects": share(steadier)}
        yield {"test": "signature emerges, though it is there from the first step", **where, "rejects": share(emerges)}
    for trainings, speakers in product((1, 2, 3, 5), (20, 80)):

        def classed(trainings: int = trainings, speakers: int = speakers) -> bool:
            # All layers of a model at the margin: any class would be wrong.
            by_training = 0.0 if trainings == 1 else 0.3
            means = rates(*resets(rng, trainings, speakers, [0.02] * 16, by_training, 0.0))
            ends = [mean.estimate(1 - 0.05 / 16) for mean in means]
            return any(not estimate.low <= 0.02 <= estimate.high for estimate in ends)

        yield {
            "test": "a layer of 16 is ambient or critical, all of them at the margin",
            "trainings": trainings,
            "speakers": speakers,
            "rejects": share(classed),
        }


def _resets(harm: Floats) -> dict[Any, Floats]:
    return {"re-initialisation": harm[..., None]}


@click.command()
@click.option("--draws", default=2000, show_default=True, help="Simulated experiments for every line.")
@click.option("--seed", default=0, show_default=True)
def main(draws: int, seed: int) -> None:
    """Simulate all intervals and tests and write the shares to book/records/coverage.json."""
    inference.DRAWN_ORDERS = agreement.DRAWN_ORDERS = SIMULATED_ORDERS
    rng = np.random.default_rng(seed)
    found: dict[str, list[dict[str, Any]]] = {"intervals": [], "tests": []}
    for kind, simulate in (("intervals", intervals), ("tests", tests)):
        for line in simulate(rng, draws):
            click.echo(json.dumps(line))
            found[kind].append(line)
    versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
    content = {"draws": draws, "seed": seed, "versions": versions, **found}
    path = published_records(".") / "coverage.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    click.echo(path)


if __name__ == "__main__":
    main()
