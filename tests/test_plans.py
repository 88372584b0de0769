"""Plans of Federated Dropout, their accounting, and the readings of the slide's column."""

from __future__ import annotations

import pytest
import torch
from tiny_runs import tiny_run
from torch.utils.flop_counter import FlopCounterMode

from paper_lib.conformer.sizes import count_parameters
from paper_lib.conformer.transducer import Transducer
from paper_lib.federated.accounting import account, dropped_parameters, dropped_units, forward_flops, step_memory
from paper_lib.federated.dropout import draw_mask, sub_model
from paper_lib.federated.plans import COUNTS, PLANS, PlanError, draws_of, named_plan, own_plan, ranking_of
from paper_lib.federated.readings import SLIDE_DROPPED, readings
from paper_lib.profiles import profile_of
from paper_lib.settings import DropoutPlan, StreamingSettings, TransducerSettings

RANKING = [3, 1, 2, 4]
NOTHING = DropoutPlan(name="none")
MINI, PAPER = (profile_of(name).adaptation.model for name in ("quick", "gpu"))


def test_layers_are_ranked_from_the_least_harmful() -> None:
    assert ranking_of([0.2, 0.3, 0.1, 0.9]) == RANKING


def test_plans_take_the_ends_of_the_ranking() -> None:
    assert named_plan("amb-2", RANKING).rates == {1: 0.5, 3: 0.5}
    crit = named_plan("crit-1", RANKING, elsewhere=0.25)
    assert [crit.rate(layer) for layer in (1, 2, 3, 4)] == [0.25, 0.25, 0.25, 0.5]
    assert [named_plan("flat", RANKING).rate(layer) for layer in (1, 4)] == [0.2, 0.2]
    assert not any(named_plan("none", RANKING).rate(layer) for layer in (1, 2, 3, 4))


def test_low_and_high_plans_take_the_ends_of_the_stack_whatever_the_ranking() -> None:
    for ranking in (RANKING, RANKING[::-1]):
        assert [named_plan("low-2", ranking).rate(layer) for layer in (1, 2, 3, 4)] == [0.5, 0.5, 0.1, 0.1]
        assert [named_plan("high-3", ranking).rate(layer) for layer in (1, 2, 3, 4)] == [0.1, 0.5, 0.5, 0.5]
    assert named_plan("high-4", RANKING).rates == named_plan("low-4", RANKING).rates == dict.fromkeys(range(1, 5), 0.5)


def test_a_flat_plan_of_n_drops_the_mean_rate_of_the_plans_of_n() -> None:
    # By hand: two of four layers at 50 %, two at 10 %.
    assert named_plan("flat-2", RANKING).by_rates().name == "rest:0.3"
    assert [named_plan("flat-1", RANKING, elsewhere=0.0).rate(layer) for layer in (1, 2, 3, 4)] == [0.125] * 4
    assert named_plan("flat-4", RANKING).rate(3) == 0.5
    with pytest.raises(PlanError, match="plan flat-5: the model has 4 layers"):
        named_plan("flat-5", RANKING)


@pytest.mark.parametrize("elsewhere", [0.0, 0.1, 0.37])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("settings", [MINI, PAPER], ids=["mini", "paper"])
def test_plans_of_one_n_drop_as_many_parameters(settings: TransducerSettings, count: int, elsewhere: float) -> None:
    layers = settings.encoder.layers
    ranking = [*range(2, layers + 1, 2), *range(1, layers + 1, 2)]
    kinds = ("crit", "amb", "low", "high", "random", "flat")
    plans = {kind: named_plan(f"{kind}-{count}", ranking, 3, elsewhere) for kind in kinds}
    dropped = {kind: dropped_parameters(plan, settings) for kind, plan in plans.items()}
    flat = dropped.pop("flat")
    assert len(set(dropped.values())) == 1
    # Units are whole: in each of two modules of a layer, flat may round half a unit away, the other plans too.
    a_unit = 2 * settings.encoder.dim + 1
    assert abs(flat - dropped["crit"]) <= 2 * layers * a_unit
    assert abs(flat - dropped["crit"]) < 0.03 * flat
    # Counted on the model itself: N layers without half of their units, the others without their share.
    smaller = sub_model(settings, draw_mask(plans["crit"], settings, torch.Generator()))
    left = sum(p.numel() for p in smaller.parameters() if p.requires_grad)
    assert dropped["crit"] == count_parameters(settings).total - left


def test_the_plans_of_the_book_are_the_slides_and_controls_of_as_many_parameters() -> None:
    assert len(set(PLANS)) == len(PLANS)
    assert set(SLIDE_DROPPED) <= set(PLANS)
    assert {f"{kind}-{count}" for kind in ("low", "high", "flat") for count in (2, 3, 4)} <= set(PLANS)
    for name in PLANS:
        assert named_plan(name, [6, 5, 4, 3, 2, 1]).name == name


def test_plans_that_drop_alike_are_equal_by_their_rates_and_others_are_not() -> None:
    rising = [1, 2, 3, 4]
    crit, high = named_plan("crit-2", rising), named_plan("high-2", rising)
    assert crit != high
    assert crit.by_rates() == high.by_rates()
    assert crit.by_rates().name == "3:0.5 4:0.5 rest:0.1"
    written = own_plan("4:0.5 3:0.5 2:0.1 rest:0.1", 4)
    assert written.by_rates().digest() == crit.by_rates().digest()
    assert named_plan("none", rising).by_rates() == own_plan("2:0", 4).by_rates()
    distinct = [named_plan(name, RANKING) for name in ("none", "flat", "flat-2", "crit-2", "amb-2", "low-2", "crit-3")]
    assert len({plan.by_rates().digest() for plan in distinct}) == len(distinct)
    for plan in (*distinct, crit, written):
        by_rates = plan.by_rates()
        assert [by_rates.rate(layer) for layer in range(1, 7)] == [plan.rate(layer) for layer in range(1, 7)]
        assert by_rates.by_rates() == by_rates


def test_a_random_plan_is_drawn_by_its_seed_whatever_the_ranking() -> None:
    layers = list(range(1, 18))
    drawn = [tuple(named_plan("random-3", layers, seed).rates) for seed in range(50)]
    assert drawn[7] == tuple(named_plan("random-3", layers[::-1], 7).rates)
    assert all(len(set(chosen)) == 3 for chosen in drawn)
    assert set().union(*drawn) == set(layers)


def test_a_random_plan_has_several_draws_a_seed_and_others_have_one() -> None:
    layers = list(range(1, 18))
    assert {name: draws_of(name) for name in PLANS if draws_of(name) > 1} == {"random-3": 5}
    drawn = {tuple(named_plan("random-3", layers, 1, draw=draw).rates) for draw in range(5)}
    assert len(drawn) == 5
    assert tuple(named_plan("random-3", layers, 1, draw=2).rates) in drawn
    assert named_plan("amb-3", layers, draw=2) == named_plan("amb-3", layers)


@pytest.mark.parametrize("name", ["amb-0", "amb", "crit-x", "Flat", "amb-2 ", ""])
def test_a_plan_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(PlanError, match="there are none, flat and amb, crit, flat, low, high, random-N"):
        named_plan(name, RANKING)


def test_a_plan_of_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(PlanError, match="plan crit-5: the model has 4 layers"):
        named_plan("crit-5", RANKING)


def test_a_reader_writes_a_plan() -> None:
    plan = own_plan(" 1:0.5 4:.25 rest:0.1", 4)
    assert [plan.rate(layer) for layer in (1, 2, 3, 4)] == [0.5, 0.1, 0.1, 0.25]
    assert own_plan("2:0.5", 4).rate(1) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1=0.5", "a plan is written like"),
        ("", "a plan is written like"),
        ("1:1.0", "at least 0 and less than 1"),
        ("1:0.5.5", "at least 0 and less than 1"),
        ("1:0.5 1:0.2", "layer 1 twice"),
        ("010:0.5 2:0.1 10:0.5", "layer 10 twice"),
        ("rest:0.5 rest:0.2", "rest twice"),
        ("5:0.5", "no layer 5; the model has layers 1 to 4"),
        ("0:0.5", "no layer 0"),
    ],
)
def test_a_plan_that_is_written_wrong_is_refused(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        own_plan(text, 4)


def test_parameters_are_those_of_the_sub_model() -> None:
    settings = tiny_run(streaming=StreamingSettings(left_context=4)).model
    for plan in (NOTHING, own_plan("1:0.3 rest:0.11", 2), named_plan("flat", [1, 2])):
        found = account(plan, settings, 1.0, 5)
        smaller = sub_model(settings, draw_mask(plan, settings, torch.Generator()))
        left = sum(p.numel() for p in smaller.parameters() if p.requires_grad)
        # The sub-model has no frozen bias on the meta device: it is counted where the whole model's is.
        assert found.parameters - found.dropped == left
        assert found.parameters == count_parameters(settings).total
        assert found.down == found.up == 4 * left


@pytest.mark.parametrize("frames", [101, 1001])
@pytest.mark.parametrize("plan", [NOTHING, own_plan("1:0.5 rest:0.25", 2)])
def test_operations_are_those_that_torch_counts(plan: DropoutPlan, frames: int) -> None:
    settings = tiny_run(streaming=StreamingSettings(left_context=4)).model
    labels = 7
    model = sub_model(settings, draw_mask(plan, settings, torch.Generator())).eval()
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        encoded, _ = model.encode(torch.empty(1, frames, 80), torch.empty(1, dtype=torch.long))
        model.joint(
            model.joint.encoder(encoded)[:, :, None],
            model.joint.prediction(torch.empty(1, labels + 1, settings.prediction))[:, None],
        )
    # torch counts neither the LSTM nor a product that is added in place, that of queries and keys.
    encoder = settings.encoder
    t = -(-frames // 4)
    lstm = 2 * (labels + 1) * 4 * settings.prediction * (settings.embedding + settings.prediction)
    content = 2 * encoder.layers * encoder.dim * t * t
    ours = forward_flops(plan, settings, frames, labels) - lstm - content
    assert ours == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_memory_is_what_torch_keeps() -> None:
    settings = tiny_run(streaming=StreamingSettings(left_context=4)).model
    half = own_plan("rest:0.5", 2)
    whole, less = (step_memory(plan, settings, 200, 10) for plan in (NOTHING, half))
    kept: dict[int, int] = {}
    tensors = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        tensors.append(tensor)
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model = Transducer(settings).train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        encoded, _ = model.encode(torch.randn(1, 200, 80), torch.tensor([200]))
        model.logits(encoded, torch.ones(1, 10, dtype=torch.long))
    weights = 4 * sum(p.numel() for p in model.parameters() if p.requires_grad)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    assert whole == pytest.approx(2 * weights + sum(size for place, size in kept.items() if place not in own), rel=0.1)
    # Half of the hidden units: their weights, gradients and two activations of each.
    hidden, frames = 2 * 2 * 32, 50
    weights_less = 2 * 4 * sum(2 * units * (2 * 16 + 1) for units in dropped_units(half, settings))
    assert whole - less >= weights_less + 2 * 4 * hidden * frames


def test_the_streaming_model_is_near_the_published_one() -> None:
    count = count_parameters(PAPER)
    assert count.layer == 24 * 512**2 + 64 * 512 - 17 * 512  # kernel 15 instead of 32
    assert count.prediction == 4096 * 128 + sum(4 * 2048 * (inputs + 640 + 1) + 2048 * 640 for inputs in (128, 640))
    assert count.total == pytest.approx(137e6, rel=0.02)


def test_the_best_reading_is_half_of_n_layers_and_a_tenth_elsewhere() -> None:
    found = readings(PAPER, {"published": 137_000_000})
    best = found[0]
    assert (best.matrices, best.elsewhere) == ("feed-forward modules", 0.1)
    assert set(SLIDE_DROPPED) - set(best.agreeing) == {"flat", "amb-4"}
    # By hand: two modules of 2 * 4 d units with 2 d + 1 parameters.
    unit = 2 * 4 * 512 * (2 * 512 + 1)
    assert best.dropped["crit-2"] == pytest.approx(100 * unit * (2 * 0.5 + 15 * 0.1) / 137e6)
    assert best.dropped["flat"] == pytest.approx(100 * unit * 17 * 0.2 / 137e6)
    assert not any(len(reading.agreeing) == 7 for reading in found)


def test_our_accounting_and_the_reading_agree() -> None:
    settings = PAPER
    total = count_parameters(settings).total
    reading = next(
        r
        for r in readings(settings, {"ours": total})
        if (r.matrices, r.elsewhere, r.counts) == ("feed-forward modules", 0.1, "N of either kind")
    )
    layers = list(range(1, 18))
    for name in PLANS:
        if name in SLIDE_DROPPED:
            plan = named_plan(name, layers)
            dropped = sum(2 * units * (2 * 512 + 1) for units in dropped_units(plan, settings))
            assert 100 * dropped / total == pytest.approx(reading.dropped[name], abs=0.02)  # units are whole
