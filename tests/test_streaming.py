"""The streaming Conformer: it never looks ahead, and hears the same whatever pieces it is given."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny_runs import Words, babbling, resets_of, tiny_run
from torch import Tensor

from paper_lib.conformer.decoding import greedy_decode
from paper_lib.conformer.encoder import Encoder
from paper_lib.conformer.streaming import StreamingRecogniser, encode_next, listen, start
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import Item, collate, evaluation_batches
from paper_lib.corpus.features import log_mel
from paper_lib.layers.reset_sweep import reset_sweep
from paper_lib.settings import Norm, ResetSettings, StreamingSettings

STREAMING = StreamingSettings(left_context=6)


def streaming_model(norm: Norm, corpus: Corpus) -> Transducer:
    """Returns a babbling model that streams, with running statistics as if it had been trained."""
    return babbling(norm, corpus, STREAMING)[0]


@pytest.fixture(scope="module", params=["group", "batch"])
def model(request: pytest.FixtureRequest, tiny_corpus: Corpus) -> Transducer:
    return streaming_model(request.param, tiny_corpus)


def features(frames: int = 61, seed: int = 0) -> Tensor:
    return torch.randn(1, frames, 80, generator=torch.Generator().manual_seed(seed))


def whole(encoder: Encoder, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return encoder(x, torch.tensor([x.shape[1]]))[0]


@pytest.mark.parametrize("frame", [4, 17, 40])
def test_no_output_changes_when_later_audio_does(model: Transducer, frame: int) -> None:
    x, changed = features(), features()
    changed[:, frame:] += 3
    before, after = whole(model.encoder, x), whole(model.encoder, changed)
    untouched = (frame + 3) // 4  # output t hears frames up to 4 t
    torch.testing.assert_close(before[:, :untouched], after[:, :untouched], rtol=0, atol=1e-5)
    assert not torch.allclose(before[:, untouched:], after[:, untouched:], atol=1e-3)


def test_attention_forgets_what_lies_beyond_its_left_context(tiny_corpus: Corpus) -> None:
    encoder = copy.deepcopy(streaming_model("group", tiny_corpus).encoder)
    encoder.layers = encoder.layers[:1]
    x, changed = features(200), features(200)
    changed[:, :8] += 3
    before, after = whole(encoder, x), whole(encoder, changed)
    # Subsampling hears 6 frames back, the kernel 4 outputs, attention 6 more.
    assert not torch.allclose(before[:, :2], after[:, :2], atol=1e-3)
    torch.testing.assert_close(before[:, 2 + 2 + 4 + 6 :], after[:, 2 + 2 + 4 + 6 :], rtol=0, atol=1e-5)


@pytest.mark.parametrize("cuts", [(7, 8, 9, 33), (4, 4, 8), (1,) * 61, (61,), (60,), (0, 3, 0, 5)])
def test_pieces_give_the_numbers_of_the_whole(model: Transducer, cuts: tuple[int, ...]) -> None:
    x = features()
    state, pieces, place = start(model.encoder), [], 0
    with torch.inference_mode():
        for length in cuts:
            encoded, state = encode_next(model.encoder, x[:, place : place + length], state)
            pieces.append(encoded)
            place += length
        pieces.append(encode_next(model.encoder, x[:, place:], state, last=True)[0])
    torch.testing.assert_close(torch.cat(pieces, 1), whole(model.encoder, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("piece", [160, 1600, 777])
def test_a_waveform_in_pieces_is_recognised_as_the_whole(tiny_corpus: Corpus, model: Transducer, piece: int) -> None:
    shard = tiny_corpus.shard("test", 0)
    said = set()
    for utterance in shard.utterances[:3]:
        waveform = tiny_corpus.waveform(utterance.id)
        x = torch.from_numpy(log_mel(waveform))[None]
        with torch.inference_mode():
            (expected,) = greedy_decode(model, *model.encode(x, torch.tensor([x.shape[1]])))
        recogniser = StreamingRecogniser(model)
        labels = [k for at in range(0, len(waveform), piece) for k in recogniser.push(waveform[at : at + piece])]
        assert labels + recogniser.finish() == expected
        assert len(labels) > len(expected) // 2  # it did not wait for the end
        said.add(tuple(expected))
    assert len(said) == 3


def test_listening_tells_the_text_so_far_and_ends_with_the_whole(tiny_corpus: Corpus, model: Transducer) -> None:
    waveform = tiny_corpus.waveform(tiny_corpus.shard("test", 0).utterances[0].id)
    heard = list(listen(model, Words(), waveform, piece=0.1))
    assert [piece.seconds for piece in heard[:3]] == pytest.approx([0.1, 0.2, 0.3])
    assert heard[-1].seconds == pytest.approx(len(waveform) / 16_000)
    assert len(heard) == len(waveform) // 1600 + 1
    assert all(later.text.startswith(earlier.text) for earlier, later in pairwise(heard))
    assert len({piece.text for piece in heard}) > 3
    assert all(piece.computing > 0 for piece in heard)
    x = torch.from_numpy(log_mel(waveform))[None]
    with torch.inference_mode():
        (labels,) = greedy_decode(model, *model.encode(x, torch.tensor([x.shape[1]])))
    assert heard[-1].text == Words().decode(labels)


def test_less_than_a_window_is_padded_to_one(model: Transducer) -> None:
    waveform = np.full(100, 0.1, np.float32)
    recogniser = StreamingRecogniser(model)
    assert recogniser.push(waveform) == []
    x = torch.from_numpy(log_mel(waveform))[None]
    with torch.inference_mode():
        (expected,) = greedy_decode(model, *model.encode(x, torch.tensor([1])))
    assert recogniser.finish() == expected


def test_padding_changes_no_answer(model: Transducer, tiny_corpus: Corpus) -> None:
    (items,) = evaluation_batches(tiny_corpus, "test", 100_000)
    batch = collate(items, Words())
    with torch.inference_mode():
        together, frames = model.encode(batch.features, batch.frames)
        for row, item in enumerate(items):
            alone = collate([item], Words())
            expected, _ = model.encode(alone.features, alone.frames)
            torch.testing.assert_close(together[row, : frames[row]], expected[0], rtol=1e-4, atol=1e-4)


def test_layers_of_a_streaming_model_are_swept(tiny_corpus: Corpus) -> None:
    model, initial = babbling("group", tiny_corpus, STREAMING)
    batches: list[list[Item]] = evaluation_batches(tiny_corpus, "test", 500)
    result = reset_sweep(model, initial, batches, Words(), ResetSettings(draws=1), 0, torch.device("cpu"))
    assert len(resets_of(result)) == 4
    assert all(heard != result.hypotheses[None] for _, heard in resets_of(result))


def test_only_a_streaming_encoder_hears_in_pieces() -> None:
    with pytest.raises(ValueError, match="looks ahead"):
        start(Transducer(tiny_run().model).encoder)
