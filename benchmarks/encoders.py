"""The stack of Conformer layers, forward and backward, against those of torchaudio and of transformers.

Equal means: with our weights in theirs, outputs and gradients of the input are the same numbers. That is so where the
maths is: kernel 31 (both refuse an even one), no padding (neither keeps it out of the convolution), a norm that both
have. torchaudio's layers know no positions, so ours are set to zero there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.timing import OURS, Row, by_turns, check_close, installed, matmul_rate, threads
from paper_lib.conformer.encoder import Encoder, Hidden
from paper_lib.settings import EncoderSettings

TORCHAUDIO, TRANSFORMERS = "torchaudio", "transformers"
# Sums of float32 products in another order, through the layers; the differences found are a fortieth of this.
TOLERANCE = 2e-5


@dataclass(frozen=True)
class Case:
    """A stack and what it hears: `batch` utterances of at most `time` frames of 40 ms."""

    name: str
    settings: EncoderSettings
    batch: int
    time: int
    seconds: float  # to be spent on it


def _settings(dim: int, layers: int, heads: int, kernel: int, groups: int) -> EncoderSettings:
    return EncoderSettings(dim=dim, layers=layers, heads=heads, kernel=kernel, channels=4, groups=groups, dropout=0.0)


CASES = (
    Case("d 48 × 6, 16 × 22 frames", _settings(48, 6, 2, 15, 4), 16, 22, 3),
    Case("d 96 × 8, 16 × 22 frames", _settings(96, 8, 4, 15, 4), 16, 22, 4),
    Case("S, d 144 × 16, 8 × 250 frames", _settings(144, 16, 4, 32, 8), 8, 250, 12),
    Case("M, d 256 × 16, 4 × 250 frames", _settings(256, 16, 4, 32, 8), 4, 250, 12),
)


class Ours(nn.Module):
    """The layers of our encoder, without what comes before them."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.encoder = Encoder(settings)

    def prepared(self, frames: Tensor, time: int) -> Hidden:
        """Returns what the layers need beside the stream: `frames` [batch] of `time` are valid."""
        features = torch.zeros(len(frames), 4 * time, 80)
        with torch.no_grad():
            return self.encoder.subsample(features, 4 * frames)

    def forward(self, x: Tensor, hidden: Hidden) -> Tensor:
        """Maps `x` [batch, time, dim] to the same shape."""
        hidden = hidden._replace(x=x)
        for layer in self.encoder.layers:
            hidden = self.encoder.run(layer, hidden)
        return hidden.x


def torchaudio_stack(settings: EncoderSettings, group_norm: bool = True) -> nn.Module:
    """Returns torchaudio's stack of these sizes; an even kernel is made one shorter. One group is all it has."""
    from torchaudio.models import Conformer

    return Conformer(
        settings.dim,
        settings.heads,
        4 * settings.dim,
        settings.layers,
        _odd(settings.kernel),
        dropout=settings.dropout,
        use_group_norm=group_norm,
    )


def transformers_stack(settings: EncoderSettings) -> nn.Module:
    """Returns the encoder of Wav2Vec2-Conformer with relative positions; what it does after its layers is taken off."""
    from transformers import Wav2Vec2ConformerConfig
    from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import Wav2Vec2ConformerEncoder

    config = Wav2Vec2ConformerConfig(
        hidden_size=settings.dim,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.dim,
        hidden_act="swish",
        position_embeddings_type="relative",
        conv_depthwise_kernel_size=_odd(settings.kernel),
        max_source_positions=1024,
        num_conv_pos_embedding_groups=1,  # of a module that its encoder makes and does not use
        num_conv_pos_embeddings=1,
        hidden_dropout=settings.dropout,
        activation_dropout=settings.dropout,
        attention_dropout=settings.dropout,
        conformer_conv_dropout=settings.dropout,
        layerdrop=0.0,
    )
    config._attn_implementation = "eager"
    stack = Wav2Vec2ConformerEncoder(config)
    stack.layer_norm = nn.Identity()
    stack.pos_conv_embed = nn.Identity()
    return stack


def _odd(kernel: int) -> int:
    return kernel - 1 + kernel % 2


def _common(weights: dict[str, Tensor], norms: tuple[str, str, str, str]) -> dict[str, Tensor]:
    """Returns what is named alike in both other libraries, of one layer of ours; `norms` are their names for ours."""
    ours = ("attention.norm", "convolution.norm", "norm", "convolution.depthwise_norm")
    moved = {}
    for name, tensor in weights.items():
        for mine, their in zip(ours, norms, strict=True):
            if name.rpartition(".")[0] == mine:
                moved[f"{their}.{name.rpartition('.')[2]}"] = tensor
    return moved


def to_torchaudio(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns our layer's weights under torchaudio's names; those of positions have no place there."""
    moved = _common(
        weights,
        ("self_attn_layer_norm", "conv_module.layer_norm", "final_layer_norm", "conv_module.sequential.3"),
    )
    for module in ("ffn1", "ffn2"):
        for mine, place in (("norm", 0), ("w1", 1), ("w2", 4)):
            for part in ("weight", "bias"):
                moved[f"{module}.sequential.{place}.{part}"] = weights[f"{module}.{mine}.{part}"]
    for part in ("weight", "bias"):
        moved[f"self_attn.in_proj_{part}"] = torch.cat([weights[f"attention.{name}.{part}"] for name in "qkv"])
        moved[f"self_attn.out_proj.{part}"] = weights[f"attention.out.{part}"]
        moved[f"conv_module.sequential.2.{part}"] = weights[f"convolution.depthwise.{part}"]
    for mine, place in (("pointwise1", 0), ("pointwise2", 5)):
        moved[f"conv_module.sequential.{place}.weight"] = weights[f"convolution.{mine}.weight"][..., None]
        moved[f"conv_module.sequential.{place}.bias"] = weights[f"convolution.{mine}.bias"]
    return moved


def to_transformers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns our layer's weights under the names of transformers; biases of the convolutions have no place there."""
    moved = _common(
        weights,
        ("self_attn_layer_norm", "conv_module.layer_norm", "final_layer_norm", "conv_module.batch_norm"),
    )
    for part in ("weight", "bias"):
        for module in ("ffn1", "ffn2"):
            moved[f"{module}_layer_norm.{part}"] = weights[f"{module}.norm.{part}"]
            moved[f"{module}.intermediate_dense.{part}"] = weights[f"{module}.w1.{part}"]
            moved[f"{module}.output_dense.{part}"] = weights[f"{module}.w2.{part}"]
        for name in ("q", "k", "v", "out"):
            moved[f"self_attn.linear_{name}.{part}"] = weights[f"attention.{name}.{part}"]
    moved["self_attn.linear_pos.weight"] = weights["attention.pos.weight"]
    moved["self_attn.pos_bias_u"] = weights["attention.content_bias"]
    moved["self_attn.pos_bias_v"] = weights["attention.position_bias"]
    moved["conv_module.depthwise_conv.weight"] = weights["convolution.depthwise.weight"]
    for place in ("1", "2"):
        moved[f"conv_module.pointwise_conv{place}.weight"] = weights[f"convolution.pointwise{place}.weight"][..., None]
    return moved


PEERS: dict[str, tuple[Callable[..., nn.Module], Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = {
    TORCHAUDIO: (torchaudio_stack, to_torchaudio, "conformer_layers"),
    TRANSFORMERS: (transformers_stack, to_transformers, "layers"),
}
# Of ours, what the other has no place for: set to zero for the comparison.
ABSENT = {
    TORCHAUDIO: ("attention.pos.weight", "attention.content_bias", "attention.position_bias"),
    TRANSFORMERS: ("pointwise1.bias", "pointwise2.bias", "depthwise.bias"),
}


def _call(name: str, stack: Any, frames: Tensor, x: Tensor) -> Tensor:
    if name == TORCHAUDIO:
        return stack(x, frames)[0]
    mask = torch.arange(x.shape[1]) < frames[:, None]
    # It zeroes the padding in place, which a leaf of the graph does not allow.
    return stack(x * 1, attention_mask=mask).last_hidden_state


def check_equal(peer: str, settings: EncoderSettings, batch: int, time: int, norm: str) -> float:
    """Returns how far `peer`'s outputs and gradients are from ours, at most, with our weights; raises UnequalError."""
    torch.manual_seed(0)
    settings = settings.model_copy(update={"kernel": _odd(settings.kernel), "norm": norm, "groups": 1})
    make, convert, layers = PEERS[peer]
    ours, theirs = Ours(settings), make(settings, norm == "group") if peer == TORCHAUDIO else make(settings)
    with torch.no_grad():
        for name, parameter in ours.encoder.layers.named_parameters():
            if parameter.dim() == 1 or name.endswith("bias"):  # what starts as 0 or 1 would hide a wrong place
                parameter.add_(0.1 * torch.randn_like(parameter))
            if name.endswith(ABSENT[peer]):
                parameter.zero_()
        for mine, their in zip(ours.encoder.layers, getattr(theirs, layers), strict=True):
            missing = their.load_state_dict(convert(mine.state_dict()), strict=False).missing_keys
            assert all(name.endswith("num_batches_tracked") for name in missing), missing
    frames = torch.full((batch,), time)
    hidden, x = ours.prepared(frames, time), torch.randn(batch, time, settings.dim)
    weight = torch.randn_like(x)
    results = []
    for call in (lambda x: ours(x, hidden), lambda x: _call(peer, theirs, frames, x)):
        x = x.detach().requires_grad_()
        y = call(x)
        (y * weight).sum().backward()
        assert x.grad is not None
        results.append((y, x.grad))
    pairs = zip(("output", "gradient"), *results, strict=True)
    return max(check_close(f"{peer}, {norm} norm, {part}", mine, their, TOLERANCE) for part, mine, their in pairs)


def _step(forward: Callable[[Tensor], Tensor], stack: nn.Module, x: Tensor) -> Callable[[], None]:
    """Returns a call that runs forward and backward, to the weights and to the input."""

    def step() -> None:
        stack.zero_grad(set_to_none=True)
        x.grad = None
        forward(x).sum().backward()

    x = x.clone().requires_grad_()
    stack.train()
    return step


def _as_torch_comes(call: Callable[[], None]) -> Callable[[], None]:
    """Returns `call` with torch's own choice of library for products, which paper_lib.conformer has changed."""

    def called() -> None:
        matmul = torch.backends.mkldnn.matmul
        changed, matmul.fp32_precision = matmul.fp32_precision, "none"
        try:
            call()
        finally:
            matmul.fp32_precision = changed

    return called


def stacks(case: Case, dropout: float = 0.0, peers: bool = True) -> dict[str, Callable[[], None]]:
    """Returns a training step's encoder work for ours and the `peers` that are installed; lengths from 60 to 100 %.

    Peers run as torch comes and, where our products are oneDNN's, with those too.
    """
    settings = case.settings.model_copy(update={"dropout": dropout})
    frames = torch.linspace(0.6 * case.time, case.time, case.batch).round().long()
    x = torch.randn(case.batch, case.time, settings.dim)
    ours = Ours(settings)
    hidden = ours.prepared(frames, case.time)
    calls = {OURS: _step(lambda x: ours(x, hidden), ours, x)}
    for name, (make, _, _) in PEERS.items():
        if peers and installed(name):
            stack = make(settings)
            step = _step(partial(_call, name, stack, frames), stack, x)
            calls[name] = _as_torch_comes(step)
            if torch.backends.mkldnn.matmul.fp32_precision != "none":
                calls[f"{name}, oneDNN"] = step
    return calls


def operations(case: Case) -> int:
    """Returns the operations of forward and backward: 6 a weight and frame, padding included."""
    weights = sum(p.numel() for p in Encoder(case.settings).layers.parameters() if p.dim() > 1)
    return 6 * weights * case.batch * case.time


def agreement(case: Case) -> str:
    """Returns what was found to be equal to what; raises UnequalError."""
    found = []
    for peer, norms in ((TORCHAUDIO, ("group", "batch")), (TRANSFORMERS, ("batch",))):
        if installed(peer):
            small = case.settings.model_copy(update={"layers": min(4, case.settings.layers)})
            apart = max(check_equal(peer, small, 2, min(case.time, 60), norm) for norm in norms)
            found.append(f"{peer}: output and gradient to {apart:.0e} ({', '.join(norms)} norm)")
    return "; ".join(found)


def rows() -> Iterator[Row]:
    """Yields every stack against the peers, on one thread and on two."""
    equal = {case.name: agreement(case) for case in CASES}
    for count in (1, 2):
        with threads(count):
            for case in CASES:
                before = matmul_rate()
                timed = by_turns(stacks(case), case.seconds)
                limit = max(before, matmul_rate())
                # The fastest call beside the fastest product: what the cores can do while nobody disturbs.
                share = operations(case) / min(timed[0].seconds) / limit
                more = {"share of matmul": round(share, 3), "matmul Gop/s": round(limit / 1e9, 1)}
                yield Row("encoder", case.name, count, timed, equal[case.name], more)


def dropout_rows() -> Iterator[Row]:
    """Yields what dropout of 0.1 adds to a step of ours, on one thread."""
    for case in CASES[:3]:
        with threads(1):
            calls = {OURS: stacks(case, peers=False)[OURS], "ours, dropout 0.1": stacks(case, 0.1, peers=False)[OURS]}
            yield Row("dropout", case.name, 1, by_turns(calls, min(case.seconds, 8)))
