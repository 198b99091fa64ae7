"""A Docker daemon on its local socket (Docker Engine API 1.24 and newer, or Podman's compatible one). Standard library only.

The Docker SDK is not there yet where a bundle is installed: it is among the wheels that the bundle brings.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterable, Sequence
from typing import Any, cast
from urllib.parse import quote, urlencode

from edgemill.bundles.names import shown
from edgemill.engines.daemon import UnixConnection, find_daemon
from edgemill.errors import BundleError

QUICK = 30.0  # seconds that a daemon may take for an answer that costs it nothing
LONG = 3600.0  # for loading or saving images


class Daemon:
    """The daemon that the Docker engine would use; it may not answer."""

    def __init__(self) -> None:
        found = find_daemon()
        self.address = found.address
        self._problem = found.problem
        self._place = self.address.removeprefix("unix://")

    def silence(self) -> str | None:
        """Why no daemon can be used, or None where one answers."""
        return None if self._problem is None else f"no Docker daemon answers at {shown(self.address)}: {self._problem}"

    def architecture(self) -> str:
        """The machine that the daemon runs images for, as `amd64`. Raises BundleError."""
        return str(self._need("GET", "/version").get("Arch"))

    def image_id(self, *names: str) -> str | None:
        """The ID of the first image that the daemon knows by one of these IDs or digests. Raises BundleError."""
        for name in names:
            status, answer = self._guarded("GET", f"/images/{quote(name)}/json")
            if status == http.client.OK:
                return str(answer["Id"])
        return None

    def load(self, archive: Iterable[bytes]) -> None:
        """Load images from the blocks of a tar archive. Raises BundleError with what the daemon says."""
        connection = UnixConnection(self.address, LONG)
        try:
            connection.putrequest("POST", "/images/load?quiet=1")
            for name, value in (("Content-Type", "application/x-tar"), ("Transfer-Encoding", "chunked")):
                connection.putheader(name, value)
            connection.endheaders()
            with contextlib.suppress(BrokenPipeError):  # a daemon that has had enough answers why, and hears no more
                for block in archive:
                    connection.send(b"%X\r\n%b\r\n" % (len(block), block) if block else b"")
                connection.send(b"0\r\n\r\n")
            response = connection.getresponse()
            lines = response.read().decode(errors="replace").splitlines()
        except (OSError, http.client.HTTPException) as error:
            raise BundleError("the Docker daemon broke off while it loaded the images", where=self._place, found=str(error)) from None
        finally:
            connection.close()
        said = [_error_of(line) for line in lines]
        problems = [text for text in said if text]
        if response.status != http.client.OK or problems:
            raise BundleError(
                "the Docker daemon could not load the images",
                where=self._place,
                found=shown(problems[0] if problems else f"status {response.status}"),
                remedy="where its disk is full, free space (docker system df shows what takes it), then run the same command again",
            )

    def save(self, names: Sequence[str]) -> http.client.HTTPResponse:
        """One archive of several images, as a stream to read and close. Raises BundleError."""
        connection = UnixConnection(self.address, LONG)
        try:
            connection.request("GET", f"/images/get?{urlencode([('names', name) for name in names])}")
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise BundleError("the Docker daemon did not give the images", where=self._place, found=str(error)) from None
        if response.status != http.client.OK:
            said = _error_of(response.read().decode(errors="replace"))
            raise BundleError(
                "the Docker daemon did not give the images", where=self._place, found=shown(said or f"status {response.status}")
            )
        return response

    def tag(self, name: str, tag: str) -> None:
        """Give an image a tag. Raises BundleError."""
        repository, _, word = tag.partition(":")
        self._need("POST", f"/images/{quote(name)}/tag?{urlencode({'repo': repository, 'tag': word})}")

    def remove(self, name: str) -> None:
        """Remove an image; no error where it cannot be."""
        self._guarded("DELETE", f"/images/{quote(name)}?force=1")

    def _need(self, method: str, path: str) -> dict[str, Any]:
        status, answer = self._guarded(method, path)
        if status >= http.client.BAD_REQUEST:
            raise BundleError("the Docker daemon refused", where=f"{self._place}: {method} {path}", found=shown(answer.get("message")))
        return answer

    def _guarded(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        try:
            return self._ask(method, path)
        except (OSError, http.client.HTTPException) as error:
            raise BundleError("the Docker daemon no longer answers", where=self._place, found=str(error) or type(error).__name__) from None

    def _ask(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        connection = UnixConnection(self.address, QUICK)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        try:
            answer = json.loads(content)
        except ValueError:
            answer = {}
        return response.status, cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}


def _error_of(line: str) -> str:
    """The error that a line of the daemon's answer holds, or an empty text."""
    try:
        answer = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    return str(answer.get("error") or answer.get("message") or "")
