"""Failures that end in one message: what, where, expected and found, and the next command."""

from __future__ import annotations

from typing import ClassVar


class EdgeMillError(Exception):
    """A failure with everything that the person who reads it needs.

    `what` is one sentence; `where` a file and line, stage, record or layer; `remedy` says what to do or type next.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, what: str, *, where: str | None = None, expected: str | None = None, found: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [self.what]
        for label, value in (("where", self.where), ("expected", self.expected), ("found", self.found), ("next", self.remedy)):
            if value:
                head, *rest = str(value).splitlines()
                lines.append(f"  {label + ':':<10}{head}")
                lines.extend(" " * 12 + line for line in rest)
        return "\n".join(lines)


class RequestError(EdgeMillError):
    """The request, a pipeline, a contract or another declaration is wrong; nothing was run."""

    exit_code = 2


class StageFailedError(EdgeMillError):
    """A stage failed or left an invalid artifact."""


class ImageError(EdgeMillError):
    """An image could not be realised from its declaration."""


class EngineError(EdgeMillError):
    """An engine cannot be used: no daemon, or one that refuses or is gone."""


class StoppedError(EdgeMillError):
    """The user or the system asked for a stop (Ctrl-C, SIGTERM)."""

    exit_code = 130


class DamagedArtifactError(EdgeMillError):
    """A published artifact is not what its manifest says; it is set aside and built again."""


class BundleError(EdgeMillError):
    """A bundle is damaged, hostile or made for another machine, or it could not be made or installed; nothing was installed."""
