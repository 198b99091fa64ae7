"""Stages stand right of what feeds them, and arrows do not run through boxes."""

import itertools

from stage_helpers import load

graphs = load("report", "stage_graph")

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
