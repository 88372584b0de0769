"""The profile of hours on a laptop: the paper's encoders on synthetic speech."""

from __future__ import annotations

from paper_lib.models import CHARACTERS, laptop_streaming, paper_size
from paper_lib.profiles.profile import SIZES, AdaptationProfile, Profile
from paper_lib.recipes import deep_training
from paper_lib.settings import FederatedSettings, ResetSettings, ServerOptimizerSettings, SyntheticSettings


def laptop() -> Profile:
    """Returns the profile of the paper's encoders on some hours of synthetic speech in several domains."""
    corpus = SyntheticSettings(
        domains={"short_form": 0.35, "dictation": 0.35, "telephone": 0.3},
        channels={"clean": 0.5, "noise": 0.2, "far_field": 0.15, "telephone": 0.15},
        snr_db=(5.0, 20.0),
        most_words=10,
        utterances={"train": 8000, "dev": 400, "test": 1000},
        speakers={"train": 300, "dev": 48, "test": 150},
    )
    flite = {"synthesiser": "flite", "utterances": {"test": 400}, "speakers": {"test": 4}}
    return Profile(
        name="laptop",
        corpus=corpus,
        other_voices=corpus.model_copy(update=flite),
        tokens=CHARACTERS,
        models={size: paper_size(size, vocabulary=CHARACTERS.vocabulary) for size in SIZES},
        training={
            "S": deep_training(1e-3, 300),
            "M": deep_training(8e-4, 300),
            "L": deep_training(3e-4, 500),
        },
        reset=ResetSettings(draws=2),
        seeds={"S": 5, "M": 5, "L": 3},
        norm_seeds=5,
        module_repeats=2,
        adaptation=AdaptationProfile(
            corpus=SyntheticSettings(
                domains={"short_form": 0.11, "conversation": 0.33, "dictation": 0.28, "telephone": 0.28},
                evaluation_domains={"short_form": 0.4, "conversation": 0.2, "dictation": 0.2, "telephone": 0.2},
                most_words=8,
                utterances={"train": 8000, "dev": 600, "test": 1600},
                speakers={"train": 80, "dev": 80, "test": 80},
                unseen_speakers=False,
            ),
            tokens=CHARACTERS,
            model=laptop_streaming(),
            training=deep_training(1e-3, 300),
            reset=ResetSettings(draws=0, split="dev"),
            federated=FederatedSettings(
                rounds=32,
                clients_per_round=8,
                local_batch_frames=1000,
                client_learning_rate=0.03,
                server=ServerOptimizerSettings(kind="adam", learning_rate=5e-4, betas=(0.8, 0.99)),
                decay_fraction=0.25,
                precision="bf16",
            ),
            measure_every=4,
            trainings=5,
            seeds=5,
            sensitivity_seeds=3,
        ),
    )
