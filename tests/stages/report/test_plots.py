"""Charts hold the numbers that were given: in their drawing, in words and as a table; and they are markup that fits into a page."""

import math
import re
import xml.etree.ElementTree as ET

import pytest
from _report.plots import LONGEST_LABEL, MOST_POINTS, MOST_ROWS, Mark, Series, bar_chart, line_chart, thin
from hypothesis import given
from hypothesis import strategies as st

RAMP = [(0, 1.0), (50, 3.0), (100, 2.0)]


def line(points=RAMP, **more):
    return line_chart("id", "title", [Series("line", points)], "step", **more)


def bars(rows=(("cat", [3]), ("dog", [1])), series=("objects",), **more):
    return bar_chart("id", "title", list(series), list(rows), "number", **more)


def texts(chart):
    """The texts in the drawing."""
    return [element.text for element in ET.fromstring(str(chart.svg)).iter("text")]


# In the page.


@pytest.mark.parametrize("chart", [line(), line(marks=[Mark(50, "here")]), bars(), bars(log=True)])
def test_a_drawing_is_markup_without_style_or_colours_of_its_own(chart):
    text = str(chart.svg)
    ET.fromstring(text)
    assert "style" not in text
    assert not re.search(r"#[0-9a-f]{6}|DejaVu|xlink|matplotlib|<\?|<!|metadata", text)
    assert 'aria-labelledby="id-title"' in text
    assert 'aria-describedby="id-text"' in text


def test_the_ids_of_two_charts_differ():
    points = [Series("line", RAMP, markers=True)]
    one, other = (re.findall(r' id="([^"]+)"', str(line_chart(name, "t", points, "x").svg)) for name in ("one", "other"))
    assert one
    assert not set(one) & set(other)


def test_the_same_numbers_give_the_same_drawing():
    assert line().svg == line().svg
    assert bars().svg == bars().svg


@pytest.mark.parametrize("name", ["a & <b>", "$x^2$", "\"quoted' name", "猫 🐈", "tab\tand\x07bell", "\ud800"])
def test_a_name_is_text_in_the_drawing(name):
    shown = [text for text in texts(bars([(name, [1])])) if text not in ("number", "0", "1")]
    assert len(shown) == 1
    assert len(shown[0]) == len(name)
    assert [a for a, b in zip(shown[0], name, strict=True) if a != b] in ([], ["·"], ["·", "·"], ["?"])


def test_a_long_name_is_cut_in_the_drawing_and_whole_in_the_table():
    chart = bars([("n" * 300, [1])])
    assert max(len(text) for text in texts(chart)) == LONGEST_LABEL
    assert chart.rows == [["n" * 300, "1"]]


# Lines.


@pytest.mark.parametrize("points", [[], [(1, float("nan"))], [(float("inf"), 1)], [(1, None)]])
def test_without_a_finite_point_there_is_no_chart(points):
    assert line(points) is None


def test_points_that_are_not_finite_are_left_out():
    assert line([(0, 1.0), (1, float("nan")), (2, None), (3, 4.0)]).rows == [["0", "1"], ["3", "4"]]


def test_a_line_is_told_by_its_ends_and_extremes():
    assert line().description == "line: 1 at 0, 2 at 100, highest 3 at 50."
    assert line(lead="All of it.").description == "All of it. line: 1 at 0, 2 at 100, highest 3 at 50."
    assert line([(7, 0.25)]).description == "line: 0.25 at 7."


def test_x_values_can_have_names():
    chart = line([(0, 0.5), (2, 0.75)], names=["small", "medium", "large"])
    assert {"small", "medium", "large"} <= set(texts(chart))
    assert chart.rows == [["small", "0.5"], ["large", "0.75"]]


@pytest.mark.parametrize(
    ("points", "logarithmic"),
    [
        ([(0, 100.0), (1, 10.0), (2, 1.0)], True),
        ([(0, 20.0), (1, 1.0)], False),
        ([(0, 100.0), (1, 0.0)], False),
    ],
)
def test_a_loss_that_falls_by_orders_of_magnitude_has_a_logarithmic_axis(points, logarithmic):
    assert ({"100", "10", "1"} <= set(texts(line(points)))) is logarithmic


@pytest.mark.parametrize(("at", "drawn"), [(0, True), (50, True), (100, True), (48000, False), (-1, False)])
def test_a_mark_outside_the_axis_is_not_drawn(at, drawn):
    assert ("here" in texts(line(marks=[Mark(at, "here")]))) is drawn


def test_several_lines_differ_in_colour_and_dashes_and_have_a_legend():
    chart = line_chart("id", "t", [Series(name, RAMP) for name in "abcde"], "x")
    assert [label for _, _, label in chart.legend] == list("abcde")
    assert len({(colour, dashes) for colour, dashes, _ in chart.legend}) == 5
    assert line().legend == []


def test_a_line_keeps_its_colour_where_another_has_no_points():
    chart = line_chart("id", "t", [Series("a", []), Series("b", RAMP)], "x")
    assert chart.legend == [(2, 1, "b")]


@given(
    st.lists(
        st.tuples(st.floats(-1e9, 1e9), st.floats(-1e6, 1e6).map(lambda value: 0.0 if abs(value) < 1e-6 else value)),
        min_size=1,
        max_size=30,
        unique_by=lambda point: point[0],
    ).map(sorted)
)
def test_every_point_and_text_lies_on_the_drawing(points):
    root = ET.fromstring(str(line(points).svg))
    _, _, width, height = map(float, root.get("viewBox").split())
    for element in root.iter("path"):
        numbers = [float(number) for number in re.findall(r"-?[0-9.]+", element.get("d"))]
        if element.get("id") is None:
            assert all(-1 <= x <= width + 1 for x in numbers[::2])
            assert all(-1 <= y <= height + 1 for y in numbers[1::2])
    for element in root.iter("text"):
        assert 0 <= float(element.get("x")) <= width
        assert 0 <= float(element.get("y")) <= height


def test_a_thinned_line_has_no_point_that_was_not_given_and_keeps_the_extremes():
    points = [(step, (step * 7919) % 1000 / 10) for step in range(20000)]
    kept = thin(points)
    assert len(kept) <= MOST_POINTS + 4
    assert set(kept) <= set(points)
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert {y for _, y in kept} >= {min(y for _, y in points), max(y for _, y in points)}


def test_few_points_are_all_kept():
    assert thin(RAMP) == RAMP


def test_a_long_lines_table_has_some_of_its_points_and_says_so():
    chart = line([(step, float(step)) for step in range(1000)])
    assert len(chart.rows) <= MOST_ROWS + 2
    assert chart.part
    assert (chart.rows[0][0], chart.rows[-1][0]) == ("0", "999")
    assert not line().part


def test_each_marked_point_is_in_the_table():
    series = [Series("often", [(step, float(step)) for step in range(1000)]), Series("seldom", [(333, 1.0), (777, 2.0)], markers=True)]
    rows = {row[0]: row for row in line_chart("id", "t", series, "step").rows}
    assert rows["333"] == ["333", "333", "1"]
    assert rows["777"] == ["777", "777", "2"]
    assert rows["0"] == ["0", "0", "–"]


# Bars.


def widths(chart):
    """Width of each bar, row by row of each series in turn, in units of the drawing."""
    found = []
    for element in ET.fromstring(str(chart.svg)).iter("path"):
        if re.fullmatch(r"s\d+f", element.get("class") or ""):
            across = [float(number) for number in re.findall(r"-?[0-9.]+", element.get("d"))][::2]
            found.append(max(across) - min(across))
    return found


@pytest.mark.parametrize("rows", [[], [("a", [0]), ("b", [0])], [("a", [None])]])
def test_without_a_count_there_are_no_bars(rows):
    assert bars(rows) is None


def test_bars_are_as_long_as_their_counts():
    first, second, third, none = widths(bars([("a", [20, 10]), ("b", [5, 0])], ["objects", "images"]))
    assert (second / first, third / first, none) == (pytest.approx(0.25, abs=0.01), pytest.approx(0.5, abs=0.01), 0)


def test_bars_are_told_in_words_and_numbers():
    chart = bars([("cat", [1200, 3]), ("dog", [None, 0])], ["objects", "images"], lead="Of one split.")
    assert chart.description == "Of one split. In each row objects, images. cat: 1,200, 3; dog: –, 0."
    assert chart.rows == [["cat", "1,200", "3"], ["dog", "–", "0"]]
    assert {"1,200", "3", "0", "–"} <= set(texts(chart))


def test_of_many_rows_the_first_are_told_in_words():
    chart = bars([("class %d" % number, [number]) for number in range(40)])
    assert chart.description.endswith("class 11: 11; and 28 more.")
    assert len(chart.rows) == 40


def test_counts_of_several_orders_of_magnitude_have_a_logarithmic_axis_that_says_so():
    chart = bars([("a", [100000, 1]), ("b", [1000, 0])], ["objects", "images"])
    assert "number (logarithmic)" in texts(chart)
    most, middle, one, none = widths(chart)
    assert most > middle > one > 10
    assert none == 0


def test_a_linear_axis_can_be_asked_for():
    most, one = widths(bars([("a", [1000]), ("b", [1])], log=False))
    assert one == pytest.approx(most / 1000, abs=0.2)


@pytest.mark.parametrize("largest", [1, 2, 3, 7, 99, 12345, 10**9])
@pytest.mark.parametrize("log", [True, False])
def test_ticks_of_counts_are_whole_numbers(largest, log):
    shown = [text for text in texts(bars([("a", [largest]), ("b", [1])], log=log)) if text[0].isdigit()]
    assert all(float(text.replace(",", "")) == math.floor(float(text.replace(",", ""))) for text in shown)


def test_bars_do_not_overlap_and_end_above_the_axis():
    root = ET.fromstring(str(bars([("a%d" % number, [9, 3]) for number in range(40)], ["one", "two"]).svg))
    height = float(root.get("viewBox").split()[3])
    spans = []
    for element in root.iter("path"):
        if re.fullmatch(r"s\d+f", element.get("class") or ""):
            down = [float(number) for number in re.findall(r"-?[0-9.]+", element.get("d"))][1::2]
            spans.append((min(down), max(down)))
    spans.sort()
    assert len(spans) == 80
    assert all(top >= bottom - 0.11 for (_, bottom), (top, _) in zip(spans, spans[1:], strict=False))
    assert spans[-1][1] <= height - 40
