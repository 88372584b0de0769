"""Greedy decoding of a test by the shipped model, and the reset sweep, against what one would write or take instead.

The text is compared before anything is measured: with the plain loop over utterances and frames it must be the same;
with torchaudio's beam search of width 1, which ranks by another rule, the utterances that differ are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks import nemo_decoding
from benchmarks.timing import OURS, Row, Timed, UnequalError, by_turns, installed, seconds_of, threads
from paper_lib.conformer.decoding import greedy_decode, transcribe
from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.corpus import open_corpus
from paper_lib.corpus.batches import Item, collate, evaluation_batches
from paper_lib.evaluation import Spoken
from paper_lib.layers.full_sweep import sweep as sweep_any
from paper_lib.layers.reset_sweep import replacements, reset_sweep
from paper_lib.layers.results import SweepResult
from paper_lib.layers.variants import ALL_KINDS, name_of
from paper_lib.settings import ResetSettings, SyntheticSettings
from paper_lib.widgets.shipped import ShippedModel, load_shipped

Encoded = tuple[Tensor, Tensor]  # [batch, time, dim] and frames [batch]
Labels = list[list[int]]
LOOP, BEAM, NEMO = "loop over frames", "torchaudio beam 1", "NeMo label looping"
MOST_SYMBOLS = 5


def test_items(utterances: int) -> list[Item]:
    """Returns test sentences of the shipped model's kind, made where they are not in the cache."""
    settings = load_shipped().run.corpus
    assert isinstance(settings, SyntheticSettings)
    changes = {"utterances": {"train": 1, "dev": 1, "test": utterances}, "most_words": 10}
    corpus = open_corpus(settings.model_copy(update=changes))
    return [item for batch in evaluation_batches(corpus, "test", 3000) for item in batch]


def in_batches(items: list[Item], size: int) -> list[list[Item]]:
    """Returns `items` in batches of `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]


@torch.inference_mode()
def encoded(shipped: ShippedModel, batches: list[list[Item]]) -> list[Encoded]:
    """Returns what the encoder makes of every batch: decoding alone is measured."""
    made = []
    for items in batches:
        batch = collate(items, shipped.tokenizer)
        made.append(shipped.model.encode(batch.features, batch.frames))
    return made


def by_ours(model: Transducer, batches: list[Encoded]) -> Labels:
    """Returns the labels of every utterance, a batch at a time."""
    return [ids for x, frames in batches for ids in greedy_decode(model, x, frames, MOST_SYMBOLS)]


@torch.inference_mode()
def by_loop(model: Transducer, batches: list[Encoded]) -> Labels:
    """Returns the labels as a textbook writes it: utterance by utterance, frame by frame, label by label."""
    found = []
    for x, frames in batches:
        for row, count in zip(x, frames.tolist(), strict=True):
            keys = model.joint.encoder(row[:count])
            output, state = model.prediction(torch.tensor([[BLANK]]))
            ids: list[int] = []
            for key in keys:
                for _ in range(MOST_SYMBOLS):
                    best = int(model.joint(key, model.joint.prediction(output[0, 0])).argmax())
                    if best == BLANK:
                        break
                    ids.append(best)
                    output, state = model.prediction(torch.tensor([[best]]), state)
            found.append(ids)
    return found


class _ForTorchaudio(nn.Module):
    """Our transducer with the three methods that torchaudio's search calls; its blank is the last label, ours first."""

    def __init__(self, model: Transducer) -> None:
        super().__init__()
        self.model, self.labels = model, model.settings.vocabulary

    def transcribe(self, x: Tensor, frames: Tensor) -> Encoded:
        return x, frames

    def predict(
        self, labels: Tensor, lengths: Tensor, state: list[list[Tensor]] | None
    ) -> tuple[Tensor, Tensor, list[list[Tensor]]]:
        """Maps `labels` [batch, 1] and a state to outputs [batch, 1, outputs], lengths and the next state."""
        # Within its search a state is [layers of lists of tensors with the batch first].
        before = None if state is None else (state[0][0].transpose(0, 1), state[0][1].transpose(0, 1))
        output, (h, c) = self.model.prediction((labels + 1) % self.labels, before)
        return output, lengths, [[h.transpose(0, 1), c.transpose(0, 1)]]

    def join(self, x: Tensor, frames: Tensor, predicted: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns logits [batch, frames, outputs, vocabulary], with the blank moved to the end."""
        joint = self.model.joint
        logits = joint(joint.encoder(x)[:, :, None], joint.prediction(predicted)[:, None])
        return logits.roll(-1, -1), frames, lengths


@torch.inference_mode()
def by_beam(model: Transducer, batches: list[Encoded]) -> Labels:
    """Returns the labels that torchaudio's search finds with one hypothesis, utterance by utterance."""
    from torchaudio.models import RNNTBeamSearch

    wrapped = _ForTorchaudio(model)
    # Its own rule prefers texts by their mean score a label; this one keeps what was followed last, as greedy does.
    search = RNNTBeamSearch(
        wrapped, wrapped.labels - 1, hypo_sort_key=lambda h: len(h[0]), step_max_tokens=MOST_SYMBOLS
    )
    found = []
    for x, frames in batches:
        for row, count in zip(x, frames, strict=True):
            (best,) = search(row[:count][None], count[None], 1)
            found.append([label + 1 for label in best[0][1:]])
    return found


def differing(ours: Labels, theirs: Labels) -> int:
    """Returns how many utterances have another text."""
    return sum(mine != other for mine, other in zip(ours, theirs, strict=True))


def decoding(utterances: int = 96) -> Iterator[Row]:
    """Yields decoding of one utterance at a time, of sixteen and of all together, against every other decoder."""
    shipped = load_shipped()
    model, items = shipped.model, test_items(utterances)
    together = {size: encoded(shipped, in_batches(items, size)) for size in (1, 16, utterances)}
    ones = together[1]
    reference = by_loop(model, ones)
    for size, batches in together.items():
        if wrong := differing(reference, by_ours(model, batches)):
            raise UnequalError(
                f"{wrong} of {utterances} are decoded otherwise than by the plain loop in batches of {size}"
            )
    words = sum(len(shipped.tokenizer.decode(ids).split()) for ids in reference)
    beam = differing(reference, by_beam(model, ones))
    more: dict[str, object] = {"utterances": utterances, "words found": words}
    for size, batches in together.items():
        calls: dict[str, Callable[[], object]] = {
            OURS: partial(by_ours, model, batches),
            BEAM: partial(by_beam, model, ones),  # one at a time is all it can
        }
        equal = f"same text as the loop; beam differs in {beam} of {utterances}"
        if size == 1:
            calls[LOOP] = partial(by_loop, model, ones)
        else:
            calls["ours, batch 1"] = partial(by_ours, model, ones)
            if installed("nemo_toolkit"):
                theirs = nemo_decoding.decoder(model, MOST_SYMBOLS)
                calls[NEMO] = partial(theirs, batches)
                equal += f"; NeMo differs in {differing(reference, theirs(batches))} of {utterances}"
        with threads(1):
            yield Row("decoding", f"batch {size}", 1, by_turns(calls, 10), equal, more)


def sweep(utterances: int = 96) -> Iterator[Row]:
    """Yields a sweep of all layers, four resets each, against as many evaluations of the whole model."""
    shipped, cpu = load_shipped(), torch.device("cpu")
    batches = evaluation_batches_of(test_items(utterances))
    settings = ResetSettings(draws=3)
    arguments = (shipped.model, shipped.initial, batches, shipped.tokenizer, settings, shipped.run.seed, cpu)
    resets = replacements(shipped.model, shipped.initial, settings, shipped.run.seed)
    swept = reset_sweep(*arguments)
    layers = shipped.model.encoder.layers
    for variant, module in list(resets.items())[:: len(resets) // 4]:
        trained = layers[variant.layer - 1]
        layers[variant.layer - 1] = module
        alone = [heard for _, heard in transcribe(shipped.model, batches, shipped.tokenizer, cpu)]
        layers[variant.layer - 1] = trained
        if alone != swept.hypotheses[variant]:
            raise UnequalError(f"{variant}: the sweep hears something else than an evaluation of the reset model")
    with threads(1):
        calls = {OURS: lambda: reset_sweep(*arguments), "one evaluation": lambda: transcribe(*_evaluated(arguments))}
        sweep_, one = by_turns(calls, 20)
    full = Timed("full evaluations", [len(resets) * seconds for seconds in one.seconds])
    what = f"{len(layers)} layers, {len(resets)} resets, {utterances} utterances"
    yield Row("sweep", what, 1, [sweep_, full], "same text in 4 resets that were evaluated alone")
    yield any_model(shipped, batches, settings.draws)


def any_model(shipped: ShippedModel, batches: list[list[Item]], draws: int) -> Row:
    """Returns the sweep that knows nothing of the model, over two layers, against the evaluations within it.

    A model that is reset may write more than the intact one, and takes longer then: it is the same evaluations that
    count.
    """
    names = [f"encoder.{name_of(layer)}" for layer in (1, len(shipped.model.encoder.layers))]
    spoken = Spoken.of([shard.utterances[index] for items in batches for shard, index in items])
    evaluations: list[float] = []

    def heard(model: nn.Module) -> list[str]:
        texts: list[str] = []
        call = partial(transcribe, model, batches, shipped.tokenizer, torch.device("cpu"))
        evaluations.append(seconds_of(lambda: texts.extend(text for _, text in call())))
        return texts

    def swept() -> SweepResult:
        return sweep_any(
            shipped.model,
            layers=names,
            transcribe=heard,
            references=spoken.references,
            speakers=spoken.speakers,
            resets=ALL_KINDS,
            initial=shipped.initial,
            draws=draws,
        )

    with threads(1):
        count = len(swept().hypotheses)
        evaluations.clear()
        (whole,) = by_turns({OURS: swept}, 10)
    counted = evaluations[-count * len(whole.seconds) :]  # without those of the turn that warms up
    alone = [sum(counted[start : start + count]) for start in range(0, len(counted), count)]
    what = f"any model, {len(names)} layers, {count - 1} resets, {len(spoken.ids)} utterances"
    return Row("sweep", what, 1, [whole, Timed("evaluations alone", alone)], "the same evaluations")


def evaluation_batches_of(items: list[Item], batch_frames: int = 3000) -> list[list[Item]]:
    """Returns `items` in the batches of a reset sweep."""
    from paper_lib.corpus.batches import bucket

    return bucket(items, batch_frames)


def _evaluated(arguments: tuple) -> tuple:  # type: ignore[type-arg]
    model, _, batches, tokenizer, _, _, device = arguments
    return model, batches, tokenizer, device
