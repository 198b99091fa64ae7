"""The command line that travels in a bundle: `python3 install.pyz verify|install`. Standard library only.

`./mill bundle.verify` and `./mill bundle.install` call the same functions.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from edgemill.bundles.index import Index
from edgemill.bundles.install import install
from edgemill.bundles.names import ROOMS, room_of
from edgemill.bundles.signature import check_signature
from edgemill.bundles.source import opened
from edgemill.errors import EdgeMillError

STOPPED = 130


def verify(path: Path, signers: Path | None = None) -> None:
    """Read a whole bundle and print what it holds. Raises BundleError."""
    begin = time.monotonic()
    with opened(path) as bundle:
        signer = check_signature(bundle.content, bundle.signature, signers, str(path)) if signers is not None else None
        bundle.verify()
        for line in summary(bundle.index):
            print(line)
        if signer is not None:
            print(f"signed by {signer}")
        else:
            print(
                "not signed" if bundle.signature is None else "signed by whom was not checked: name the allowed signers with --signers FILE"
            )
        seconds = max(time.monotonic() - begin, 1e-3)
        megabytes = bundle.index.size / 1e6
        print(f"everything is as its index says: {megabytes:.1f} MB read in {seconds:.1f} s ({megabytes / seconds:.0f} MB/s)")


def summary(index: Index) -> Sequence[str]:
    """What a bundle holds, in lines for a person."""
    state = ", with changes that are in no revision" if index.dirty else ""
    lines = [
        f"EdgeMill {index.version} at {index.revision[:12]}{state}, for {index.architecture}",
        f"index: {index.digest}",
    ]
    if index.base is not None:
        lines.append(f"needs the bundle {index.base}")
    for room in ("project", *ROOMS):
        files = [file for file in index.files if room_of(file.path) == room]
        if files:
            lines.append(f"{room}: {len(files)} files, {sum(file.size for file in files) / 1e6:.1f} MB")
    if index.images:
        size = sum({blob.sha256: blob.size for image in index.images for blob in image.blobs}.values())
        lines.append(f"images: {', '.join(image.name for image in index.images)}, {size / 1e6:.1f} MB together")
    if index.pipelines:
        lines.append(f"pipelines: {', '.join(index.pipelines)}")
    lines.append(f"its wheels serve ./mill with Python {', '.join(index.pythons) or '(none)'}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Verify or install an EdgeMill bundle. Needs Python 3.10 or newer, and no network.")
    tasks = parser.add_subparsers(dest="task", required=True)
    beside = Path(sys.argv[0]).absolute().parent
    for name, text in (("verify", "Read everything and compare it with the index."), ("install", "Verify, then install into a folder.")):
        task = tasks.add_parser(name, help=text, description=text)
        task.add_argument(
            "bundle", nargs="?", type=Path, default=beside, help="A folder or an archive; the folder of this program otherwise."
        )
        task.add_argument("--signers", type=Path, help="A file of allowed signers (ssh-keygen): the bundle must be signed by one of them.")
        if name == "install":
            task.add_argument("--to", type=Path, required=True, help="The folder to make; it must not exist, or be empty.")
            task.add_argument(
                "--base", type=Path, action="append", default=[], help="For a delta: its base, as a bundle or an installed folder."
            )
    return parser


def _stop(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit status."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    try:
        if given.task == "verify":
            verify(given.bundle, given.signers)
        else:
            install(given.bundle, given.to, signers=given.signers, bases=given.base)
            print(f"next:  cd {given.to} && ./mill doctor")
    except EdgeMillError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped: nothing was installed", file=sys.stderr)
        return STOPPED
    return 0
