"""Few bits on the way to clients and back: against brute force, torch's own quantiser and really packed arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from tiny_runs import Words
from torch import Tensor

from paper_lib.conformer.transducer import Transducer
from paper_lib.federated.accounting import account
from paper_lib.federated.adaptation import adapt
from paper_lib.federated.algorithm import RoundReport, federated_dropout
from paper_lib.federated.averaging import ServerState
from paper_lib.federated.clients import Client, trainable
from paper_lib.federated.plans import PlanError
from paper_lib.federated.quantisation import bits_of, quantise, quantised_layer, rounded, rounded_update
from paper_lib.settings import BitsPlan, DropoutPlan, FederatedSettings, ServerOptimizerSettings

NOTHING = DropoutPlan(name="none")
SETTINGS = FederatedSettings(rounds=2, clients_per_round=2, local_batch_frames=600, seed=3)
MIXED = BitsPlan(name="mixed", bits={1: 2}, elsewhere=5)
MATRIX = "encoder.layers.0.ffn1.w1.weight"


def levels(x: NDArray[np.float64], bits: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the rows of `x` in units of their scales, and the scales, row by row."""
    most = 2 ** (bits - 1) - 1
    scales = np.array([max(abs(value) for value in row) / most for row in x.reshape(len(x), -1)])
    return x / scales.reshape(-1, *[1] * (x.ndim - 1)), scales


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("shape", [(5, 7), (4, 1, 9)])
def test_each_weight_goes_to_the_nearest_level_of_its_row(bits: int, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(bits))
    found = quantise(x, bits)
    scaled, scales = levels(x.double().numpy(), bits)
    of_row = scales.reshape(-1, *[1] * (len(shape) - 1))
    grid = np.arange(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1))
    nearest = np.array([grid[np.abs(grid - value).argmin()] for value in scaled.flat]).reshape(shape)
    np.testing.assert_allclose(found.numpy(), nearest * of_row, rtol=2e-4 if bits == 16 else 1e-5)
    torchs = torch.fake_quantize_per_channel_affine(
        x, torch.tensor(scales).float(), torch.zeros(len(x), dtype=torch.int32), 0, int(grid[0]), int(grid[-1])
    )
    torch.testing.assert_close(found, torchs, rtol=1e-5, atol=1e-6 if bits < 16 else 1e-4)
    # What has been rounded stays as it is, but for the last digit of the scale.
    torch.testing.assert_close(quantise(found, bits), found)


def test_rows_of_zeros_stay_and_what_is_not_finite_is_seen() -> None:
    x = torch.stack([torch.zeros(4), torch.tensor([1.0, torch.nan, 0.0, 2.0]), torch.ones(4)])
    for generator in (None, torch.Generator().manual_seed(0)):
        found = quantise(x, 3, generator)
        assert found[0].tolist() == [0.0] * 4
        assert not found[1].isfinite().any()
        assert found[2].tolist() == pytest.approx([1.0] * 4)


@pytest.mark.parametrize("bits", [2, 4])
def test_random_rounding_takes_a_neighbouring_level_and_has_the_right_mean(bits: int) -> None:
    x = torch.randn(3, 11, generator=torch.Generator().manual_seed(1))
    generator, draws = torch.Generator().manual_seed(2), 4000
    found = torch.stack([quantise(x, bits, generator) for _ in range(draws)]).double().numpy()
    scaled, scales = levels(x.double().numpy(), bits)
    steps = found / scales[:, None] - scaled
    assert np.abs(steps).max() < 1 + 1e-4
    # The mean of `draws` values whose deviation is at most half a step: six standard errors.
    assert np.abs(steps.mean(0)).max() < 6 * 0.5 / np.sqrt(draws)
    # By the nearest level it would not.
    assert np.abs(quantise(x, bits).double().numpy() / scales[:, None] - scaled).max() > 6 * 0.5 / np.sqrt(draws)


def test_with_feedback_all_that_was_sent_is_all_that_was_due_but_for_what_is_owed() -> None:
    plan = MIXED.model_copy(update={"error_feedback": True})
    generator, numbers = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    owed: dict[str, Tensor] = {}
    due, received = torch.zeros(6, 5), torch.zeros(6, 5)
    for _ in range(30):
        update = 0.01 * torch.randn(6, 5, generator=numbers) + 0.02
        sent, owed = rounded_update({MATRIX: update}, plan, generator, owed)
        due, received = due + update, received + sent[MATRIX]
    torch.testing.assert_close(received + owed[MATRIX], due)
    assert owed[MATRIX].abs().max() > 1e-3  # two bits leave something


def packed(tensors: Mapping[str, Tensor], plan: BitsPlan | None) -> int:
    """Returns the bytes of `tensors`, packed bit by bit with NumPy."""
    size = 0
    for name, tensor in tensors.items():
        if bits := bits_of(name, tensor.shape, plan):
            scaled, scales = levels(tensor.double().numpy(), bits)
            numbers = (np.round(scaled) + 2 ** (bits - 1)).astype(np.uint16).reshape(-1, 1)
            each = np.unpackbits(numbers.view(np.uint8)[:, ::-1].reshape(-1, 2), axis=1)[:, -bits:]
            size += np.packbits(each).nbytes + scales.astype(np.float32).nbytes
        else:
            size += tensor.numpy().nbytes
    return size


def test_the_layers_matrices_and_kernels_are_rounded_and_nothing_else(model: Transducer) -> None:
    weights = trainable(model)
    found = rounded(weights, MIXED)
    changed = {name for name in weights if not torch.equal(found[name], weights[name])}
    kinds = (torch.nn.Linear, torch.nn.Conv1d)
    assert changed == {
        f"encoder.layers.{name}.weight"
        for name, module in model.encoder.layers.named_modules()
        if isinstance(module, kinds)
    }
    assert found[MATRIX].unique(dim=1).shape[1] > 1
    assert all(len(row.unique()) <= 3 for row in found[MATRIX])
    assert any(len(row.unique()) > 3 for row in found[MATRIX.replace("layers.0", "layers.1")])
    layer = quantised_layer(model.encoder.layers[0], 2).state_dict()
    for name, tensor in layer.items():
        assert torch.equal(tensor, found[f"encoder.layers.0.{name}"])
    assert not torch.equal(model.encoder.layers[0].ffn1.w1.weight, layer["ffn1.w1.weight"])


@pytest.mark.parametrize("plan", [MIXED, BitsPlan(name="one", bits={2: 3}), None])
def test_bytes_are_those_of_packed_arrays(model: Transducer, clients: list[Client], plan: BitsPlan | None) -> None:
    algorithm = federated_dropout(SETTINGS, NOTHING, model.settings, Words(), bits=plan)
    _, report = algorithm.apply(algorithm.init(model), clients[:2])
    size = packed(trainable(model), plan)
    assert report.bytes_down == report.bytes_up == 2 * size
    found = account(NOTHING, model.settings, 1.0, 3, plan)
    assert (found.down, found.up) == (size, size)


def test_clients_begin_with_rounded_weights_and_send_rounded_updates(model: Transducer, clients: list[Client]) -> None:
    server = ServerOptimizerSettings(kind="sgd", learning_rate=1.0)
    settings = SETTINGS.model_copy(update={"server": server})
    after = one_round(model, clients[:1], settings, MIXED).weights
    moved = after[MATRIX] - trainable(model)[MATRIX]
    # A single client's update, of two bits: nothing, or the row's largest value up or down.
    sizes = moved.abs() / moved.abs().amax(1, keepdim=True)
    assert bool(((sizes < 1e-3) | (sizes > 1 - 1e-3)).all())
    # The client began elsewhere than one that received the weights themselves: what it sends in float32 differs.
    name = "joint.out.bias"
    assert not torch.equal(after[name], one_round(model, clients[:1], settings, None).weights[name])


def one_round(
    model: Transducer, clients: list[Client], settings: FederatedSettings, bits: BitsPlan | None, workers: int = 1
) -> ServerState:
    algorithm = federated_dropout(settings, NOTHING, model.settings, Words(), workers, bits)
    return algorithm.apply(algorithm.init(model), clients)[0]


@pytest.mark.book
def test_the_number_of_workers_changes_no_bit_of_what_is_rounded(model: Transducer, clients: list[Client]) -> None:
    alone, beside = (one_round(model, clients, SETTINGS, MIXED, workers) for workers in (1, 2))
    assert all(torch.equal(alone.weights[name], tensor) for name, tensor in beside.weights.items())


@pytest.mark.parametrize("plan", [NOTHING, DropoutPlan(name="half", rates={1: 0.5})])
def test_rounds_with_feedback_go_on_where_they_were_stopped(
    model: Transducer, clients: list[Client], tmp_path: Path, plan: DropoutPlan
) -> None:
    bits = MIXED.model_copy(update={"error_feedback": True})
    algorithm = federated_dropout(SETTINGS, plan, model.settings, Words(), bits=bits)

    def rounds(directory: Path, count: int) -> tuple[dict[str, Tensor], list[RoundReport]]:
        settings = SETTINGS.model_copy(update={"rounds": count})
        weights, met = adapt(algorithm, model, clients[:2], settings, tmp_path / directory, lambda _: 0.0, 1)
        return weights, met.reports

    whole, reports = rounds(Path("whole"), 3)
    rounds(Path("parts"), 1)
    parts, resumed = rounds(Path("parts"), 3)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert resumed == reports
    lossy = federated_dropout(SETTINGS, plan, model.settings, Words(), bits=MIXED)
    state = lossy.init(model)
    for _ in range(3):
        state, _ = lossy.apply(state, clients[:2])
    assert not torch.equal(state.weights[MATRIX], whole[MATRIX])


def test_bits_that_cannot_be_are_refused(model: Transducer) -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        BitsPlan(name="x", bits={1: 1})
    with pytest.raises(PlanError, match="bits: there is no layer 3; the model has layers 1 to 2"):
        federated_dropout(SETTINGS, NOTHING, model.settings, Words(), bits=BitsPlan(name="x", bits={3: 4}))


def test_plans_that_round_alike_are_one_measurement() -> None:
    plan = BitsPlan(name="mine", bits={3: 4, 2: 6, 1: 2}, elsewhere=4)
    assert plan.by_bits().name == "1:2 2:6 rest:4"
    assert plan.by_bits().digest() == BitsPlan(name="yours", bits={1: 2, 2: 6}, elsewhere=4).by_bits().digest()
    assert BitsPlan(name="x").by_bits().name == "rest:float32"
