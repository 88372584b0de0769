"""The live panels, operated as ipywidgets are, over the model that comes with the library."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from panels import file_of, uploaded, words
from tiny_runs import tiny_run

from paper_lib.checkpoint import DamagedFileError
from paper_lib.conformer.decoding import greedy_decode, transcribe
from paper_lib.corpus import Corpus, open_corpus
from paper_lib.corpus.batches import evaluation_batches
from paper_lib.corpus.features import log_mel
from paper_lib.corpus.speakers import ACCENTS, all_speakers, split_of
from paper_lib.corpus.synthetic import speakers_of
from paper_lib.evaluation import wer
from paper_lib.explorers.planner import planner
from paper_lib.federated.accounting import account
from paper_lib.figures.tables import percent
from paper_lib.fitted import Fit
from paper_lib.layers.ranking import intact_wer, layer_effects
from paper_lib.layers.reset_sweep import reset_sweep
from paper_lib.layers.signature import signature
from paper_lib.layers.sweeps import Sweeps
from paper_lib.layers.variants import KINDS, MODULES
from paper_lib.profiles.shipped import shipped_run
from paper_lib.settings import ResetSettings
from paper_lib.studies.computing import trained_model
from paper_lib.widgets.federated import FederatedPanel, spoken_commands
from paper_lib.widgets.hearing import HearingPanel
from paper_lib.widgets.layers import LayersPanel, spoken_tests
from paper_lib.widgets.recogniser import Recogniser
from paper_lib.widgets.shipped import PLACE, ShippedModel, load_shipped, model_at_hand, save_shipped
from paper_lib.widgets.signature import SignaturePanel
from paper_lib.widgets.speech import LONGEST, MOST_CHARACTERS, SpeechError, recorded, typed, voices

CPU = torch.device("cpu")
SENTENCE = "hello chris are you free next week"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPER_LIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def shipped() -> ShippedModel:
    return load_shipped()


# The shipped model.


def test_the_model_is_a_few_megabytes_and_understands_new_sentences_of_its_domains(shipped: ShippedModel) -> None:
    assert PLACE.stat().st_size < 5e6
    batches = evaluation_batches(open_corpus(spoken_tests(shipped)), "test", 3000, 60)
    assert wer(transcribe(shipped.model, batches, shipped.tokenizer, CPU)) < 0.2


def test_a_model_comes_back_as_it_was_saved(trained: Fit, tmp_path: Path, shipped: ShippedModel) -> None:
    run = shipped.run.model_copy(update={"model": trained.model.settings})
    save_shipped(run, trained, tmp_path / "model.safetensors")
    again = load_shipped(tmp_path / "model.safetensors")
    assert again.run == run
    assert again.model.state_dict().keys() == trained.model.state_dict().keys()
    for name, tensor in again.model.state_dict().items():
        assert torch.equal(tensor, trained.model.state_dict()[name])
    assert all(torch.equal(again.initial[name], tensor) for name, tensor in trained.initial.items())
    assert again.training["distance_steps"] == trained.history.distance_steps


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    damaged = Path(shutil.copy(PLACE, tmp_path))
    content = bytearray(damaged.read_bytes())
    content[-5] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(DamagedFileError, match="does not match its digest"):
        load_shipped(damaged)


def test_where_the_cache_has_no_model_of_a_training_the_shipped_one_is_at_hand(
    shipped: ShippedModel, tiny_corpus: Corpus, tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAPER_LIB_CACHE", str(tmp_path))
    (tmp_path / "corpora").symlink_to(tiny_cache / "corpora")
    run, model, _ = model_at_hand(tiny_run())
    assert run == shipped.run == shipped_run()
    assert all(torch.equal(tensor, shipped.model.state_dict()[name]) for name, tensor in model.state_dict().items())
    fitted = trained_model(tiny_run())
    run, model, _ = model_at_hand(tiny_run())
    assert run == tiny_run()
    assert all(torch.equal(tensor, fitted.model.state_dict()[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("module", [None, *MODULES])
def test_all_resets_in_one_pass_are_those_of_models_that_were_reset_one_by_one(
    shipped: ShippedModel, kind: str, module: str | None
) -> None:
    waveform = typed(SENTENCE, all_speakers()[0]).waveform
    found = Recogniser(shipped).recognise(waveform, kind, module)  # type: ignore[arg-type]
    features = torch.from_numpy(log_mel(waveform))[None]

    def heard() -> str:
        with torch.inference_mode():
            encoded, frames = model.encode(features, torch.tensor([features.shape[1]]))
        return shipped.tokenizer.decode(greedy_decode(model, encoded, frames)[0])

    model = load_shipped().model
    assert found.intact == heard() == SENTENCE
    for layer, text in enumerate(found.resets):
        model = load_shipped().model
        fresh = shipped.initial
        if kind == "re-randomisation":
            place = (shipped.run.seed, layer + 1, 0)  # training, layer from 1, draw
            torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))
            drawn = type(model.encoder.layers[0])(model.encoder.settings).state_dict()
            fresh = {f"encoder.layers.{layer}.{name}": tensor for name, tensor in drawn.items()}
        prefix = f"encoder.layers.{layer}." + (f"{module}." if module else "")
        model.load_state_dict({name: t for name, t in fresh.items() if name.startswith(prefix)}, strict=False)
        assert text == heard()


# Speech that a reader brings.


def test_typed_text_is_spoken_without_capitals_and_punctuation() -> None:
    speech = typed("  Hello Chris — are you, FREE; next week? ", all_speakers()[0])
    assert speech.text == SENTENCE
    assert np.array_equal(speech.waveform, typed(SENTENCE, all_speakers()[0]).waveform)
    assert 1 < speech.seconds < 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing to say"),
        (" ?! '", "nothing to say"),
        ("a" * (MOST_CHARACTERS + 1), f"has {MOST_CHARACTERS + 1} characters; at most {MOST_CHARACTERS}"),
        ("set it to 7", r"not 7 \(write numbers as words\)"),
        ("cafés <b>", "not < > é"),
    ],
)
def test_text_that_cannot_be_spoken_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(SpeechError, match=reason):
        typed(text, all_speakers()[0])


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_stereo_recording_at_another_rate_is_understood_as_its_original(shipped: ShippedModel, form: str) -> None:
    original = typed(SENTENCE, all_speakers()[0]).waveform
    wide = np.interp(np.arange(0, len(original), 16000 / 44100), np.arange(len(original)), original)
    stereo = np.stack([0.2 * wide, 0.1 * wide], axis=1)
    speech = recorded(file_of(stereo, 44100, format=form), "mine")
    assert len(speech.waveform) == pytest.approx(len(original), abs=1600)  # MP3 pads
    assert float(np.abs(speech.waveform).max()) == pytest.approx(0.5, abs=0.05)
    assert Recogniser(shipped).recognise(speech.waveform, "re-initialisation").intact == SENTENCE


TONE = np.sin(np.arange(16000) / 10).astype(np.float32)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "x.wav is no sound file that can be read here"),
        (b"This is a text file.\n" * 100, "x.wav is no sound file that can be read here"),
        (file_of(np.tile(TONE, 600), 16000), f"x.wav lasts 10 min 0 s; at most {LONGEST} s"),
        (file_of(np.tile(TONE, 21), 16000), f"x.wav lasts 21 s; at most {LONGEST} s"),
        (file_of(TONE, 4000), "x.wav has 4000 samples a second; at least 8000"),
        (file_of(0 * TONE, 16000), "x.wav is silent"),
        (file_of(0 * TONE + 0.3, 16000), "x.wav is silent"),
        (file_of(TONE[:0], 16000), "x.wav holds no sound: it is empty or cut off"),
        (file_of(TONE, 16000, format="OGG")[:4000], "x.wav holds no sound: it is empty or cut off"),
        (file_of(TONE + np.nan, 16000, subtype="FLOAT"), "x.wav holds values that are not numbers"),
    ],
    ids=[
        "empty",
        "text",
        "ten minutes",
        "21 seconds",
        "4 kHz",
        "silence",
        "offset",
        "no samples",
        "OGG cut off",
        "NaN",
    ],
)
def test_a_file_that_cannot_be_recognised_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(SpeechError, match=reason):
        recorded(content, "x.wav")


# A reader's recordings are seldom whole. TONE lasts a second.
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 16000).astype(np.float32)
FLAC, MP3, WAV = (file_of(NOISE, 16000, format=form) for form in ("FLAC", "MP3", "WAV"))


@pytest.mark.parametrize(
    "content",
    [
        FLAC[: len(FLAC) // 2],
        FLAC[: len(FLAC) // 2] + bytes([FLAC[len(FLAC) // 2] ^ 1]) + FLAC[len(FLAC) // 2 + 1 :],
        FLAC[: len(FLAC) // 2] + bytes(500) + FLAC[len(FLAC) // 2 + 500 :],
        FLAC[: len(FLAC) // 2] + FLAC[len(FLAC) // 2 + 40 :],
    ],
    ids=["cut off", "one bit", "zeroed", "bytes missing"],
)
def test_damaged_flac_is_refused(content: bytes) -> None:
    with pytest.raises(SpeechError, match=r"x.flac is cut off or damaged: not all of its 1.0 s can be read"):
        recorded(content, "x.flac")


def test_flac_without_its_length_is_refused() -> None:
    # The last 36 bits of STREAMINFO but for its checksum count the samples.
    content = FLAC[:21] + bytes([FLAC[21] & 0xF0]) + bytes(4) + FLAC[26:]
    with pytest.raises(SpeechError, match=r"x.flac does not tell its length"):
        recorded(content, "x.flac")


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 36], ids=["0", "largest", "of an empty file"])
@pytest.mark.parametrize("data", [0, 0xFFFFFFFF], ids=["0", "largest"])
def test_a_wav_file_whose_sizes_were_never_filled_in_is_read_to_its_end(size: int, data: int) -> None:
    assert WAV[36:40] == b"data"
    content = WAV[:4] + size.to_bytes(4, "little") + WAV[8:40] + data.to_bytes(4, "little") + WAV[44:]
    assert np.array_equal(recorded(content, "x.wav").waveform, recorded(WAV, "x.wav").waveform)


def test_a_wav_file_without_samples_is_not_its_other_chunks() -> None:
    empty = file_of(NOISE[:0], 16000)
    content = empty + b"LIST" + (1000).to_bytes(4, "little") + bytes(range(250)) * 4
    content = content[:4] + (len(content) - 8).to_bytes(4, "little") + content[8:]
    with pytest.raises(SpeechError, match=r"x.wav holds no sound"):
        recorded(content, "x.wav")


def test_the_label_tells_how_much_of_a_cut_mp3_was_read() -> None:
    speech = recorded(MP3[: len(MP3) // 2], "x.mp3")
    assert 0.3 < speech.seconds < 0.6
    assert speech.label == f"x.mp3, {speech.seconds:.1f} s"


@pytest.mark.parametrize("other", [-1.0, -0.98], ids=["exact", "nearly"])
def test_channels_of_opposite_phase_are_understood(shipped: ShippedModel, other: float) -> None:
    original = typed(SENTENCE, all_speakers()[0]).waveform
    speech = recorded(file_of(np.stack([original, other * original], axis=1), 16000), "mine")
    assert Recogniser(shipped).recognise(speech.waveform, "re-initialisation").intact == SENTENCE


def test_one_channel_of_many_is_understood(shipped: ShippedModel) -> None:
    original = typed(SENTENCE, all_speakers()[0]).waveform
    channels = np.zeros((len(original), 6), np.float32)
    channels[:, 2] = original
    speech = recorded(file_of(channels, 16000), "mine")
    assert Recogniser(shipped).recognise(speech.waveform, "re-initialisation").intact == SENTENCE


def test_a_constant_offset_changes_nothing(shipped: ShippedModel) -> None:
    original = 0.2 * typed(SENTENCE, all_speakers()[0]).waveform
    ours, theirs = (recorded(file_of(original + offset, 16000), "mine").waveform for offset in (0.5, 0.0))
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert Recogniser(shipped).recognise(ours, "re-initialisation").intact == SENTENCE


# The panels.


def test_what_the_model_hears_follows_the_sentence_and_the_reset(shipped: ShippedModel) -> None:
    panel = HearingPanel(shipped)
    assert "recognised 7 times" in panel.status.value
    panel.text.value = SENTENCE
    panel.speak.click()
    recogniser = Recogniser(shipped)
    waveform = typed(SENTENCE, panel.speaker.value).waveform
    for kind in KINDS:
        panel.kind.value = kind
        for module in (None, "convolution"):
            panel.module.value = module
            found = recogniser.recognise(waveform, kind, module)  # type: ignore[arg-type]
            rows = re.findall(r'<tr><th scope="row">(.*?)</th><td>(.*?)</td>', panel.transcripts.value)
            shown = {name: words(re.sub(r"<del>.*?</del>", "", text)) for name, text in rows}
            assert shown.pop("said") == SENTENCE
            assert shown.pop("intact") == found.intact
            assert list(shown.values()) == [text or "nothing" for text in found.resets]
    assert "<audio" in panel.heard.value


def test_known_and_new_voices_of_every_accent_can_be_chosen(shipped: ShippedModel) -> None:
    options = dict(HearingPanel(shipped).speaker.options)
    assert sorted(speaker.name.partition("+")[0] for speaker in options.values()) == sorted(2 * ACCENTS)
    heard_in_training = speakers_of(shipped.run.corpus, "train")  # type: ignore[arg-type]
    for label, speaker in options.items():
        assert label == f"{speaker.name}, {'known' if speaker in heard_in_training else 'new'}"


def test_a_new_voice_is_one_that_training_never_had_also_where_splits_share_no_speaker(shipped: ShippedModel) -> None:
    corpus = shipped.run.corpus.model_copy(update={"unseen_speakers": True, "speakers": {"train": 648}})
    run = shipped.run.model_copy(update={"corpus": corpus})
    new = [speaker for label, speaker in voices(replace(shipped, run=run)) if label.endswith(", new")]
    assert len(new) == len(ACCENTS)
    assert "train" not in {split_of(speaker) for speaker in new}


def test_wrong_input_is_told_and_the_last_answer_stays(shipped: ShippedModel) -> None:
    panel = HearingPanel(shipped)
    before = panel.transcripts.value
    panel.text.value = ""
    panel.speak.click()
    assert 'role="alert"' in panel.status.value
    assert "There is nothing to say" in panel.status.value
    panel.upload.value = uploaded("notes.wav", b"some text")
    assert "notes.wav is no sound file" in panel.status.value
    assert panel.transcripts.value == before


def test_a_recording_is_compared_with_what_the_intact_model_makes_of_it(shipped: ShippedModel) -> None:
    panel = HearingPanel(shipped)
    content = file_of(typed(SENTENCE, all_speakers()[0]).waveform, 16000)
    panel.upload.value = uploaded("mine.wav", content)
    shown = words(panel.transcripts.value)
    assert f"intact {SENTENCE} 0" in shown
    assert "Words unlike the intact" in shown
    assert " said " not in shown


@pytest.mark.parametrize("unit", ["layer", "module"])
def test_layers_are_measured_as_by_a_reset_sweep(shipped: ShippedModel, unit: Any) -> None:
    panel = LayersPanel(shipped)
    panel.sentences.value, panel.unit.value = 20, unit
    panel.measure.click()
    settings = ResetSettings(unit=unit, draws=1 if unit == "layer" else 0)
    batches = evaluation_batches(open_corpus(spoken_tests(shipped)), "test", settings.batch_frames, 20)
    result = reset_sweep(
        shipped.model, shipped.initial, batches, shipped.tokenizer, settings, shipped.run.seed, CPU
    ).record()
    sweeps = Sweeps.of([result])
    assert panel.effects == layer_effects(sweeps)
    assert f"Intact WER {percent(intact_wer(sweeps))} % on 20 new sentences" in words(panel.result.value)
    heads = [words(head) for head in re.findall(r'<th scope="row".*?</th>', panel.result.value)]
    parts = [""] if unit == "layer" else [f", {module}" for module in MODULES]
    once = [f"{layer}{part}" for layer in range(1, 7) for part in parts]
    assert heads == once * (2 if unit == "layer" else 1)
    assert not panel.measure.disabled


def test_what_goes_wrong_in_measuring_is_told(shipped: ShippedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = LayersPanel(shipped)
    monkeypatch.setenv("PAPER_LIB_CACHE", "/proc/nowhere")
    panel.measure.click()
    assert 'role="alert"' in panel.status.value
    assert "/proc/nowhere" in panel.status.value
    assert panel.result.value == ""
    assert not panel.measure.disabled


def test_the_signature_is_that_of_the_chosen_step(shipped: ShippedModel) -> None:
    panel = SignaturePanel(shipped)
    for step in (shipped.training["distance_steps"][0], shipped.training["distance_steps"][-1]):
        panel.step.value = step
        values = signature(shipped.training, step=step)
        assert f"of layer {values.min(0).argmin() + 1} ({values.min():.2f})" in panel.status.value
        assert "Heat map" in panel.map.value


def test_the_last_distances_are_those_of_the_shipped_weights(shipped: ShippedModel) -> None:
    trained = shipped.model.state_dict()
    for name, moved in shipped.training["distances"].items():
        distance = torch.linalg.vector_norm(trained[f"encoder.{name}"] - shipped.initial[f"encoder.{name}"])
        assert moved[-1] == pytest.approx(float(distance), rel=1e-4)


def test_what_a_client_saves_follows_the_sliders(shipped: ShippedModel) -> None:
    panel = FederatedPanel(shipped)
    panel.presets[1].click()
    panel.rates[5].value = 95
    assert panel.plan.rates == dict.fromkeys(range(1, 6), 0.2) | {6: 0.95}
    found = account(panel.plan, shipped.run.model, 2.0, 20)
    assert f"without {found.dropped:,} of {found.parameters:,} parameters" in panel.saved.value
    assert f"receives {found.down / 1e6:.2f} MB" in panel.saved.value


def test_a_notebook_has_the_controls_of_the_pages_planner(shipped: ShippedModel) -> None:
    panel = FederatedPanel(shipped)
    page = planner(shipped.run.model, [], seconds=1.0, labels=3, caption="").html
    presets = dict(re.findall(r'data-rate="(\d+)">([^<]+)</button>', page))
    assert list(presets.values()) == [preset.description for preset in panel.presets]
    for rate, preset in zip(presets, panel.presets, strict=True):
        preset.click()
        assert {str(slider.value) for slider in panel.rates} == {rate}
    sliders = re.findall(r'min="(\d+)" max="(\d+)" step="(\d+)"', page)
    assert sliders == [(str(slider.min), str(slider.max), str(slider.step)) for slider in panel.rates]


def test_a_federated_run_is_stopped_and_another_one_is_compared_with_it(shipped: ShippedModel) -> None:
    panel = FederatedPanel(shipped)
    panel.rounds.value = 40
    panel.start.click()
    assert panel.start.disabled
    assert not panel.stop.disabled
    deadline = time.monotonic() + 120
    while not panel.runs and time.monotonic() < deadline:
        time.sleep(0.1)
    panel.stop.click()
    panel.thread.join(120)
    (stopped,) = panel.runs.values()
    assert f"Stopped after {len(stopped) - 1} rounds" in panel.status.value
    assert len(stopped) < 40
    sentences = evaluation_batches(open_corpus(spoken_commands(shipped)), "dev", 3000)
    assert stopped[0] == wer(transcribe(shipped.model, sentences, shipped.tokenizer, CPU))
    panel.presets[2].click()
    panel.rounds.value = 2
    panel.start.click()
    panel.thread.join(120)
    assert list(panel.runs) == ["1: 0/0/0/0/0/0", "2: 50/50/50/50/50/50"]
    assert list(panel.runs["2: 50/50/50/50/50/50"]) == [0, 1, 2]
    assert "Done after 2 rounds" in panel.status.value
    assert panel.stop.disabled
    panel.clear.click()
    assert panel.runs == {}
    assert panel.result.value == ""


def test_what_goes_wrong_in_a_run_is_told(shipped: ShippedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = FederatedPanel(shipped)
    monkeypatch.setenv("PAPER_LIB_CACHE", "/proc/nowhere")
    monkeypatch.setattr("threading.excepthook", lambda arguments: None)
    panel.start.click()
    panel.thread.join(60)
    assert 'role="alert"' in panel.status.value
    assert "/proc/nowhere" in panel.status.value
    assert not panel.start.disabled
