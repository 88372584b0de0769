"""Greedy decoding of a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.corpus.batches import Item, collate
from paper_lib.corpus.tokens import Tokenizer


@torch.inference_mode()
def greedy_decode(
    model: Transducer, encoded: Tensor, frames: Tensor, max_symbols_per_frame: int = 5
) -> list[list[int]]:
    """Returns the label ids of the best path, label by label, of each utterance.

    `encoded` [batch, time, dim] with `frames` [batch] valid ones. Every utterance keeps its own place in time: one pass
    emits a label or moves to the next frame for all of them, so passes number max(frames + labels), not
    frames * labels.
    """
    batch = torch.arange(len(frames), device=encoded.device)
    keys = model.joint.encoder(encoded)
    time = torch.zeros_like(frames)
    emitted = torch.zeros_like(frames)  # labels since the last frame step
    labels = torch.full_like(frames, BLANK)
    predicted, (h, c) = model.prediction(labels[:, None])
    query = model.joint.prediction(predicted[:, 0])
    passes = []
    while bool((active := time < frames).any()):
        best = model.joint(keys[batch, time.clamp(max=keys.shape[1] - 1)], query).argmax(-1)
        emits = active & (best != BLANK) & (emitted < max_symbols_per_frame)
        labels = torch.where(emits, best, BLANK)
        passes.append(labels)
        if bool(emits.any()):
            predicted, (h_next, c_next) = model.prediction(labels[:, None], (h, c))
            keep = emits[None, :, None]
            h, c = torch.where(keep, h_next, h), torch.where(keep, c_next, c)
            query = torch.where(emits[:, None], model.joint.prediction(predicted[:, 0]), query)
        time = torch.where(emits, time, time + 1)
        emitted = torch.where(emits, emitted + 1, 0)
    if not passes:
        return [[] for _ in frames]
    return [[label for label in row if label != BLANK] for row in torch.stack(passes, 1).tolist()]


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
