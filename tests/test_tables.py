"""Tables, manifests and plans for other programs: read back, and compared with what the book computes from records."""

from __future__ import annotations

import builtins
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from click.testing import CliRunner, Result
from made_up import misheard, spoken, sweep, training

from paper_lib.cli import main
from paper_lib.evaluation import Spoken
from paper_lib.federated.comparison import Adapted
from paper_lib.federated.plans import PLANS, named_plan, ranking_of
from paper_lib.layers.matrices import MATRICES
from paper_lib.layers.signature import signature
from paper_lib.layers.sweeps import Sweeps
from paper_lib.layers.variants import MODULES
from paper_lib.profiles import profile_of
from paper_lib.results import Store
from paper_lib.studies import STUDIES
from paper_lib.studies.measurements import (
    KINDS,
    AdaptationStudy,
    GreedyStudy,
    Measurement,
    ProbeStudy,
    QuantisedStudy,
    ResetStudy,
    corpus_of,
)
from paper_lib.tables import COLUMNS, TablesError, load

HARMS = [0.0, 0.3, 0.1, 0.4]


def result_of(measurement: Measurement, number: int) -> Mapping[str, Any]:
    """Returns a made-up result; `number` makes it unlike others."""
    if isinstance(measurement, ResetStudy):
        result = sweep(HARMS[: measurement.run.model.encoder.layers], seed=number)
        if measurement.reset.draws == 0:
            result["resets"] = [one for one in result["resets"] if one["kind"] == "re-initialisation"]
        if measurement.reset.unit == "module":
            result["resets"] = [{**one, "module": module} for one in result["resets"] for module in MODULES]
        return result
    errors = np.random.default_rng(number).integers(0, 3, len(spoken()["ids"]))
    if isinstance(measurement, QuantisedStudy):
        wrong = misheard(errors)
        return {"spoken": spoken(), "intact": wrong, "plans": {plan.name: wrong for plan in measurement.plans}}
    if isinstance(measurement, GreedyStudy):
        layers = range(1, measurement.run.model.encoder.layers + 1)
        result = result_of(ResetStudy(run=measurement.run, reset=measurement.reset), number)
        steps = [{"layer": layer, "errors": [[layer, layer]], "misheard": misheard(errors)} for layer in layers]
        return {**result, "steps": steps}
    if isinstance(measurement, AdaptationStudy):
        return {
            "spoken": spoken(),
            "misheard": misheard(errors),
            "reports": [{"update_norms": HARMS, "disagreements": HARMS}],
        }
    layers = measurement.run.model.encoder.layers if hasattr(measurement, "run") else measurement.model.encoder.layers
    if isinstance(measurement, ProbeStudy):
        grows = [float(number + layer) for layer in range(layers)]
        readings = dict.fromkeys(("influence", "gradient", "fisher"), grows)
        return {**readings, "initial_norms": dict.fromkeys(MATRICES, [1.0] * layers), "utterances": 4}
    moved = training({"attention": [1.0 + (layer + number) % 3 for layer in range(layers)]}, layers)
    return {**moved, "dev_wer": {"20": 0.1 * (1 + number % 7), "10": 0.8}}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache where everything of profile smoke is measured: made-up results in real records."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPER_LIB_CACHE", str(cache))
        store = Store(cache / "records")
        for study in STUDIES.values():
            for _ in range(3):  # adaptations can be named when what ranks their layers is there
                for number, measurement in enumerate(study(profile_of("smoke")).measurements):
                    store.get_or_compute(
                        KINDS[type(measurement)],
                        measurement,
                        lambda one=measurement, number=number: result_of(one, number),
                        corpus=corpus_of(measurement).digest,
                    )
        yield cache


def records(cache: Path, kind: str) -> dict[str, Any]:
    """Returns what the store has of one kind, by digest."""
    found = {path.stem: json.loads(path.read_text()) for path in (cache / "records" / kind).glob("*.json")}
    for record in found.values():
        if test := record["result"].get("spoken"):
            record["result"]["spoken"] = json.loads((cache / "records" / "tests" / f"{test}.json").read_text())
    return found


def export(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["export", "--profile", "smoke", "--to", str(directory), *arguments])


@pytest.fixture(scope="module")
def exported(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("exported") / "here"
    result = export(directory)
    assert result.exit_code == 0, result.output
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert sorted(result.output.splitlines()) == sorted(map(str, files))
    return directory


@pytest.mark.parametrize("name", COLUMNS)
def test_both_files_of_a_table_hold_it(name: str, cache: Path, exported: Path) -> None:
    table = load("smoke").table(name)
    assert len(table)
    assert list(table.columns) == list(COLUMNS[name])
    pandas.testing.assert_frame_equal(pandas.read_parquet(exported / f"{name}.parquet"), table)
    types = {column: kind for column, kind in COLUMNS[name].items() if kind != "boolean"}
    pandas.testing.assert_frame_equal(
        pandas.read_csv(exported / f"{name}.csv", dtype=types).astype(COLUMNS[name]), table
    )


def test_resets_have_the_numbers_of_the_sweeps(cache: Path) -> None:
    table = load("smoke").table("reset_sweep")
    sweeps = records(cache, "reset_sweep")
    assert set(table["digest"]) == set(sweeps)
    assert set(table["module"].dropna()) == set(MODULES)
    assert set(table["rewound_to"].dropna()) == {1, 2}
    assert set(table["statistics"].dropna()) == {"reset", "kept"}
    for digest, rows in table.groupby("digest"):
        record = sweeps[digest]
        read = Sweeps.of([record["result"]])
        reset, run = record["settings"]["reset"], record["settings"]["run"]
        assert set(rows["seed"]) == {run["seed"]}
        assert set(rows["dim"]) == {run["model"]["encoder"]["dim"]}
        assert set(rows["norm"]) == {run["model"]["encoder"]["norm"]}
        assert set(rows["split"]) == {reset["split"] or "test"}
        assert [*rows["rewound_to"].dropna().unique()] == [step for step in (reset["rewind"],) if step is not None]
        assert set(rows["words"]) == {read.words.sum()}
        assert set(rows["intact_wer"]) == {read.intact.sum() / read.words.sum()}
        assert list(read.resets) == list(dict.fromkeys(rows["kind"]))
        for kind, of_kind in rows.groupby("kind"):
            modules = [None if pandas.isna(module) else module for module in of_kind["module"]]
            assert [*zip(of_kind["layer"], modules, strict=True)] == [*read.units]
            assert [*of_kind["errors"]] == [*read.resets[kind][0].sum(-1)]
            assert [*of_kind["change_points"]] == pytest.approx([*(100 * read.harm(kind)[0])])
            assert [*of_kind["wer"]] == pytest.approx([*read.draws[kind][0].ravel()])
            assert of_kind["draw"].isna().all() == (kind == "re-initialisation")


def test_curves_and_distances_are_those_of_the_trainings(cache: Path) -> None:
    trainings = records(cache, "training")
    curves, moved = (load("smoke").table(name) for name in ("training", "signatures"))
    assert set(curves["run"]) == set(moved["run"]) == set(trainings)
    assert set(load("smoke").table("reset_sweep")["run"]) <= set(trainings)
    for run, record in trainings.items():
        rows = curves[curves["run"] == run]
        # In the order of steps, of which "10" and "20" are texts in a record.
        assert [*zip(rows["step"], rows["dev_wer"], strict=True)] == [
            (10, record["result"]["dev_wer"]["10"]),
            (20, record["result"]["dev_wer"]["20"]),
        ]
        last = moved[(moved["run"] == run) & (moved["step"] == 20) & (moved["matrix"] == "attention.q")]
        assert [*last["layer"]] == [*range(1, len(last) + 1)]
        assert [*last["distance"]] == [
            record["result"]["distances"][f"layers.{layer - 1}.attention.q.weight"][1] for layer in last["layer"]
        ]
        assert [*last["signature"]] == [*signature(record["result"], ["attention.q"])[0]]


def test_adaptations_have_the_numbers_of_the_comparison_and_the_names_of_their_plans(cache: Path) -> None:
    table = load("smoke").table("adaptation")
    adaptations = records(cache, "adaptation")
    assert set(table["digest"]) == set(adaptations)
    assert set(table["domain"]) == {"short_form", "telephone"}
    for row in table.itertuples():
        record = adaptations[row.digest]
        adapted = Adapted.of([record["result"]], (row.domain,))
        assert row.errors == adapted.errors.sum()
        assert row.words == adapted.words.sum()
        assert row.wer == pytest.approx(adapted.by_seed[0])
        assert row.held_out == (row.domain == record["settings"]["held_out"] == "short_form")
        assert row.seed == record["settings"]["federated"]["seed"]
        assert row.rounds == record["settings"]["federated"]["rounds"]
        assert row.method == record["settings"]["method"]
        assert pandas.isna(row.bits) == (record["settings"]["bits"] is None)
        assert pandas.isna(row.trained) == (record["settings"]["trained"] is None)
    assert {"rest:8", "rest:2"} <= set(table["bits"])
    assert {"1", "4"} <= set(table["trained"])
    before = table[table["rounds"] == 0]
    assert len(before) == 2
    assert before["plan"].isna().all()
    named = {name for names in table["plan"].dropna() for name in names.split(", ")}
    assert named == set(PLANS)
    pooled = table[table["method"] == "centralised"]
    assert pooled["plan"].isna().all()
    assert sorted(set(pooled["seed"])) == [0, 1]


def test_plans_have_a_rate_for_every_layer(cache: Path, exported: Path) -> None:
    plans = json.loads((exported / "plans.json").read_text())
    assert {plan["plan"] for plan in plans} == set(PLANS)
    harm = ranking_of(HARMS)
    rankings = {tuple(harm), tuple(STUDIES["federated_dropout"](profile_of("smoke")).rankings()[0])}
    assert len(rankings) == 1  # that of the made-up resets
    for plan in plans:
        expected = named_plan(plan["plan"], harm, plan["seed"], draw=plan["draw"])
        assert plan["rates"] == {str(layer): expected.rate(layer) for layer in range(1, 5)}
    assert sum(plan["plan"] == "random-3" for plan in plans) == 2 * 5


def test_manifests_have_what_was_said_and_what_was_heard(cache: Path, exported: Path) -> None:
    sweeps = records(cache, "reset_sweep")
    manifests = {path.stem: path for path in (exported / "hypotheses").iterdir()}
    assert manifests.keys() == sweeps.keys()
    for digest, path in manifests.items():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        read = Spoken.read(sweeps[digest]["result"])
        heard = read.hypotheses(sweeps[digest]["result"]["intact"])
        assert [(line["id"], line["speaker"], line["text"], line["pred_text"]) for line in lines] == [
            *zip(read.ids, read.speakers, read.references, heard, strict=True)
        ]
        assert any(line["text"] != line["pred_text"] for line in lines)


def test_torch_is_not_needed(cache: Path, tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from paper_lib.export import export\n"
    program += "export('smoke', Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)
    assert (tmp_path / "reset_sweep.parquet").is_file()


@pytest.mark.parametrize("missing", ["pandas", "pyarrow"])
def test_without_the_extra_one_line_says_what_installs_it(
    missing: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == missing:
            raise ImportError(name)
        return importing(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    result = export(tmp_path / "out")
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert f"{missing}, which is not installed: python -m pip install pandas pyarrow" in result.output
    assert not (tmp_path / "out").exists()


def test_what_is_not_there_is_refused(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TablesError, match="there is no table 'resets'; there are reset_sweep, training, signatures"):
        load("smoke").table("resets")
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path))
    result = export(tmp_path / "out")
    assert result.exit_code == 1
    assert "profile smoke has no records yet" in result.output


def test_a_table_of_what_was_measured_so_far_may_be_empty(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(cache / "records" / "training", tmp_path / "records" / "training")
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path))
    some = load("smoke")
    assert len(some.table("training"))
    assert list(some.table("reset_sweep").columns) == list(COLUMNS["reset_sweep"])
    assert some.table("reset_sweep").empty
    assert some.plans() == []
