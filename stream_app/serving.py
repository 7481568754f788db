"""The recommender that settings ask for: what a worker serves, and what explains its lists."""

from __future__ import annotations

from stream_app.bundle import load_bundle
from stream_app.recommender import Recommender
from stream_app.settings import Settings, SettingsError


def need_bundle(settings: Settings) -> None:
    """Raise `SettingsError` unless the settings name a bundle."""
    if not settings.bundle:
        raise SettingsError("no bundle given: pass --bundle DIR, the model release to serve")


def serving(settings: Settings) -> Recommender:
    """Load and put together; raises `SettingsError`, `BundleError` or UserError."""
    need_bundle(settings)
    return _recommender(settings, settings.bundle)


def challenging(settings: Settings) -> list[Recommender]:
    """The other releases that arms of experiments can name. Raises as `serving`."""
    directories = (one.strip() for one in settings.challengers.split(","))
    return [_recommender(settings, one) for one in directories if one]


def _recommender(settings: Settings, directory: str) -> Recommender:
    bundle = load_bundle(
        directory,
        backend=settings.backend,
        index=settings.index,
        precision=settings.precision,
        public_key=settings.bundle_public_key,
    )
    return Recommender(
        bundle,
        k=settings.list_length,
        plan=settings.plan,
        room=settings.catalogue_room,
        decisions=settings.decisions,
        counted=True,
    )
