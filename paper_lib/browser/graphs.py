"""The streaming transducer as three ONNX graphs, whose weights are inputs.

So a reset layer is no other graph: it is the graph of a layer that gets other weights. The graphs hold no weights and
take 11 kB in all.

    features ─► subsample ─► layer ─► ... ─► layer ─► step (once a label) ─► the best label of every frame

They compute what `paper_lib.conformer` does of one utterance, without padding. Its modules are not traced: their views
by strides and their own gradients have no ONNX operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from paper_lib.settings import MEL_BINS, EncoderSettings, TransducerSettings

Shape = tuple[int | str, ...]
Shapes = Mapping[str, tuple[int, ...]]

OPSET = 17
EPSILON = 1e-5  # of every norm
# Added to the scores of keys that a query may not see: their exponential is exactly 0.
UNSEEN = -1e9


class _Graph:
    """An ONNX graph under construction: operators are added one by one, and tensors go by the names they get."""

    def __init__(self, name: str, inputs: Mapping[str, Shape], weights: Shapes, integers: tuple[str, ...] = ()) -> None:
        self.name = name
        shapes: dict[str, Shape] = {**inputs, **weights}
        self.inputs = [
            helper.make_tensor_value_info(key, TensorProto.INT32 if key in integers else TensorProto.FLOAT, shape)
            for key, shape in shapes.items()
        ]
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds an operator; returns the name of what comes out, or a tuple of names."""
        names = tuple(f"{operator}_{len(self.nodes)}_{place}" for place in range(outputs))
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: NDArray[Any] | float | list[int]) -> str:
        """Returns the name of a constant: floats in single precision, a list as integers of 64 bits."""
        array = np.asarray(value, np.float32 if isinstance(value, float) else None)
        name = f"constant_{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def linear(self, x: str, weights: str, bias: bool = True) -> str:
        """Adds a linear map of `x` [time, n] by the weights under that name, [m, n], as torch keeps them."""
        added = (f"{weights}.bias",) if bias else ()
        return self.add("Gemm", x, f"{weights}.weight", *added, transB=1)

    def layer_norm(self, x: str, weights: str) -> str:
        return self.add("LayerNormalization", x, f"{weights}.weight", f"{weights}.bias", epsilon=EPSILON)

    def silu(self, x: str) -> str:
        return self.add("Mul", x, self.add("Sigmoid", x))

    def reshape(self, x: str, *shape: int) -> str:
        """Reshapes `x`; 0 keeps a dimension, -1 is what is left."""
        return self.add("Reshape", x, self.constant(list(shape)))

    def slice(self, x: str, start: str, end: str, axis: int) -> str:
        return self.add("Slice", x, start, end, self.constant([axis]))

    def finish(self, outputs: Mapping[str, tuple[str, Shape]], integers: tuple[str, ...] = ()) -> bytes:
        """Returns the model as bytes; `outputs` name its results, with the tensor that each is."""
        results = []
        for key, (tensor, shape) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [tensor], [key]))
            kind = TensorProto.INT32 if key in integers else TensorProto.FLOAT
            results.append(helper.make_tensor_value_info(key, kind, shape))
        graph = helper.make_graph(self.nodes, self.name, self.inputs, results, list(self.constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return model.SerializeToString()


def subsampling_graph(settings: EncoderSettings, weights: Shapes) -> bytes:
    """Returns the graph of normalising and subsampling: features [frames, 80] to x [ceil(frames / 4), dim].

    `weights` are the shapes of `feature_mean`, `feature_std` and the weights of `Subsampling`, by name.
    """
    graph = _Graph("subsample", {"features": ("frames", MEL_BINS)}, weights)
    x = graph.add("Div", graph.add("Sub", "features", "feature_mean"), "feature_std")
    x = graph.add("Unsqueeze", x, graph.constant([0, 1]))
    for conv in ("conv1", "conv2"):
        # Of time the past alone is padded.
        x = graph.add("Conv", x, f"{conv}.weight", f"{conv}.bias", strides=[2, 2], pads=[2, 1, 0, 1])
        x = graph.add("Relu", x)
    channels = settings.channels or settings.dim
    x = graph.reshape(graph.add("Transpose", x, perm=[0, 2, 3, 1]), -1, channels * MEL_BINS // 4)
    return graph.finish({"x": (graph.linear(x, "linear"), ("time", settings.dim))})


def layer_graph(settings: EncoderSettings, weights: Shapes) -> bytes:
    """Returns the graph of one streaming Conformer layer: x [time, dim] to y of the same shape.

    `weights` are the shapes of the weights of `ConformerLayer`, by name. Raises ValueError for an encoder that looks
    ahead, or normalises otherwise than by groups.
    """
    if settings.streaming is None or settings.norm != "group":
        raise ValueError("only the layers of streaming encoders with GroupNorm have a graph")
    graph = _Graph("layer", {"x": ("time", settings.dim)}, weights)
    x = graph.add("Add", "x", _feed_forward(graph, "x", "ffn1"))
    x = graph.add("Add", x, _convolution(graph, x, settings))
    x = graph.add("Add", x, _attention(graph, x, settings, settings.streaming.left_context))
    x = graph.add("Add", x, _feed_forward(graph, x, "ffn2"))
    return graph.finish({"y": (graph.layer_norm(x, "norm"), ("time", settings.dim))})


def _feed_forward(graph: _Graph, x: str, name: str) -> str:
    """Returns half of what the module adds to `x`."""
    hidden = graph.silu(graph.linear(graph.layer_norm(x, f"{name}.norm"), f"{name}.w1"))
    return graph.add("Mul", graph.linear(hidden, f"{name}.w2"), graph.constant(0.5))


def _convolution(graph: _Graph, x: str, settings: EncoderSettings) -> str:
    dim, groups = settings.dim, settings.groups
    doubled = graph.linear(graph.layer_norm(x, "convolution.norm"), "convolution.pointwise1")
    value, gate = graph.add("Split", doubled, outputs=2, axis=1)
    x = graph.add("Mul", value, graph.add("Sigmoid", gate))
    x = graph.add("Unsqueeze", graph.add("Transpose", x), graph.constant([0]))
    weights = [f"convolution.depthwise.{part}" for part in ("weight", "bias")]
    x = graph.add("Conv", x, *weights, group=dim, pads=[settings.kernel - 1, 0])
    x = graph.reshape(graph.add("Transpose", x, perm=[0, 2, 1]), -1, groups, dim // groups)
    # The groups of one frame at a time; then the weights of the whole width.
    ones, zeros = (graph.constant(np.full(dim // groups, value, np.float32)) for value in (1, 0))
    x = graph.reshape(graph.add("LayerNormalization", x, ones, zeros, epsilon=EPSILON), -1, dim)
    x = graph.add("Mul", x, "convolution.depthwise_norm.weight")
    x = graph.add("Add", x, "convolution.depthwise_norm.bias")
    return graph.linear(graph.silu(x), "convolution.pointwise2")


def _attention(graph: _Graph, x: str, settings: EncoderSettings, left_context: int) -> str:
    dim, heads = settings.dim, settings.heads
    size = dim // heads
    time = graph.add("Shape", x, start=0, end=1)  # [1]
    x = graph.layer_norm(x, "attention.norm")

    def by_head(projected: str, *perm: int) -> str:
        return graph.add("Transpose", graph.reshape(projected, -1, heads, size), perm=perm)

    q = graph.reshape(graph.linear(x, "attention.q"), -1, heads, size)
    content, position = (
        graph.add(
            "Mul",
            graph.add("Transpose", graph.add("Add", q, f"attention.{bias}"), perm=[1, 0, 2]),
            graph.constant(size**-0.5),
        )
        for bias in ("content_bias", "position_bias")
    )
    k = by_head(graph.linear(x, "attention.k"), 1, 2, 0)
    v = by_head(graph.linear(x, "attention.v"), 1, 0, 2)
    r = by_head(graph.linear(_sinusoids(graph, time, dim), "attention.pos", bias=False), 1, 2, 0)
    scores = graph.add("MatMul", position, r)  # [heads, queries, distances]
    # By key: with a column of zeros before it, a row of distances is as long as two rows of keys; without the first
    # row of keys, every query begins at the first key's distance (Dai et al. 2019, appendix B).
    none, one = graph.constant([0]), graph.constant([1])
    scores = graph.add("Pad", scores, graph.constant([0, 0, 1, 0, 0, 0]))
    shape = graph.add("Concat", graph.constant([heads, -1]), time, axis=0)
    scores = graph.slice(graph.add("Reshape", scores, shape), one, graph.constant([2**31]), 1)
    distances = graph.add("Sub", graph.add("Add", time, time), one)
    shape = graph.add("Concat", graph.constant([heads]), time, distances, axis=0)
    scores = graph.slice(graph.add("Reshape", scores, shape), none, time, 2)
    scores = graph.add(
        "Add", graph.add("Add", scores, graph.add("MatMul", content, k)), _band(graph, time, left_context)
    )
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), v)
    mixed = graph.reshape(graph.add("Transpose", mixed, perm=[1, 0, 2]), -1, dim)
    return graph.linear(mixed, "attention.out")


def _sinusoids(graph: _Graph, time: str, dim: int) -> str:
    """Returns the sinusoids [2 * time - 1, dim] of `paper_lib.conformer.attention.relative_positions`."""
    length = graph.add("Cast", graph.add("Squeeze", time), to=TensorProto.FLOAT)
    first = graph.add("Sub", length, graph.constant(1.0))
    distance = graph.add("Range", first, graph.add("Neg", length), graph.constant(-1.0))
    rates = np.exp(np.arange(0, dim, 2, dtype=np.float32) * np.float32(-np.log(10_000.0) / dim))
    angle = graph.add("Mul", graph.add("Unsqueeze", distance, graph.constant([1])), graph.constant(rates))
    waves = [graph.add("Unsqueeze", graph.add(wave, angle), graph.constant([2])) for wave in ("Sin", "Cos")]
    return graph.reshape(graph.add("Concat", *waves, axis=2), -1, dim)


def _band(graph: _Graph, time: str, left_context: int) -> str:
    """Returns what is added to scores [..., queries, keys]: 0 for the frame itself and `left_context` before it."""
    place = graph.add("Range", graph.constant(np.array(0)), graph.add("Squeeze", time), graph.constant(np.array(1)))
    query, key = (graph.add("Unsqueeze", place, graph.constant([axis])) for axis in (1, 0))
    back = graph.add("Sub", query, key)
    ahead = graph.add("Less", back, graph.constant(np.array(0)))
    gone = graph.add("Greater", back, graph.constant(np.array(left_context)))
    return graph.add("Where", graph.add("Or", ahead, gone), graph.constant(UNSEEN), graph.constant(0.0))


def step_graph(settings: TransducerSettings, weights: Shapes) -> bytes:
    """Returns the graph that a label more is decoded with: `label` [1] and the state `h`, `c` [1, units] so far.

    With them and `encoded` [time, dim] it computes the state to come, and `best` [time], the label that each frame
    gives next. `weights` are the shapes of those of `Prediction` and `Joint`, by name.
    """
    units, width = settings.prediction, settings.encoder.dim
    inputs: dict[str, Shape] = {"encoded": ("time", width), "label": (1,), "h": (1, units), "c": (1, units)}
    graph = _Graph("step", inputs, weights, integers=("label",))
    embedded = graph.add("Gather", "prediction.embedding.weight", "label")
    lstm = "prediction.lstm"
    gates = graph.add(
        "Add",
        *(
            graph.add("Gemm", x, f"{lstm}.weight_{part}_l0", f"{lstm}.bias_{part}_l0", transB=1)
            for x, part in ((embedded, "ih"), ("h", "hh"))
        ),
    )
    entry, forget, new, exit_ = graph.add("Split", gates, outputs=4, axis=1)
    kept = graph.add("Mul", graph.add("Sigmoid", forget), "c")
    c = graph.add("Add", kept, graph.add("Mul", graph.add("Sigmoid", entry), graph.add("Tanh", new)))
    h = graph.add("Mul", graph.add("Sigmoid", exit_), graph.add("Tanh", c))
    both = graph.add("Add", graph.linear("encoded", "joint.encoder"), graph.linear(h, "joint.prediction"))
    logits = graph.linear(graph.add("Tanh", both), "joint.out")
    best = graph.add("Cast", graph.add("ArgMax", logits, axis=1, keepdims=0), to=TensorProto.INT32)
    state: Shape = (1, units)
    return graph.finish({"best": (best, ("time",)), "next_h": (h, state), "next_c": (c, state)}, integers=("best",))
