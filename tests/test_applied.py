"""One reset of any model: what it does within the `with`, that nothing is left of it after, and what is refused."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import signal
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from own_models import MODELS, TorchaudioCTC, trained_as_if, transcriber, wav2vec2_conformer
from pydantic import ValidationError
from torch import Tensor, nn

from paper_lib.conformer.layer import ConformerLayer
from paper_lib.layers import ResetError, applied
from paper_lib.settings import EncoderSettings

SKIP = {"layer": "encoder.conformer_layers.1", "kind": "skip"}
DRAWN = {"layer": "encoder.conformer_layers.1", "kind": "re-randomisation", "seed": 7}
PUT_BACK = {"layer": "encoder.conformer_layers.1", "kind": "re-initialisation"}


def conformer() -> tuple[TorchaudioCTC, dict[str, Tensor]]:
    torch.manual_seed(0)
    model = TorchaudioCTC()
    return model, trained_as_if(model)


def all_of(model: nn.Module) -> dict[str, Any]:
    """Returns all of a model that a reset must leave: values and identities, flags and hooks."""
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    state: dict[str, Any] = {
        name: (id(t), t.data_ptr(), t.dtype, t.requires_grad, id(t.grad), t.detach().double().numpy().tobytes())
        for name, t in tensors
    }
    for name, module in model.named_modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._forward_hooks_with_kwargs)
        state[f"{name}:"] = (id(module), module.training, [list(one) for one in hooks], sorted(vars(module)))
    return state


@pytest.mark.parametrize("name", MODELS)
def test_a_re_initialised_layer_has_the_earlier_weights_and_buffers_and_all_else_stays(name: str) -> None:
    make, pattern, _, _ = MODELS[name]
    torch.manual_seed(0)
    model = make()
    initial = trained_as_if(model)
    trained = copy.deepcopy(model.state_dict())
    layer = pattern.replace("*", "1")
    with applied({"layer": layer, "kind": "re-initialisation"}, model, initial) as reset:
        assert reset is model
        for key, tensor in model.state_dict().items():
            assert torch.equal(tensor, (initial if key.startswith(f"{layer}.") else trained)[key]), key
    assert not torch.equal(
        initial[f"{layer}.{next(k for k, _ in model.get_submodule(layer).named_parameters())}"],
        next(model.get_submodule(layer).parameters()),
    )


def test_a_re_randomised_layer_is_the_one_that_its_constructors_draw_from_the_seed() -> None:
    settings = EncoderSettings(dim=16, layers=1, heads=2, kernel=5, norm="batch")
    model = nn.Sequential(ConformerLayer(settings), ConformerLayer(settings))
    trained_as_if(model)
    torch.manual_seed(7)
    fresh = ConformerLayer(settings).state_dict()
    with applied({"layer": "1", "kind": "re-randomisation", "seed": 7}, model):
        assert all(torch.equal(tensor, fresh[key]) for key, tensor in model[1].state_dict().items())


def test_a_re_randomised_layer_of_torchaudio_is_a_function_of_its_seed() -> None:
    model, _ = conformer()
    drawn = []
    for seed in (7, 7, 8):
        torch.rand(1)
        with applied(DRAWN | {"seed": seed}, model):
            drawn.append(copy.deepcopy(model.encoder.conformer_layers[1].state_dict()))
    assert all(torch.equal(tensor, drawn[1][key]) for key, tensor in drawn[0].items())
    attention = "self_attn.in_proj_weight"
    assert not torch.equal(drawn[0][attention], drawn[2][attention])
    # Xavier's bound, of the attention's own initialiser.
    assert drawn[0][attention].abs().max() <= (6 / (8 + 24)) ** 0.5
    statistics = [key for key in drawn[0] if "running" in key]
    assert [drawn[0][key].unique().tolist() for key in statistics] == [[0], [1]]


@pytest.mark.parametrize("loaded", [False, True])
def test_a_model_of_transformers_is_drawn_by_its_own_initialiser_also_when_loaded(loaded: bool, tmp_path: Any) -> None:
    model: Any = wav2vec2_conformer()
    model.config.initializer_range = 0.3
    if loaded:  # whose weights are marked as not to be initialised
        model.save_pretrained(tmp_path)
        model = type(model).from_pretrained(tmp_path)
    layer = model.wav2vec2_conformer.encoder.layers[2]
    trained_as_if(model)
    with applied({"layer": "wav2vec2_conformer.encoder.layers.2", "kind": "re-randomisation", "seed": 1}, model):
        assert float(layer.ffn1.intermediate_dense.weight.detach().std()) == pytest.approx(0.3, rel=0.15)
        assert not layer.ffn1.intermediate_dense.bias.any()
        assert torch.equal(layer.final_layer_norm.weight, torch.ones(16))
        assert 0 < layer.self_attn.pos_bias_u.abs().max() <= (6 / (2 + 8)) ** 0.5  # Xavier's bound
        assert not layer.conv_module.batch_norm.running_mean.any()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("part", [False, True])
def test_a_skipped_layer_is_the_identity(name: str, part: bool) -> None:
    make, pattern, module, shape = MODELS[name]
    model = make().eval()
    layer = pattern.replace("*", "1") + (f".{module}" if part else "")
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, arguments: Any, named: dict[str, Any], output: Any) -> None:
        entering = next(iter((*arguments, *named.values())))
        seen.append((entering, output[0] if isinstance(output, tuple) else output))

    with applied({"layer": layer, "kind": "skip"}, model):
        model.get_submodule(layer).register_forward_hook(keep, with_kwargs=True)
        transcriber(*shape)(model)
    assert seen
    assert all(torch.equal(entering, leaving) for entering, leaving in seen)


Pair = namedtuple("Pair", "hidden mask")


class Nested(nn.Module):
    """A layer as toolkits write them: what it takes and gives is nested, with more beside the hidden stream."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.map = form, nn.Linear(4, 4)

    def forward(self, mask: Tensor, x: Any) -> Any:
        hidden = x[0] if isinstance(x, tuple) else x
        out = self.map(hidden)
        forms = {
            "tuple": ((out, x[1] if isinstance(x, tuple) else None), mask),
            "list": [mask, out],
            "dictionary": {"mask": mask, "hidden": out},
            "named": Pair(out, mask),
        }
        return forms[self.form]


@pytest.mark.parametrize("form", ["tuple", "list", "dictionary", "named"])
def test_what_a_skipped_layer_puts_out_beside_the_hidden_stream_stays(form: str) -> None:
    model = nn.ModuleList([Nested(form)])
    mask, hidden, positions = torch.ones(3, dtype=torch.bool), torch.randn(3, 4), torch.randn(5, 4)
    with applied({"layer": "0", "kind": "skip"}, model):
        found = model[0](mask, x=(hidden, positions))
    expected = {
        "tuple": ((hidden, positions), mask),
        "list": [mask, hidden],
        "dictionary": {"mask": mask, "hidden": hidden},
        "named": Pair(hidden, mask),
    }[form]
    assert type(found) is type(expected)
    assert str(found) == str(expected)


def test_a_layer_that_changes_the_shape_cannot_be_skipped() -> None:
    model, _ = conformer()
    with (
        pytest.raises(ResetError, match=r"head \(Linear\) cannot be skipped: it maps \[5, 30, 8\] to \[5, 30, 12\]"),
        applied({"layer": "head", "kind": "skip"}, model),
    ):
        transcriber(30, 8)(model)
    assert not model.head._forward_hooks


def test_a_layer_that_is_never_called_cannot_be_skipped() -> None:
    model, _ = conformer()
    name = "encoder.conformer_layers.0.self_attn.out_proj"  # torch's attention reads its weights and calls it never
    with (
        pytest.raises(
            ResetError, match=r"conformer_layers\.0\.self_attn\.out_proj \(.*\) cannot be skipped: it was never"
        ),
        applied({"layer": name, "kind": "skip"}, model),
    ):
        transcriber(30, 8)(model)


def test_a_module_that_nothing_draws_is_refused_by_name() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map, self.scale = nn.Linear(4, 4), nn.Parameter(torch.ones(4))

    model = nn.ModuleDict({"layers": nn.ModuleList([nn.Sequential(Bare())])})
    before = all_of(model)
    specification = {"layer": "layers.0", "kind": "re-randomisation", "seed": 0}
    with (
        pytest.raises(
            ResetError, match=r"layers\.0\.0 \(Bare\) cannot be re-randomised: nothing draws its scale; give"
        ),
        applied(specification, model),
    ):
        pass
    assert all_of(model) == before


def test_initial_weights_that_lack_a_layer_or_have_other_shapes_are_refused_with_both() -> None:
    model, initial = conformer()
    del initial["encoder.conformer_layers.1.ffn1.sequential.0.weight"]
    initial["encoder.conformer_layers.1.ffn2.sequential.0.weight"] = torch.zeros(9)
    with (
        pytest.raises(ResetError, match=r"ffn1\.sequential\.0\.weight is missing.*has shape \[9\] instead of \[8\]"),
        applied(PUT_BACK, model, initial),
    ):
        pass
    with pytest.raises(ResetError, match="a re-initialisation needs initial"), applied(PUT_BACK, model):
        pass


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "reset"}, "re-initialisation.*re-randomisation.*skip"),
        ({"seed": 3}, "seed is 3; for a skip it must be left out"),
        ({"kind": "re-randomisation"}, "seed is None; for a re-randomisation it must be an integer"),
        ({"layers": "x"}, "layers"),
    ],
)
def test_a_dictionary_that_is_no_reset_is_refused(wrong: dict[str, Any], message: str) -> None:
    model, _ = conformer()
    with pytest.raises(ValidationError, match=message), applied(SKIP | wrong, model):
        pass


def test_a_layer_that_is_not_there_is_refused() -> None:
    model, _ = conformer()
    with (
        pytest.raises(ResetError, match=r"layer is 'encoder\.layers\.0', and the model"),
        applied({"layer": "encoder.layers.0", "kind": "skip"}, model),
    ):
        pass


def nothing(_: nn.Module) -> None:
    pass


def misuse(model: nn.Module) -> None:
    """Does to a model all that one may think of."""
    model.train()
    model.half()
    model.requires_grad_(False)
    model.zero_grad()
    torch.manual_seed(99)
    random.seed(99)
    np.random.seed(99)
    for module in model.modules():
        module.register_forward_hook(lambda *_: None)
        module.cache = torch.ones(1)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.zero_()
    model.positions = torch.zeros(4)
    model.head = nn.Identity()


def fail(_: nn.Module) -> None:
    raise RuntimeError("no")


def interrupt(_: nn.Module) -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("specification", [SKIP, DRAWN, PUT_BACK])
@pytest.mark.parametrize(
    ("act", "raised"), [(nothing, None), (misuse, None), (fail, RuntimeError), (interrupt, KeyboardInterrupt)]
)
def test_a_model_is_left_as_it_was_to_the_bit(
    specification: dict[str, Any], act: Callable[[nn.Module], None], raised: type[BaseException] | None
) -> None:
    model, initial = conformer()
    model.register_buffer("positions", torch.randn(4), persistent=False)
    model.head.weight = nn.Parameter(torch.randn(12, 8))
    model.train()
    model.encoder.conformer_layers[1].ffn1.eval()
    model.encoder.conformer_layers[1].ffn2.requires_grad_(False)
    model.encoder.conformer_layers[1].register_forward_hook(lambda *_: None)
    model(torch.randn(2, 30, 8)).sum().backward()
    before, expected = all_of(model), (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())
    with (
        pytest.raises(raised) if raised else contextlib.nullcontext(),
        applied(specification, model, initial),
    ):
        transcriber(30, 8)(model)
        assert all_of(model) != before
        act(model)
    assert all_of(model) == before
    assert torch.equal(torch.get_rng_state(), expected[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == expected[1:]


def test_a_tensor_that_is_tied_to_another_module_is_reset_in_the_layer_alone_and_tied_again_after() -> None:
    model, initial = conformer()
    tied = model.encoder.conformer_layers[0].ffn1.sequential[1]
    for layer in (1, 2):
        model.encoder.conformer_layers[layer].ffn1.sequential[1].weight = tied.weight
    inner = model.encoder.conformer_layers[1]
    inner.ffn2.sequential[1].weight = tied.weight
    trained = tied.weight.detach().clone()
    for specification in (DRAWN, PUT_BACK):
        with applied(specification, model, initial):
            here = inner.ffn1.sequential[1].weight
            assert not torch.equal(here, trained)
            assert inner.ffn2.sequential[1].weight is here  # tied within the layer
            assert model.encoder.conformer_layers[2].ffn1.sequential[1].weight is tied.weight
            assert torch.equal(tied.weight, trained)
        places = [model.encoder.conformer_layers[layer].ffn1.sequential[1].weight for layer in range(3)]
        assert all(weight is tied.weight for weight in (*places, inner.ffn2.sequential[1].weight))


def test_half_precision_is_drawn_in_single_and_stays_half() -> None:
    model, _ = conformer()
    model.bfloat16()
    with applied(DRAWN, model):
        weight = model.encoder.conformer_layers[1].self_attn.in_proj_weight
        assert weight.dtype == torch.bfloat16
        half = weight.detach().clone()
    model.float()
    with applied(DRAWN, model):
        assert torch.equal(half, model.encoder.conformer_layers[1].self_attn.in_proj_weight.bfloat16())


def test_a_recurrent_layer_computes_with_the_weights_that_it_is_given() -> None:
    model = nn.Sequential(nn.LSTM(4, 4, batch_first=True))
    initial = trained_as_if(model)
    fresh = nn.LSTM(4, 4, batch_first=True)
    fresh.load_state_dict({key.removeprefix("0."): tensor for key, tensor in initial.items()})
    x = torch.randn(2, 5, 4)
    trained = model(x)[0]
    with applied({"layer": "0", "kind": "re-initialisation"}, model, initial):
        assert torch.equal(model(x)[0], fresh(x)[0])
    assert torch.equal(model(x)[0], trained)


def test_a_reset_is_a_small_json_dictionary() -> None:
    model, _ = conformer()
    x = torch.randn(2, 30, 8)
    model.eval()
    outputs = []
    for specification in (DRAWN, json.loads(json.dumps(DRAWN))):
        with applied(specification, model):
            outputs.append(model(x))
    assert torch.equal(*outputs)
