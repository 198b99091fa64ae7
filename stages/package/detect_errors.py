"""What is wrong, in one line."""


class StageError(Exception):
    """Something that the user can mend, told in one line."""

    exit_status = 2

    def __init__(self, what, where=None, expected=None, found=None, remedy=None):
        self.what, self.where, self.expected, self.found, self.remedy = what, where, expected, found, remedy
        details = ["%s %s" % (name, value) for name, value in (("expected", expected), ("found", found)) if value is not None]
        line = ("" if where is None else "%s: " % where) + what + (" (%s)" % ", ".join(details) if details else "")
        super().__init__(" ".join((line + ("" if remedy is None else "; " + remedy)).split()))
