"""Layout of the pipeline's graph: stages in columns by their longest way from a source, arrows that do not run through boxes.

The usual layered drawing (Sugiyama, Tagawa and Toda, 1981): columns by longest path, stand-ins where an arrow passes a column, order
within a column by the mean place of the neighbours. Arrows that follow from longer ways are left out.
"""

from typing import NamedTuple

BOX_WIDTH, BOX_HEIGHT = 118, 46
COLUMN, ROW = 138, 64
MARGIN = 6
SWEEPS = 6


class Box(NamedTuple):
    """A stage's box: its top left corner in pixels."""

    name: str
    x: float
    y: float


class Graph(NamedTuple):
    """The drawing: size in pixels, `boxes` a list of Box, `arrows` a list of SVG path data."""

    width: float
    height: float
    boxes: list
    arrows: list


def layout(inputs):
    """A Graph of `inputs`: {name: names that feed it}. Names that are fed by nothing known are sources."""
    feeds = {name: sorted({feeder for feeder in feeders if feeder in inputs}) for name, feeders in inputs.items()}
    depth = _depths(feeds)
    edges = _needed(feeds)
    columns, chains = _columns(depth, edges)
    _order(columns, chains)
    tallest = max((len(column) for column in columns), default=1)
    place = {}
    for number, column in enumerate(columns):
        top = (tallest - len(column)) / 2
        for index, node in enumerate(column):
            place[node] = (MARGIN + number * COLUMN, MARGIN + round((top + index) * ROW, 1))
    boxes = [Box(name, *place[name]) for name in inputs]
    arrows = [_path([place[node] for node in chain]) for chain in chains]
    return Graph(2 * MARGIN + (len(columns) - 1) * COLUMN + BOX_WIDTH, 2 * MARGIN + (tallest - 1) * ROW + BOX_HEIGHT, boxes, arrows)


def _depths(feeds):
    depth = {}

    def of(name):
        if name not in depth:
            depth[name] = 1 + max((of(feeder) for feeder in feeds[name]), default=-1)
        return depth[name]

    for name in feeds:
        of(name)
    return depth


def _needed(feeds):
    """The edges (from, to) that no longer way implies."""
    above = {}

    def ancestors(name):
        if name not in above:
            above[name] = set(feeds[name]).union(*(ancestors(feeder) for feeder in feeds[name]))
        return above[name]

    return [
        (feeder, name)
        for name in feeds
        for feeder in feeds[name]
        if not any(feeder in ancestors(other) for other in feeds[name] if other != feeder)
    ]


def _columns(depth, edges):
    columns = [[] for _ in range(1 + max(depth.values(), default=0))]
    for name, number in depth.items():
        columns[number].append(name)
    chains = []
    for start, end in edges:
        passed = [(start, end, number) for number in range(depth[start] + 1, depth[end])]
        for stand_in in passed:
            columns[stand_in[2]].append(stand_in)
        chains.append([start, *passed, end])
    return columns, chains


def _order(columns, chains):
    """Sort each column by the mean place of its neighbours, to and fro, so that few arrows cross."""
    before, after = {}, {}
    for chain in chains:
        for first, second in zip(chain, chain[1:], strict=False):
            before.setdefault(second, []).append(first)
            after.setdefault(first, []).append(second)
    for sweep in range(SWEEPS):
        neighbours = before if sweep % 2 == 0 else after
        for column in columns if sweep % 2 == 0 else reversed(columns):
            place = {node: index - (len(every) - 1) / 2 for every in columns for index, node in enumerate(every)}
            column.sort(key=lambda node: _mean([place[other] for other in neighbours.get(node, [])], place[node]))


def _mean(values, otherwise):
    return sum(values) / len(values) if values else otherwise


def _path(points):
    """A smooth line from the right side of the first box to the left side of the last, level across the columns between."""
    x, y = points[0][0] + BOX_WIDTH, points[0][1] + BOX_HEIGHT / 2
    parts = [f"M{x:g},{y:g}"]
    for number, (left, top) in enumerate(points[1:], start=1):
        middle, level = (x + left) / 2, top + BOX_HEIGHT / 2
        parts.append(f"C{middle:g},{y:g} {middle:g},{level:g} {left:g},{level:g}")
        x, y = left, level
        if number < len(points) - 1:
            x += BOX_WIDTH
            parts.append(f"H{x:g}")
    return "".join(parts)
