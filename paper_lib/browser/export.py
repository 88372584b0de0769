"""One file of JavaScript that holds everything a page needs to recognise speech: runtime, graphs, weights.

A page opened from a file may not fetch others, but it may load scripts. So the file is a script, and what it holds of
bytes is base64. It stands beside the pages and is loaded when a reader asks for it.

The runtime, onnxruntime-web, is 14.2 MB of WebAssembly, 3.7 MB compressed, and comes with the library; a browser
decompresses it. It is larger than the models, 6.1 MB of weights. In return the graphs are a format that others read,
and an utterance of 2 s is recognised with six resets in 0.1 s, about three times as fast as by torch on the same core.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
from torch import Tensor, nn

from paper_lib.browser.graphs import layer_graph, step_graph, subsampling_graph
from paper_lib.conformer.transducer import BLANK, Transducer
from paper_lib.corpus.features import FFT, FLOOR, HOP, SAMPLE_RATE, WINDOW, mel_filters
from paper_lib.corpus.recordings import SILENCE
from paper_lib.corpus.speakers import LEVEL
from paper_lib.layers.reset_sweep import replacements
from paper_lib.settings import MEL_BINS, ResetSettings
from paper_lib.widgets.shipped import PEOPLE_PLACE, PLACE, ShippedModel, load_shipped
from paper_lib.widgets.speech import LONGEST

# By the name that the page knows each by.
PLACES = {"sentences": PLACE, "words": PEOPLE_PLACE}
RUNTIME = "ort-wasm-simd-threaded"


class _Weights:
    """Tensors one after another, as a page reads them: in single precision, equal ones once."""

    def __init__(self) -> None:
        self._parts: dict[bytes, int] = {}
        self._length = 0

    def add(self, named: Mapping[str, Tensor]) -> dict[str, tuple[int, list[int]]]:
        """Returns where each tensor begins, counted in numbers, and its shape."""
        places = {}
        for name, tensor in named.items():
            content = np.ascontiguousarray(tensor.detach().numpy(), "<f4").tobytes()
            if content not in self._parts:
                self._parts[content] = self._length
                self._length += tensor.numel()
            places[name] = (self._parts[content], list(tensor.shape))
        return places

    @property
    def content(self) -> bytes:
        return b"".join(self._parts)


def parts_of(model: Transducer) -> dict[str, dict[str, Tensor]]:
    """Returns the weights of the graphs around the layers, as each names them."""
    state = model.state_dict()
    subsampling = {f"feature_{statistic}": state[f"feature_{statistic}"] for statistic in ("mean", "std")}
    decoding = {name: tensor for name, tensor in state.items() if name.startswith(("prediction.", "joint."))}
    return {"subsample": subsampling | model.encoder.subsampling.state_dict(), "step": decoding}


def recogniser_script() -> str:
    """Returns the script, which defines `Recogniser`: the models that come with the library, and all their resets."""
    weights = _Weights()
    shipped = {name: load_shipped(path) for name, path in PLACES.items()}
    first = next(iter(shipped.values()))
    data = {
        "features": {
            "rate": SAMPLE_RATE,
            "window": WINDOW,
            "hop": HOP,
            "fft": FFT,
            "floor": FLOOR,
            "bins": MEL_BINS,
            "filters": _sparse_filters(),
        },
        "speech": {"longest": LONGEST, "level": LEVEL, "silence": SILENCE},
        "graphs": {name: _base64(graph) for name, graph in graphs_of(first.model).items()},
        "models": {name: _described(model, weights) for name, model in shipped.items()},
        "weights": _base64(weights.content),
        "glue": runtime(f"{RUNTIME}.mjs").decode(),
        "wasm": _base64(runtime(f"{RUNTIME}.wasm.gz")),
    }
    assigned = f"globalThis.recogniserData = {json.dumps(data, separators=(',', ':'))};"
    here = resources.files(__package__)
    own = [here.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in ("features", "recogniser")]
    return "\n".join([runtime("ort.wasm.min.js").decode(), assigned, *own])


def graphs_of(model: Transducer) -> dict[str, bytes]:
    """Returns the ONNX models that `model` consists of, by name."""
    settings = model.settings
    shapes = {name: _shapes(tensors) for name, tensors in parts_of(model).items()}
    return {
        "subsample": subsampling_graph(settings.encoder, shapes["subsample"]),
        "layer": layer_graph(settings.encoder, _shapes(model.encoder.layers[0].state_dict())),
        "step": step_graph(settings, shapes["step"]),
    }


def _described(shipped: ShippedModel, weights: _Weights) -> dict[str, Any]:
    model = shipped.model
    resets: dict[str, list[Any]] = {}
    settings = ResetSettings(draws=1)
    for variant, layer in replacements(model, shipped.initial, settings, shipped.run.seed).items():
        resets.setdefault(variant.kind, []).append(_layer(layer, weights))
    return {
        "alphabet": shipped.tokenizer.alphabet,
        "blank": BLANK,
        "units": model.settings.prediction,
        "layers": [_layer(layer, weights) for layer in model.encoder.layers],
        "resets": resets,
        **{name: weights.add(tensors) for name, tensors in parts_of(model).items()},
    }


def _layer(layer: nn.Module, weights: _Weights) -> dict[str, tuple[int, list[int]]]:
    return weights.add(layer.state_dict())


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _sparse_filters() -> list[dict[str, Any]]:
    """Returns of each mel filter the first bin that it weighs, and its weights from there on."""
    dense = mel_filters().toarray()
    bins = [np.flatnonzero(row) for row in dense]
    return [
        {"first": int(at[0]), "weights": row[at[0] : at[-1] + 1].tolist()} for at, row in zip(bins, dense, strict=True)
    ]


def runtime(name: str) -> bytes:
    """Returns a file of onnxruntime-web, its licence for example."""
    return resources.files(__package__).joinpath("onnxruntime", name).read_bytes()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
