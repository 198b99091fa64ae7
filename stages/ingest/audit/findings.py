"""What readers find wrong, on its way to the audit: a reader knows no policy, and may run in another process."""

from typing import NamedTuple, Optional

BAD, REFUSE, DOUBT, FIXED, NOTE = "bad", "refuse", "doubt", "fixed", "note"


class Finding(NamedTuple):
    """way: how the audit judges it (the name of one of its methods); the others as in problems.Audit."""

    way: str
    code: str
    file: str
    message: str
    line: Optional[int] = None
    number: Optional[int] = None


class Findings:
    """Findings in the order of finding; `Audit` has the same methods, and judges."""

    def __init__(self):
        self.items = []

    def bad(self, code, file, message, line=None, number=None):
        """An error: what it is about is left out, or refused, as the policy says."""
        self.items.append(Finding(BAD, code, file, message, line, number))

    def refuse(self, code, file, message, line=None, number=None):
        """An error that no policy passes over."""
        self.items.append(Finding(REFUSE, code, file, message, line, number))

    def doubt(self, code, file, message, line=None, number=None):
        """A warning; what it is about is kept."""
        self.items.append(Finding(DOUBT, code, file, message, line, number))

    def fixed(self, code, file, message, line=None, number=None):
        """A warning; what it is about was mended."""
        self.items.append(Finding(FIXED, code, file, message, line, number))

    def note(self, code, file, message, line=None, number=None):
        """Worth knowing, and nothing wrong."""
        self.items.append(Finding(NOTE, code, file, message, line, number))
