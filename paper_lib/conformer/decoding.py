"""Greedy decoding of a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from paper_lib.conformer.transducer import BLANK, FEW, Transducer
from paper_lib.corpus.batches import Item, collate
from paper_lib.corpus.tokens import Tokenizer

# Frames of an utterance that one pass looks at: more make fewer passes, but all beyond the next label are in vain.
LOOK_AHEAD = 3


@torch.inference_mode()
def greedy_decode(
    model: Transducer, encoded: Tensor, frames: Tensor, max_symbols_per_frame: int = 5
) -> list[list[int]]:
    """Returns the label ids of the best path, label by label, of each utterance.

    `encoded` [batch, time, dim] with `frames` [batch] valid ones. Every utterance keeps its own place in time: one pass
    looks at the next frames of all of them and takes each to its next label, or beyond these frames if they have none
    (as label looping does, Bataev et al. 2024). So passes number hardly more than the labels of the longest utterance.

    What the prediction network makes of the same labels is computed once: many variants of a model begin alike.
    """
    keys = model.joint.encoder(encoded).flatten(0, 1)
    rows = torch.arange(len(frames), device=encoded.device)  # the utterances with frames to come
    place = rows * encoded.shape[1]  # the next frame of each, in keys
    end = place + frames
    emitted = torch.zeros_like(frames)  # labels since the last frame step
    # Of every sequence of labels that some utterance has come to: the prediction network's state, and its query.
    predicted, (h, c) = model.prediction(torch.full_like(frames[:1], BLANK)[:, None])
    query = model.joint.prediction(predicted[:, 0])
    said = torch.zeros_like(frames)  # which of them each has come to
    vocabulary = model.joint.out.out_features
    ahead = torch.arange(LOOK_AHEAD, device=encoded.device)
    emissions = []
    while True:
        left = (place < end).nonzero()[:, 0]
        if len(left) < len(rows):
            rows, place, end, emitted, said = (part.index_select(0, left) for part in (rows, place, end, emitted, said))
        if not len(rows):
            break
        seen = keys.index_select(0, (place[:, None] + ahead).clamp(max=len(keys) - 1).flatten())
        best = model.joint(seen.view(len(rows), LOOK_AHEAD, -1), query.index_select(0, said)[:, None]).argmax(-1)
        blanks = (best == BLANK).cumprod(1).sum(1)  # before the next label
        place = place + blanks
        emits = (blanks < LOOK_AHEAD) & (place < end)
        emitted = emitted * (blanks == 0) + emits
        place = place + emitted // max_symbols_per_frame
        emitted = emitted % max_symbols_per_frame
        some = emits.nonzero()[:, 0]
        if len(some):
            labels, before = best[some, blanks[some]], said.index_select(0, some)
            emissions.append(torch.stack((rows.index_select(0, some), labels)))
            follows = torch.arange(len(some), device=some.device)
            if len(some) > FEW:
                longer, follows = (before * vocabulary + labels).unique(return_inverse=True)
                before, labels = longer // vocabulary, longer % vocabulary
            predicted, after = model.prediction.step(labels, (h.index_select(1, before), c.index_select(1, before)))
            said.index_copy_(0, some, len(query) + follows)
            h, c = torch.cat((h, after[0]), 1), torch.cat((c, after[1]), 1)
            query = torch.cat((query, model.joint.prediction(predicted)))
            if len(query) > 4 * FEW:  # some that nobody is at any more
                kept, said = said.unique(return_inverse=True)
                h, c, query = h.index_select(1, kept), c.index_select(1, kept), query.index_select(0, kept)
    hypotheses: list[list[int]] = [[] for _ in frames]
    if emissions:
        for row, label in zip(*torch.cat(emissions, 1).tolist(), strict=True):
            hypotheses[row].append(label)
    return hypotheses


@torch.inference_mode()
def transcribe(
    model: Transducer, batches: Sequence[Sequence[Item]], tokenizer: Tokenizer, device: torch.device
) -> list[tuple[str, str]]:
    """Returns (reference, hypothesis) of every utterance, in the order of `batches`."""
    model.eval()
    pairs = []
    for items in batches:
        batch = collate(items, tokenizer).to(device)
        encoded, frames = model.encode(batch.features, batch.frames)
        hypotheses = (tokenizer.decode(ids) for ids in greedy_decode(model, encoded, frames))
        pairs += [(u.text, hypothesis) for u, hypothesis in zip(batch.utterances, hypotheses, strict=True)]
    return pairs
