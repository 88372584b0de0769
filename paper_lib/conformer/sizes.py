"""Parameters of the model sizes, counted, beside the slides' numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from torch import nn

from paper_lib.conformer.layer import ConformerLayer
from paper_lib.conformer.skeleton import skeleton
from paper_lib.conformer.transducer import Transducer
from paper_lib.profiles import profile_of
from paper_lib.settings import EncoderSettings, Size, TransducerSettings

# Slide "Experiment 1": parameters in Conformer layers, layers x parameters of one, parameters in total.
SLIDE: dict[Size, tuple[str, str, str]] = {
    "S": ("8.1M", "16 × 0.5M", "10.3M"),
    "M": ("25.4M", "16 × 1.6M", "30.7M"),
    "L": ("107.5M", "17 × 6.3M", "118.6M"),
}

# The streaming model's encoder and all of it, as the companion paper prints them (arXiv 2110.03634).
PUBLISHED_STREAMING = (113_000_000, 137_000_000)


@dataclass(frozen=True)
class ParameterCount:
    """Trainable parameters by part."""

    layer: int
    layers: int
    subsampling: int
    prediction: int
    joint: int

    @property
    def total(self) -> int:
        return self.layers + self.subsampling + self.prediction + self.joint


@cache
def count_parameters(settings: TransducerSettings) -> ParameterCount:
    """Returns the exact counts of a model with these settings; no memory is allocated for its weights."""
    with skeleton():
        model = Transducer(settings)
    return ParameterCount(
        layer=_trainable(model.encoder.layers[0]),
        layers=_trainable(model.encoder.layers),
        subsampling=_trainable(model.encoder.subsampling),
        prediction=_trainable(model.prediction),
        joint=_trainable(model.joint),
    )


def count_modules(settings: EncoderSettings) -> dict[str, int]:
    """Returns the exact counts of the modules of one layer, by name, in the order in which a frame meets them."""
    with skeleton():
        layer = ConformerLayer(settings)
    return {name: _trainable(module) for name, module in layer.named_children()}


def count_weights(settings: TransducerSettings) -> dict[str, int]:
    """Returns the exact counts of everything around the layers: "joint.out" and so on, by the name of the module."""
    with skeleton():
        model = Transducer(settings)
    parts = {"subsampling": model.encoder.subsampling, "prediction": model.prediction, "joint": model.joint}
    named = {f"{part}.{name}": child for part, module in parts.items() for name, child in module.named_children()}
    return {name: count for name, module in named.items() if (count := _trainable(module))}


def _trainable(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def millions(count: int, digits: int = 1) -> str:
    """Returns `count` as the slides print it: 8110080 is "8.1M"."""
    return f"{count / 1e6:.{digits}f}M"


def table() -> str:
    """Returns a text table of S, M and L beside the slides' numbers, and the streaming model beside its published."""
    lines = [f"{'size':<6}{'':<8}{'conf params':>12}{'conf layers':>14}{'total params':>14}"]
    paper = profile_of("gpu")
    for size, slide in SLIDE.items():
        settings = paper.models[size]
        count = count_parameters(settings)
        ours = (millions(count.layers), f"{settings.encoder.layers} × {millions(count.layer)}", millions(count.total))
        for source, row in (("slide", slide), ("ours", ours)):
            lines.append(f"{size if source == 'slide' else '':<6}{source:<8}{row[0]:>12}{row[1]:>14}{row[2]:>14}")
        exact = f"{count.layers:,} in layers of {count.layer:,}, {count.total:,} in all"
        lines.append(f"{'':<6}{'exact':<8}{exact}")
    settings = paper.adaptation.model
    count = count_parameters(settings)
    lines.append(
        f"streaming: {settings.encoder.layers} × {millions(count.layer)} in layers, encoder "
        f"{millions(count.layers + count.subsampling)} (published {millions(PUBLISHED_STREAMING[0], 0)}), total "
        f"{millions(count.total)} (published {millions(PUBLISHED_STREAMING[1], 0)})"
    )
    return "\n".join(lines)
