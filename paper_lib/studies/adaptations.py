"""The adaptations of a profile: clients with a plan, the reference that pools their speech, the model before."""

from __future__ import annotations

from paper_lib.federated.plans import named_plan
from paper_lib.profiles import AdaptationProfile
from paper_lib.settings import BitsPlan, DropoutPlan, FederatedSettings
from paper_lib.studies.measurements import AdaptationStudy


def adaptation(
    settings: AdaptationProfile,
    seed: int,
    plan: DropoutPlan,
    federated: FederatedSettings,
    bits: BitsPlan | None = None,
    trained: tuple[int, ...] | None = None,
) -> AdaptationStudy:
    """Returns federated learning by `plan`, from the training that `seed` begins with.

    `bits` and `trained` as in AdaptationStudy.
    """
    return AdaptationStudy(
        run=settings.run(seed),
        corpus=settings.clients,
        held_out=settings.held_out,
        plan=plan.by_rates(),  # crit-2 and high-2, where they drop in the same layers, are one measurement
        bits=bits and bits.by_bits(),
        trained=trained,
        federated=federated.model_copy(update={"seed": seed}),
        measure_every=settings.measure_every,
        batch_frames=settings.reset.batch_frames,
    )


def centralised(settings: AdaptationProfile, seed: int, federated: FederatedSettings) -> AdaptationStudy:
    """Returns the reference: the speech of the same clients in the same rounds, pooled at the server."""
    pooled = {"server": settings.centralised, "local_batch_frames": settings.centralised_batch_frames}
    study = adaptation(settings, seed, named_plan("none", ()), federated.model_copy(update=pooled))
    return study.model_copy(update={"method": "centralised"})


def unadapted(settings: AdaptationProfile, seed: int, federated: FederatedSettings) -> AdaptationStudy:
    """Returns the test of the model that the adaptations from `seed` begin with."""
    without = federated.model_copy(update={"rounds": 0})
    return adaptation(settings, seed % settings.trainings, named_plan("none", ()), without)
