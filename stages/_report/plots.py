"""Charts: numbers in, an SVG drawing for the page out, with its description in words and its numbers as a table.

matplotlib draws. The same numbers give the same bytes: axes have a fixed place, nothing is measured or dated.
"""

import math
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from _detection.drawing import printable
from _report.drawn_svg import GRID, LABEL, LINES, MARK, STYLE, TEXT, inline
from _report.page import ABSENT

MOST_POINTS = 480  # of a drawn line
MOST_ROWS = 40  # of a line chart's table
LONGEST_LABEL = 22  # characters of a bar's label
LOG_RATIO = 30  # above this ratio of largest to smallest value a linear axis shows nothing but the first few points
WIDTH, HEIGHT = 560, 240
SMALL = (280, 200)  # of one chart among many
_MARGINS = {"left": 52, "right": 14, "top": 12, "bottom": 42}
_BAR, _GAP, _BAR_LEFT, _BAR_RIGHT = 11, 9, 156, 58
_DASHES = ("solid", (0, (6, 3)), (0, (2, 2)), (0, (8, 3, 2, 3)))


class Series(NamedTuple):
    """A line: `points` is [(x, y)], a y that is None or not finite is left out; with `markers` each point is drawn."""

    label: str
    points: list
    markers: bool = False


class Mark(NamedTuple):
    """A vertical line at an x value."""

    at: float
    label: str


class Chart(NamedTuple):
    """What the template draws.

    svg: markup; description: the chart in words; legend: [(number of the colour from 1, of the dashes from 0, label)], none for one line.
    kind: "line" or "bar"; heads, rows: its numbers as a table of text, empty where the page has them in a table of its own; part: whether
    `rows` are only some of them.
    """

    id: str
    title: str
    kind: str
    svg: str
    description: str
    legend: list
    heads: list
    rows: list
    part: bool


def line_chart(
    chart_id,
    title,
    series,
    x_label,
    *,
    y_label="",
    lead="",
    marks=(),
    x_range=None,
    y_range=None,
    log=None,
    names=None,
    ticks=None,
    small=False,
    table=True,
    most_rows=MOST_ROWS,
):
    """A Chart of lines, or None where there is no point to draw.

    lead: the description's first sentence. x_range, y_range: (low, high), or None for the data's own. log: logarithmic y axis; None
    decides by the data (all above 0, largest to smallest above 30). names: texts of the x values 0, 1, …; ticks: what stands on the axis
    instead. table: whether the Chart has the numbers as a table; most_rows: about how many rows that has.
    """
    series = [each._replace(points=[point for point in each.points if _finite(point)]) for each in series]
    drawn = [(number, each) for number, each in enumerate(series) if each.points]
    if not drawn:
        return None
    values = [y for _, each in drawn for _, y in each.points]
    if log is None:
        log = y_range is None and min(values) > 0 and max(values) / min(values) > LOG_RATIO
    if names:
        x_range = (-0.5, len(names) - 0.5)
    x_range = _widened(x_range or _span(x for _, each in drawn for x, _ in each.points))
    with rc_context(STYLE):
        figure, axes = _axes(*(SMALL if small else (WIDTH, HEIGHT)), _MARGINS)
        for number, each in drawn:
            _draw_line(axes, number, each)
        _line_axes(axes, (x_label, y_label), x_range, y_range, log, ticks or names, small)
        for mark in marks:
            if x_range[0] <= mark.at <= x_range[1]:
                _draw_mark(axes, mark, x_range)
        svg = inline(figure, chart_id)
    named = _named(names)
    told = [_told(each, named) for _, each in drawn]
    heads, rows, part = _line_table(x_label, [each for _, each in drawn], named, most_rows) if table else ([], [], False)
    legend = [(number % len(LINES) + 1, number % len(_DASHES), each.label) for number, each in drawn] if len(series) > 1 else []
    return Chart(chart_id, title, "line", svg, " ".join([*([lead] if lead else []), *told]), legend, heads, rows, part)


def bar_chart(chart_id, title, series, rows, axis, *, lead="", log=None, number=None, limit=None, table=True):
    """A Chart of horizontal bars, or None where no value is above 0.

    series: names of the bars of a row, in their order; rows: [(label, [value of each series])], values not negative, or None. log: as in
    `line_chart`, where the axis says so. number: writes a value, for whole numbers by default. limit: the axis's end; None: the data's.
    table: whether the Chart has the numbers as a table.
    """
    values = [value for _, each in rows for value in each if value]
    if not values:
        return None
    whole = number is None
    number = number or (lambda value: ABSENT if value is None else f"{value:,}")
    if log is None:
        log = max(values) / min(values) > LOG_RATIO
    step = _BAR * len(series) + _GAP
    height = 6 + step * len(rows) + 46
    with rc_context(STYLE):
        figure, axes = _axes(WIDTH, height, {"left": _BAR_LEFT, "right": _BAR_RIGHT, "top": 6, "bottom": 46})
        for place in range(len(series)):
            _draw_bars(axes, place, [each[place] for _, each in rows], len(series), number, max(min(values) * 0.7, 1e-9) if log else 0)
        _bar_axes(axes, [label for label, _ in rows], step, axis, log, limit or max(values), min(values), whole)
        svg = inline(figure, chart_id)
    told = "; ".join(f"{label}: {', '.join(number(value) for value in each)}" for label, each in rows[:12])
    more = f"; and {len(rows) - 12:,} more" if len(rows) > 12 else ""
    description = " ".join([*([lead] if lead else []), f"In each row {', '.join(series)}." if len(series) > 1 else "", f"{told}{more}."])
    legend = [(place % len(LINES) + 1, 0, name) for place, name in enumerate(series)] if len(series) > 1 else []
    cells = [[label, *(number(value) for value in each)] for label, each in rows]
    return Chart(
        chart_id, title, "bar", svg, " ".join(description.split()), legend, *([["", *series], cells] if table else [[], []]), part=False
    )


def points(rows, name, at="step"):
    """[(row[at], row[name])] of the rows that tell both."""
    return [(row[at], row[name]) for row in rows if row.get(name) is not None and row.get(at) is not None]


def thin(points, most=MOST_POINTS):
    """At most about `most` of the points: of each stretch the first, the lowest, the highest and the last, so that no peak is lost."""
    if len(points) <= most:
        return list(points)
    stretch = math.ceil(len(points) * 4 / most)
    kept = []
    for start in range(0, len(points), stretch):
        part = range(start, min(start + stretch, len(points)))
        chosen = {part[0], part[-1], min(part, key=lambda index: points[index][1]), max(part, key=lambda index: points[index][1])}
        kept += [points[index] for index in sorted(chosen)]
    return kept


def number_label(value):
    """A number on an axis: three digits, or all of a whole number."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.10g}" if value == int(value) else f"{value:.3g}"


def _axes(width, height, margins):
    """A figure of so many pixels, and its axes, in a place that depends on nothing else."""
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasSVG(figure)
    across, down = width - margins["left"] - margins["right"], height - margins["top"] - margins["bottom"]
    axes = figure.add_axes([margins["left"] / width, margins["bottom"] / height, across / width, down / height])
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)
    axes.tick_params(length=0, pad=6, labelcolor=TEXT)
    return figure, axes


def _draw_line(axes, number, series):
    points = thin(series.points)
    markers = {"marker": "o", "markersize": 6} if series.markers or len(points) == 1 else {}
    style = {"color": LINES[number % len(LINES)], "linestyle": _DASHES[number % len(_DASHES)], "linewidth": 1.8}
    axes.plot(*zip(*points, strict=True), clip_on=False, **style, **markers)


def _line_axes(axes, labels, x_range, y_range, log, names, small):
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=7))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_label(value)))
    axes.set_xlim(*x_range)
    if y_range:
        axes.set_ylim(*y_range)
    if names:
        axes.set_xticks(range(len(names)), [_shortened(name, 12) for name in names])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4 if small else 7, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number_label(value)))
    axes.grid(axis="y", color=GRID, clip_on=False)
    axes.set_xlabel(_text(labels[0]), color=TEXT, labelpad=4)
    axes.set_ylabel(_text(labels[1]), color=TEXT, labelpad=4)


def _draw_mark(axes, mark, x_range):
    axes.axvline(mark.at, color=MARK, linestyle=(0, (4, 4)), linewidth=1, clip_on=False)
    right = mark.at - x_range[0] > 0.6 * (x_range[1] - x_range[0])
    axes.annotate(
        _text(mark.label),
        (mark.at, 1),
        (-5 if right else 5, 2),
        xycoords=("data", "axes fraction"),
        textcoords="offset pixels",
        ha="right" if right else "left",
        va="top",
        color=TEXT,
        annotation_clip=False,
    )


def _draw_bars(axes, place, values, count, number, start):
    """start: where a logarithmic axis begins, so that a value of the least is a bar too."""
    step = _BAR * count + _GAP
    middles = [index * step + (place + 0.5) * _BAR for index in range(len(values))]
    lengths = [max(0, (value or 0) - start) for value in values]
    axes.barh(middles, lengths, _BAR - 1, left=start, color=LINES[place % len(LINES)], linewidth=0, clip_on=False)
    for middle, value in zip(middles, values, strict=True):
        axes.annotate(
            number(value),
            (max(value or 0, start), middle),
            (4, 0),
            textcoords="offset pixels",
            va="center_baseline",
            color=LABEL,
            fontsize=10,
            annotation_clip=False,
        )


def _bar_axes(axes, labels, step, title, log, end, least, whole):
    if log:
        axes.set_xscale("log")
        axes.set_xlim(least * 0.7, end)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if end / least < 1000 else (1,), numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(0, end)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=whole))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number_label(value)))
    axes.set_ylim(step * len(labels), -_GAP / 2)
    axes.set_yticks([index * step + (step - _GAP) / 2 for index in range(len(labels))], [_shortened(label) for label in labels])
    axes.grid(axis="x", color=GRID, clip_on=False)
    axes.set_xlabel(_text(title + (" (logarithmic)" if log else "")), color=TEXT, labelpad=4)


def _text(text):
    """Text that an XML document can hold."""
    return printable(str(text))


def _shortened(label, longest=LONGEST_LABEL):
    label = _text(label)
    return label if len(label) <= longest else label[: longest - 1] + "…"


def _finite(point):
    return all(isinstance(value, (int, float)) and math.isfinite(value) for value in point)


def _span(values):
    values = list(values)
    return min(values), max(values)


def _widened(ends):
    return ends if ends[0] < ends[1] else (ends[0] - 0.5, ends[1] + 0.5)


def _named(names):
    return (lambda x: names[int(x)]) if names else number_label


def _told(series, named):
    """A line in words: its ends, and its extremes where they are not the ends."""
    points = series.points
    (first, start), (last, end) = points[0], points[-1]
    if len(points) == 1:
        return f"{series.label}: {start:.4g} at {named(first)}."
    text = f"{series.label}: {start:.4g} at {named(first)}, {end:.4g} at {named(last)}"
    for word, (x, y) in (("lowest", min(points, key=lambda point: point[1])), ("highest", max(points, key=lambda point: point[1]))):
        if y not in (start, end):
            text += f", {word} {y:.4g} at {named(x)}"
    return text + "."


def _line_table(x_label, series, named, most):
    """(heads, rows of text, whether rows were left out): every point that is drawn as a marker, and some of the others."""
    columns = [dict(each.points) for each in series]
    places = sorted({x for column in columns for x in column})
    must = {x for each in series if each.markers for x, _ in each.points}
    stride = max(1, math.ceil(len(places) / most))
    shown = [x for index, x in enumerate(places) if index % stride == 0 or x in must or index == len(places) - 1]
    rows = [[named(x), *(f"{column[x]:.4g}" if x in column else ABSENT for column in columns)] for x in shown]
    return [x_label, *(each.label for each in series)], rows, len(shown) < len(places)
