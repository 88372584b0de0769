"""The profile of human speech: what was trained on a synthesiser's voices meets people."""

from __future__ import annotations

from paper_lib.profiles.laptop import laptop
from paper_lib.profiles.profile import SIZES, AdaptationProfile, Profile
from paper_lib.recipes import fine_tuning
from paper_lib.settings import (
    PEOPLE,
    FederatedSettings,
    ServerOptimizerSettings,
    SpeechCommandsSettings,
    SyntheticSettings,
)


def human() -> Profile:
    """Returns the profile whose trainings are those of `laptop`, fine-tuned on people; its clients are people, too.

    Clients begin with the ConformerS of `laptop`: its ambient layers are known, and a streaming one took three times as
    many steps to follow people. A client's recordings are cut into strings once: nobody has more speech than they
    recorded. Rates and rounds were chosen on dev speech.
    """
    base = laptop()
    synthetic = base.corpus
    assert isinstance(synthetic, SyntheticSettings)
    federated = FederatedSettings(
        rounds=60,
        clients_per_round=6,
        local_epochs=2,
        local_batch_frames=800,
        client_learning_rate=0.03,
        server=ServerOptimizerSettings(kind="adam", learning_rate=5e-4, betas=(0.8, 0.99)),
        decay_fraction=0.25,
        precision="bf16",
    )
    return base.model_copy(
        update={
            "name": "human",
            "base": base,
            "corpus": SpeechCommandsSettings(),
            "other_voices": None,
            "training": dict.fromkeys(SIZES, fine_tuning(480)),
            "seeds": {"S": 5},
            "adaptation": AdaptationProfile(
                corpus=synthetic,
                clients=SpeechCommandsSettings(passes={"train": 1, "dev": 2, "test": 2}),
                held_out=PEOPLE,
                tokens=base.tokens,
                model=base.models["S"],
                training=base.training["S"],
                reset=base.adaptation.reset,
                federated=federated,
                centralised=base.adaptation.centralised,
                measure_every=5,
                trainings=base.seeds["S"],
                seeds=5,
                sensitivity_seeds=1,
                norm_seeds=5,
            ),
        }
    )
