"""Shards on disk: made once, noticed when damaged, whole or not there."""

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from paper_lib.corpus.cache import FEATURES, MANIFEST, UTTERANCES, Shard, Utterance, open_or_make
from paper_lib.paths import cache_root


def make() -> Shard:
    utterances = [Utterance(f"train-{i}", "hello", "en+f1", "short_form", "clean", 3 + i) for i in range(2)]
    return Shard(utterances, np.arange(7 * 80, dtype=np.float16).reshape(7, 80))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "corpora" / "0123" / "train-0"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def test_a_shard_is_what_was_made(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    shard = open_or_make(directory, make)
    assert shard.utterances == make().utterances
    assert len(shard) == 2
    np.testing.assert_array_equal(shard.features(0), make().matrix[:3])
    np.testing.assert_array_equal(shard.features(1), make().matrix[3:])
    assert np.shares_memory(shard.features(1), shard.matrix)
    assert isinstance(shard.matrix, np.memmap)
    assert not caplog.records


@pytest.mark.parametrize("name", [FEATURES, UTTERANCES, MANIFEST])
@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_damage_is_reported_in_one_line_and_mended(
    directory: Path, name: str, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    open_or_make(directory, make)
    damage(directory / name)
    with caplog.at_level(logging.WARNING, "paper_lib"):
        shard = open_or_make(directory, make)
    np.testing.assert_array_equal(shard.matrix, make().matrix)
    assert shard.utterances == make().utterances
    (record,) = caplog.records
    assert record.name == "paper_lib"
    assert str(directory) in record.getMessage()
    assert record.getMessage().endswith("it is made again")
    assert "\n" not in record.getMessage()


def test_a_removed_shard_is_made_again(directory: Path) -> None:
    open_or_make(directory, make)
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    assert len(open_or_make(directory, make)) == 2


def test_of_many_that_want_a_shard_one_makes_it(directory: Path) -> None:
    made = []

    def make_slowly() -> Shard:
        made.append(1)
        time.sleep(0.2)
        return make()

    with ThreadPoolExecutor(8) as pool:
        shards = list(pool.map(lambda _: open_or_make(directory, make_slowly), range(8)))
    assert len(made) == 1
    assert {len(shard) for shard in shards} == {2}


def test_a_failure_leaves_nothing_and_a_leftover_does_no_harm(directory: Path) -> None:
    def interrupted() -> Shard:
        raise KeyboardInterrupt

    def unwritable() -> Shard:
        return Shard([Utterance("train-0", object(), "", "", "", 7)], make().matrix)  # type: ignore[arg-type]

    for broken, error in ((interrupted, KeyboardInterrupt), (unwritable, TypeError)):
        with pytest.raises(error):
            open_or_make(directory, broken)
        assert [path.name for path in directory.parent.iterdir() if path.suffix != ".lock"] == []
    (directory.with_name("train-0.new")).mkdir()
    (directory.with_name("train-0.new") / FEATURES).write_bytes(b"killed here")
    assert len(open_or_make(directory, make)) == 2
    assert [path.name for path in directory.parent.iterdir() if path.suffix != ".lock"] == ["train-0"]


def test_control_c_leaves_whole_shards_only(tmp_path: Path) -> None:
    program = """
        from paper_lib.corpus import open_corpus
        from paper_lib.settings import SyntheticSettings

        settings = SyntheticSettings(
            domains={"prose": 1.0}, utterances={"train": 100_000}, speakers={"train": 8}, shard_utterances=20
        )
        open_corpus(settings).prepare(workers=2)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PAPER_LIB_CACHE": str(tmp_path)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    # A shard that is being written ends in ".new": it is none yet.
    wait_until(lambda: any(tmp_path.glob("corpora/*/train-*[0-9]/manifest.json")))
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate()
    # This program's own traceback; workers say nothing.
    assert told.decode().count("Traceback") == 1
    assert process.returncode != 0
    (corpus,) = (tmp_path / "corpora").iterdir()
    shards = [path for path in corpus.iterdir() if path.is_dir() and path.suffix != ".new"]
    assert 1 <= len(shards) < 5000
    for shard in shards:
        manifest = json.loads((shard / MANIFEST).read_text())
        for name in (FEATURES, UTTERANCES):
            assert (shard / name).stat().st_size == manifest[name]["size"]


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_the_cache_may_be_named_from_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PAPER_LIB_CACHE", "~/cache")
    assert cache_root() == tmp_path / "cache"
