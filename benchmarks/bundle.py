"""Bundles of the demo, in each form: size, and the time to create, verify and install one. Verifying is compared with bare sha256sum.

Needs the wheelhouse (./mill images.wheels) and, unless `--no-images` is given, built images and a Docker daemon. The images are in the
daemon already, so installing does not load them; with `--load` they are removed before, and loaded back.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from measure import best_and_median, load

from edgemill.bundles.create import Order, create
from edgemill.bundles.daemon import Daemon
from edgemill.bundles.index import Index
from edgemill.bundles.install import install
from edgemill.bundles.source import opened

ROUNDS = 3
LIMIT = 500  # MB/s


def quiet(_line: str) -> None:
    """Say nothing."""


def verify(place: Path) -> None:
    """What `bundle.verify` does, without its report."""
    with opened(place) as bundle:
        bundle.verify()


def size_of(place: Path) -> int:
    """Bytes on the disk."""
    return sum(path.stat().st_size for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file())


def unload(index: Index) -> None:
    """Remove a bundle's images from the daemon."""
    daemon = Daemon()
    for image in index.images:
        daemon.remove(image.id)


def measure(root: Path, form: str, order: Order, *, reload: bool) -> None:
    """Print what a bundle of one form costs."""
    place = root / f"bundle{form}"
    begin = time.perf_counter()
    index = create(replace(order, place=place), quiet)
    seconds = time.perf_counter() - begin
    size = index.size / 1e6
    print(f"{form or 'folder':<9} create   {seconds:6.2f} s  {size:.0f} MB of contents, {size_of(place) / 1e6:.0f} MB on the disk")
    best, median = best_and_median(partial(verify, place), ROUNDS)
    print(f"{'':<9} verify   {median:6.2f} s  {size / median:.0f} MB/s, best {size / best:.0f}; limit {LIMIT} MB/s")
    if not form:
        command = ["sha256sum", *(str(path) for path in place.rglob("*") if path.is_file())]
        bare = best_and_median(partial(subprocess.run, command, stdout=subprocess.DEVNULL, check=True), ROUNDS)[1]
        print(f"{'':<9} that is  {median / bare:6.2f} × sha256sum of the same files ({size / bare:.0f} MB/s)")
    if reload:
        unload(index)
    begin = time.perf_counter()
    install(place, root / f"far{form}", say=quiet)
    print(f"{'':<9} install  {time.perf_counter() - begin:6.2f} s  images {'loaded' if reload else 'there already, or none'}")


def main() -> None:
    """Print a line for each form and step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-images", action="store_true")
    parser.add_argument("--load", action="store_true", help="Remove the images from the daemon before each installation.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        order = Order(Path(name), images=() if given.no_images else None, dirty=True)
        for form in ("", ".tar", ".tar.zst"):
            measure(Path(name), form, order, reload=given.load)
    print(load())


if __name__ == "__main__":
    main()
