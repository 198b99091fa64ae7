"""Geometry of line charts: data in, coordinates of lines, ticks and marks out. The template `chart.svg` draws it.

Every point that is drawn is one of the given points: thinning leaves points out, it never averages.
"""

import math
from typing import NamedTuple

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 58, 18, 14, 42
MOST_POINTS = 480
# Above this ratio of largest to smallest value a linear axis shows nothing but the first few points.
LOG_RATIO = 30


class Series(NamedTuple):
    """Data of a line: `points` is [(x, y)]; with `markers` each is drawn."""

    label: str
    points: list
    markers: bool


class Mark(NamedTuple):
    """A vertical line at an x value."""

    at: float
    label: str


class Tick(NamedTuple):
    """A tick or mark; `place` is in pixels."""

    place: float
    label: str


class Line(NamedTuple):
    """A drawn line: `path` is SVG path data, `dots` [(x, y, label)] in pixels."""

    label: str
    path: str
    dots: list


class Chart(NamedTuple):
    """All that the template needs: lists of Tick, Line and Tick."""

    id: str
    title: str
    description: str
    x_label: str
    x_ticks: list
    y_ticks: list
    lines: list
    marks: list


def line_chart(chart_id, title, series, x_label, description, marks=(), x_range=None, y_range=None, log=None):
    """A Chart of `series`, or None where they hold no finite point.

    x_range, y_range: (low, high) or None for the data's own. log: logarithmic y axis; None decides by the data (all above 0, largest
    to smallest above 30).
    """
    series = [Series(each.label, [point for point in each.points if _finite(point)], each.markers) for each in series]
    series = [each for each in series if each.points]
    if not series:
        return None
    values = [y for each in series for _, y in each.points]
    if log is None:
        log = min(values) > 0 and max(values) / min(values) > LOG_RATIO
    x_scale = _x_scale(x_range or [x for each in series for x, _ in each.points])
    y_scale, y_ticks = _y_axis(values, y_range, log)
    lines = [_line(each, x_scale, y_scale) for each in series]
    shown = [Tick(round(x_scale(mark.at), 1), mark.label) for mark in marks if x_scale.low <= mark.at <= x_scale.high]
    x_ticks = [Tick(round(x_scale(value), 1), number_label(value)) for value in round_ticks(x_scale.low, x_scale.high, 8)]
    return Chart(chart_id, title, description, x_label, x_ticks, y_ticks, lines, shown)


def thin(points, most=MOST_POINTS):
    """At most about `most` of the points: of each stretch the first, the lowest, the highest and the last, so that no peak is lost."""
    if len(points) <= most:
        return list(points)
    stretch = math.ceil(len(points) * 4 / most)
    kept = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        indices = {
            0,
            len(part) - 1,
            min(range(len(part)), key=lambda index: part[index][1]),
            max(range(len(part)), key=lambda index: part[index][1]),
        }
        kept += [part[index] for index in sorted(indices)]
    return kept


class _Scale:
    """A linear map of low..high to pixels."""

    def __init__(self, low, high, first, last):
        self.low, self.high = low, high
        self._first, self._factor = first, (last - first) / (high - low)

    def __call__(self, value):
        return self._first + (value - self.low) * self._factor


def _x_scale(values):
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return _Scale(low, high, LEFT, WIDTH - RIGHT)


def _y_axis(values, y_range, log):
    if log:
        low, high = math.log10(min(values)), math.log10(max(values))
        low, high = (low - 0.1, high + 0.1)
        scale = _Scale(low, high, HEIGHT - BOTTOM, TOP)
        ticks = [Tick(round(scale(math.log10(value)), 1), number_label(value)) for value in log_ticks(low, high)]
        return (lambda value: scale(math.log10(value))), ticks
    low, high = y_range or (min(values), max(values))
    if low == high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    steps = round_ticks(low, high, 5)
    if y_range is None:
        step = steps[1] - steps[0] if len(steps) > 1 else (high - low)
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        steps = round_ticks(low, high, 5)
    scale = _Scale(low, high, HEIGHT - BOTTOM, TOP)
    return scale, [Tick(round(scale(value), 1), number_label(value)) for value in steps]


def _line(series, x_scale, y_scale):
    points = [(round(x_scale(x), 1), round(y_scale(y), 1), x, y) for x, y in thin(series.points)]
    path = "M" + "L".join(f"{x:g},{y:g}" for x, y, _, _ in points)
    dots = [(x, y, f"{number_label(at)}: {value:.4g}") for x, y, at, value in points] if series.markers or len(points) == 1 else []
    return Line(series.label, path, dots)


def round_ticks(low, high, about):
    """Round values (1, 2 or 5 times a power of ten apart) in low..high, some `about` of them."""
    rough = (high - low) / about
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def log_ticks(low, high):
    """Powers of ten within 10**low..10**high; where there are few, 2 and 5 times them too."""
    factors = (1, 2, 5) if high - low < 3 else (1,)
    values = [factor * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for factor in factors]
    return [value for value in values if low <= math.log10(value) <= high]


def number_label(value):
    """A tick's number: three digits, or all of a whole number."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.10g}" if value == int(value) else f"{value:.3g}"


def _finite(point):
    return all(isinstance(value, (int, float)) and math.isfinite(value) for value in point)
