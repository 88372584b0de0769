"""Trainings in bfloat16: near single precision where the processor has the instructions, the same bits elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from tiny_runs import CPU, tiny_run

from paper_lib.conformer.products import multiplies_bf16
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus import Corpus
from paper_lib.corpus.tokens import CharacterTokenizer
from paper_lib.federated.clients import client_update, clients_of, local_batches
from paper_lib.federated.dropout import Mask
from paper_lib.fitted import Fit
from paper_lib.settings import FederatedSettings, Norm
from paper_lib.training import fit

# Without AVX-512 torch has no LSTM in bfloat16 on a CPU, however slow.
needs_bf16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor computes no LSTM in bfloat16"
)


def trained(corpus: Corpus, directory: Path, norm: Norm, **training: Any) -> Fit:
    return fit(tiny_run(norm, steps=2, warmup_steps=0, **training), corpus, directory, CPU)


@pytest.fixture(params=["group", "batch"])
def norm(request: pytest.FixtureRequest) -> Any:
    return request.param


@needs_bf16
def test_a_step_in_bf16_is_near_that_in_single_precision(
    norm: Norm, tiny_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paper_lib.objective.multiplies_bf16", lambda _: True)
    single = trained(tiny_corpus, tmp_path / "single", norm)
    half = trained(tiny_corpus, tmp_path / "half", norm, precision="bf16")
    assert half.history.losses == pytest.approx(single.history.losses, rel=1e-2)
    assert half.history.losses != single.history.losses
    assert {tensor.dtype for tensor in half.model.parameters()} == {torch.float32}
    # Adam's first steps have the size of the rate whatever the gradient's: no more than some signs differ.
    one, other = moved(single), moved(half)
    assert torch.cosine_similarity(one, other, 0) > 0.9
    assert not torch.equal(one, other)


def moved(fitted: Fit) -> torch.Tensor:
    """Returns by how much the training has moved the weights of the layers, all in one vector."""
    layers = fitted.model.encoder.layers.named_parameters()
    return torch.cat([(p.detach() - fitted.initial[f"encoder.layers.{name}"]).flatten() for name, p in layers])


def test_without_instructions_for_bf16_a_training_is_that_in_single_precision(
    norm: Norm, tiny_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paper_lib.objective.multiplies_bf16", lambda _: False)
    single = trained(tiny_corpus, tmp_path / "single", norm)
    asked = trained(tiny_corpus, tmp_path / "asked", norm, precision="bf16")
    assert asked.history.losses == single.history.losses
    assert asked.digest == single.digest


@pytest.mark.parametrize("there", [True, False])
def test_who_does_not_ask_for_bf16_gets_single_precision(
    there: bool, tiny_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paper_lib.objective.multiplies_bf16", lambda _: there)
    products = []
    linear = torch.nn.functional.linear

    def spy(*arguments: Any, **named: Any) -> torch.Tensor:
        products.append((result := linear(*arguments, **named)).dtype)
        return result

    monkeypatch.setattr(torch.nn.functional, "linear", spy)
    trained(tiny_corpus, tmp_path, "group")
    assert set(products) == {torch.float32}


@pytest.mark.parametrize("there", [pytest.param(True, marks=needs_bf16), False])
def test_a_client_trains_in_bf16_where_that_is_asked_for_and_there(
    there: bool, tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paper_lib.federated.clients.multiplies_bf16", lambda _: there)
    run, client = tiny_run(), clients_of(tiny_corpus, "train")[0]
    torch.manual_seed(0)
    received = Transducer(run.model).state_dict()

    def update(precision: Literal["bf16"] | None) -> torch.Tensor:
        settings = FederatedSettings(rounds=1, clients_per_round=1, precision=precision)
        batches = local_batches(settings, client, (0,))
        moved = client_update(settings, run.model, received, Mask({}), batches, CharacterTokenizer(), 0)
        return torch.cat([tensor.flatten() for tensor in moved.values()])

    single, half = update(None), update("bf16")
    assert torch.cosine_similarity(single, half, 0) > 0.99
    assert torch.equal(single, half) is not there


def test_a_processor_has_the_instructions_that_its_flags_name() -> None:
    flags = Path("/proc/cpuinfo")
    if not flags.exists():
        pytest.skip("this system tells no flags")
    assert multiplies_bf16(CPU) == bool(re.search(r"\b(avx512_bf16|amx_tile)\b", flags.read_text()))
