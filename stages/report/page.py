"""Renders the page: templates with autoescape, and the filters that write numbers for people."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).resolve().parent / "templates"
MINUS = "\N{MINUS SIGN}"
ABSENT = "\N{EN DASH}"


def render(context):
    """The whole page, one string: style, drawings and pictures are inside it."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        metric=metric,
        signed=signed,
        bytes=in_bytes,
        seconds=seconds,
        short=short,
        count=count,
        plain=plain,
        milliseconds=milliseconds,
        span=span,
    )
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(style=style, **context)


def metric(value):
    """0..1 with three decimals."""
    return ABSENT if value is None else f"{value:.3f}"


def signed(value):
    """A difference, always with its sign."""
    return ABSENT if value is None else ("±0.000" if abs(value) < 0.0005 else f"{value:+.3f}").replace("-", MINUS)


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


def span(value):
    """A range as its two ends."""
    return ABSENT if value is None else " … ".join(plain(each) if each is None else f"{each:.4g}" for each in value).replace("-", MINUS)


def short(value):
    """The first 12 digits of a hash."""
    return ABSENT if not value else str(value)[:12]


def count(value):
    """A whole number with thousands apart."""
    return ABSENT if value is None else f"{value:,}"


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
