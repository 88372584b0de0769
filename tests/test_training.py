"""Training: resumable to the bit after any death, honest about damage, and it learns."""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from tiny_runs import CPU, TINY_CORPUS, in_process, tiny_run, train, train_until_checkpoint, train_until_update

from paper_lib import training
from paper_lib.checkpoint import DamagedFileError, load_tensors, save_tensors
from paper_lib.conformer.loss import transducer_loss
from paper_lib.conformer.transducer import Transducer
from paper_lib.corpus import Corpus, Shard
from paper_lib.corpus.batches import collate, evaluation_batches, training_batches
from paper_lib.files import atomic_write
from paper_lib.fitted import Fit
from paper_lib.objective import Objective, decay_groups
from paper_lib.schedule import learning_rate
from paper_lib.settings import Norm, SpecAugmentSettings, Split, TrainingRun
from paper_lib.training import NonFiniteLossError, fit

MATRICES = (
    *("ffn1.w1", "ffn1.w2", "ffn2.w1", "ffn2.w2"),
    *("attention.q", "attention.k", "attention.v", "attention.out", "attention.pos"),
    *("convolution.pointwise1", "convolution.depthwise", "convolution.pointwise2"),
)


def outcome(directory: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Returns the tensors of the last checkpoint and its history, without the time it took."""
    path = directory / "checkpoint.safetensors"
    with safetensors.safe_open(path, framework="pt") as file:
        history = json.loads(file.metadata()["history"])
    del history["seconds"]
    return safetensors.torch.load_file(path), history


def assert_same_outcome(directory: Path, expected: Path) -> None:
    (tensors, history), (expected_tensors, expected_history) = outcome(directory), outcome(expected)
    assert tensors.keys() == expected_tensors.keys()
    assert [name for name, tensor in tensors.items() if not torch.equal(tensor, expected_tensors[name])] == []
    assert history == expected_history


def assert_same_weights(model: Transducer, expected: Transducer) -> None:
    theirs = expected.state_dict()
    assert [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, theirs[name])] == []


@pytest.fixture(scope="module")
def never_killed(tiny_corpus: Corpus, tiny_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("never-killed")
    assert in_process(train, tiny_run(), tiny_cache, directory) == 0
    assert len(outcome(directory)[1]["losses"]) == 6
    return directory


@pytest.mark.parametrize("updates", [1, 3])
def test_killed_between_checkpoints_it_ends_with_the_same_bits(
    never_killed: Path, tiny_cache: Path, tmp_path: Path, updates: int
) -> None:
    assert in_process(train_until_update, tiny_run(), tiny_cache, tmp_path, updates) == -signal.SIGKILL
    assert in_process(train, tiny_run(), tiny_cache, tmp_path) == 0
    assert_same_outcome(tmp_path, never_killed)


@pytest.mark.parametrize(
    ("checkpoint", "stage", "left"),
    [(0, "half written", None), (1, "half written", 2), (1, "written", 2), (1, "in place", 4), (2, "in place", 6)],
)
def test_killed_while_a_checkpoint_is_written_it_ends_with_the_same_bits(
    never_killed: Path, tiny_cache: Path, tmp_path: Path, checkpoint: int, stage: str, left: int | None
) -> None:
    killed = in_process(train_until_checkpoint, tiny_run(), tiny_cache, tmp_path, checkpoint, stage)
    assert killed == -signal.SIGKILL
    # What is left is the checkpoint before this one, or this one, and never a part of it.
    assert (tmp_path / "checkpoint.safetensors").exists() == (left is not None)
    if left is not None:
        assert len(outcome(tmp_path)[1]["losses"]) == left
    assert in_process(train, tiny_run(), tiny_cache, tmp_path) == 0
    assert_same_outcome(tmp_path, never_killed)


def test_killed_again_and_again_it_ends_with_the_same_bits(
    never_killed: Path, tiny_cache: Path, tmp_path: Path
) -> None:
    lives = 1
    # Each life makes three updates, of which the checkpoints keep two.
    while in_process(train_until_update, tiny_run(), tiny_cache, tmp_path, 3) == -signal.SIGKILL:
        lives += 1
        assert lives < 10
    assert lives == 3
    assert_same_outcome(tmp_path, never_killed)


def flip_a_weight(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def change_the_history(path: Path) -> None:
    content = path.read_bytes()
    place = content.index(b"losses") + 15
    digit = next(k for k in range(place, place + 40) if content[k : k + 1] in b"12345678")
    path.write_bytes(content[:digit] + bytes([content[digit] + 1]) + content[digit + 1 :])


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.fixture(scope="module")
def finished(tiny_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[Fit, Path]:
    directory = tmp_path_factory.mktemp("finished")
    return fit(tiny_run(), tiny_corpus, directory, CPU), directory


@pytest.mark.parametrize("damage", [flip_a_weight, change_the_history, truncate, empty])
def test_a_damaged_checkpoint_is_reported_and_training_starts_anew(
    finished: tuple[Fit, Path],
    tiny_corpus: Corpus,
    tmp_path: Path,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes((finished[1] / path.name).read_bytes())
    damage(path)
    with caplog.at_level(logging.WARNING, "paper_lib"):
        fit(tiny_run(), tiny_corpus, tmp_path, CPU)
    (record,) = caplog.records
    assert record.name == "paper_lib"
    assert str(path) in record.getMessage()
    assert record.getMessage().endswith("training starts anew")
    assert "\n" not in record.getMessage()
    assert_same_outcome(tmp_path, finished[1])


def test_an_undamaged_checkpoint_is_not_reported(
    finished: tuple[Fit, Path], tiny_corpus: Corpus, caplog: pytest.LogCaptureFixture
) -> None:
    fit(tiny_run(), tiny_corpus, finished[1], CPU)
    assert not caplog.records


def test_tensors_and_metadata_are_read_as_they_were_saved(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6.0).view(2, 3).T, "b": torch.tensor(3), "c": torch.zeros(0, 4)}
    digest = save_tensors(tmp_path / "x", tensors, {"history": "[1]"})
    loaded, metadata = load_tensors(tmp_path / "x")
    assert metadata == {"history": "[1]", "digest": digest}
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


def test_the_digest_tells_content_from_content(tmp_path: Path) -> None:
    variants: list[tuple[dict[str, torch.Tensor], dict[str, str]]] = [
        ({"a": torch.zeros(2, 3)}, {}),
        ({"b": torch.zeros(2, 3)}, {}),
        ({"a": torch.zeros(3, 2)}, {}),
        ({"a": torch.zeros(2, 3, dtype=torch.int32)}, {}),
        ({"a": torch.full((2, 3), -0.0)}, {}),
        ({"a": torch.zeros(2, 3)}, {"k": "v"}),
    ]
    digests = [save_tensors(tmp_path / "x", tensors, metadata) for tensors, metadata in variants]
    assert len(set(digests)) == len(variants)
    assert save_tensors(tmp_path / "y", *variants[0]) == digests[0]


def test_every_flipped_bit_and_every_length_too_short_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    save_tensors(path, {"a": torch.arange(3.0), "b": torch.tensor(3)}, {"history": '{"losses": [1.5]}'})
    good = path.read_bytes()
    flips = (good[:k] + bytes([good[k] ^ 1 << (k % 8)]) + good[k + 1 :] for k in range(len(good)))
    cuts = (good[:k] for k in range(len(good)))
    for bad in (*flips, *cuts):
        path.write_bytes(bad)
        with pytest.raises(DamagedFileError):
            load_tensors(path)
    path.write_bytes(good)
    assert load_tensors(path)[0]["b"] == 3


def test_a_missing_file_is_not_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_tensors(tmp_path / "x")


@pytest.mark.parametrize("fails", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("no space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str, error: BaseException
) -> None:
    def fail(*_: Any) -> None:
        raise error

    path = tmp_path / "new directory" / "x"
    atomic_write(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, fails, fail)
        with pytest.raises(type(error)):
            atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_distances_are_frobenius_norms_from_step_0(trained: Fit) -> None:
    weights = trained.model.state_dict()
    for name, distances in trained.history.distances.items():
        change = weights[f"encoder.{name}"].double().numpy() - trained.initial[f"encoder.{name}"].double().numpy()
        assert distances[-1] == pytest.approx(np.sqrt((change**2).sum()), rel=1e-5)
        assert distances[-1] > 0


def test_every_weight_matrix_of_every_layer_is_measured_and_nothing_else(trained: Fit) -> None:
    expected = {f"layers.{layer}.{matrix}.weight" for layer in range(2) for matrix in MATRICES}
    assert trained.history.distances.keys() == expected
    assert len(expected) == 24


def test_distances_and_dev_wer_are_recorded_at_fixed_steps_and_at_the_last(trained: Fit) -> None:
    assert trained.history.distance_steps == [1, 15, 30, 40]
    assert {len(distances) for distances in trained.history.distances.values()} == {4}
    assert list(trained.history.dev_wer) == [30, 40]
    assert len(trained.history.losses) == 40


def test_a_distance_is_that_of_the_weights_at_its_step(tiny_cache: Path, tiny_corpus: Corpus, tmp_path: Path) -> None:
    in_process(train_until_checkpoint, tiny_run(), tiny_cache, tmp_path, 1, "in place")
    tensors, history = outcome(tmp_path)
    initial = safetensors.torch.load_file(tmp_path / "initial.safetensors")
    assert history["distance_steps"] == [1, 2, 4]
    for name, distances in history["distances"].items():
        change = tensors[f"objective.model.encoder.{name}"] - initial[f"encoder.{name}"]
        assert distances[2] == pytest.approx(float(change.double().pow(2).sum().sqrt()), rel=1e-5)
        assert 0 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_initial_weights_are_those_that_the_first_update_met(
    norm: Norm, tiny_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[dict[str, torch.Tensor]] = []
    forward = training.Objective.forward

    def spy(self: training.Objective, *arguments: Any) -> torch.Tensor:
        met.append(copy.deepcopy(self.model.state_dict()))
        return forward(self, *arguments)

    monkeypatch.setattr(training.Objective, "forward", spy)
    fitted = fit(tiny_run(norm, steps=2), tiny_corpus, tmp_path, CPU)
    saved, _ = load_tensors(tmp_path / "initial.safetensors")
    for initial in (fitted.initial, saved):
        assert initial.keys() == met[0].keys()
        assert all(torch.equal(tensor, met[0][name]) for name, tensor in initial.items())
    assert not torch.equal(met[1]["joint.out.weight"], met[0]["joint.out.weight"])


class PoisonedCorpus(Corpus):
    """The tiny corpus with one value in all features of one training utterance, its statistics kept clean."""

    def __init__(self, clean: Corpus, cache: Path, utterance: str, value: float) -> None:
        super().__init__(TINY_CORPUS, cache)
        self.clean, self.utterance, self.value = clean, utterance, value

    def feature_statistics(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self.clean.feature_statistics()

    def shard(self, split: Split, k: int) -> Shard:
        shard = self.clean.shard(split, k)
        shard = Shard(shard.utterances, np.array(shard.matrix))
        for index, utterance in enumerate(shard.utterances):
            if utterance.id == self.utterance:
                shard.features(index)[:] = self.value
        return shard


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_names_its_step_and_utterances(
    value: float, tiny_corpus: Corpus, tiny_cache: Path, tmp_path: Path
) -> None:
    run = tiny_run()
    batches = training_batches(tiny_corpus, run.training.batch_frames, run.seed)
    first_four = [[shard.utterances[index].id for shard, index in next(batches)] for _ in range(4)]
    poisoned = PoisonedCorpus(tiny_corpus, tiny_cache, first_four[3][-1], value)
    # The second time it goes on from the checkpoint of step 2, which holds finite weights.
    for _ in range(2):
        with pytest.raises(NonFiniteLossError, match=r"step 3\b") as raised:
            fit(run, poisoned, tmp_path, CPU)
        assert all(name in str(raised.value) for name in first_four[3])
        assert first_four[2][0] not in str(raised.value).replace(",", "").split()
        assert all(tensor.isfinite().all() for tensor in outcome(tmp_path)[0].values())


def test_updates_follow_the_schedule_also_when_resumed(
    tiny_cache: Path, tiny_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, *arguments: Any) -> Any:
        assert [group["weight_decay"] for group in self.param_groups] == [0.25, 0]
        rates.extend({group["lr"] for group in self.param_groups})
        return step(self, *arguments)

    run = tiny_run(weight_decay=0.25)
    in_process(train_until_update, run, tiny_cache, tmp_path, 3)
    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    fit(run, tiny_corpus, tmp_path, CPU)
    assert rates == [learning_rate(run.training, k, 6) for k in range(2, 6)]


def matrices_of(objective: Objective) -> set[str]:
    """Returns the names of what maps a vector to another one: linear maps, convolutions, recurrences, embeddings."""
    maps = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.LSTM, torch.nn.Embedding)
    return {
        f"{place}.{name}"
        for place, module in objective.named_modules()
        if isinstance(module, maps)
        for name, _ in module.named_parameters(recurse=False)
        if not name.startswith("bias")
    }


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_every_trained_parameter_is_in_one_of_two_groups_by_whether_it_decays(norm: Norm) -> None:
    objective = Objective(tiny_run(norm))
    names = {id(parameter): name for name, parameter in objective.named_parameters()}
    decayed, kept = ([names[id(parameter)] for parameter in group] for group in decay_groups(objective))
    assert set(decayed) == matrices_of(objective)
    # Of the LSTM's two biases, which do the same, one is held at 0.
    assert set(kept) == set(names.values()) - set(decayed) - {"model.prediction.lstm.bias_hh_l0"}
    assert len(decayed) + len(kept) == len(names) - 1
    layer = "model.encoder.layers.1"
    assert {f"{layer}.attention.content_bias", f"{layer}.attention.position_bias"} <= set(kept)
    assert {f"{layer}.ffn1.norm.weight", f"{layer}.convolution.depthwise_norm.weight"} <= set(kept)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_weight_decay_pulls_matrices_towards_0_and_leaves_biases_and_norms_alone(
    norm: Norm, tiny_corpus: Corpus, tmp_path: Path
) -> None:
    # After two updates no bias is 0 any more. From the same weights the third has the same gradient, whatever decays.
    fit(tiny_run(norm, steps=2), tiny_corpus, tmp_path / "two", CPU)
    before, _ = outcome(tmp_path / "two")
    after = {}
    for decay in (0.0, 20.0):
        directory = shutil.copytree(tmp_path / "two", tmp_path / str(decay))
        run = tiny_run(norm, steps=3, weight_decay=decay)
        fit(run, tiny_corpus, directory, CPU)
        after[decay] = outcome(directory)[0]
    rate = learning_rate(run.training, 2, 3)
    assert rate * 20 > 0.1
    objective = Objective(run)
    matrices = matrices_of(objective)
    for name, parameter in objective.named_parameters():
        start, without, decayed = (state[f"objective.{name}"] for state in (before, after[0.0], after[20.0]))
        if name in matrices:
            torch.testing.assert_close(decayed, without - rate * 20 * start, rtol=1e-4, atol=1e-6)
            assert decayed.norm() < without.norm()
        else:
            assert torch.equal(decayed, without), name
            assert start.any() == parameter.requires_grad, name


def test_no_update_is_larger_than_its_gradient_clipped(
    tiny_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    step = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, *arguments: Any) -> Any:
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.stack([gradient.norm() for gradient in gradients]).norm()))
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    fit(tiny_run(clip_norm=0.5), tiny_corpus, tmp_path, CPU)
    assert norms == pytest.approx([0.5] * 6, rel=1e-3)


def test_the_loss_is_the_transducers_and_a_share_of_ctcs_on_masked_features(
    tiny_corpus: Corpus, tmp_path: Path
) -> None:
    def first_loss(**changes: Any) -> float:
        run = tiny_run(steps=1, **changes)
        return fit(run, tiny_corpus, tmp_path / run.digest(), CPU).history.losses[0]

    without, half, whole = (first_loss(ctc_weight=weight) for weight in (0.0, 0.5, 1.0))
    assert whole - without > 10
    assert half == pytest.approx((without + whole) / 2, rel=1e-5)
    bare = SpecAugmentSettings(time_masks=0, frequency_masks=0)
    assert first_loss(ctc_weight=0.0, augment=bare) != pytest.approx(without, rel=1e-4)


def test_a_corpus_that_is_not_made_yet_changes_nothing(
    finished: tuple[Fit, Path], tiny_corpus: Corpus, tmp_path: Path
) -> None:
    fit(tiny_run(), Corpus(TINY_CORPUS, tmp_path / "empty cache"), tmp_path / "run", CPU)
    assert_same_outcome(tmp_path / "run", finished[1])


def test_a_finished_training_is_loaded_and_not_trained_again(
    finished: tuple[Fit, Path], tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any) -> Iterator[Any]:
        raise AssertionError("it is trained again")
        yield

    first, directory = finished
    monkeypatch.setattr(training.Objective, "forward", forbidden)
    # Batches that are drawn to be thrown away cost a reading of the whole corpus, for as many epochs as there were.
    monkeypatch.setattr(training, "training_batches", forbidden)
    again = fit(tiny_run(), tiny_corpus, directory, CPU)
    assert_same_weights(again.model, first.model)
    assert again.history == first.history
    assert again.digest == first.digest
    assert again.initial.keys() == first.initial.keys()
    assert all(torch.equal(tensor, first.initial[name]) for name, tensor in again.initial.items())
    assert not again.model.training
    assert not first.model.training


def test_a_training_repeated_from_nothing_has_the_same_digest_though_it_took_another_time(
    finished: tuple[Fit, Path], tiny_corpus: Corpus, tmp_path: Path
) -> None:
    first, directory = finished
    again = fit(tiny_run(), tiny_corpus, tmp_path / "again", CPU)
    assert again.history.seconds != first.history.seconds
    assert again.digest == first.digest
    # The files differ, by the time: each has the digest of all that it holds.
    of_files = [load_tensors(path / "checkpoint.safetensors")[1]["digest"] for path in (directory, tmp_path / "again")]
    assert of_files[0] != of_files[1]
    assert first.digest not in of_files


def test_the_digest_is_of_the_trained_weights_alone(
    finished: tuple[Fit, Path], tiny_corpus: Corpus, tmp_path: Path
) -> None:
    first, _ = finished
    weights = first.model.state_dict()
    assert first.digest == save_tensors(tmp_path / "x", weights)
    name = "encoder.layers.1.ffn2.w1.weight"
    assert first.digest != save_tensors(tmp_path / "x", weights | {name: first.initial[name]})
    assert first.digest != fit(tiny_run(seed=1), tiny_corpus, tmp_path / "other", CPU).digest


def test_training_and_loading_leave_global_random_generators_alone(tiny_corpus: Corpus, tmp_path: Path) -> None:
    for _ in range(2):  # trained, then loaded
        before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
        fit(tiny_run(steps=2), tiny_corpus, tmp_path, CPU)
        assert torch.equal(torch.get_rng_state(), before)
        assert np.array_equal(np.random.get_state()[1], numpy_before)


def test_a_training_depends_on_its_seed_and_not_on_the_callers(
    finished: tuple[Fit, Path], tiny_corpus: Corpus, tmp_path: Path
) -> None:
    torch.manual_seed(12345)
    same = fit(tiny_run(), tiny_corpus, tmp_path / "same", CPU)
    assert_same_weights(same.model, finished[0].model)
    assert_same_outcome(tmp_path / "same", finished[1])
    other = fit(tiny_run(seed=1), tiny_corpus, tmp_path / "other", CPU)
    assert other.history.losses[0] != same.history.losses[0]
    name = "encoder.layers.1.ffn2.w1.weight"
    assert not torch.equal(other.initial[name], same.initial[name])


def test_the_loss_falls(trained: Fit) -> None:
    losses = trained.history.losses
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:3])


@torch.inference_mode()
def test_what_is_learnt_holds_for_sentences_and_speakers_never_heard(trained: Fit, tiny_corpus: Corpus) -> None:
    untrained = copy.deepcopy(trained.model)
    untrained.load_state_dict(trained.initial)
    (items,) = evaluation_batches(tiny_corpus, "test", 10_000)
    batch = collate(items, trained.tokenizer)

    def heldout_loss(model: Transducer) -> float:
        encoded, frames = model.encode(batch.features, batch.frames)
        logits = model.logits(encoded, batch.targets)
        return float(transducer_loss(logits, batch.targets, frames, batch.lengths).mean())

    assert heldout_loss(trained.model) < 0.8 * heldout_loss(untrained)


def test_the_layers_of_a_snapshot_are_those_of_its_step(tiny_corpus: Corpus, tmp_path: Path) -> None:
    # A training of three steps with a rate that does not fall goes the way of a longer one.
    kept = fit(
        tiny_run(steps=6, warmup_steps=0, decay_fraction=0.1, snapshots=(1, 3)), tiny_corpus, tmp_path / "6", CPU
    )
    short = fit(tiny_run(steps=3, warmup_steps=0, decay_fraction=0.1), tiny_corpus, tmp_path / "3", CPU)
    layers = {name: t for name, t in short.model.state_dict().items() if name.startswith("encoder.layers.")}
    snapshot = kept.snapshot(3)
    assert snapshot.keys() == layers.keys()
    assert all(torch.equal(snapshot[name], tensor) for name, tensor in layers.items())
    assert not all(torch.equal(snapshot[name], tensor) for name, tensor in kept.snapshot(1).items())
    with pytest.raises(ValueError, match="no weights of step 2; it had 6 steps"):
        kept.snapshot(2)


@pytest.fixture
def with_snapshots(tiny_corpus: Corpus, tmp_path: Path) -> tuple[TrainingRun, Fit]:
    run = tiny_run(steps=3, snapshots=(1, 2))
    return run, fit(run, tiny_corpus, tmp_path, CPU)


def test_a_lost_snapshot_is_made_again_by_the_same_training(
    with_snapshots: tuple[TrainingRun, Fit], tiny_corpus: Corpus, caplog: pytest.LogCaptureFixture
) -> None:
    run, first = with_snapshots
    weights = first.snapshot(1)
    path = first.directory / "snapshot-1.safetensors"
    path.unlink()
    with caplog.at_level(logging.WARNING, "paper_lib"):
        again = fit(run, tiny_corpus, first.directory, CPU)
    assert [record.getMessage() for record in caplog.records] == [f"{path} is missing: training starts anew"]
    assert again.digest == first.digest
    assert all(torch.equal(again.snapshot(1)[name], tensor) for name, tensor in weights.items())


def test_a_damaged_snapshot_is_named_removed_and_made_again(
    with_snapshots: tuple[TrainingRun, Fit], tiny_corpus: Corpus
) -> None:
    run, first = with_snapshots
    path = first.directory / "snapshot-2.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match=r"snapshot-2\.safetensors: .*; it was removed, and the next run trains"):
        first.snapshot(2)
    assert fit(run, tiny_corpus, first.directory, CPU).snapshot(2)


def test_a_training_that_is_loaded_has_the_initial_weights_that_were_written(
    with_snapshots: tuple[TrainingRun, Fit], tiny_corpus: Corpus, caplog: pytest.LogCaptureFixture
) -> None:
    # Another version of torch may draw others from the same seed.
    run, first = with_snapshots
    path = first.directory / "initial.safetensors"
    drawn_otherwise = {name: tensor + 1 for name, tensor in first.initial.items()}
    save_tensors(path, drawn_otherwise)
    loaded = fit(run, tiny_corpus, first.directory, CPU)
    assert all(torch.equal(loaded.initial[name], tensor) for name, tensor in drawn_otherwise.items())
    assert not caplog.records
    path.unlink()
    with caplog.at_level(logging.WARNING, "paper_lib"):
        again = fit(run, tiny_corpus, first.directory, CPU)
    assert [record.getMessage() for record in caplog.records] == [f"{path} is missing: training starts anew"]
    assert all(torch.equal(again.initial[name], tensor) for name, tensor in first.initial.items())


def test_a_training_that_stops_learning_ends_early_and_the_same_when_killed(
    tiny_corpus: Corpus, tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few steps learn nothing: what is heard of the dev speech is made up.
    heard = iter([0.4, 0.3, 0.35, 0.3, 0.2, 0.1])
    monkeypatch.setattr(training, "wer", lambda pairs: next(heard))
    run = tiny_run(steps=20, decay_fraction=0.2, patience=2)
    fitted = fit(run, tiny_corpus, tmp_path / "once", CPU)
    assert len(fitted.history.losses) == 8 + 4
    assert list(fitted.history.dev_wer) == [2, 4, 6, 8, 10, 12]
    assert fitted.history.distance_steps == [1, 2, 4, 6, 8, 10, 12]

    heard = iter([0.4, 0.3, 0.35, 0.3, math.nan])
    update = training._Session._update

    def dying(self: Any, *arguments: Any) -> float:
        if self.step == 9:
            raise KeyboardInterrupt
        return update(self, *arguments)

    monkeypatch.setattr(training._Session, "_update", dying)
    with pytest.raises(KeyboardInterrupt):
        fit(run, tiny_corpus, tmp_path / "twice", CPU)
    monkeypatch.setattr(training._Session, "_update", update)
    heard = iter([0.2, 0.1])
    again = fit(run, tiny_corpus, tmp_path / "twice", CPU)
    assert again.history.dev_wer == fitted.history.dev_wer
    assert_same_weights(again.model, fitted.model)
