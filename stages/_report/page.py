"""Renders a page: templates with autoescape, the filters that write numbers for people, and one style and script for every page."""

import base64
import functools
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).resolve().parent / "templates"
MINUS = "\N{MINUS SIGN}"
ABSENT = "\N{EN DASH}"


def render(folder, template, context):
    """A whole page, one string: style, script, drawings and pictures are inside it.

    folder: of the stage's own templates, which may use the shared ones; template: the page's name there; context: what it tells.
    """
    shared = {name: (TEMPLATES / file).read_text(encoding="utf-8") for name, file in (("style", "report.css"), ("script", "report.js"))}
    hashes = {f"{name}_hash": _hash(text) for name, text in shared.items()}
    return _environment(folder).get_template(template).render(**shared, **hashes, **context)


@functools.cache
def _environment(folder):
    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    return environment


def _hash(text):
    """How a Content-Security-Policy names an inline style or script that may be used."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def metric(value):
    """0..1 with three decimals."""
    return ABSENT if value is None else f"{value:.3f}"


def exact(value):
    """0..1 with the four decimals that a limit may have."""
    return ABSENT if value is None else f"{value:.4f}"


def signed(value):
    """A difference, always with its sign."""
    return ABSENT if value is None else ("±0.000" if abs(value) < 0.0005 else f"{value:+.3f}").replace("-", MINUS)


def signed_count(value):
    """A difference of whole numbers, always with its sign."""
    return ABSENT if value is None else (f"{value:+,}" if value else "±0").replace("-", MINUS)


def in_bytes(value):
    """Bytes with a decimal unit."""
    if value is None:
        return ABSENT
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value < 999.5 * size else f"{value / size:.0f} {unit}"
    return f"{value} B"


def seconds(value):
    """A time span for people: 0.42 s, 12.3 s, 7 min 24 s, 3 h 5 min."""
    if value is None:
        return ABSENT
    if value < 60:
        return f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"
    whole = round(value)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def milliseconds(value):
    """Seconds as milliseconds with three digits."""
    return ABSENT if value is None else f"{value * 1000:.3g} ms" if value < 1 else f"{value * 1000:,.0f} ms"


def percent(value):
    """A share of 1."""
    return ABSENT if value is None else f"{100 * value:.3g} %"


def span(value):
    """A range as its two ends."""
    return ABSENT if value is None else " … ".join(plain(each) if each is None else f"{each:.4g}" for each in value).replace("-", MINUS)


def short(value):
    """The first 12 digits of a hash."""
    return ABSENT if not value else str(value)[:12]


def count(value):
    """A whole number with thousands apart."""
    return ABSENT if value is None else f"{value:,}"


def counted(value, word, plural=None):
    """A number of things: 1 image, 2 images."""
    return f"{value:,} {word if value == 1 else plural or word + 's'}"


def plain(value):
    """A JSON value as a person would write it."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return (
            " × ".join(plain(each) for each in value)
            if all(isinstance(each, int) for each in value)
            else ", ".join(plain(each) for each in value)
        )
    return str(value)


def listed(names):
    """Names in a sentence: a, b and c."""
    names = list(names)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


FILTERS = {
    "metric": metric,
    "exact": exact,
    "signed": signed,
    "signed_count": signed_count,
    "bytes": in_bytes,
    "seconds": seconds,
    "milliseconds": milliseconds,
    "percent": percent,
    "span": span,
    "short": short,
    "count": count,
    "counted": counted,
    "plain": plain,
    "listed": listed,
}
