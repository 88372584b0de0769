"""The Conformer against direct formulas, and the promise that padding never changes an answer."""

from __future__ import annotations

import math

import pytest
import torch

from paper_lib.conformer.attention import RelativeAttention, relative_positions
from paper_lib.conformer.decoding import greedy_decode
from paper_lib.conformer.dropout import Dropout
from paper_lib.conformer.encoder import Encoder
from paper_lib.conformer.layer import ConformerLayer, depthwise
from paper_lib.conformer.products import use_fast_products
from paper_lib.conformer.sizes import SLIDE, count_parameters, millions, table
from paper_lib.conformer.transducer import BLANK, FEW, Transducer
from paper_lib.profiles import SIZES, profile_of
from paper_lib.settings import EncoderSettings, StreamingSettings, TransducerSettings
from paper_lib.threads import one_thread


def small(norm: str = "group", groups: int = 2, kernel: int = 6) -> EncoderSettings:
    return EncoderSettings(dim=16, layers=3, heads=2, kernel=kernel, norm=norm, groups=groups, dropout=0.0)


def small_transducer(norm: str = "group") -> Transducer:
    torch.manual_seed(1)
    settings = TransducerSettings(encoder=small(norm), vocabulary=7, embedding=8, prediction=12, joint=10)
    return Transducer(settings)


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(norm: str, training: bool) -> None:
    """An utterance alone and beside longer ones, in a batch padded with garbage, has the same encoding."""
    torch.manual_seed(0)
    encoder = Encoder(small(norm)).train(training)
    lengths = [61, 37, 90]
    features = torch.randn(3, 97, 80) * 5 + 3
    together, frames = encoder(features, torch.tensor(lengths))
    assert frames.tolist() == [math.ceil(n / 4) for n in lengths]
    if norm == "batch" and training:
        # Statistics of the batch differ from those of one utterance, by design: compare against less padding instead.
        again, _ = encoder(torch.where(torch.arange(97)[:, None] < 90, features, 0.0)[:, :90], torch.tensor(lengths))
        for row, count in enumerate(frames):
            torch.testing.assert_close(together[row, :count], again[row, :count], rtol=1e-4, atol=1e-5)
        return
    for row, length in enumerate(lengths):
        alone, _ = encoder(features[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(together[row, : frames[row]], alone[0], rtol=1e-4, atol=1e-5)


def test_batch_norm_statistics_leave_padding_out() -> None:
    """Running statistics after one step equal those of torch's BatchNorm over the valid frames alone."""
    torch.manual_seed(0)
    from paper_lib.conformer.normalization import MaskedBatchNorm

    x, valid = torch.randn(3, 10, 4), (torch.arange(10) < torch.tensor([[10], [4], [7]]))[..., None].float()
    ours, reference = MaskedBatchNorm(4), torch.nn.BatchNorm1d(4)
    y = ours(x * valid, valid)
    rows = valid[..., 0].bool()
    torch.testing.assert_close(y[rows], reference(x[rows]))
    torch.testing.assert_close(ours.running_mean, reference.running_mean)
    torch.testing.assert_close(ours.running_var, reference.running_var)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_norm_equals_torch_on_unpadded_input(groups: int) -> None:
    from paper_lib.conformer.normalization import MaskedGroupNorm

    x = torch.randn(3, 10, 8)
    y = MaskedGroupNorm(8, groups)(x, torch.ones(3, 10, 1))
    reference = torch.nn.GroupNorm(groups, 8)(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(y, reference)


def test_relative_attention_equals_the_direct_formula() -> None:
    """Transformer-XL, equation of section 3.3, one query, key and head at a time."""
    torch.manual_seed(0)
    time, dim, heads = 7, 8, 2
    attention = RelativeAttention(dim, heads, dropout=0.0).double()
    torch.nn.init.normal_(attention.content_bias)
    torch.nn.init.normal_(attention.position_bias)
    x = torch.randn(1, time, dim, dtype=torch.double)
    positions = relative_positions(time, dim, x.device).double()
    y = attention(x, positions, torch.zeros(1, 1, 1, time))

    normed, width = attention.norm(x)[0], dim // heads
    q, k, v = (projection(normed) for projection in (attention.q, attention.k, attention.v))
    mixed = torch.zeros(time, dim, dtype=torch.double)
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        for i in range(time):
            scores = []
            for j in range(time):
                angle = (i - j) * torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000.0) / dim)).double()
                sinusoid = torch.stack((angle.sin(), angle.cos()), -1).flatten()
                r = attention.pos(sinusoid)[part]
                content = (q[i, part] + attention.content_bias[head]) @ k[j, part]
                scores.append((content + (q[i, part] + attention.position_bias[head]) @ r) / math.sqrt(width))
            mixed[i, part] = torch.stack(scores).softmax(0) @ v[:, part]
    torch.testing.assert_close(y[0], attention.out(mixed), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel", [1, 5, 6, 32])
def test_depthwise_convolution_equals_conv1d(kernel: int, causal: bool) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 9, 3), torch.randn(3, 1, kernel), torch.randn(3)
    before = kernel - 1 if causal else (kernel - 1) // 2
    padded = torch.nn.functional.pad(x.transpose(1, 2), (before, kernel - 1 - before))
    expected = torch.nn.functional.conv1d(padded, weight, bias, groups=3).transpose(1, 2)
    torch.testing.assert_close(depthwise(x, weight, bias, before), expected, rtol=1e-4, atol=1e-5)


def test_the_two_feed_forward_modules_are_different_modules() -> None:
    layer = ConformerLayer(small())
    assert not torch.equal(layer.ffn1.w1.weight, layer.ffn2.w1.weight)
    x = torch.randn(1, 5, 16)
    assert not torch.allclose(layer.ffn1(x), layer.ffn2(x))


@pytest.mark.parametrize("size", SIZES)
def test_sizes_reproduce_every_digit_of_the_slides(size: str) -> None:
    settings = profile_of("gpu").models[size]
    count = count_parameters(settings)
    dim = settings.encoder.dim
    assert count.layer == 24 * dim**2 + 64 * dim
    ours = (millions(count.layers), f"{settings.encoder.layers} × {millions(count.layer)}", millions(count.total))
    assert ours == SLIDE[size]
    assert all(part in table() for part in SLIDE[size])


def test_mini_sizes_keep_the_order_of_width_depth_and_parameters() -> None:
    models = profile_of("quick").models
    counts = [count_parameters(models[size]).total for size in SIZES]
    assert counts == sorted(counts)
    assert 100_000 < counts[0] < counts[-1] < 5_000_000
    widths = [models[size].encoder.dim for size in SIZES]
    depths = [models[size].encoder.layers for size in SIZES]
    assert widths == sorted(set(widths))
    assert depths[0] <= depths[1] < depths[2]


def test_groups_and_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="groups is 3; it must divide dim, which is 16"):
        small(groups=3)


def greedy_one_by_one(model: Transducer, encoded: torch.Tensor, max_symbols: int) -> list[int]:
    """Textbook greedy search of one utterance [time, dim]: the oracle of the batched one."""
    labels: list[int] = []
    predicted, state = model.prediction(torch.tensor([[BLANK]]))
    for frame in encoded:
        for _ in range(max_symbols):
            joint = model.joint(model.joint.encoder(frame), model.joint.prediction(predicted[0, 0]))
            best = int(joint.argmax())
            if best == BLANK:
                break
            labels.append(best)
            predicted, state = model.prediction(torch.tensor([[best]]), state)
    return labels


def talkative(blank: float, settings: TransducerSettings | None = None) -> Transducer:
    """Returns a model that emits all labels, the more of them the less `blank` adds to that of silence."""
    torch.manual_seed(1)
    model = small_transducer() if settings is None else Transducer(settings)
    with torch.no_grad():
        model.joint.out.weight.normal_(std=2.0)
        model.joint.out.bias[BLANK] += blank
    return model.eval()


@pytest.mark.parametrize("max_symbols", [1, 3])
@pytest.mark.parametrize("blank", [-100.0, 2.0, 6.0, 100.0])
@torch.inference_mode()
def test_batched_decoding_equals_one_utterance_at_a_time(blank: float, max_symbols: int) -> None:
    model = talkative(blank)
    # Some end within the frames that are looked at together, some at their edge.
    frames = torch.tensor([9, 4, 1, 6, 0, 3, 2, 13, *[5] * FEW])
    encoded = torch.randn(len(frames), 17, 16) * 2
    with one_thread():
        batched = greedy_decode(model, encoded, frames, max_symbols)
        expected = [greedy_one_by_one(model, encoded[row, :count], max_symbols) for row, count in enumerate(frames)]
    assert batched == expected
    # From as many labels as may be to none at all.
    share = sum(map(len, batched)) / (int(frames.sum()) * max_symbols)
    assert share == 1 if blank == -100 else share == 0 if blank == 100 else 0 < share < 1
    # What lies beyond an utterance's frames is never heard.
    encoded[torch.arange(17) >= frames[:, None]] = 50.0
    assert greedy_decode(model, encoded, frames, max_symbols) == batched


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@torch.inference_mode()
def test_decoding_by_a_projected_lstm_of_two_layers_equals_one_utterance_at_a_time() -> None:
    settings = TransducerSettings(
        encoder=small(), vocabulary=7, embedding=8, prediction=6, lstm_layers=2, lstm_units=12, joint=10
    )
    model = talkative(2.0, settings)
    frames, encoded = torch.tensor([9, 4, 1, 6]), torch.randn(4, 9, 16) * 2
    expected = [greedy_one_by_one(model, encoded[row, :count], 5) for row, count in enumerate(frames)]
    assert greedy_decode(model, encoded, frames) == expected
    assert any(expected)


@pytest.mark.parametrize("rows", [1, FEW, FEW + 1])
@torch.inference_mode()
def test_a_step_of_the_prediction_network_is_what_it_does_with_one_label(rows: int) -> None:
    prediction = small_transducer().prediction
    labels = torch.randint(7, (2, rows, 1))
    _, state = prediction(labels[0])
    expected, expected_state = prediction(labels[1], state)
    found, found_state = prediction.step(labels[1, :, 0], state)
    torch.testing.assert_close(found, expected[:, 0])
    torch.testing.assert_close(found_state, expected_state)


def test_dropout_zeroes_its_share_and_keeps_the_mean() -> None:
    dropout, x = Dropout(0.1), torch.ones(400, 1001, requires_grad=True)
    torch.manual_seed(0)
    y = dropout(x)
    # 0.1 in 256ths; a share of so many values is known to 0.0005.
    assert float((y == 0).float().mean()) == pytest.approx(26 / 256, abs=0.002)
    assert y.unique().tolist() == pytest.approx([0.0, 256 / 230])
    assert float(y.detach().mean()) == pytest.approx(1, abs=0.002)
    # Neighbours are dropped independently of each other, along both axes.
    zero = (y == 0).float()
    for first, second in ((zero[1:], zero[:-1]), (zero[:, 1:], zero[:, :-1])):
        assert float((first * second).mean()) == pytest.approx((26 / 256) ** 2, abs=0.001)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())


def test_dropout_is_decided_by_torchs_seed_and_ends_with_training() -> None:
    dropout, x = Dropout(0.5), torch.randn(3, 5, 7)
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(dropout(x) == 0)
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    # The next mask is another one.
    assert not torch.equal(dropout(x) == 0, masks[2])
    assert dropout.eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_the_gradients_of_the_depthwise_convolution_are_torchs() -> None:
    for time, kernel, before in ((22, 15, 7), (5, 15, 14), (40, 32, 15)):
        x = torch.randn(2, time, 6, dtype=torch.float64, requires_grad=True)
        weight = torch.randn(6, 1, kernel, dtype=torch.float64, requires_grad=True)
        bias = torch.randn(6, dtype=torch.float64)
        after = kernel - 1 - before
        padded = torch.nn.functional.pad(x.transpose(1, 2), (before, after))
        direct = torch.nn.functional.conv1d(padded, weight, bias, groups=6).transpose(1, 2)
        ours = depthwise(x, weight, bias, before)
        assert torch.allclose(ours, direct)
        grad = torch.randn_like(direct)
        for mine, torchs in zip(
            torch.autograd.grad(ours, (x, weight), grad), torch.autograd.grad(direct, (x, weight), grad), strict=True
        ):
            assert torch.allclose(mine, torchs)


def test_products_are_as_exact_with_the_faster_library() -> None:
    use_fast_products()
    generator = torch.Generator().manual_seed(1)
    for shape in ((352, 96, 384), (2000, 576, 144), (7, 3, 5)):
        first = torch.randn(shape[0], shape[1], generator=generator)
        second = torch.randn(shape[1], shape[2], generator=generator)
        exact = first.double() @ second.double()
        batched = first.expand(4, -1, -1) @ second.expand(4, -1, -1)
        for product in (first @ second, *batched):
            assert float((product - exact).abs().max() / exact.abs().max()) < 1e-5


@pytest.mark.parametrize("streaming", [None, StreamingSettings(left_context=6)])
def test_a_step_in_bfloat16_is_near_that_in_float32(streaming: StreamingSettings | None) -> None:
    settings = EncoderSettings(
        dim=16, heads=2, layers=2, kernel=5, channels=4, groups=2, dropout=0.1, streaming=streaming
    )
    torch.manual_seed(0)
    encoder, features, towards = Encoder(settings).train(), torch.randn(3, 60, 80), torch.randn(3, 15, 16)
    found = []
    for enabled in (False, True):
        torch.manual_seed(1)
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            encoded, _ = encoder(features, torch.tensor([60, 44, 52]))
        (encoded.float() * towards).sum().backward()
        found.append((encoded.detach().float(), encoder.layers[0].convolution.depthwise.weight.grad.clone()))
    for exact, rounded in zip(*found, strict=True):
        assert float((exact - rounded).norm() / exact.norm()) < 0.05
