"""The tasks `images.*`."""

from __future__ import annotations

from typing import Any

from invoke import Collection, Context, task

from edgemill import commands
from edgemill.tasks import run


@task(
    name="lock",
    iterable=["deb"],
    help={
        "image": "One image (or `host`); all of them otherwise.",
        "upgrade": "Take newer versions where the .in file allows them.",
        "offline": "Ask no index and no registry: only record the hashes of the files as they are.",
        "deb": "A Debian package whose sha256 is recorded; may be given several times.",
    },
)
def lock(_c: Context, image: str = "", upgrade: bool = False, offline: bool = False, deb: Any = None) -> None:
    """Resolve requirements and bases anew, record every hash in images.lock, and show what changed."""
    run(lambda: commands.lock_images(image or None, upgrade=upgrade, offline=offline, debs=deb or ()))


@task(name="build", help={"image": "One image; all of them otherwise."})
def build(_c: Context, image: str = "") -> None:
    """Build the container images from what images.lock pins, and from nothing else."""
    run(lambda: commands.build_images(image or None))


@task(name="verify", help={"image": "One image; all of them otherwise."})
def verify(_c: Context, image: str = "") -> None:
    """Build container images again from nothing, and name the first path that differs if one does."""
    run(lambda: commands.verify_images(image or None))


@task(name="wheels", help={"image": "One image (or `host`); all of them otherwise."})
def wheels(_c: Context, image: str = "") -> None:
    """Download every wheel into the wheelhouse (EDGEMILL_WHEELS, or .envs/wheels), from which everything is made without a network."""
    run(lambda: commands.fill_wheels(image or None))


@task(
    name="stand-in",
    help={
        "base": "The base that this site cannot have, as in images.lock.",
        "image": "This site's own image.",
        "reason": "Why, for the record.",
    },
)
def stand_in(_c: Context, base: str, image: str, reason: str) -> None:
    """Record an image of this site's own that is used instead of a pinned base; every image built on it says so."""
    run(lambda: commands.stand_in(base, image, reason))


@task(name="make", help={"image": "One image; all of them otherwise."})
def make(_c: Context, image: str = "") -> None:
    """Make the images' environments for the local engine ahead of time."""
    run(lambda: commands.make_images(image or None))


@task(name="sbom", help={"image": "The image.", "declared": "Only what is declared: do not ask the container image that is built here."})
def sbom(_c: Context, image: str, declared: bool = False) -> None:
    """Print what an image is made of, as a CycloneDX bill of materials."""
    run(lambda: commands.image_bill(image, declared=declared))


collection = Collection("images", lock, make, build, verify, wheels, stand_in, sbom)
