"""The models: the paper's sizes and its streaming model, and smaller ones for CPUs."""

from __future__ import annotations

from paper_lib.settings import (
    EncoderSettings,
    Norm,
    Size,
    StreamingSettings,
    TokenSettings,
    TransducerSettings,
)

CHARACTERS = TokenSettings(kind="characters", vocabulary=29)
WORD_PIECES = TokenSettings(kind="word_pieces", vocabulary=1024)


def paper_size(size: Size, norm: Norm = "group", vocabulary: int = 1024) -> TransducerSettings:
    """Returns the paper's ConformerS, M or L (Gulati et al. 2020, table 1), which reproduce the slides' counts."""
    dim, heads, layers = {"S": (144, 4, 16), "M": (256, 4, 16), "L": (512, 8, 17)}[size]
    embedding, units = (320, 320) if size == "S" else (128, 640)
    encoder = EncoderSettings(dim=dim, heads=heads, layers=layers, kernel=32, norm=norm, groups=8, dropout=0.1)
    return TransducerSettings(
        encoder=encoder, vocabulary=vocabulary, embedding=embedding, prediction=units, joint=units
    )


def streaming_size(vocabulary: int = 4096) -> TransducerSettings:
    """Returns the paper's streaming model as far as it is public (Li et al. 2021; Guliani et al., arXiv 2110.03634).

    17 causal layers of width 512 with kernel 15, convolution before attention; two LSTM layers of 2048 units projected
    to 640. Published are 113M parameters in the encoder and 137M in all. Where the sources are silent: the subsampling
    is that of size L, the left context 65 frames of 40 ms, the joint network has 640 units.
    """
    encoder = EncoderSettings(
        dim=512, heads=8, layers=17, kernel=15, groups=8, dropout=0.1, streaming=StreamingSettings(left_context=65)
    )
    return TransducerSettings(
        encoder=encoder,
        vocabulary=vocabulary,
        embedding=128,
        prediction=640,
        lstm_layers=2,
        lstm_units=2048,
        joint=640,
    )


def mini_size(size: Size, norm: Norm = "group") -> TransducerSettings:
    """Returns a model with the paper's proportions that learns in minutes on one core.

    Widths keep the paper's 1 : 1.8 : 3.6, heads its 1 : 1 : 2, and L is a layer deeper. The subsampling, no layer that
    is reset, has 32 channels at every size.
    """
    dim, heads, layers = {"S": (32, 2, 6), "M": (56, 2, 6), "L": (112, 4, 7)}[size]
    encoder = EncoderSettings(
        dim=dim, heads=heads, layers=layers, kernel=15, channels=32, norm=norm, groups=4, dropout=0.0
    )
    return TransducerSettings(encoder=encoder, vocabulary=CHARACTERS.vocabulary, embedding=32, prediction=64, joint=64)


def mini_streaming() -> TransducerSettings:
    """Returns a streaming model that learns in minutes on one core; it looks back over 1.3 s."""
    encoder = EncoderSettings(
        dim=48,
        heads=2,
        layers=6,
        kernel=15,
        channels=32,
        groups=4,
        dropout=0.0,
        streaming=StreamingSettings(left_context=32),
    )
    return TransducerSettings(encoder=encoder, vocabulary=CHARACTERS.vocabulary, embedding=32, prediction=64, joint=64)


def laptop_streaming() -> TransducerSettings:
    """Returns ConformerS as a streaming model, with the kernel of the paper's; it looks back over 1.3 s."""
    model = paper_size("S", vocabulary=CHARACTERS.vocabulary)
    changes = {"kernel": 15, "streaming": StreamingSettings(left_context=32)}
    return model.model_copy(update={"encoder": model.encoder.model_copy(update=changes)})
