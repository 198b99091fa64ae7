"""Geometry of bar charts: counts in, coordinates of rows, bars and ticks out. The template `bars.svg` draws it."""

import math
from typing import NamedTuple

from line_chart import LOG_RATIO, Tick, log_ticks, number_label, round_ticks

WIDTH = 560
LEFT, RIGHT, TOP, BOTTOM = 150, 58, 6, 40
THICK = 10  # of a bar
ROOM = 8  # between rows
LOG_START = 0.7  # where a logarithmic axis begins: left of 1, so that a count of 1 is a bar too
_LONGEST = 20  # characters of a label


class Row(NamedTuple):
    """label: shortened to fit; title: the whole of it; y: its baseline; bars: list of Bar. Places are in pixels."""

    label: str
    title: str
    y: float
    bars: list


class Bar(NamedTuple):
    """y: of its upper side; width: 0 for a count of 0; number: the count as text. Places are in pixels."""

    y: float
    width: float
    number: str


class BarChart(NamedTuple):
    """All that the template needs: `series` names the bars of a row in their order; ticks is a list of Tick; height in pixels."""

    id: str
    title: str
    description: str
    axis: str
    series: list
    rows: list
    ticks: list
    height: int


def bar_chart(chart_id, title, series, rows, axis, description, log=None):
    """A BarChart, or None where every count is 0.

    rows: [(label, [count of each series])], counts whole and not negative. log: logarithmic axis, which says so; None decides by the
    data (the largest count more than 30 times the smallest but 0).
    """
    values = [value for _, counts in rows for value in counts if value]
    if not values:
        return None
    if log is None:
        log = max(values) / min(values) > LOG_RATIO
    start, end, ticks = _log_axis(max(values)) if log else _linear_axis(max(values))
    place = (lambda value: _share(math.log10(value), start, end)) if log else (lambda value: _share(value, start, end))
    step = THICK * len(series) + ROOM
    drawn = [_row(label, counts, TOP + number * step, place) for number, (label, counts) in enumerate(rows)]
    return BarChart(
        chart_id,
        title,
        description,
        axis + (" (logarithmic)" if log else ""),
        series,
        drawn,
        [Tick(round(LEFT + place(value), 1), number_label(value)) for value in ticks],
        TOP + step * len(rows) + BOTTOM,
    )


def _row(label, counts, top, place):
    bars = [Bar(top + number * THICK, round(place(value), 1) if value else 0, f"{value:,}") for number, value in enumerate(counts)]
    short = label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
    return Row(short, label, round(top + THICK * len(counts) / 2 + 4, 1), bars)


def _share(value, start, end):
    return (value - start) / (end - start) * (WIDTH - LEFT - RIGHT)


def _linear_axis(largest):
    return 0, largest, [value for value in round_ticks(0, largest, 5) if value == int(value)]


def _log_axis(largest):
    start, end = math.log10(LOG_START), math.log10(largest)
    return start, end, log_ticks(start, end)
