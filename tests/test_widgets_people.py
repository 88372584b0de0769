"""The model of people that comes with the library, and its panel. No recording is needed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from panels import file_of, uploaded, words
from tiny_runs import CPU, TINY_CORPUS, tiny_run

from paper_lib.checkpoint import load_tensors
from paper_lib.conformer.decoding import transcribe
from paper_lib.corpus import Corpus, speech_commands
from paper_lib.corpus.batches import evaluation_batches
from paper_lib.corpus.speakers import all_speakers, speak
from paper_lib.evaluation import wer
from paper_lib.figures.tables import percent
from paper_lib.paths import MissingDataError
from paper_lib.profiles.shipped import shipped_people_run, shipped_run
from paper_lib.settings import CorpusSettings, SpeechCommandsSettings, TrainingRun
from paper_lib.studies.computing import trained_model
from paper_lib.widgets.hearing import HearingPanel, voices
from paper_lib.widgets.recogniser import Recogniser
from paper_lib.widgets.shipped import PEOPLE_PLACE, PLACE, ModelCard, ShippedModel, load_shipped, make_shipped
from paper_lib.widgets.speech import LONGEST, typed

NINE = ("down", "eight", "five", "go", "left", "one", "right", "up", "zero")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def people() -> ShippedModel:
    return load_shipped(PEOPLE_PLACE)


@pytest.fixture(scope="module")
def card(people: ShippedModel) -> ModelCard:
    assert people.card
    return people.card


@pytest.fixture
def panel(people: ShippedModel) -> HearingPanel:
    return HearingPanel(people, "Go left")


def test_the_model_is_a_few_megabytes_and_that_of_its_training(people: ShippedModel) -> None:
    assert PEOPLE_PLACE.stat().st_size < 5e6
    assert people.run == shipped_people_run()
    assert people.run.base == shipped_run()


def test_its_step_0_is_that_of_the_model_that_it_was_fine_tuned_from(people: ShippedModel) -> None:
    base = load_shipped()
    weights = [name for name in base.initial if not name.startswith("feature_")]
    assert all(torch.equal(people.initial[name], base.initial[name]) for name in weights)
    assert not torch.equal(people.initial["feature_mean"], base.initial["feature_mean"])


def test_its_card_tells_words_people_and_how_well_they_are_understood(card: ModelCard) -> None:
    recordings = [line.split()[1] for line in speech_commands.LIST.read_text().splitlines()]
    assert card.words == NINE == tuple(sorted({path.split("/")[0] for path in recordings}))
    names = {path.split("/")[1].split("_")[0] for path in recordings}
    assert card.test_people == sum(speech_commands.split_of(name) == "test" for name in names)
    assert 0 < card.test_wer.low < card.test_wer.value < card.test_wer.high < 0.3


def test_author_source_and_licence_are_in_the_file_and_beside_it() -> None:
    _, metadata = load_tensors(PEOPLE_PLACE)
    beside = PEOPLE_PLACE.with_suffix(".LICENSE.md").read_text()
    for text in (metadata["card"], beside):
        assert "Pete Warden" in text
        assert "speech_commands_v0.02.tar.gz" in text
        assert re.search(r"CC BY 4\.0|Creative Commons BY 4\.0", text)


def test_a_model_of_synthetic_speech_has_no_card() -> None:
    assert load_shipped().card is None


# Making them, by tiny trainings.


@pytest.fixture
def cache(tiny_corpus: Corpus, tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that has the tiny corpus, and no recordings."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "corpora").symlink_to(tiny_cache / "corpora")
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PAPER_LIB_SPEECH_COMMANDS", str(tmp_path / "nowhere"))


def fine_tuned(corpus: CorpusSettings) -> TrainingRun:
    return tiny_run().model_copy(update={"corpus": corpus, "base": tiny_run(), "seed": 3})


@pytest.mark.usefixtures("cache")
def test_both_models_are_made_and_the_card_is_measured_on_the_test(tiny_corpus: Corpus, tmp_path: Path) -> None:
    run = fine_tuned(TINY_CORPUS)
    make_shipped(tiny_run(), run, tmp_path)
    synthetic, people = (load_shipped(tmp_path / path.name) for path in (PLACE, PEOPLE_PLACE))
    assert (synthetic.run, synthetic.card) == (tiny_run(), None)
    assert people.run == run
    batches = evaluation_batches(tiny_corpus, "test", 1000)
    pairs = transcribe(trained_model(run).model, batches, people.tokenizer, CPU)
    assert people.card
    assert people.card.test_wer.value == pytest.approx(wer(pairs))
    assert people.card.test_people == 2
    assert people.card.test_words == sum(len(said.split()) for said, _ in pairs)
    assert set(people.card.words) == {word for said, _ in pairs for word in said.split()}


@pytest.mark.usefixtures("cache")
def test_without_recordings_the_model_of_people_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / PEOPLE_PLACE.name).write_text("as it was")
    with pytest.raises(MissingDataError, match="nowhere has no recordings of Speech Commands; to download"):
        make_shipped(tiny_run(), fine_tuned(SpeechCommandsSettings()), tmp_path)
    assert load_shipped(tmp_path / PLACE.name).run == tiny_run()
    assert (tmp_path / PEOPLE_PLACE.name).read_text() == "as it was"


# The panel.


def test_the_panel_says_its_words_its_wer_and_whose_recordings_it_learnt_from(
    panel: HearingPanel, card: ModelCard
) -> None:
    said = words(panel.view.children[0].value)
    assert f"It knows 9 words: {', '.join(NINE)}." in said
    assert f"WER on the {card.test_people} people of the test, whom it never heard: {percent(card.test_wer)} %" in said
    assert "Pete Warden" in said
    assert "CC BY 4.0" in said


def test_the_panel_of_synthetic_speech_says_no_words() -> None:
    assert "It knows" not in str([getattr(child, "value", "") for child in HearingPanel(load_shipped()).view.children])


def test_a_string_of_its_words_is_recognised_with_each_layer_reset(people: ShippedModel, panel: HearingPanel) -> None:
    assert "recognised 7 times" in panel.status.value
    panel.text.value = "Up, zero!"
    found = Recogniser(people).recognise(typed("up zero", panel.speaker.value, NINE).waveform, "re-initialisation")
    rows = re.findall(r'<tr><th scope="row">(.*?)</th><td>(.*?)</td>', panel.transcripts.value)
    shown = {name: words(re.sub(r"<del>.*?</del>", "", text)) for name, text in rows}
    assert shown.pop("said") == "up zero"
    assert list(shown.values()) == [text or "nothing" for text in (found.intact, *found.resets)]


def test_it_understands_strings_of_its_words_by_a_synthesiser_too(people: ShippedModel) -> None:
    recogniser = Recogniser(people)
    pairs = []
    for place, (_, speaker) in enumerate(voices(people)):
        said = " ".join(np.roll(NINE, place)[:3])
        pairs.append((said, recogniser.recognise(typed(said, speaker, NINE).waveform, "re-initialisation").intact))
    assert wer(pairs) < 0.3


def test_words_that_it_does_not_know_are_refused_by_name(panel: HearingPanel) -> None:
    before = panel.transcripts.value
    panel.text.value = "go home, left and home"
    assert 'role="alert"' in panel.status.value
    assert f"The model knows the words {', '.join(NINE)}, not home, and." in words(panel.status.value)
    assert panel.transcripts.value == before


SPOKEN = speak("zero", all_speakers()[0])


def test_a_recording_at_another_rate_is_heard_as_the_original(panel: HearingPanel) -> None:
    wide = np.interp(np.arange(0, len(SPOKEN), 16000 / 48000), np.arange(len(SPOKEN)), SPOKEN)
    heard = []
    for name, waveform, rate in (("original.wav", SPOKEN, 16000), ("wide.wav", 0.2 * wide, 48000)):
        panel.upload.value = uploaded(name, file_of(waveform.astype(np.float32), rate))
        shown = words(panel.transcripts.value)
        assert f"{name}, {len(SPOKEN) / 16000:.1f} s" in shown
        assert "Words unlike the intact" in shown
        heard.append(re.search(r"intact (.*?) 0", shown))
    assert heard[0]
    assert heard[1]
    assert heard[0][1] == heard[1][1]


TONE = np.sin(np.arange(16000) / 10).astype(np.float32)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "mine.wav is no sound file that can be read here"),
        (file_of(TONE[:0], 16000), "mine.wav holds no sound: it is empty or cut off"),
        (file_of(0 * TONE, 16000), "mine.wav is silent"),
        (file_of(TONE, 4000), "mine.wav has 4000 samples a second; at least 8000"),
        (file_of(np.tile(TONE, 21), 16000), f"mine.wav lasts 21 s; at most {LONGEST} s"),
    ],
    ids=["empty", "no samples", "silence", "4 kHz", "21 seconds"],
)
def test_a_file_that_cannot_be_recognised_is_told_and_the_last_answer_stays(
    panel: HearingPanel, content: bytes, reason: str
) -> None:
    before = panel.transcripts.value
    panel.upload.value = uploaded("mine.wav", content)
    assert reason in words(panel.status.value)
    assert panel.transcripts.value == before
