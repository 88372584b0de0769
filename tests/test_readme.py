"""The README's numbers are those of the published records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest
from tiny_book import CHECKOUT

from paper_lib.claims import p_text, points
from paper_lib.claims.findings import adapted_by_plan, adapted_by_value, findings, sweeps_by
from paper_lib.claims.layer_sets import ambient_together, mean_interaction
from paper_lib.federated.comparison import Adapted
from paper_lib.figures.tables import percent
from paper_lib.inference import SIGNIFICANCE, Mean, rate
from paper_lib.layers.cheap_ranks import RESET, SIGNATURE, quantities, ranked
from paper_lib.layers.criticality import Path
from paper_lib.layers.matrices import MATRICES
from paper_lib.layers.orders import GREEDY, SINGLE, SearchedModel, largest_ambient, nested_changes
from paper_lib.layers.ranking import CLASSES, ambient_by_margin, intact_wer, reinitialised
from paper_lib.layers.signature import correlation_with_harm
from paper_lib.layers.sweeps import Sweeps
from paper_lib.layers.variants import KINDS
from paper_lib.profiles import profile_of
from paper_lib.studies import cheaper_ranks, federated_dropout, layer_sets, model_size, signatures, uses
from paper_lib.studies.federated import FIRST_PLANS
from paper_lib.studies.measurements import ResetStudy, store_of, stored
from paper_lib.studies.use_records import RANKED_BY
from paper_lib.summaries import summarised
from paper_lib.summaries.layer_sets import each
from paper_lib.summaries.uses import mean_cost
from paper_lib.summaries.words import layers_named, listed

COUNTS = {1: "one training", 2: "two trainings", 3: "three trainings", 4: "four trainings", 5: "five trainings"}


@pytest.fixture(scope="module")
def readme() -> str:
    return " ".join((CHECKOUT / "README.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def sizes() -> dict[str, Sweeps]:
    return sweeps_by(model_size(profile_of("laptop")).records(), "size")


def wer_of(adapted: Adapted) -> str:
    return percent(adapted.mean.estimate()).replace(" [", " % [", 1)


def or_more(pair: tuple[int, int]) -> str:
    """Returns a number of layers, and in brackets how many it may be."""
    return f"{pair[0]} (to {pair[1]})"


def test_the_table_of_sizes(readme: str, sizes: dict[str, Sweeps]) -> None:
    def row(name: str, cells: list[str]) -> str:
        return f"| {name} | {' | '.join(cells)} |"

    assert "in each of seven trainings" in readme
    assert sum(sweeps.trainings for sweeps in sizes.values()) == 7
    effects = {size: reinitialised(sweeps) for size, sweeps in sizes.items()}
    margins = {size: ambient_by_margin(sweeps, (0.02, 0.01, 0.05)) for size, sweeps in sizes.items()}
    changes = {kind: [rate(s.added(kind).mean(1), s.words).estimate() for s in sizes.values()] for kind in KINDS}
    critical = [[str(e.layer) for e in of_size if e.classification == "critical"] for of_size in effects.values()]
    for expected in (
        row("", [f"{size}, {COUNTS[sweeps.trainings]}" for size, sweeps in sizes.items()]),
        row("WER of the intact model, %", [percent(intact_wer(sweeps)) for sweeps in sizes.values()]),
        row(
            "mean WER change by a reset to the initial weights, points",
            [percent(c, sign=True) for c in changes[KINDS[0]]],
        ),
        row("by a reset to random weights", [percent(c, sign=True) for c in changes[KINDS[1]]]),
        row("layers", [str(len(of_size)) for of_size in effects.values()]),
        row("ambient at a margin of 2 points (and those that may be)", [or_more(m[0]) for m in margins.values()]),
        row("the same at 1 point; at 5 points", [f"{or_more(m[1])}; {or_more(m[2])}" for m in margins.values()]),
        row("critical layers", [", ".join(layers) for layers in critical]),
    ):
        assert expected.replace("|  |", "| |") in readme


def tell_beyond_depth(profile: str, sweeps: Sweeps) -> dict[str, float]:
    """Returns the matrices whose signature in S goes with the harm at fixed depth, too, and how closely."""
    trainings = [record.training.result for record in signatures(profile_of(profile), sizes=("S",)).records()]
    found = zip(MATRICES, correlation_with_harm(trainings, sweeps.harm()), strict=True)
    return {matrix: one.given_depth for matrix, one in found if one.p_given_depth < SIGNIFICANCE}


def test_weights_that_tell_beyond_depth(readme: str, sizes: dict[str, Sweeps]) -> None:
    beyond = tell_beyond_depth("laptop", sizes["S"])
    by_module = Counter(matrix.partition(".")[0] for matrix in beyond)
    assert (by_module["ffn1"] + by_module["ffn2"], by_module["attention"]) == (4, 1)
    best = max(beyond, key=lambda matrix: beyond[matrix])
    assert f"{len(beyond)} of a layer's 12 matrices, all four of its feed-forward modules" in readme
    assert f"{best} at ρ {beyond[best]:.2f} (p < 0.05 after correction for twelve)" in readme


def test_the_harm_of_single_layers(readme: str, sizes: dict[str, Sweeps]) -> None:
    each = [f"{100 * harm:+.0f}" for harm in sizes["S"].harm()[:, -1]]
    worst = [f"{100 * sizes[size].harm()[:, -1].mean():+.0f} in {size}" for size in ("M", "L")]
    assert f"that of the last layer {', '.join(each[:-1])} and {each[-1]} points in S, {' and '.join(worst)}" in readme
    first = {size: reinitialised(sizes[size])[0] for size in ("M", "L")}
    assert (
        f"critical in M ({points(first['M'].change).replace(' [', ' points [', 1).removesuffix(' points')})" in readme
    )
    assert f"ambient in L ({points(first['L'].change).removesuffix(' points')})" in readme
    assert f"in S ({', '.join(f'{100 * harm:+.1f}' for harm in sizes['S'].harm()[:, 0])})" in readme
    assert (first["M"].classification, first["L"].classification) == ("critical", "ambient")


def test_sets_of_layers(readme: str) -> None:
    models = [record.searched for record in layer_sets(profile_of("laptop")).records()]

    def of_each(statistic: Callable[[SearchedModel], Mean | None]) -> str:
        means = [mean for model in models if (mean := statistic(model))]
        assert len(means) == len(models)
        return " and ".join(percent(mean.estimate()).replace(" [", " points [", 1) for mean in means)

    by_search = each(models, lambda model: largest_ambient(model, GREEDY))
    by_rank = each(models, lambda model: largest_ambient(model, SINGLE))
    ten = each(models, lambda model: f"{100 * nested_changes(model, SINGLE)[9].value:.0f}")
    for expected in (
        f"in {COUNTS[len(models)]} of S {each(models, lambda model: len(model.ambient))} layers are ambient one by one",
        "one by one on dev speech, and reset all at once they add, on test speech, "
        f"{of_each(ambient_together)}; the ten that do the least harm alone add {ten}.",
        f"Chosen by a search {by_search} layers can be reset together, by their single ranks {by_rank}.",
        f"Two ambient layers add {of_each(mean_interaction)} beyond",
    ):
        assert expected in readme


def test_ranks_without_ablations(readme: str) -> None:
    models = cheaper_ranks(profile_of("laptop")).records().models
    trainings, probes = [model.training.result for model in models], [model.probe.result for model in models]
    paths = [Path.read(model.path.result) for model in models]
    harm = Sweeps.of([model.reset.result for model in models]).harm()
    by_name = {one.quantity.name: one for one in ranked(quantities(trainings, paths, probes), harm)}
    sign, reset, skip, depth, relative = (
        by_name[name] for name in (SIGNATURE, RESET, "skip", "depth", "relative distance")
    )
    assert skip.quantity.cost == reset.quantity.cost
    assert skip.given_depth == max(one.given_depth for one in by_name.values())
    for expected in (
        f"*Ranks without ablations* ({COUNTS[len(models)]} of S)",
        f"at ρ {sign.rho:.2f}, the resets themselves, heard on other speech, at {reset.rho:.2f}, depth alone at "
        f"{depth.rho:.2f}.",
        f"ρ {sign.given_depth:.2f} is left of the signature ({p_text(sign.p_given_depth)})",
        f"and {reset.given_depth:.2f} of the resets ({p_text(reset.p_given_depth)})",
        f"relative to its initial norm: {relative.given_depth:.2f} ({p_text(relative.p_given_depth)})",
        f"tells the most of it: {skip.given_depth:.2f} ({p_text(skip.p_given_depth)})",
    ):
        assert expected in readme


def test_layers_of_the_streaming_model(readme: str) -> None:
    laptop = profile_of("laptop")
    store = store_of(laptop)
    found = []
    for seed in range(laptop.adaptation.trainings):
        reset = ResetStudy(run=laptop.adaptation.run(seed), reset=laptop.adaptation.reset)
        if record := stored(reset, store):
            effects = reinitialised(Sweeps.of([record.result]))
            of_class = {name: [e.layer for e in effects if e.classification == name] for name in CLASSES}
            assert of_class["critical"] == [16]
            found.append(layers_named(of_class["ambient"]))
    first, second = found
    assert (
        f"({first} of its first training are ambient, {second} of a second, of which some adaptations are missing; "
        "layer 16 is critical in both)"
    ) in readme


def test_bits_by_importance(readme: str) -> None:
    quantised = uses(profile_of("laptop")).records().quantised
    assert quantised
    low_ambient, low_critical, flat = (wer_of(quantised.heard(name)) for name in ("amb-low", "crit-low", "uniform-4"))
    assert f"*Bits by importance* ({COUNTS[len(quantised.quantised)]} of S)" in readme
    assert f"the model mishears {low_ambient} ({100 * quantised.intact.mean.value:.1f} % in 32 bits)" in readme
    assert f"at as many bytes, {low_critical}. But 4 bits everywhere, as many bytes again, give {flat}:" in readme
    even = quantised.heard("uniform-4").less(quantised.heard("amb-low")).mean.estimate()
    assert f"less those in the ambient half {points(even)}." in readme
    assert even.low < 0 < even.high
    assert "That bits by importance beat even ones is not shown." in readme


def test_bits_in_the_rounds(readme: str) -> None:
    laptop = profile_of("laptop")
    group = uses(laptop).records().groups["bits"]
    held_out = (laptop.adaptation.held_out,)
    errors = {use.name: use.adapted(held_out) for use in (group.none, *group.uses)}
    heard = {name: wer_of(one) for name, one in errors.items()}
    assert f"Sent in few bits both ways ({COUNTS[len(group.before)]} of the streaming model), 4 everywhere" in readme
    assert (
        f"come to {heard['uniform-4']}, 2 and 6 by importance to {heard['amb-low']}, the other way round to "
        f"{heard['crit-low']}, 2 everywhere to {heard['uniform-2']}, float32 to {heard['none']};"
    ) in readme
    costs = {use.name: mean_cost(use, laptop.adaptation.model) for use in (group.none, *group.uses)}
    sent = [(costs[name]["down"] + costs[name]["up"]) / 1e6 for name in ("uniform-4", "uniform-2", "none")]
    assert "{:.1f}, {:.1f} and {:.1f} MB a client and round".format(*sent) in readme
    assert f"in the place of 32 send {100 * (1 - sent[0] / sent[2]):.0f} % less, and no loss was seen" in readme
    loss, by_rank = (errors["uniform-4"].less(errors[name]).mean.estimate() for name in ("none", "amb-low"))
    assert max(loss.low, by_rank.low) < 0 < min(loss.high, by_rank.high)
    assert len({sum(costs[name][way] for way in ("down", "up")) for name in ("uniform-4", "amb-low", "crit-low")}) == 1


def test_dropout_planned_without_resets(readme: str) -> None:
    laptop = profile_of("laptop")
    group = uses(laptop).records().groups["dropout"]
    heard = {use.name: use.adapted((laptop.adaptation.held_out,)) for use in (group.none, *group.uses)}
    wers = {name: wer_of(errors) for name, errors in heard.items()}
    assert f"*Dropout planned without resets* ({COUNTS[len(group.before)]} of the streaming model)" in readme
    assert (
        f"comes to {wers['amb-3']} in the most ambient layers, to {wers['random-3']} by lot, to {wers['crit-3']} in "
        "the most critical ones."
    ) in readme
    cheap = {name: 100 * heard[name].mean.value for name in RANKED_BY}
    assert len(cheap) == 7
    assert f"seven cheap ranks name give {min(cheap.values()):.1f} to {max(cheap.values()):.1f} %" in readme
    lowest = {name for name, wer in cheap.items() if wer == min(cheap.values())}
    assert lowest == {"updates-3", "gradient-3", "fisher-3"}
    assert f"the lowest is {wers['updates-3']}, in those that clients' first updates move least, which also" in readme
    updates, critical = (heard[name].less(heard["amb-3"]).mean.estimate() for name in ("updates-3", "crit-3"))
    assert f"updates less resets {points(updates)}, critical less ambient {points(critical)}" in readme
    assert max(updates.low, critical.low) < 0 < min(updates.high, critical.high)
    sent, whole = (mean_cost(use, laptop.adaptation.model)["down"] for use in (group.uses[0], group.none))
    assert f"{100 * (1 - sent / whole):.0f} % fewer bytes" in readme


def test_units_that_are_scaled(readme: str) -> None:
    records = federated_dropout(profile_of("laptop")).records()
    varied = records.sensitivity["rescaling"]
    assert f"scale the units that they keep ({COUNTS[len(varied.seeds)]} of the streaming model, *N* = 3)" in readme
    plain, scaled = adapted_by_value(varied, (records.held_out,)).values()
    for name, plan in (
        ("crit-3", "in the critical plan"),
        ("amb-3", "in the ambient one"),
        ("flat-3", "in the flat one"),
    ):
        wers = [100 * of[name].mean.value for of in (plain, scaled)]
        change = points(scaled[name].less(plain[name]).mean.estimate())
        assert "from {:.1f} to {:.1f} % {} ({})".format(*wers, plan, change) in readme
    before, after = (points(of["crit-3"].less(of["amb-3"]).mean.estimate()) for of in (plain, scaled))
    assert f"and critical less ambient from {before} to {after}." in readme


def test_the_base_rate(readme: str) -> None:
    records = federated_dropout(profile_of("laptop")).records()
    varied = records.sensitivity["base rate"]
    assert varied.seeds == records.sensitivity["rescaling"].seeds  # "the same training"
    by_rate = adapted_by_value(varied, (records.held_out,))
    changes, flat = (
        [of[plan].less(of["amb-3"]).mean.estimate() for of in by_rate.values()] for plan in ("crit-3", "flat-3")
    )
    rates = listed(f"{100 * rate:.0f} %" for rate in by_rate)
    told = f"at {rates} critical less ambient is {listed(map(points, changes))} (the same training), never told apart"
    assert f"{told}; flat less ambient is {listed(map(points, flat))}, at 10 % alone." in readme
    assert all(change.low < 0 < change.high for change in changes)
    assert [change.low < 0 < change.high for change in flat] == [True, False, True]


def test_what_a_smaller_server_rate_forgets(readme: str) -> None:
    laptop = profile_of("laptop")
    records = federated_dropout(laptop).records()
    varied = records.sensitivity["server rate"]
    others = [domain for domain in laptop.adaptation.corpus.domains if domain != records.held_out]
    learnt, kept = (
        {share: of["none"] for share, of in adapted_by_value(varied, domains).items()}
        for domains in ((records.held_out,), others)
    )
    before = Adapted.of([record.result for record in varied.before], others)
    wers = [100 * errors.mean.value for errors in (before, kept[1.0])]
    told = f"({COUNTS[len(varied.seeds)]} of the streaming model, FedAvg)"
    assert "from {:.1f} to {:.1f} % {}".format(*wers, told) in readme
    forgot, missed = (points(of[0.5].less(of[1.0]).mean.estimate()) for of in (kept, learnt))
    assert f"forgets less, by {forgot}, and learns as much within a point: {missed} on the held-out domain." in readme


def test_some_layers_trained_alone(readme: str) -> None:
    laptop = profile_of("laptop")
    group = uses(laptop).records().groups["trained"]
    heard = {use.name: wer_of(use.adapted((laptop.adaptation.held_out,))) for use in (group.none, *group.uses)}
    assert f"*Train only some layers* ({COUNTS[len(group.before)]} of the streaming model)" in readme
    assert (
        f"With the four most critical layers they come to {heard['critical']}, with the four most ambient ones to "
        f"{heard['ambient']}, with four by lot to {heard['random']}, with all to {heard['none']}."
    ) in readme
    sent = [mean_cost(use, laptop.adaptation.model)["up"] / 1e6 for use in (group.uses[0], group.none)]
    assert "send {:.1f} MB a round in the place of {:.1f}".format(*sent) in readme
    by_name = {use.name: use.choices for use in group.uses}
    assert [{*choice.trained} for choice in by_name["critical"]] == [{*choice.trained} for choice in by_name["last"]]


def test_the_verdicts_are_counted(readme: str) -> None:
    judged = findings(profile_of("laptop"))
    counts = Counter(finding.verdict for finding in judged)
    unrepeated = sum("at least 2 trainings" in one.remedy for one in judged if one.verdict == "not resolved")
    assert (
        f"Of {len(judged)} claims of the paper, judged on the published results of profile `laptop`, "
        f"{counts['reproduced']} are reproduced, {counts['partly reproduced']} in part, {counts['not resolved']} are "
        f"not resolved, {unrepeated} of these for want of a second training, and {counts['not reproduced']} are "
        "contradicted."
    ) in readme
    assert counts["not measured"] == 0


def test_what_is_said_of_claims(readme: str) -> None:
    """The README says of claims what their evidence says, in other words: of people what is not of synthetic speech."""
    evidence = {
        finding.claim.id: finding.evidence for name in ("human", "laptop") for finding in findings(profile_of(name))
    }
    number = r"([−+]?[\d.]+)"
    interval = rf"{number} \[{number}, {number}\] points"
    for claim, pattern, sentence in (
        (
            "signature-shares-features-with-wer",
            rf"S: ρ {number}, p = {number}; at fixed depth {number}, p = {number}; depth alone {number}",
            "at ρ {0} (p = {1:.4f}), depth alone at {4}, and at fixed depth ρ {2} is left (p = {3})",
        ),
        ("layers-can-be-ranked", rf"S: ρ {number}, (p < 0.0001)", "they agree at ρ {0} ({1})"),
        ("ambient-costs-less", f"crit − amb: {interval}", "critical less ambient {0} points [{1}, {2}]"),
        (
            "group-norm-suits-clients",
            f"BatchNorm: {interval}; .*GroupNorm, 8 groups: {interval}; .*GroupNorm, 8 groups: {interval}",
            "federated averaging adds {0} points [{1}, {2}] of WER to training on the same speech pooled with "
            "BatchNorm, {3} [{4}, {5}] with GroupNorm; the difference is {6} [{7}, {8}]",
        ),
    ):
        found = re.search(pattern, evidence[claim])
        assert found, evidence[claim]
        unsigned = claim == "group-norm-suits-clients"
        values = [value.removeprefix("+") if unsigned else value for value in found.groups()]
        if "{1:.4f}" in sentence:
            values[1] = f"{float(values[1]):.4f}"
            sentence = sentence.replace(":.4f", "")
        assert sentence.format(*values) in readme


def test_federated_dropout(readme: str) -> None:
    records = federated_dropout(profile_of("laptop")).records()
    adapted = adapted_by_plan(records, (records.held_out,))
    wers = {plan: 100 * of_plan.mean.value for plan, of_plan in adapted.items()}
    crit, amb = ([wers[f"{kind}-{count}"] for count in (2, 3, 4)] for kind in ("crit", "amb"))
    told = f"it is {min(crit):.1f} to {max(crit):.1f} % with the critical layers and {min(amb):.1f} to {max(amb):.1f} %"
    assert told in readme
    assert f"{wer_of(adapted['none'])} after" in readme


def test_people(readme: str) -> None:
    (people,) = sweeps_by(model_size(profile_of("human")).records(), "size").values()
    wer = percent(intact_wer(people)).replace(" [", " % [", 1)
    assert f"S mishears {wer} of what {people.words.shape[-1]} others say" in readme
    ambient, may_be = ambient_by_margin(people, (0.02,))[0]
    assert f"{ambient} of {may_be} layers are ambient, none is shown to be critical" in readme
    assert f"(profile `human`, {COUNTS[people.trainings]})" in readme
    assert "critical" not in [effect.classification for effect in reinitialised(people)]
    told = summarised("human_speech", {"profile": "human"}).in_short.text
    alike = re.search(r"at ρ = (\S+) (\(p .*?\)); at fixed depth ρ = (\S+) is left (\(p .*?\))", told)
    assert alike
    assert "synthetic speech at ρ {} {}, at fixed depth at {} {}".format(*alike.groups()) in readme
    ranked = {finding.claim.id: finding.evidence for finding in findings(profile_of("human"))}["layers-can-be-ranked"]
    agreed = re.fullmatch(r"S: (ρ \S+), (p .*)", ranked)
    assert agreed
    assert "agree on the ranks at {} ({})".format(*agreed.groups()) in readme
    beyond = list(tell_beyond_depth("human", people))
    assert beyond == ["attention.pos"]
    assert f"Of their signatures only that of {beyond[0]} tells more than depth." in readme


def test_people_as_clients(readme: str) -> None:
    human = profile_of("human")
    records = federated_dropout(human, plans=FIRST_PLANS).records()
    ends = {"before": records.before, "after": records.plans[0].adaptations, "pooled": records.centralised}
    before, after, pooled = (Adapted.of([one.result for one in of], (records.held_out,)) for of in ends.values())
    adapted = adapted_by_plan(records, (records.held_out,))
    assert (
        f"take S from {100 * before.mean.value:.0f} % to {wer_of(after)}, with their speech pooled {wer_of(pooled)}; "
        f"the synthetic speech is forgotten ({COUNTS[len(records.seeds)]})"
    ) in readme
    crit, amb, flat = (adapted[name] for name in ("crit-4", "amb-4", "flat-4"))
    assert f"four critical layers less in four ambient ones is {points(crit.less(amb).mean.estimate())}" in readme
    assert f"in all layers alike less in the ambient ones {points(flat.less(amb).mean.estimate())}" in readme
