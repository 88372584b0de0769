"""The benchmark: what it compares computes the same thing, how it takes turns, and the page that reads its record."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from tiny_book import CHECKOUT

from benchmarks import decoders, encoders, growth, losses
from benchmarks.timing import OURS, Row, Timed, UnequalError, by_turns, check_close
from paper_lib.conformer.transducer import Transducer
from paper_lib.figures.costs import compared, finding, grown
from paper_lib.paths import published_records
from paper_lib.profiles import profile_of
from paper_lib.settings import EncoderSettings

RECORD = json.loads((published_records(".") / "benchmark.json").read_text())
TINY = EncoderSettings(dim=16, layers=2, heads=2, kernel=8, channels=4, groups=2, dropout=0.0)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_layers_of_torchaudio_with_our_weights_compute_what_ours_do(norm: str) -> None:
    assert encoders.check_equal(encoders.TORCHAUDIO, TINY, 3, 12, norm) < encoders.TOLERANCE


def test_the_loss_of_torchaudio_and_ours_are_the_recursion_in_float64() -> None:
    assert set(losses.errors((3, 6, 4, 5))) == {OURS, losses.TORCHAUDIO}


def test_decoding_is_what_the_plain_loop_finds() -> None:
    torch.manual_seed(0)
    model = Transducer(profile_of("quick").models["S"]).eval()
    with torch.no_grad():
        model.joint.out.bias[1:] += 0.1 * torch.randn(28)  # else the blank is seldom the best
        batch = [(torch.randn(3, 9, 32), torch.tensor([9, 5, 7]))]
    found = decoders.by_ours(model, batch)
    assert found == decoders.by_loop(model, batch)
    assert any(found)


def test_what_is_not_equal_is_not_compared() -> None:
    with pytest.raises(UnequalError, match="loss: differs by"):
        check_close("loss", torch.ones(2), torch.tensor([1.0, 1.1]), 1e-3)


def test_calls_take_turns_and_nobody_is_always_first() -> None:
    told: list[str] = []
    timed = by_turns({"a": lambda: told.append("a"), "b": lambda: told.append("b")}, budget=60, most=3)
    assert "".join(told) == "ab" + "abbaab"  # once to warm up
    assert [len(one.seconds) for one in timed] == [3, 3]


def test_a_ratio_is_that_of_neighbouring_turns() -> None:
    row = Row("g", "w", 1, [Timed(OURS, [1.0, 10.0, 1.0]), Timed("other", [2.0, 20.0, 2.0])])
    assert row.ratios("other") == (2, 2, 2)
    ours, other = row.record()["seconds"]
    assert "ratio" not in ours
    assert other["ratio"] == 2


def test_an_exponent_is_the_slope_at_the_larger_sizes() -> None:
    sizes = [1.0, 10.0, 100.0, 1000.0]
    assert growth.exponent(sizes, [5.0, 5.0, 1e4, 1e6]) == pytest.approx(2)


def test_peers_are_pinned_and_bring_no_torch_of_their_own() -> None:
    lines = (CHECKOUT / "benchmarks" / "peers.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.\-]+==[\w.+!]+", pin) for pin in pins)
    names = {pin.partition("==")[0].lower() for pin in pins}
    assert names.isdisjoint({"torch", "torchaudio", "numpy"})
    assert names >= {"transformers", "pfl", "flwr", "ray", "nemo-toolkit"}


def test_the_record_has_every_group_and_what_was_measured_where() -> None:
    assert {row["group"] for row in RECORD["rows"]} == {
        "encoder",
        "dropout",
        "loss",
        "decoding",
        "sweep",
        "federated",
        "training",
    }
    assert {line["axis"] for line in RECORD["growth"]} == set(growth.AXES)
    assert RECORD.keys() >= {"processor", "flags", "cores", "python", "versions", "date", "minutes"}
    assert all(row["equal"] for row in RECORD["rows"] if row["group"] not in ("dropout", "training"))
    assert "/" not in RECORD["system"]


def test_the_figures_hold_the_numbers_of_the_record() -> None:
    rows = [row for row in RECORD["rows"] if row["group"] == "loss"]
    assert [note["times_as_long"] for note in compared(rows).rows] == [  # type: ignore[attr-defined]
        line["ratio"] for row in rows for line in row["seconds"] if "ratio" in line
    ]
    figure = grown(RECORD["growth"], "seconds")
    assert len(figure.rows) == sum(len(line["points"]) for line in RECORD["growth"])  # type: ignore[attr-defined]
    assert {axes.get_xscale() for axes in figure.axes if axes.axison} == {"log"}


@pytest.mark.book
def test_the_page_opens_with_the_finding_and_owns_up_to_the_gpu(built_book: Path) -> None:
    page = (built_book / "_build" / "html" / "book" / "costs.html").read_text()
    assert finding(RECORD).text in re.sub("<[^>]+>", "", page).replace("&#x27;", "'")
    assert "not measured" in page
