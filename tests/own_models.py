"""Small CTC models of other toolkits, and what turns them into texts: random weights, real architectures."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from paper_lib.layers import sweep
from paper_lib.layers.results import SweepResult
from paper_lib.layers.variants import ALL_KINDS

os.environ.setdefault("HF_HUB_OFFLINE", "1")

LABELS = 12
REFERENCES = ["b c", "d e f", "g", "h i", "j k b"]
SPEAKERS = ["ann", "bob", "ann", "cleo", "bob"]


class TorchaudioCTC(nn.Module):
    """torchaudio's Conformer with a linear head: features [batch, time, 8] to logits [batch, time, labels]."""

    def __init__(self, layers: int = 3, group_norm: bool = False) -> None:
        from torchaudio.models import Conformer

        super().__init__()
        self.encoder = Conformer(8, 2, 16, layers, 5, dropout=0.1, use_group_norm=group_norm)
        self.head = nn.Linear(8, LABELS)

    def forward(self, features: Tensor) -> Tensor:
        x, _ = self.encoder(features, torch.full((len(features),), features.shape[1]))
        logits: Tensor = self.head(x)
        return logits


def wav2vec2_conformer(layers: int = 3) -> nn.Module:
    from transformers import Wav2Vec2ConformerConfig, Wav2Vec2ConformerForCTC

    return Wav2Vec2ConformerForCTC(
        Wav2Vec2ConformerConfig(
            hidden_size=16,
            num_hidden_layers=layers,
            num_attention_heads=2,
            intermediate_size=24,
            conv_dim=(8, 8),
            conv_stride=(5, 4),
            conv_kernel=(10, 4),
            num_feat_extract_layers=2,
            vocab_size=LABELS,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2,
            conv_depthwise_kernel_size=5,
        )
    )


def parakeet(layers: int = 3) -> nn.Module:
    from transformers import ParakeetCTCConfig, ParakeetEncoderConfig, ParakeetForCTC

    encoder = ParakeetEncoderConfig(
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=24,
        conv_kernel_size=5,
        num_mel_bins=16,
        subsampling_conv_channels=8,
    )
    return ParakeetForCTC(ParakeetCTCConfig(vocab_size=LABELS, encoder_config=encoder.to_dict(), pad_token_id=0))


def texts_of(labels: Tensor) -> list[str]:
    """Returns a letter for every label [batch, time] whose neighbour before differs; label 0 is the blank."""
    letters = " abcdefghijk"
    rows = [torch.unique_consecutive(row).tolist() for row in labels]
    return [" ".join(letters[label] for label in row if label) for row in rows]


def transcriber(*shape: int) -> Callable[[nn.Module], list[str]]:
    """Returns a `transcribe` on fixed random inputs [utterances, *shape]."""
    inputs = torch.randn(len(REFERENCES), *shape, generator=torch.Generator().manual_seed(1))

    def transcribe(model: nn.Module) -> list[str]:
        found: Any = model(inputs)
        return texts_of(getattr(found, "logits", found).argmax(-1))

    return transcribe


HEARD = transcriber(30, 8)  # of torchaudio's
LAYERS = "encoder.conformer_layers.*"


def swept(model: nn.Module, initial: dict[str, Tensor] | None = None, **changes: Any) -> SweepResult:
    arguments = {
        "layers": LAYERS,
        "transcribe": HEARD,
        "references": REFERENCES,
        "speakers": SPEAKERS,
        "resets": ALL_KINDS,
        "initial": initial,
    }
    return sweep(model, **arguments | changes)


# Model, pattern of its layers, a part of them, and the shape of an input.
MODELS: dict[str, tuple[Callable[[], nn.Module], str, str, tuple[int, ...]]] = {
    "torchaudio": (TorchaudioCTC, "encoder.conformer_layers.*", "self_attn", (30, 8)),
    "wav2vec2": (wav2vec2_conformer, "wav2vec2_conformer.encoder.layers.*", "conv_module", (900,)),
    "parakeet": (parakeet, "encoder.layers.*", "feed_forward1", (240, 16)),
}


def trained_as_if(model: nn.Module) -> dict[str, Tensor]:
    """Changes all weights of `model`, so that it puts out many labels; returns the state dictionary of before."""
    initial = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 0.5 if "layers" in name else 1.0
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand(buffer.shape, generator=generator))
    return initial
