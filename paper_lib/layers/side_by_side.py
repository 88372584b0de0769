"""What a transducer of ours recognises with other layers in the places of some of its own: many variants in one pass.

A variant names its layers: {3: module} has `module` in the place of layer 3, {3: one, 5: other} two others. What
variants have in common is computed once: the trained layers below their first change, and every beginning that they
share. So all pairs of sixteen layers cost about as many layers as sixteen times the single ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from paper_lib.conformer.decoding import greedy_decode
from paper_lib.conformer.encoder import Encoder, Hidden
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus import Utterance
from paper_lib.corpus.batches import Item, collate
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.evaluation import Spoken

# By layer, from 1, what stands in its place; none: the trained model.
Changes = Mapping[int, nn.Module]
Name = TypeVar("Name", bound=Hashable)

# Frames of 40 ms that a CPU takes through a layer at a time: a whole stack took twice as long at size S, and 1.3 times
# at mini size L.
PIECE = 1500


class Skip(nn.Module):
    """Hands on a layer's input as its output. A reset layer, which still adds something to its input, does not."""

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        """Returns `x` [batch, time, dim]."""
        return x


def encode_variants(model: Transducer, variants: Sequence[Changes], features: Tensor, frames: Tensor) -> Hidden:
    """Returns the encoder's output under every variant, stacked along the batch in their order.

    `features` [batch, time, 80] give x [variants * batch, ceil(time / 4), dim].
    """
    stack = model.encoder.subsample(model.normalize(features), frames)
    streams = [list(range(len(variants)))]  # which variants each of the stack's parts stands for
    for index, trained in enumerate(model.encoder.layers, 1):
        # By what runs here: the parts of the stack that it takes, each with the variants that go on so.
        passing: dict[nn.Module, list[tuple[int, list[int]]]] = {trained: []}
        for place, members in enumerate(streams):
            chosen: dict[nn.Module, list[int]] = {}
            for member in members:
                chosen.setdefault(variants[member].get(index, trained), []).append(member)
            for module, of_module in chosen.items():
                passing.setdefault(module, []).append((place, of_module))
        parts, streams, rows = [], [], len(frames)
        for module, taken in passing.items():
            if taken:
                own = _concatenate([_select(stack, slice(at * rows, (at + 1) * rows)) for at, _ in taken])
                parts += _run_in_pieces(model.encoder, module, own)
                streams += [members for _, members in taken]
        stack = _concatenate(parts)
    ends = {member: place for place, members in enumerate(streams) for member in members}
    order = torch.tensor([ends[member] for member in range(len(variants))], device=stack.x.device)
    return _select(stack, (order[:, None] * len(frames) + torch.arange(len(frames), device=order.device)).flatten())


def _run_in_pieces(encoder: Encoder, layer: nn.Module, stack: Hidden) -> list[Hidden]:
    """Returns `stack` after `layer`; a CPU computes it in pieces whose intermediate results stay in its caches."""
    batch, time, _ = stack.x.shape
    rows = batch if stack.x.is_cuda else max(1, PIECE // time)
    return [encoder.run(layer, _select(stack, slice(at, at + rows))) for at in range(0, batch, rows)]


def _select(hidden: Hidden, rows: slice | Tensor) -> Hidden:
    return Hidden(hidden.x[rows], hidden.frames[rows], hidden.positions, hidden.valid[rows], hidden.key_bias[rows])


def _concatenate(parts: Sequence[Hidden]) -> Hidden:
    return Hidden(
        torch.cat([part.x for part in parts]),
        torch.cat([part.frames for part in parts]),
        parts[0].positions,
        torch.cat([part.valid for part in parts]),
        torch.cat([part.key_bias for part in parts]),
    )


@torch.inference_mode()
def hear(
    model: Transducer,
    variants: Mapping[Name, Changes],
    batches: Sequence[Sequence[Item]],
    tokenizer: Tokenizer,
    device: torch.device,
    label: str,
    position: int = 0,
) -> tuple[Spoken, dict[Name, list[str]]]:
    """Returns what is said in `batches`, and by the variant's name what is recognised of it, [utterances].

    `label` and `position` are those of the progress bar.
    """
    model.eval()
    for changes in variants.values():
        for module in changes.values():
            module.to(device).eval()
    utterances: list[Utterance] = []
    heard: dict[Name, list[str]] = {name: [] for name in variants}
    for items in tqdm(batches, desc=label, position=position, unit="batch"):
        batch = collate(items, tokenizer).to(device)
        stack = encode_variants(model, list(variants.values()), batch.features, batch.frames)
        texts = iter([tokenizer.decode(ids) for ids in greedy_decode(model, stack.x, stack.frames)])
        utterances += batch.utterances
        for of_variant in heard.values():
            of_variant += islice(texts, len(items))
    return Spoken.of(utterances), heard
