"""Numbers as annotation files write them."""

import math
import re

from tables import CORNERS

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST = 100  # characters


def number(text):
    """The finite float that a text spells in ASCII digits, or None."""
    value = float(text) if len(text) < _LONGEST and _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def corner_numbers(texts, label, file, line, place, findings, names=CORNERS):
    """Four floats, or None where one is missing or no number, which `findings` are told.

    texts: in the order of `names`; place: the object's number.
    """
    values = []
    for name, text in zip(names, texts, strict=True):
        if text is None or text == "":
            findings.bad("box-incomplete", file, "%s: %s is missing" % (label, name), line, place)
            return None
        value = number(text)
        if value is None:
            findings.bad("box-not-a-number", file, "%s: %s is %s" % (label, name, text[:40]), line, place)
            return None
        values.append(value)
    return values
