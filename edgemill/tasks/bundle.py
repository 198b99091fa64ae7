"""The tasks `bundle.*`."""

from __future__ import annotations

from typing import Any

from invoke import Collection, Context, task

from edgemill.tasks import PLACE_HELP, run


@task(
    name="create",
    iterable=["pipeline", "image"],
    help={
        "to": "What to make: a folder, or a .tar or .tar.zst by its name.",
        "pipeline": "A pipeline that must run on the far side (else demo); may be given several times.",
        "image": "An image to carry (else those of the pipelines); may be given several times.",
        "images": "Carry container images; without them the far side has the local engine alone.",
        "data": "Carry the files and folders outside the project that the pipelines name.",
        "artifacts": "Carry what is published of the pipelines.",
        "since": "An older bundle, its bundle.json, or where it is installed: carry only what that one lacks.",
        "sign": "A private key of ssh-keygen's to sign the index with.",
        "dirty": "Carry the project as it lies there, changes that are in no revision included.",
        "workspace": PLACE_HELP["workspace"],
    },
)
def create(
    _c: Context,
    to: str,
    pipeline: Any = None,
    image: Any = None,
    images: bool = True,
    data: bool = False,
    artifacts: bool = False,
    since: str = "",
    sign: str = "",
    dirty: bool = False,
    workspace: str = "",
) -> None:
    """Make one folder or archive of all that a machine without a network needs."""
    from edgemill.bundles.commands import create_bundle

    run(
        lambda: create_bundle(
            to,
            pipeline or (),
            image or (),
            no_images=not images,
            data=data,
            artifacts=artifacts,
            since=since,
            sign=sign,
            dirty=dirty,
            workspace=workspace,
        )
    )


@task(
    name="verify", help={"path": "A bundle: folder or archive.", "signers": "A file of allowed signers; one of them must have signed it."}
)
def verify(_c: Context, path: str, signers: str = "") -> None:
    """Read a whole bundle and compare it with its index."""
    from edgemill.bundles.commands import verify_bundle

    run(lambda: verify_bundle(path, signers))


@task(
    name="install",
    iterable=["base"],
    help={
        "path": "A bundle: folder or archive.",
        "to": "The folder to make; it must not exist, or be empty.",
        "base": "For a bundle made with --since: its base, as a bundle or an installed folder; may be given several times.",
        "signers": "A file of allowed signers; one of them must have signed it.",
    },
)
def install(_c: Context, path: str, to: str, base: Any = None, signers: str = "") -> None:
    """Verify a bundle, install it as a folder, and load its images where a Docker daemon answers. Uses no network."""
    from edgemill.bundles.commands import install_bundle

    run(lambda: install_bundle(path, to, base or (), signers))


collection = Collection("bundle", create, verify, install)
