"""Signatures of any model, from state dictionaries and from checkpoints on disk."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from own_models import LAYERS, MODELS, TorchaudioCTC, trained_as_if
from torch import Tensor, nn

from paper_lib.fitted import Fit
from paper_lib.layers import ResetError, signatures
from paper_lib.layers.matrices import MATRICES, SignatureError
from paper_lib.layers.signature import signature


def moved(initial: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Returns weights on the way from `initial`: layer n has moved n times as far as the first."""
    places = {key: int(key.split(".")[2]) + 1 if "layers" in key else 1 for key in initial}
    return {
        key: tensor + share * places[key] if tensor.is_floating_point() else tensor for key, tensor in initial.items()
    }


@pytest.fixture
def initial() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return dict(TorchaudioCTC().state_dict())


def test_signatures_follow_the_slides_formula(initial: dict[str, Tensor]) -> None:
    model = TorchaudioCTC()
    before = trained_as_if(model)
    after = model.state_dict()
    found = signatures(before, after, layers=LAYERS)
    assert found.layers == tuple(LAYERS.replace("*", str(layer)) for layer in range(3))
    assert found.values.shape == found.distances.shape == (1, len(found.matrices), 3)
    for row, matrix in enumerate(found.matrices):
        distances = [float((after[f"{name}.{matrix}"] - before[f"{name}.{matrix}"]).norm()) for name in found.layers]
        np.testing.assert_allclose(found.distances[0, row], distances, rtol=1e-5)
        np.testing.assert_allclose(found.last[row], np.array(distances) / max(distances), rtol=1e-5)
    assert {"self_attn.in_proj_weight", "conv_module.sequential.2.weight", "ffn1.sequential.1.weight"} <= set(
        found.matrices
    )
    assert not any("norm" in matrix or "bias" in matrix for matrix in found.matrices)


@pytest.mark.parametrize("name", MODELS)
def test_a_signature_is_that_of_the_layers_of_known_toolkits(name: str) -> None:
    make, pattern, part, _ = MODELS[name]
    model = make()
    before = trained_as_if(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = signatures(before, model.state_dict(), layers=pattern)
        of_part = signatures(before, model.state_dict(), layers=f"{pattern}.{part}")
    assert len(whole.layers) == 3
    assert (whole.values.max(-1) == 1).all()
    rows = [whole.matrices.index(f"{part}.{matrix}") for matrix in of_part.matrices]
    np.testing.assert_array_equal(whole.values[:, rows], of_part.values)


def test_our_own_signature_is_that_of_its_record(trained: Fit) -> None:
    found = signatures(trained.initial, trained.model.state_dict(), layers="encoder.layers.*")
    result = {"distances": trained.history.distances, "distance_steps": trained.history.distance_steps}
    matrices = [matrix.removesuffix(".weight") for matrix in found.matrices]
    assert sorted(matrices) == sorted(MATRICES)
    expected = signature(result, matrices)
    np.testing.assert_allclose(found.last, expected, rtol=1e-4)


@pytest.mark.parametrize("form", ["safetensors", "pt", "lightning", "transformers"])
def test_a_directory_of_checkpoints_is_read_in_the_order_of_its_numbers(
    initial: dict[str, Tensor], tmp_path: Path, form: str
) -> None:
    (tmp_path / "notes.txt").touch()
    for step, share in ((0, 0.0), (9, 0.1), (10, 0.4), (100, 0.5)):
        weights = moved(initial, share)
        weights["encoder.conformer_layers.2.self_attn.in_proj_weight"] = (
            initial["encoder.conformer_layers.2.self_attn.in_proj_weight"] + step
        )
        if form == "safetensors":
            safetensors.torch.save_file(weights, tmp_path / f"step-{step}.safetensors")
        elif form == "transformers":
            (tmp_path / f"checkpoint-{step}").mkdir()
            safetensors.torch.save_file(weights, tmp_path / f"checkpoint-{step}" / "model.safetensors")
            torch.save({"state": {}}, tmp_path / f"checkpoint-{step}" / "optimizer.pt")
        else:
            content: dict[str, Any] = {"epoch": 3, "state_dict": weights} if form == "lightning" else weights
            torch.save(content, tmp_path / f"step-{step}.pt")
    found = signatures(tmp_path, layers=LAYERS)
    stem = (
        "checkpoint-{}" if form == "transformers" else "step-{}.safetensors" if form == "safetensors" else "step-{}.pt"
    )
    assert found.checkpoints == tuple(stem.format(step) for step in (9, 10, 100))
    row = found.matrices.index("self_attn.in_proj_weight")
    size = initial["encoder.conformer_layers.0.self_attn.in_proj_weight"].numel() ** 0.5
    np.testing.assert_allclose(found.distances[:, row, 2], [9 * size, 10 * size, 100 * size], rtol=1e-5)
    np.testing.assert_allclose(found.values[:, row, 0], [0.1 / 9, 0.4 / 10, 0.5 / 100], rtol=1e-4)
    np.testing.assert_allclose(
        found.values[:, found.matrices.index("ffn1.sequential.1.weight")], [[1 / 3, 2 / 3, 1]] * 3, rtol=1e-4
    )
    some = sorted(tmp_path.glob("*9*"))
    first = some[0] / "model.safetensors" if form == "transformers" else some[0]
    sequence = signatures(initial, [first, moved(initial, 0.5)], layers=LAYERS)
    assert sequence.checkpoints == (stem.format(9), "2")
    order = [sequence.matrices.index(matrix) for matrix in found.matrices]  # safetensors keep none
    np.testing.assert_array_equal(sequence.values[0, order], found.values[0])


def test_layers_are_in_the_order_of_their_numbers_whatever_that_of_the_state_dictionary() -> None:
    stack = nn.ModuleDict({"layers": nn.ModuleList(nn.Linear(2, 2) for _ in range(11))})
    before = {key: tensor.clone() for key, tensor in sorted(stack.state_dict().items())}
    after = {key: tensor + int(key.split(".")[1]) for key, tensor in before.items()}
    found = signatures(before, after, layers="layers.*")
    assert found.layers == tuple(f"layers.{layer}" for layer in range(11))
    np.testing.assert_allclose(found.last[0], np.arange(11) / 10, rtol=1e-5)


def test_a_matrix_that_not_all_layers_have_is_left_out_with_a_warning(initial: dict[str, Tensor]) -> None:
    initial["encoder.conformer_layers.1.adapter.weight"] = torch.ones(2, 2)
    with pytest.warns(UserWarning, match=r"not all of 3 layers have adapter\.weight: left out"):
        found = signatures(initial, moved(initial, 1), layers=LAYERS)
    assert found.left_out == ("adapter.weight",)
    assert "adapter.weight" not in found.matrices


def test_a_matrix_that_never_moved_has_signature_0(initial: dict[str, Tensor]) -> None:
    found = signatures(initial, initial, layers=LAYERS)
    assert not found.values.any()


def test_checkpoints_that_do_not_fit_are_refused(initial: dict[str, Tensor], tmp_path: Path) -> None:
    key = "encoder.conformer_layers.1.ffn1.sequential.1.weight"
    with pytest.raises(SignatureError, match="takes two at least"):
        signatures(initial, layers=LAYERS)
    with pytest.raises(SignatureError, match="before has 2 checkpoints and after is given"):
        signatures([initial, initial], initial, layers=LAYERS)
    with pytest.raises(SignatureError, match=rf"{key} has shape \[2\] instead of \[16, 8\] in the later state"):
        signatures(initial, initial | {key: torch.ones(2)}, layers=LAYERS)
    with pytest.raises(SignatureError, match=f"{key} is missing"):
        signatures(initial, {name: tensor for name, tensor in initial.items() if name != key}, layers=LAYERS)
    with pytest.raises(ResetError, match=r"there are encoder\.conformer_layers\.\* \(3 modules\)"):
        signatures(initial, initial, layers="layers.*")
    with pytest.raises(SignatureError, match="of one part"):
        signatures(initial, initial, layers=[f"{LAYERS}.ffn1", f"{LAYERS}.ffn2"])
    with pytest.raises(SignatureError, match="no weight matrix is in each of"):
        signatures(initial, initial, layers=f"{LAYERS}.final_layer_norm")
    with pytest.raises(SignatureError, match=r"has no checkpoints; they are files that end in \.safetensors"):
        signatures(tmp_path, layers=LAYERS)
    (tmp_path / "w.safetensors").write_bytes(b"none")
    (tmp_path / "w.pt").write_bytes(b"none")
    torch.save({"epoch": 1}, tmp_path / "epoch.pt")
    for name, message in (
        ("w.safetensors", "cannot be read as a checkpoint"),
        ("w.pt", "cannot be read as a checkpoint"),
        ("gone.pt", "cannot be read as a checkpoint"),
        ("epoch.pt", "holds no state dictionary, also not under state_dict"),
    ):
        with pytest.raises(SignatureError, match=message):
            signatures(initial, tmp_path / name, layers=LAYERS)
