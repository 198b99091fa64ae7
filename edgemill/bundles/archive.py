"""The archive form of a bundle: which bytes it consists of, given its index; and reading one that zstd compressed. Standard library only.

An archive is not interpreted. The index says which bytes each header must have, and any other header is refused. So no link, device,
absolute path, second copy, extension header or sparse file of a hostile archive is ever acted upon.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from edgemill.bundles.index import INDEX, MOST_INDEX_BYTES, MOST_SIGNATURE_BYTES, SIGNATURE
from edgemill.bundles.names import shown
from edgemill.errors import BundleError

BLOCK = 1 << 20  # bytes read at a time
HEADER = tarfile.BLOCKSIZE
LARGEST_MEMBER = (1 << 33) - 1  # bytes: the largest size that a ustar header can say (POSIX.1-1988)
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1

Read = Callable[[int], bytes]  # exactly so many bytes, or BundleError


def damaged(where: str, expected: str, found: str) -> BundleError:
    """The error for content that is not as the index says."""
    return BundleError(
        "the bundle is damaged", where=where, expected=expected, found=found, remedy="copy the bundle again, or have it made again"
    )


def header(name: str, size: int) -> bytes:
    """The one header that a member of a bundle's archive has: ustar, everything else zero."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def padding(size: int) -> int:
    """Zeros after a member of so many bytes."""
    return -size % HEADER


def ending(total: int) -> int:
    """Zeros that end an archive of so many bytes: two empty headers, then up to a full record."""
    return 2 * HEADER + -(total + 2 * HEADER) % tarfile.RECORDSIZE


def head_size(content: bytes, signature: bytes | None) -> int:
    """Bytes of an archive up to the first file after its signature."""
    return sum(HEADER + size + padding(size) for size in (len(content), len(signature or b"")))


def read_head(read: Read, where: str) -> tuple[bytes, bytes | None]:
    """The index and the signature, which every archive begins with; the signature of an unsigned one is empty."""
    content = _first(read, INDEX, MOST_INDEX_BYTES, where)
    signature = _first(read, SIGNATURE, MOST_SIGNATURE_BYTES, where)
    return content, signature or None


def _first(read: Read, name: str, most: int, where: str) -> bytes:
    block = read(HEADER)
    try:
        size = tarfile.TarInfo.frombuf(block, "ascii", "strict").size
    except (tarfile.TarError, ValueError):
        size = -1
    if not 0 <= size <= most or block != header(name, size):
        raise BundleError(
            "there is no bundle", where=where, expected=f"an archive that bundle.create made, with {name}", found=describe(block)
        )
    content = read(size)
    if read(padding(size)).strip(b"\0"):
        raise damaged(where, f"zeros after {name}", "other bytes")
    return content


def check_header(block: bytes, name: str, size: int, where: str) -> None:
    """Raise BundleError unless a header is the one that the index asks for."""
    if block != header(name, size):
        raise BundleError(
            "the archive holds something else than its index says", where=where, expected=f"{name}, {size} bytes", found=describe(block)
        )


def describe(block: bytes) -> str:
    """What a header says, for a message and nothing else."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return "no header of an archive"
    kinds = {
        tarfile.LNKTYPE: "a hard link to " + shown(info.linkname),
        tarfile.SYMTYPE: "a link to " + shown(info.linkname),
        tarfile.DIRTYPE: "a folder",
        tarfile.REGTYPE: f"a file of {info.size} bytes",
        tarfile.XHDTYPE: "an extension header",
        tarfile.GNUTYPE_LONGNAME: "an extension header",
    }
    return f"{shown(info.name)}, {kinds.get(info.type, 'a device or the like')}"


class Decompressor:
    """Reads what the program `zstd` makes of a file, for the length of a `with` block."""

    def __init__(self, path: Path) -> None:
        program = shutil.which("zstd")
        if program is None:
            raise BundleError(
                "this machine has no zstd program, and the bundle is compressed with it",
                where=str(path),
                remedy="install zstd, or decompress the bundle elsewhere (zstd -d), or have it made as .tar or as a folder",
            )
        self._path = path
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        with path.open("rb") as source:
            self._process = subprocess.Popen(
                [program, "--decompress", "--stdout", "--quiet"],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                pipesize=BLOCK,
            )

    def __enter__(self) -> Decompressor:  # noqa: PYI034  typing has Self from Python 3.11 on
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._complaints.close()

    def read(self, size: int) -> bytes:
        """Exactly so many bytes. Raises BundleError where there are fewer."""
        block = self._process.stdout.read(size) if self._process.stdout else b""
        if len(block) != size:
            raise damaged(str(self._path), f"{size - len(block)} bytes more", self._complaint() or "the end of the file")
        return block

    def blocks(self, size: int) -> Iterator[bytes]:
        """The same, a block at a time."""
        while size:
            block = self.read(min(BLOCK, size))
            size -= len(block)
            yield block

    def finish(self) -> None:
        """Raise BundleError unless this was all, and the program found nothing wrong."""
        if self._process.stdout and self._process.stdout.read(1):
            raise damaged(str(self._path), "the end of the file", "more bytes")
        complaint = self._complaint()
        if complaint:
            raise damaged(str(self._path), "the end of the file", complaint)

    def _complaint(self) -> str:
        status = self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read(500).decode(errors="replace").strip()
        return f"zstd ended with {status}: {shown(said)}" if status else ""
