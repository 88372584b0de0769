"""A streaming transducer that hears a waveform piece by piece and emits labels as it goes.

Every layer carries what it still needs of the past, so that the pieces give the same numbers as the whole, however the
waveform is cut. Only the last, incomplete group of four frames waits until more speech, or its end, comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_lib.conformer.encoder import Encoder
from paper_lib.conformer.layer import ConformerLayer, LayerState
from paper_lib.conformer.transducer import BLANK, State, Transducer
from paper_lib.corpus.features import HOP, SAMPLE_RATE, WINDOW, log_mel
from paper_lib.corpus.tokens import Tokenizer
from paper_lib.settings import MEL_BINS
from paper_lib.threads import one_thread

# Frames of features that become one of the encoder.
STRIDE = 4


class EncoderState(NamedTuple):
    """What a streaming encoder remembers between two pieces, of a batch that hears them together."""

    subsampling: tuple[Tensor, Tensor]  # the last two inputs of either convolution
    layers: tuple[LayerState, ...]
    waiting: Tensor  # [batch, fewer than 4, 80], frames that make no group yet


def start(encoder: Encoder, batch: int = 1) -> EncoderState:
    """Returns the state before the first frame; raises ValueError for an encoder that does not stream."""
    settings = encoder.settings
    if settings.streaming is None:
        raise ValueError("the encoder looks ahead: only one with streaming settings hears speech piece by piece")
    channels = settings.channels or settings.dim
    like = encoder.subsampling.linear.weight
    return EncoderState(
        subsampling=(like.new_zeros(batch, 1, 2, MEL_BINS), like.new_zeros(batch, channels, 2, MEL_BINS // 2)),
        layers=tuple(
            LayerState(like.new_zeros(batch, settings.kernel - 1, settings.dim), like.new_zeros(batch, 0, settings.dim))
            for _ in range(settings.layers)
        ),
        waiting=like.new_zeros(batch, 0, MEL_BINS),
    )


def encode_next(
    encoder: Encoder, features: Tensor, state: EncoderState, last: bool = False
) -> tuple[Tensor, EncoderState]:
    """Maps the next normalised `features` [batch, n, 80] to as many whole frames [batch, m, dim] as they make.

    With `last` the frames that wait are not kept for more.
    """
    heard = torch.cat([state.waiting, features], 1)
    ready = heard.shape[1] if last else heard.shape[1] // STRIDE * STRIDE
    waiting = heard[:, ready:]
    if not ready:
        return heard.new_zeros(len(heard), 0, encoder.settings.dim), state._replace(waiting=waiting)
    x, subsampling = encoder.subsampling.step(heard[:, :ready], state.subsampling)
    layers = []
    for layer, past in zip(encoder.layers, state.layers, strict=True):
        assert isinstance(layer, ConformerLayer)
        x, remembered = layer.step(x, past)
        layers.append(remembered)
    return x, EncoderState(subsampling, tuple(layers), waiting)


class StreamingRecogniser:
    """Recognises one utterance while it is spoken: `push` pieces of its waveform, then `finish`."""

    def __init__(self, model: Transducer, max_symbols_per_frame: int = 5) -> None:
        """Raises ValueError for a model whose encoder does not stream."""
        self.model = model.eval()
        self.max_symbols_per_frame = max_symbols_per_frame
        self.encoder_state = start(model.encoder)
        self.samples = np.zeros(0, np.float32)
        self.prediction_state: State | None = None
        self.query = self._predict(BLANK)
        self.heard_a_frame = False

    def push(self, samples: NDArray[np.float32]) -> list[int]:
        """Returns the labels that the next `samples` [n] at 16 kHz bring."""
        self.samples = np.concatenate([self.samples, samples])
        frames = max(0, 1 + (len(self.samples) - WINDOW) // HOP)
        if not frames:
            return []
        features = log_mel(self.samples[: WINDOW + (frames - 1) * HOP])
        self.samples = self.samples[frames * HOP :]
        self.heard_a_frame = True
        return self._hear(features, last=False)

    def finish(self) -> list[int]:
        """Returns the labels that were still to come when the speech has ended."""
        # An utterance shorter than a window is padded to one.
        features = np.zeros((0, MEL_BINS), np.float32) if self.heard_a_frame else log_mel(self.samples)
        return self._hear(features, last=True)

    @torch.inference_mode()
    def _hear(self, features: NDArray[np.float32], last: bool) -> list[int]:
        normalised = self.model.normalize(torch.from_numpy(features)[None])
        encoded, self.encoder_state = encode_next(self.model.encoder, normalised, self.encoder_state, last)
        labels: list[int] = []
        for key in self.model.joint.encoder(encoded[0]):
            for _ in range(self.max_symbols_per_frame):
                best = int(self.model.joint(key, self.query).argmax())
                if best == BLANK:
                    break
                labels.append(best)
                self.query = self._predict(best)
        return labels

    @torch.inference_mode()
    def _predict(self, label: int) -> Tensor:
        predicted, self.prediction_state = self.model.prediction(torch.tensor([[label]]), self.prediction_state)
        query: Tensor = self.model.joint.prediction(predicted[0, 0])
        return query


class Heard(NamedTuple):
    """What a recogniser has made of the speech so far."""

    seconds: float  # of speech
    text: str
    computing: float  # seconds that the last piece took


def listen(
    model: Transducer, tokenizer: Tokenizer, waveform: NDArray[np.float32], piece: float = 0.1
) -> Iterator[Heard]:
    """Feeds `waveform` [samples] at 16 kHz in pieces of `piece` seconds, as a microphone would; yields after each."""
    recogniser = StreamingRecogniser(model)
    labels: list[int] = []
    size = round(piece * SAMPLE_RATE)
    for at in range(0, len(waveform) + 1, size):
        began = time.perf_counter()
        samples = waveform[at : at + size]
        with one_thread():
            labels += recogniser.push(samples)
            if at + size > len(waveform):
                labels += recogniser.finish()
        computing = time.perf_counter() - began
        yield Heard(min(at + size, len(waveform)) / SAMPLE_RATE, tokenizer.decode(labels), computing)
