"""Sweeps over models of other toolkits, and over our own against the sweep that knows its encoder."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from own_models import HEARD, LAYERS, MODELS, TorchaudioCTC, swept, trained_as_if, transcriber
from tiny_runs import CPU, Words, babbling
from torch import Tensor, nn

from paper_lib.conformer.decoding import transcribe as transcribe_ours
from paper_lib.corpus import Corpus
from paper_lib.corpus.batches import evaluation_batches
from paper_lib.layers import LAYOUTS, ResetError, applied, plan, sweep
from paper_lib.layers.reset_sweep import reset_sweep
from paper_lib.layers.sweeps import Sweeps, Unit
from paper_lib.layers.variants import ALL_KINDS, KINDS, MODULES, Variant
from paper_lib.settings import ResetSettings


class Passed(nn.Module):
    """Takes the place of a layer of torchaudio that is skipped."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x


@pytest.fixture
def model() -> TorchaudioCTC:
    torch.manual_seed(0)
    return TorchaudioCTC()


@pytest.fixture
def initial(model: TorchaudioCTC) -> dict[str, Tensor]:
    return trained_as_if(model)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_heard_is_what_whole_models_with_one_layer_reset_hear(name: str) -> None:
    make, pattern, _, shape = MODELS[name]
    torch.manual_seed(0)
    model = make()
    initial = trained_as_if(model)
    transcribe = transcriber(*shape)
    result = swept(model, initial, layers=pattern, transcribe=transcribe, draws=2)
    planned = plan(model, layers=pattern, resets=ALL_KINDS, draws=2)
    assert list(result.hypotheses) == [None, *planned]
    kinds = [("re-initialisation", 0), ("re-randomisation", 0), ("re-randomisation", 1), ("skip", 0)]
    assert list(planned) == [Variant(layer, *kind) for layer in (1, 2, 3) for kind in kinds]
    whole = copy.deepcopy(model).eval()
    with torch.no_grad():
        assert result.hypotheses[None] == transcribe(whole)
        for variant, reset in planned.items():
            assert reset.layer == pattern.replace("*", str(variant.layer - 1))
            changed = copy.deepcopy(whole)
            if variant.kind == "re-initialisation":
                changed.load_state_dict({k: t for k, t in initial.items() if k.startswith(reset.layer)}, strict=False)
            elif variant.kind == "re-randomisation":
                with applied(reset, whole):
                    changed.load_state_dict(whole.state_dict())
            elif name == "torchaudio":
                changed.encoder.conformer_layers[variant.layer - 1] = Passed()
            else:
                continue
            assert result.hypotheses[variant] == transcribe(changed), variant
    assert len({tuple(heard) for heard in result.hypotheses.values()}) > 4


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_our_own_model_hears_what_the_sweep_that_knows_its_encoder_hears(norm: Any, tiny_corpus: Corpus) -> None:
    model, initial = babbling(norm, tiny_corpus)
    batches = evaluation_batches(tiny_corpus, "test", 500)
    fast = reset_sweep(model, initial, batches, Words(), ResetSettings(draws=2), 5, CPU)
    layout = LAYOUTS["paper_lib"]

    def transcribe(model: Any) -> list[str]:
        return [heard for _, heard in transcribe_ours(model, batches, Words(), CPU)]

    test = {"references": fast.spoken.references, "speakers": fast.spoken.speakers}
    test |= {"ids": fast.spoken.ids, "domains": fast.spoken.domains}
    full = sweep(model, layers=layout.layers, transcribe=transcribe, initial=initial, draws=2, seed=5, **test)
    assert full == fast
    assert full.record() == fast.record()
    assert list(full.hypotheses) == list(fast.hypotheses)
    assert len({tuple(heard) for heard in full.hypotheses.values()}) == 7
    of_modules = reset_sweep(model, initial, batches, Words(), ResetSettings(draws=0, unit="module"), 5, CPU)
    patterns = [layout.part(part) for part in layout.parts]
    full = sweep(model, layers=patterns, transcribe=transcribe, initial=initial, resets=["re-initialisation"], **test)
    assert layout.parts == MODULES
    assert full == of_modules


def test_parts_of_layers_have_the_layers_number_and_their_own_name(model: TorchaudioCTC) -> None:
    assert (
        len(plan(model.encoder, layers=[LAYOUTS["torchaudio"].part(part) for part in LAYOUTS["torchaudio"].parts]))
        == 24
    )
    patterns = [LAYOUTS["torchaudio"].part(part) for part in ("self_attn", "ffn2")]
    result = swept(model.encoder, layers=patterns, resets=["skip"], transcribe=lambda encoder: HEARD(model))
    assert [(variant.layer, variant.module) for variant in result.hypotheses if variant] == [
        (layer, part) for layer in (1, 2, 3) for part in ("self_attn", "ffn2")
    ]
    assert Sweeps.of([result.record()]).units[1] == Unit(1, "ffn2")


@pytest.mark.parametrize(("toolkit", "name"), [("Wav2Vec2-Conformer", "wav2vec2"), ("Parakeet", "parakeet")])
def test_the_layouts_are_those_of_the_toolkits(toolkit: str, name: str) -> None:
    layout = LAYOUTS[toolkit]
    model = MODELS[name][0]()
    patterns = [layout.part(part) for part in layout.parts]
    assert len(plan(model, layers=patterns, resets=["skip"])) == 4 * len(
        plan(model, layers=layout.layers, resets=["skip"])
    )
    with pytest.raises(ResetError, match=r"part is 'attn'; .*encoder\.layers\.\* has ff?"):
        layout.part("attn")


def test_a_list_of_names_is_swept_in_its_order(model: TorchaudioCTC) -> None:
    names = ["encoder.conformer_layers.2", "encoder.conformer_layers.0"]
    planned = plan(model, layers=names, resets=["skip"])
    assert {variant.layer: reset.layer for variant, reset in planned.items()} == {1: names[0], 2: names[1]}
    assert swept(model, layers=names, resets=["skip"]).hypotheses.keys() == {None, *planned}


def test_a_sweep_without_earlier_weights_can_do_without_re_initialisation(model: TorchaudioCTC) -> None:
    result = swept(model, resets=["skip", "re-randomisation"])
    sweeps = Sweeps.of([result.record()])
    assert list(sweeps.resets) == ["re-randomisation", "skip"]
    with pytest.raises(
        ValueError, match="kind is 're-initialisation'; the resets that were made are re-randomisation, "
    ):
        sweeps.harm()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_sweep_leaves_the_model_and_goes_on_where_it_was(
    model: TorchaudioCTC, initial: dict[str, Tensor], tmp_path: Path, error: type[BaseException]
) -> None:
    before = copy.deepcopy(model.state_dict())
    whole = swept(model, initial)
    calls: list[int] = []

    def failing(model: nn.Module) -> list[str]:
        calls.append(1)
        if len(calls) == 5:
            raise error
        return HEARD(model)

    directory = tmp_path / "sweep"
    with pytest.raises(error):
        swept(model, initial, transcribe=failing, directory=directory)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training
    assert len(list(directory.iterdir())) == 1 + 4
    assert swept(model, initial, transcribe=failing, directory=str(directory)) == whole
    assert len(calls) == 5 + 6  # ten evaluations, of which four were stored
    assert swept(model, initial, transcribe=failing, directory=directory) == whole
    assert len(calls) == 11


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"draws": 2}, r"resets \(9 there and 12 here; at place 2 "),
        (
            {"references": ["b c", "d e f", "x", "h i", "j k b"]},
            r"references \(5 there and 5 here; at place 2 'g' and 'x'\)",
        ),
        ({"speakers": ["ann"] * 5}, r"speakers \(.*at place 1 'bob' and 'ann'\)"),
        ({"resets": ["skip"]}, r"initial \(its weights are others\); resets"),
    ],
)
def test_a_directory_of_another_sweep_is_refused_with_what_differs(
    model: TorchaudioCTC, initial: dict[str, Tensor], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    swept(model, initial, directory=tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path} holds another sweep: {message}"):
        swept(model, initial, directory=tmp_path, **changes)


def test_a_directory_of_another_model_is_refused(
    model: TorchaudioCTC, initial: dict[str, Tensor], tmp_path: Path
) -> None:
    swept(model, initial, directory=tmp_path)
    with torch.no_grad():
        model.head.bias[0] += 1
    with pytest.raises(ValueError, match=r"another sweep: model \(its weights are others\)\. Give another directory"):
        swept(model, initial, directory=tmp_path)


def never(_: nn.Module) -> list[str]:
    raise AssertionError("nothing is evaluated before all is checked")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"layers": "encoder.layers.*"},
            r"'encoder\.layers\.\*', which matches .*encoder\.conformer_layers\.\* \(3 mod",
        ),
        ({"layers": "encoder.conformer_layers.*.attn"}, r"matches no module; there are encoder\.conformer_layers\.\*"),
        ({"layers": "*.conformer_layers.*"}, "a pattern has one *"),
        ({"layers": ["encoder.conformer_layer.0"]}, r"no such module; there are encoder\.conformer_layers\.0"),
        ({"layers": ["head", "head"]}, "names a module twice"),
        ({"layers": ["head", LAYERS]}, "but not both"),
        ({"layers": []}, "layers is empty"),
        ({"resets": ["zero"]}, "one or more of re-initialisation, re-randomisation, skip"),
        ({"draws": 0}, "draws is 0"),
        ({"initial": None}, "needs initial"),
        ({"initial": {}}, r"ffn1\.sequential\.0\.weight is missing.* and \d+ more"),
        ({"speakers": ["ann"]}, "speakers has 1 entries; references has 5"),
        ({"ids": "abcde"}, "ids has 5 entries"),
        ({"references": ["", " "], "speakers": ["a", "b"]}, "references has no word"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_evaluated(
    model: TorchaudioCTC, initial: dict[str, Tensor], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ResetError, match=message):
        swept(model, **{"initial": initial, "transcribe": never} | changes)


def test_a_parameter_that_nothing_draws_is_refused_before_anything_is_evaluated(model: TorchaudioCTC) -> None:
    model.encoder.conformer_layers[2].scale = nn.Parameter(torch.ones(1))
    with pytest.raises(ResetError, match=r"conformer_layers\.2 \(ConformerLayer\) cannot be re-randomised: .* scale"):
        swept(model, resets=["re-randomisation"], transcribe=never)


def test_a_layer_that_cannot_be_skipped_is_refused_while_the_intact_model_is_evaluated(model: TorchaudioCTC) -> None:
    ends: list[int] = []

    def transcribe(model: nn.Module) -> list[str]:
        texts = HEARD(model)
        ends.append(1)
        return texts

    with pytest.raises(ResetError, match=r"head \(Linear\) cannot be skipped: it maps \[5, 30, 8\] to \[5, 30, 12\]"):
        swept(model, layers=["encoder.conformer_layers.0", "head"], resets=["skip"], transcribe=transcribe)
    assert not ends


@pytest.mark.parametrize(
    ("heard", "message"),
    [
        (["a"], r"gave 1 results of type str; it must give 5 texts"),
        ([1, 2, 3, 4, 5], "gave 5 results of type int"),
        ("abcde", "gave 1 results of type str"),
        ([], "gave 0 results of type nothing"),
    ],
)
def test_what_transcribe_gives_are_as_many_texts(model: TorchaudioCTC, heard: Any, message: str) -> None:
    with pytest.raises(ResetError, match=message):
        swept(model, resets=["skip"], transcribe=lambda _: heard)


def test_every_evaluation_is_in_eval_mode_without_gradients_and_with_the_same_random_numbers(
    model: TorchaudioCTC,
) -> None:
    seen: list[tuple[bool, bool, float]] = []

    def transcribe(model: nn.Module) -> list[str]:
        seen.append((any(module.training for module in model.modules()), torch.is_grad_enabled(), float(torch.rand(1))))
        model.train()
        model(torch.randn(2, 30, 8))  # would move the statistics of the norms
        return HEARD(model.eval())

    state = torch.get_rng_state()
    result = swept(model, resets=["re-randomisation", "skip"], transcribe=transcribe)
    assert len(seen) == 7
    assert len(set(seen)) == 1
    assert seen[0][:2] == (False, False)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    again = swept(model, resets=["re-randomisation", "skip"], transcribe=transcribe)
    assert again == result


def test_the_package_is_light_until_torch_is_needed() -> None:
    program = (
        "import sys, paper_lib.layers\nfrom paper_lib.layers.sweeps import Sweeps\nassert 'torch' not in sys.modules\n"
        "from paper_lib.layers import sweep\nassert callable(sweep) and 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_name_that_the_package_has_not_is_refused() -> None:
    import paper_lib.layers

    with pytest.raises(AttributeError, match="no attribute 'swept'"):
        paper_lib.layers.swept  # noqa: B018


def test_the_two_resets_of_the_paper_are_the_default(model: TorchaudioCTC) -> None:
    assert {variant.kind for variant in plan(model, layers=LAYERS)} == set(KINDS)
