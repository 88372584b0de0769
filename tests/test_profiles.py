"""Profiles in TOML files: the built-in ones, a reader's own, and what is refused in which words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner
from joblib.externals.loky import get_reusable_executor
from own_recordings import entry, manifest
from own_recordings import write as record
from tiny_book import write_chapter, write_configuration

from paper_lib.chapters import book
from paper_lib.chapters.declarations import CHAPTERS
from paper_lib.chapters.freshness import inputs_digest
from paper_lib.chapters.parameters import ParameterError, check, check_text
from paper_lib.cli import main
from paper_lib.corpus import open_corpus
from paper_lib.corpus.speakers import all_speakers, speak
from paper_lib.profiles import BUILT_IN, PUBLISHED, ProfileError, ProfileName, profile_of, reading
from paper_lib.settings import LibriSpeechSettings, RecordingsSettings, Split, SyntheticSettings
from paper_lib.studies import STUDIES
from paper_lib.studies.measurements import is_published, store_of

# Names of the first trainings of both experiments: records are found by them.
FIRST = {
    "smoke": ("0dc1881be78e5f15", "6094fa13b8e5fe1f"),
    "quick": ("ebe59df8b3c4c02e", "55530839bdb3dbcd"),
    "laptop": ("3ebc4d7372dbfb7e", "90ea0ddc3ccdeac9"),
    "human": ("70dfe954f7aa7b81", "3ebc4d7372dbfb7e"),
    "gpu": ("a2ebed5649ac13f8", "c8eec6633eb48e99"),
    "librispeech": ("25ccebd45f5d46f3", "c8eec6633eb48e99"),
    "librispeech_mini": ("02eacece1012e094", "c8eec6633eb48e99"),
}

# A chapter that computes one training of S.
BODY = """\
from paper_lib.profiles import profile_of
from paper_lib.studies import model_size

own = profile_of(chapter.parameters.profile)
(found,) = model_size(own, sizes=["S"], seeds=1).records(workers=1)
print(f"{own.name}: {found.training.settings['training']['steps']} steps")
"""
FEW_STEPS = 'base = "smoke"\ntraining.steps = 3\n'


def write(directory: Path, text: str, name: str = "mine.toml") -> str:
    (directory / name).write_text(text, encoding="utf-8")
    return str(directory / name)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def on_own_speech(directory: Path, *texts: str) -> str:
    """Writes recordings, their manifest and a profile that names it, and returns the profile's path."""
    parts: list[Split] = ["train", "dev", "test"]
    voices = all_speakers()[: len(texts)]
    for number, (said, voice) in enumerate(zip(texts, voices, strict=True)):
        record(directory / f"{number}.wav", speak(said, voice))
    manifest(directory, *(entry(f"{n}.wav", said, parts[n % 3], speaker=str(n)) for n, said in enumerate(texts)))
    return write(directory, 'base = "smoke"\n[corpus]\nsource = "recordings"\nmanifest = "my.jsonl"\n')


def test_a_manifest_is_looked_for_beside_the_profile_that_names_it(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = profile_of(on_own_speech(tmp_path, *["turn it on", "call the kitchen", "what time is it"] * 2))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    corpus = open_corpus(mine.corpus)
    assert [corpus.count(split) for split in ("train", "dev", "test")] == [2, 2, 2]
    assert {utterance.text for utterance in corpus.shard("dev", 0).utterances} == {"call the kitchen"}
    assert mine.run("S", 0).corpus == mine.corpus
    split = write(tmp_path, 'base = "mine.toml"\ncorpus.manifest = { train = "a.jsonl", dev = "b.jsonl" }', "b.toml")
    found = profile_of(split).corpus
    assert isinstance(found, RecordingsSettings)
    assert found.manifest == {"train": str(tmp_path / "a.jsonl"), "dev": str(tmp_path / "b.jsonl")}


def test_faults_of_a_manifest_are_told_before_a_chapter_begins(tmp_path: Path, cache: Path) -> None:
    faulty = on_own_speech(tmp_path, "turn it on", "call the kitchen", "at 5", "turn it off")
    told = CliRunner().invoke(main, ["chapter", "model_size", "-p", "profile", faulty])
    assert told.exit_code == 2
    assert "mine.toml: corpus: 1 of 4 entries cannot be used" in told.output
    assert "line 3: text 'at 5' has the digits 5: write numbers as words" in told.output
    assert "Traceback" not in told.output


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_change_of_a_file_renames_no_record(name: ProfileName) -> None:
    profile = profile_of(name)
    assert (profile.run("S", 0).digest(), profile.adaptation.run(0).digest()) == FIRST[name]


def test_the_built_in_profiles_are_the_files_that_come_with_the_library() -> None:
    files = Path(reading.__file__).parent.glob("*.toml")
    assert sorted(path.stem for path in files) == sorted(BUILT_IN)
    assert set(PUBLISHED) < set(BUILT_IN)


def test_what_a_file_does_not_say_is_as_in_its_base(tmp_path: Path) -> None:
    mine, quick = profile_of(write(tmp_path, 'base = "quick"\n')), profile_of("quick")
    assert mine == quick.model_copy(update={"name": "mine"})
    assert mine.run("S", 0).digest() == quick.run("S", 0).digest()


def test_tables_are_merged_into_the_bases(tmp_path: Path) -> None:
    text = """
        base = "quick"
        corpus.utterances.train = 100
        adaptation.federated.server.learning_rate = 1
        [training]
        steps = 300
        S.steps = 350
        augment.time_masks = 3
        [models]
        encoder.kernel = 7
    """
    mine, quick = profile_of(write(tmp_path, text)), profile_of("quick")
    assert isinstance(mine.corpus, SyntheticSettings)
    assert isinstance(quick.corpus, SyntheticSettings)
    assert mine.corpus.utterances == quick.corpus.utterances | {"train": 100}
    assert mine.corpus.domains == quick.corpus.domains
    assert {size: training.steps for size, training in mine.training.items()} == {"S": 350, "M": 300, "L": 300}
    for size, training in mine.training.items():
        assert training.learning_rate == quick.training[size].learning_rate
        assert training.augment == quick.training[size].augment.model_copy(update={"time_masks": 3})
        encoder = quick.models[size].encoder.model_copy(update={"kernel": 7})
        assert mine.models[size] == quick.models[size].model_copy(update={"encoder": encoder})
    server = quick.adaptation.federated.server.model_copy(update={"learning_rate": 1.0})
    assert mine.adaptation.federated == quick.adaptation.federated.model_copy(update={"server": server})


def test_none_takes_away_what_the_base_says_and_another_source_takes_nothing_of_it(tmp_path: Path) -> None:
    text = 'base = "laptop"\nseeds.L = "none"\nother_voices = "none"\ntraining.M.patience = "none"\n'
    text += 'corpus = { source = "librispeech", subsets.train = ["train-clean-5"] }\n'
    mine, laptop = profile_of(write(tmp_path, text)), profile_of("laptop")
    assert mine.seeds == {"S": 5, "M": 5}
    assert mine.other_voices is None
    assert [mine.training[size].patience for size in ("S", "M", "L")] == [3, None, 3]
    assert mine.corpus == LibriSpeechSettings(subsets={"train": ("train-clean-5",)})
    assert mine.adaptation == laptop.adaptation


def test_a_file_begins_with_another_beside_it_and_fine_tunes_a_third(tmp_path: Path) -> None:
    write(tmp_path, FEW_STEPS, "few.toml")
    mine = profile_of(write(tmp_path, 'base = "few.toml"\npretrained = "few.toml"\ncorpus.seed = 7\n'))
    assert {training.steps for training in mine.training.values()} == {3}
    base = profile_of(str(tmp_path / "few.toml"))
    assert mine.pretrained == base
    assert mine.run("M", 1).base == base.run("M", 1)
    further = profile_of(write(tmp_path, 'base = "mine.toml"\npretrained = "none"\n', "further.toml"))
    assert further.run("M", 1).base is None


def test_a_path_starts_where_the_caller_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, FEW_STEPS)
    monkeypatch.chdir(tmp_path)
    assert check_text("intro", {"profile": "mine.toml"}).profile == str(tmp_path / "mine.toml")
    assert check("intro", {"profile": "quick"}).profile == "quick"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds = {S = 1}", "corpus is missing"),
        ("x =", "is no TOML file: Invalid value"),
        ('base = "fast"', "base is 'fast'; it must be one of smoke, quick, laptop"),
        ('base = "mine.toml"', "base is 'mine.toml', which leads back to mine.toml"),
        ('base = "other.toml"', "other.toml: base is 'mine.toml', which leads back to mine.toml"),
        ("base = 3", "base is 3; it must be one of smoke"),
        ('base = "quick"\nname = "x"', "there is no field name; a profile takes base, pretrained, corpus"),
        ('base = "quick"\nseedz = 3', "there is no field seedz (did you mean 'seeds'?)"),
        ('base = "quick"\nseeds.X = 3', "seeds names 'X'; it must be 'S', 'M' or 'L'"),
        (
            'base = "laptop"\nbeyond_seeds = [3, 5]',
            "beyond_seeds is [3, 5]; it names trainings of size S by their seeds, each once: [0, 1",
        ),
        (
            'base = "laptop"\nbeyond_seeds = [3, 3]',
            "beyond_seeds is [3, 3]; it names trainings of size S by their seeds, each once: [0, 1",
        ),
        (
            'base = "laptop"\nadaptation.sensitivity_seeds = [5]',
            "sensitivity_seeds is [5]; it names adaptations by their seeds, each once: [0, 1",
        ),
        ('base = "quick"\nseeds.S = 0', "seeds.S is 0; it must be greater than 0"),
        ('base = "quick"\ntraining.steps = "5"', "training.S.steps is '5'; it must be a valid integer"),
        ('base = "quick"\ntraining.M.steps = true', "training.M.steps is True; it must be a valid integer"),
        ('base = "quick"\ntraining.stepz = 5', "no field training.S.stepz (did you mean 'steps'?); training.S takes"),
        ('base = "quick"\ntraining.learning_rate = nan', "learning_rate is 'nan'; it must be a valid number"),
        ('base = "quick"\ntraining = 5', "training is 5; it must be a table"),
        ('base = "quick"\ntraining.M.snapshots = [10_000]', "training.M: snapshots names step 10000; the training has"),
        ('base = "quick"\nmodels.S.encoder.heads = 5', "models.S.encoder: heads is 5; it must divide dim, which is 32"),
        ('base = "quick"\nmodels.S = "none"', "models.S is missing; there must be S, M, L"),
        ('base = "quick"\ntokens.vocabulary = 50', "vocabulary is 29 in the model, 50 in the tokens"),
        ('base = "quick"\ncorpus.source = "radio"', "corpus.source is 'radio'; it must be one of synthetic, libri"),
        ('base = "quick"\ncorpus.domain = 1', "corpus.domain (did you mean 'domains'?); corpus takes source, synth"),
        ('base = "quick"\ncorpus.domains.prose = -1.0', "corpus: domains needs shares of at least 0"),
        ('base = "quick"\ncorpus.speakers.train = 5000', "corpus: speakers asks for {'train': 5000"),
        ('base = "quick"\nadaptation.held_out = "prose"', "adaptation: held_out is 'prose'; it must be one of"),
        ('base = "quick"\nadaptation.model.encoder.layers = 3', "model.encoder.layers is 3; it must be at least 4"),
        ('base = "quick"\nadaptation.federated.clients_per_round = 25', "it must be at most corpus.speakers.train, 24"),
    ],
)
def test_a_file_that_is_no_profile_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, 'base = "mine.toml"', "other.toml")
    path = write(tmp_path, text)
    result = CliRunner().invoke(main, ["records", "--profile", path])
    assert result.exit_code == 2
    refusal = result.output.splitlines()[-1]
    assert refusal.startswith("Error: Invalid value for '--profile': ")
    assert "mine.toml" in refusal
    assert message in refusal
    with pytest.raises(ParameterError) as refused:
        check("intro", {"profile": path})
    assert len(str(refused.value).splitlines()) == 1
    assert message in str(refused.value)


def test_a_file_called_like_a_built_in_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"laptop\.toml has the name of a built-in profile; call it anything but"):
        profile_of(write(tmp_path, FEW_STEPS, "laptop.toml"))


def test_records_of_ones_own_profile_are_listed_and_are_in_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, 'base = "laptop"\nseeds = { M = "none", L = "none" }\n')
    mine = profile_of("mine.toml")
    assert is_published(profile_of("laptop"))
    assert not is_published(mine)
    assert store_of(mine).directory == cache / "records"
    write(tmp_path, FEW_STEPS)
    result = CliRunner().invoke(main, ["records", "--profile", "mine.toml", "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert "training, S GroupNorm, 2 groups: 0 of 2; missing: seeds 0, 1" in result.output


def test_a_chapter_runs_at_ones_own_profile_from_another_directory(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "root"
    write_chapter(root, "model_size", BODY)
    write(tmp_path, FEW_STEPS)
    command = [sys.executable, "-m", "paper_lib", "chapter", "model_size", "-p", "profile", "mine.toml", "--root", root]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    page = Path(result.stdout.strip()).read_text()
    assert "mine: 3 steps" in page
    assert len(list((cache / "records" / "training").glob("*.json"))) == 1
    # The page calls the profile by its name, and tells nobody where the file is.
    assert "<dt>Profile</dt><dd>mine</dd>" in page
    assert "paper_lib chapter model_size -p profile mine.toml" in page
    assert str(tmp_path / "mine.toml") not in page
    cells = nbformat.reads(page, as_version=4).cells
    assert "profile = 'mine.toml'" in [line for cell in cells for line in cell.source.splitlines()]


def test_plain_papermill_takes_a_file_where_it_runs(tmp_path: Path, cache: Path) -> None:
    source = write_chapter(tmp_path / "root", "model_size", BODY)
    write(tmp_path, FEW_STEPS)
    command = f"set -o pipefail; {sys.executable} -m jupytext --to ipynb --output - {source}"
    command += f" | {sys.executable} -m papermill - out.ipynb -r profile mine.toml"
    result = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "mine: 3 steps" in (tmp_path / "out.ipynb").read_text()


def test_a_page_is_made_again_when_the_file_or_its_base_has_changed(tmp_path: Path, cache: Path) -> None:
    write_chapter(tmp_path, "intro", "1 + 1")
    write(tmp_path, FEW_STEPS, "few.toml")
    parameters = {"profile": write(tmp_path, 'base = "few.toml"\n')}
    digests = [inputs_digest("intro", parameters, tmp_path), inputs_digest("intro", parameters, tmp_path)]
    write(tmp_path, 'base = "few.toml"\n# The same profile.\n')
    digests.append(inputs_digest("intro", parameters, tmp_path))
    assert len(set(digests)) == 1
    write(tmp_path, 'base = "few.toml"\nnorm_seeds = 1\n')
    digests.append(inputs_digest("intro", parameters, tmp_path))
    write(tmp_path, FEW_STEPS + "module_repeats = 2\n", "few.toml")
    digests.append(inputs_digest("intro", parameters, tmp_path))
    assert len(set(digests)) == 3


def test_a_book_is_made_at_ones_own_profile(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two chapters, in processes of their own, and one study."""
    root = tmp_path / "root"
    for name in ("intro", "model_size"):
        write_chapter(root, name, BODY)
    write_configuration(root, "intro", "model_size")
    write(tmp_path, FEW_STEPS + "seeds = { S = 1, M = 'none', L = 'none' }\n")
    monkeypatch.setattr(book, "CHAPTERS", {name: CHAPTERS[name] for name in ("intro", "model_size")})
    monkeypatch.setattr(book, "STUDIES", {"model_size": STUDIES["model_size"]})
    monkeypatch.chdir(tmp_path)
    get_reusable_executor().shutdown(wait=True)  # workers of earlier tests have their environment, and so their cache
    asked: list[Any] = []
    measure = book.compute_missing
    monkeypatch.setattr(book, "compute_missing", lambda studies, store: [asked.append(store), measure(studies, store)])
    index = book.build_book("mine.toml", root)
    assert index == root / "_build" / "html" / "index.html"
    page = (index.parent / "book" / "model_size.html").read_text()
    assert "mine: 3 steps" in page
    assert "read from the store" in page  # what the book had computed before its chapters ran
    assert [store.directory for store in asked] == [cache / "records"]
