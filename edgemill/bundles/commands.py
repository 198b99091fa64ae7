"""What each `bundle` task does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgemill.bundles.program import summary
from edgemill.commands import Request
from edgemill.documents import display
from edgemill.errors import RequestError


def create_bundle(
    to: str,
    pipelines: Sequence[str],
    images: Sequence[str],
    *,
    no_images: bool = False,
    data: bool = False,
    artifacts: bool = False,
    since: str = "",
    sign: str = "",
    dirty: bool = False,
    workspace: str = "",
) -> None:
    """Make a bundle and print what it holds. Raises EdgeMillError."""
    from edgemill.bundles.create import Order, create

    if no_images and images:
        raise RequestError("images are both asked for and left out", where="--image and --no-images")
    order = Order(
        place=Path(os.path.abspath(to)),
        pipelines=pipelines or ("demo",),
        images=() if no_images else images or None,
        data=data,
        artifacts=artifacts,
        since=Path(since).absolute() if since else None,
        key=Path(sign).absolute() if sign else None,
        dirty=dirty,
        workspace=Request(workspace=workspace or None).place(),
    )
    for line in summary(create(order)):
        print(line)


def verify_bundle(path: str, signers: str = "") -> None:
    """Read a whole bundle and print what it holds. Raises BundleError."""
    from edgemill.bundles.program import verify

    verify(Path(path).absolute(), Path(signers) if signers else None)


def install_bundle(path: str, to: str, bases: Sequence[str], signers: str = "") -> None:
    """Install a bundle. Raises BundleError, with nothing installed."""
    from edgemill.bundles.install import install

    target = Path(os.path.abspath(to))
    install(Path(path).absolute(), target, signers=Path(signers) if signers else None, bases=[Path(base).absolute() for base in bases])
    print(f"next:  cd {display(target)} && ./mill doctor")
