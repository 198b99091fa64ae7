"""Curves keep their peaks, bars are as long as their counts, arrows go forward, and the examples shown are the worst and the best."""

import itertools

import pytest

from stage_helpers import load

charts = load("report", "line_chart")
bars = load("report", "bar_chart")
dataset_part = load("report", "report_dataset")
graphs = load("report", "stage_graph")
examples = load("report", "example_pictures")
pages = load("report", "page")


def chart_of(points, **more):
    return charts.line_chart("id", "title", [charts.Series("line", points, True)], "x", "text", **more)


def test_a_chart_has_no_point_that_was_not_given_and_keeps_the_extremes():
    points = [(step, (step * 7919) % 1000 / 10) for step in range(20000)]
    kept = charts.thin(points)
    assert len(kept) <= charts.MOST_POINTS + 4
    assert set(kept) <= set(points)
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert {y for _, y in kept} >= {min(y for _, y in points), max(y for _, y in points)}


def test_few_points_are_all_kept():
    points = [(1, 2.0), (2, 1.0)]
    assert charts.thin(points) == points


@pytest.mark.parametrize("points", [[], [(1, float("nan"))], [(float("inf"), 1)], [(1, None)]])
def test_without_a_finite_point_there_is_no_chart(points):
    assert chart_of(points) is None


def test_points_that_are_not_finite_are_left_out():
    assert len(chart_of([(0, 1.0), (1, float("nan")), (2, 3.0)]).lines[0].dots) == 2


@pytest.mark.parametrize(
    "points",
    [
        [(5, 3.0)],
        [(0, 1.0), (10, 1.0)],
        [(0, 0.0), (9, 0.0)],
        [(0, -5.0), (9, 5.0)],
        [(0, 1e-9), (9, 2e-9)],
        [(0, 134.0), (50, 0.2)],
        [(0, 1e6), (10**7, 1.0)],
    ],
)
def test_every_point_and_tick_lies_on_the_chart(points):
    chart = chart_of(points)
    for x, y, _ in chart.lines[0].dots:
        assert charts.LEFT <= x <= charts.WIDTH - charts.RIGHT
        assert charts.TOP <= y <= charts.HEIGHT - charts.BOTTOM
    for ticks, low, high in [
        (chart.x_ticks, charts.LEFT, charts.WIDTH - charts.RIGHT),
        (chart.y_ticks, charts.TOP, charts.HEIGHT - charts.BOTTOM),
    ]:
        assert ticks
        assert all(low - 0.1 <= tick.place <= high + 0.1 for tick in ticks)
        assert len({tick.label for tick in ticks}) == len(ticks), "two ticks with one label"


def test_a_loss_that_falls_by_orders_of_magnitude_has_a_logarithmic_axis():
    places = {tick.label: tick.place for tick in chart_of([(0, 100.0), (1, 10.0), (2, 1.0)]).y_ticks}
    assert places["100"] - places["10"] == pytest.approx(places["10"] - places["1"], abs=0.2)


def test_a_mark_outside_the_axis_is_not_drawn():
    assert chart_of([(0, 1), (10, 2)], marks=[charts.Mark(5, "in"), charts.Mark(48000, "out")]).marks == [charts.Tick(380.0, "in")]


def bars_of(*counts, **more):
    rows = [(str(number), list(row)) for number, row in enumerate(counts)]
    return bars.bar_chart("id", "title", ["objects", "images"], rows, "n", "text", **more)


def widths(chart):
    return [[bar.width for bar in row.bars] for row in chart.rows]


def test_without_a_count_there_are_no_bars():
    assert bars_of((0, 0), (0, 0)) is None
    assert bars_of() is None


def test_bars_are_as_long_as_their_counts():
    chart = bars_of((20, 10), (5, 0))
    full = bars.WIDTH - bars.LEFT - bars.RIGHT
    assert widths(chart) == [[full, full / 2], [full / 4, 0]]
    assert [[bar.number for bar in row.bars] for row in chart.rows] == [["20", "10"], ["5", "0"]]
    assert chart.axis == "n"


def test_counts_of_several_orders_of_magnitude_have_a_logarithmic_axis_that_says_so():
    chart = bars_of((100000, 1), (1000, 0))
    assert chart.axis == "n (logarithmic)"
    (most, one), (middle, none) = widths(chart)
    assert most > middle > one > 10
    assert none == 0
    assert [bar.number for bar in chart.rows[0].bars] == ["100,000", "1"]
    assert chart.ticks[0].place == pytest.approx(bars.LEFT + one, abs=0.2)
    assert chart.ticks[0].label == "1"


def test_a_linear_axis_can_be_asked_for():
    (most, one) = widths(bars_of((1000, 1), log=False))[0]
    assert one == pytest.approx(most / 1000, abs=0.05)


@pytest.mark.parametrize("largest", [1, 2, 3, 7, 99, 12345, 10**9])
@pytest.mark.parametrize("log", [True, False])
def test_ticks_are_whole_numbers_on_the_axis(largest, log):
    chart = bars_of((largest, 1), log=log)
    assert all(bars.LEFT <= tick.place <= bars.WIDTH - bars.RIGHT for tick in chart.ticks)
    labels = [tick.label for tick in chart.ticks]
    assert len(set(labels)) == len(labels) >= 1
    assert all(float(label.replace(",", "")) == int(float(label.replace(",", ""))) for label in labels)


def test_rows_do_not_overlap_and_end_above_the_axis():
    chart = bars_of(*[(9, 3)] * 40)
    tops = [bar.y for row in chart.rows for bar in row.bars]
    assert all(after - before >= bars.THICK for before, after in itertools.pairwise(tops))
    assert tops[-1] + bars.THICK <= chart.height - bars.BOTTOM


def test_a_long_class_name_is_shortened_and_kept_whole_in_the_title():
    (row,) = bars.bar_chart("id", "t", ["n"], [("a class with a very long name", [1])], "n", "t").rows
    assert row.title == "a class with a very long name"
    assert len(row.label) == 20
    assert row.label.endswith("…")


@pytest.mark.parametrize(
    ("bbox", "place"),
    [
        ((0, 0, 1, 1), 1),  # 1 of 200 x 50 pixels: 1 %
        ((0, 0, 0.9, 0.9), 0),
        ((0, 0, 2, 2), 2),
        ((0, 0, 20, 5), 6),  # a tenth of each side: 10 %
        ((0, 0, 100, 1), 6),  # the same area
        ((0, 0, 200, 50), 11),
    ],
)
def test_a_boxs_size_is_the_root_of_its_share_of_the_image(bbox, place):
    assert dataset_part.size_bin(bbox, 200, 50) == place


CHAIN = {
    "ingest": [],
    "records": ["ingest"],
    "train": ["records"],
    "freeze": ["train"],
    "convert": ["freeze"],
    "infer-frozen": ["freeze", "ingest"],
    "infer-tflite": ["convert", "ingest"],
    "evaluate": ["ingest", "infer-frozen", "infer-tflite"],
}


def test_an_arrow_that_follows_from_a_longer_way_is_left_out():
    assert len(graphs.layout(CHAIN).arrows) == 8


def test_boxes_do_not_overlap_and_stand_right_of_what_feeds_them():
    drawing = graphs.layout(CHAIN)
    place = {box.name: box for box in drawing.boxes}
    for first, second in itertools.combinations(drawing.boxes, 2):
        assert abs(first.x - second.x) >= graphs.BOX_WIDTH or abs(first.y - second.y) >= graphs.BOX_HEIGHT
    for name, feeders in CHAIN.items():
        assert all(place[feeder].x < place[name].x for feeder in feeders)
        assert 0 <= place[name].x <= drawing.width - graphs.BOX_WIDTH
        assert 0 <= place[name].y <= drawing.height - graphs.BOX_HEIGHT


def test_an_arrow_that_passes_a_column_does_not_run_through_its_boxes():
    # b → d passes the column of c; at that column it is level, on a row of its own.
    drawing = graphs.layout({"a": [], "b": ["a"], "c": ["b"], "x": ["c"], "y": ["b"], "d": ["x", "y"]})
    passing = next(path for path in drawing.arrows if "H" in path)
    start, level = passing.split("H")[0].rpartition(" ")[2].split(",")
    for box in drawing.boxes:
        if box.x == float(start):
            assert not box.y - 1 <= float(level) <= box.y + graphs.BOX_HEIGHT + 1


def test_a_feeder_that_is_not_among_the_stages_is_ignored():
    assert graphs.layout({"b": ["gone"]}).arrows == []


def box(*bbox, category=1, score=None):
    return examples.Box(category, list(bbox), score)


TRUE = box(0, 0, 10, 10)


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        ([], [], (1.0, 1.0)),
        ([TRUE], [box(0, 0, 10, 10, score=0.8)], (1.0, 0.8)),
        ([TRUE], [], (0.0, 0.0)),
        ([], [box(0, 0, 10, 10, score=0.8)], (0.0, 0.0)),
        ([TRUE], [box(0, 0, 10, 10, category=2, score=0.8)], (0.0, 0.0)),
        ([TRUE], [box(0, 0, 10, 4.9, score=0.8)], (0.0, 0.0)),
        ([TRUE], [box(0, 0, 10, 10, score=0.6), box(0, 0, 10, 9, score=0.9)], (2 / 3, 0.9)),
        ([TRUE, box(20, 0, 30, 10)], [box(0, 0, 10, 10, score=0.6)], (2 / 3, 0.6)),
    ],
)
def test_quality_is_f1_then_the_score_of_the_right_boxes(truth, found, expected):
    assert examples.quality(truth, found) == pytest.approx(expected)


def test_the_worst_and_the_best_images_are_picked_by_their_worst_model():
    truth = {number: [TRUE] for number in range(1, 6)}
    good = {number: [box(0, 0, 10, 10, score=0.5 + number / 20)] for number in range(1, 6)}
    other = {number: boxes for number, boxes in good.items() if number != 4}
    assert examples.pick([1, 2, 3, 4, 5], truth, [good, other], 3) == {"worst": [4, 1], "best": [5]}


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (pages.metric, 0.93951, "0.940"),
        (pages.metric, None, "–"),
        (pages.signed, -0.0018, "−0.002"),
        (pages.signed, 0.0004, "±0.000"),
        (pages.signed, 0.5, "+0.500"),
        (pages.in_bytes, 0, "0 B"),
        (pages.in_bytes, 999, "999 B"),
        (pages.in_bytes, 640952, "641 kB"),
        (pages.in_bytes, 999_999, "1000 kB"),
        (pages.in_bytes, 4_740_000, "4.74 MB"),
        (pages.seconds, 0.5, "0.50 s"),
        (pages.seconds, 59.94, "59.9 s"),
        (pages.seconds, 444.4, "7 min 24 s"),
        (pages.seconds, 11100, "3 h 5 min"),
        (pages.seconds, None, "–"),
        (pages.plain, True, "yes"),
        (pages.plain, [1, 160, 160, 3], "1 × 160 × 160 × 3"),
        (pages.plain, 0.0078125, "0.0078125"),
        (pages.short, "ab" * 32, "abababababab"),
        (pages.milliseconds, 0.0123, "12.3 ms"),
        (pages.span, [-1.5, 6.0], "−1.5 … 6"),
    ],
)
def test_numbers_are_written_for_people(write, value, text):
    assert write(value) == text
