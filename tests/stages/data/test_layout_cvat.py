"""CVAT for images 1.1: shapes and their boxes, subsets, and what is wrong with a file."""

import math
import pickle

import numpy as np
import pytest
from _detection import rle as rles
from _runtime import StageError
from formats.xml_stream import top_elements
from hypothesis import example, given
from hypothesis import strategies as st
from layout_reading import natural, outcome, read, write
from layouts.cvat import Cvat
from places import Places
from tables import DIFFICULT, OCCLUDED, TRUNCATED

LAYOUT = Cvat()
META = """<version>1.1</version>
<meta><task><labels>
<label><name>cat</name></label><label><name>dog</name><attributes><attribute><name>age</name></attribute></attributes></label>
<label><name>tail tip</name><type>points</type><parent>dog</parent></label>
</labels></task></meta>
"""
SPEC = {"annotations": "annotations.xml"}


def cvat(*images, meta=META):
    return '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n%s%s</annotations>\n' % (meta, "".join(images))


def image(*shapes, name="a.jpg", size=(64, 48), extra=""):
    return '<image id="0" name="%s" width="%d" height="%d"%s>\n%s\n</image>\n' % (name, *size, extra, "\n".join(shapes))


def box(label="cat", corners=(10, 10, 30, 40), extra="", inside=""):
    return '<box label="%s" xtl="%s" ytl="%s" xbr="%s" ybr="%s" z_order="0"%s>%s</box>' % (label, *corners, extra, inside)


def one(tmp_path, *shapes, **options):
    """The reading of a file with one image of these shapes."""
    root = write(tmp_path / "root", {"annotations.xml": cvat(image(*shapes, **options))})
    return read(LAYOUT, root, tmp_path, SPEC)


# a shape -> its box
BOXES = {
    "a box": (box(), [10, 10, 30, 40]),
    "fractions of pixels": (box(corners=("1.25", "2", "3.50", "4")), [1.25, 2, 3.5, 4]),
    "a box that reaches outside is judged later": (box(corners=(-5, 10, 70, 40)), [-5, 10, 70, 40]),
    "corners in the wrong order are judged later": (box(corners=(30, 10, 10, 40)), [30, 10, 10, 40]),
    "no rotation": (box(extra=' rotation="0.0"'), [10, 10, 30, 40]),
    "a polygon": ('<polygon label="cat" points="1,2;5.5,4;3,9" occluded="0"/>', [1, 2, 5.5, 9]),
    "an ellipse": ('<ellipse label="cat" cx="20" cy="10" rx="5" ry="3"/>', [15, 7, 25, 13]),
    "a turned ellipse": ('<ellipse label="cat" cx="20" cy="10" rx="5" ry="3" rotation="90"/>', [17, 5, 23, 15]),
    "a mask": ('<mask label="cat" rle="1, 2, 3" left="4" top="5" width="2" height="3"/>', [4, 5, 6, 8]),
}


@pytest.mark.parametrize("case", BOXES, ids=lambda case: case.replace(" ", "-"))
def test_boxes(tmp_path, case):
    shape, expected = BOXES[case]
    reading = one(tmp_path, shape)
    assert reading.objects == [("a.jpg", "cat", expected, 0)]
    assert [finding for finding in reading.findings if finding.way != "note"] == []


@pytest.mark.parametrize("degrees", ["45", "-45", "405", "135.0"])
def test_the_box_of_a_turned_box_is_the_one_around_its_corners(tmp_path, degrees):
    reading = one(tmp_path, box(corners=(10, 10, 30, 30), extra=' rotation="%s"' % degrees))
    half = 10 * math.sqrt(2)
    assert reading.objects[0][2] == pytest.approx([20 - half, 20 - half, 20 + half, 20 + half], abs=1e-5)
    assert reading.codes() == [("fixed", "box-rotated")]


def test_a_turn_by_a_quarter_swaps_the_sides(tmp_path):
    assert one(tmp_path, box(corners=(10, 10, 30, 20), extra=' rotation="270"')).objects[0][2] == pytest.approx([15, 5, 25, 25])


def test_a_polygon_is_a_mask_too(tmp_path):
    reading = one(tmp_path, box(), '<polygon label="cat" points="1,2;5.5,4;3,9"/>')
    assert reading.extra == {1: {"mask": {"polygons": [[1, 2, 5.5, 4, 3, 9]], "unit": "pixels"}}}
    assert [(finding.way, finding.code, finding.number) for finding in reading.findings] == [("note", "box-from-polygon", 2)]


def test_a_mask_lies_where_its_box_is(tmp_path):
    """Runs go along the rows of the box, background first."""
    reading = one(tmp_path, '<mask label="cat" rle="1,2,1,2" left="2" top="1" width="3" height="2"/>', size=(7, 4))
    expected = np.zeros((4, 7), bool)
    expected[1:3, 2:5] = [[False, True, True], [False, True, True]]
    assert np.array_equal(rles.decode(reading.extra[0]["mask"]["rle"]), expected)


FLAGS = {
    "occluded": (box(extra=' occluded="1"'), OCCLUDED),
    "not occluded": (box(extra=' occluded="0"'), 0),
    "attributes": (
        box(inside='<attribute name="difficult">true</attribute><attribute name="truncated">1</attribute>'),
        DIFFICULT | TRUNCATED,
    ),
    "attributes that say no": (box(inside='<attribute name="difficult">false</attribute><attribute name="age">1</attribute>'), 0),
}


@pytest.mark.parametrize("case", FLAGS)
def test_flags(tmp_path, case):
    shape, expected = FLAGS[case]
    assert one(tmp_path, shape).objects == [("a.jpg", "cat", [10, 10, 30, 40], expected)]


# a shape -> the finding's code and a part of its message
BAD = {
    "a line": ('<polyline label="cat" points="1,2;3,4"/>', "shape-unsupported", "polyline"),
    "points": ('<points label="cat" points="1,2"/>', "shape-unsupported", "points"),
    "a cuboid": ('<cuboid label="cat" xtl1="1"/>', "shape-unsupported", "cuboid"),
    "a skeleton": ('<skeleton label="cat"><points label="tail tip" points="1,2"/></skeleton>', "shape-unsupported", "skeleton"),
    "no label": (box(label=" "), "label-empty", "no label"),
    "a tag without a label": ('<tag label=""/>', "label-empty", "<tag>"),
    "a corner missing": ('<box label="cat" xtl="1" ytl="2" xbr="3"/>', "box-incomplete", "ybr"),
    "no number": (box(corners=("1", "nan", "3", "4")), "box-not-a-number", "ytl is nan"),
    "a rotation that is no number": (box(extra=' rotation="left"'), "box-not-a-number", "rotation"),
    "a polygon of two points": ('<polygon label="cat" points="1,2;3,4"/>', "box-incomplete", "4 numbers"),
    "a polygon of half points": ('<polygon label="cat" points="1,2;3,4;5,6;7"/>', "box-incomplete", "7 numbers"),
    "a polygon of nothing": ('<polygon label="cat"/>', "box-not-a-number", "nothing"),
    "a polygon of words": ('<polygon label="cat" points="1,2;3,x;5,6"/>', "box-not-a-number", "x"),
    "an ellipse without a centre": ('<ellipse label="cat" rx="5" ry="3"/>', "box-incomplete", "cx"),
    "a mask of words": ('<mask label="cat" rle="1,a" left="4" top="5" width="2" height="3"/>', "mask-broken", "run lengths"),
    "a mask of too few pixels": ('<mask label="cat" rle="1,2" left="4" top="5" width="2" height="3"/>', "mask-broken", "2 x 3"),
    "a mask outside": ('<mask label="cat" rle="1,5" left="63" top="5" width="2" height="3"/>', "mask-broken", "63"),
    "a huge mask": (
        '<mask label="cat" rle="999999999" left="0" top="0" width="999999999" height="1"/>',
        "mask-broken",
        "pixels",
    ),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.replace(" ", "-"))
def test_shapes_that_are_left_out(tmp_path, case):
    shape, code, message = BAD[case]
    reading = one(tmp_path, box(), shape, box("dog"))
    assert [name for _, name, *_ in reading.objects] == ["cat", "dog"]
    assert [(finding.way, finding.code, finding.file, finding.number) for finding in reading.findings] == [
        ("bad", code, "annotations.xml", 2)
    ]
    assert message in reading.findings[0].message
    line = (tmp_path / "root/annotations.xml").read_text().splitlines()[reading.findings[0].line - 1]
    assert line == shape


def test_a_mask_without_the_size_of_its_image(tmp_path):
    reading = one(tmp_path, '<mask label="cat" rle="1,5" left="0" top="0" width="2" height="3"/>', size=(0, 0))
    assert reading.codes() == [("doubt", "size-undeclared"), ("bad", "mask-broken")]


def test_images(tmp_path):
    xml = cvat(image(name="deep/er/a.jpg"), image('<tag label="dog"/>', '<tag label="cat"/>', name="b.png", size=(5, 6)))
    reading = read(LAYOUT, write(tmp_path / "root", {"annotations.xml": xml}), tmp_path, SPEC)
    assert [(item.name, item.width, item.height, item.labels) for item in reading.images] == [
        ("deep/er/a.jpg", 64, 48, None),
        ("b.png", 5, 6, (("dog", True), ("cat", True))),
    ]
    lines = xml.splitlines()
    assert ["name=" in lines[item.line - 1] for item in reading.images] == [True, True]


def test_the_labels_of_the_project_are_the_classes(tmp_path):
    assert one(tmp_path, box()).source.options["classes"] == ["cat", "dog"]


def test_an_image_name_that_leads_out_is_refused(tmp_path):
    assert one(tmp_path, name="../a.jpg").codes() == [("refuse", "filename-outside")]


def test_an_image_without_a_name_is_left_out(tmp_path):
    assert one(tmp_path, box(), name="").codes() == [("bad", "image-missing")]


def images_of(*subsets):
    return cvat(
        *(image(box(), name="%d.jpg" % number, extra="" if name is None else ' subset="%s"' % name) for number, name in enumerate(subsets))
    )


# subsets of the images -> {split: names of its images}, or None
SUBSETS = {
    "none": ([None, None], None),
    "CVAT's usual ones": (["Train", "Test", "Train", "Validation"], {"train": ["0.jpg", "2.jpg"], "test": ["1.jpg"], "val": ["3.jpg"]}),
    "one alone": (["default"], {"train": ["0.jpg"]}),
    "one alone that is a usual one": (["Test"], {"test": ["0.jpg"]}),
    "own names": (["Train", "night shots"], {"train": ["0.jpg"], "night-shots": ["1.jpg"]}),
    "two for the same split": (["val", "Validation"], {"Validation": ["1.jpg"], "val": ["0.jpg"]}),
    "some without": (["Train", None], {"train": ["0.jpg"], "default": ["1.jpg"]}),
}


@pytest.mark.parametrize("case", SUBSETS, ids=lambda case: case.replace(" ", "-"))
def test_subsets(tmp_path, case):
    subsets, expected = SUBSETS[case]
    root = write(tmp_path / "root", {"annotations.xml": images_of(*subsets)})
    assert LAYOUT.fits(root)
    if expected is None:
        assert LAYOUT.splits(root) is None
        return
    found = natural(LAYOUT, root, tmp_path)
    assert {split: [item.name for item in reading.images] for split, reading in found.items()} == expected


def test_a_subset_that_is_not_there(tmp_path):
    root = write(tmp_path / "root", {"annotations.xml": images_of("Train", "Test")})
    with pytest.raises(StageError) as caught:
        read(LAYOUT, root, tmp_path, {"annotations": "annotations.xml", "subset": "val"})
    assert caught.value.found == "images of Test, Train"


def test_a_subset_that_may_be_in_the_missing_rest_of_a_file(tmp_path):
    root = write(tmp_path / "root", {"annotations.xml": images_of("Train", "Test")[:-60]})
    assert read(LAYOUT, root, tmp_path, {"annotations": "annotations.xml", "subset": "Test"}).codes() == [("bad", "xml-broken")]


def test_files_named_like_the_splits(tmp_path):
    root = write(tmp_path / "root", {"train.xml": cvat(image(box())), "valid.xml": cvat(image(box("dog")))})
    assert {split: reading.objects[0][1] for split, reading in natural(LAYOUT, root, tmp_path).items()} == {"train": "cat", "val": "dog"}


FITTING = {
    "CVAT for images": (cvat(image()), True),
    "CVAT for video": ("<annotations><version>1.1</version><track/></annotations>", True),
    "UTF-16": (cvat(image()).replace("utf-8", "utf-16").encode("utf-16"), True),
    "VOC": ("<annotation><filename>a.jpg</filename></annotation>", False),
    "another XML of annotations": ("<annotations><page/></annotations>", False),
    "no XML": ("annotations", False),
}


@pytest.mark.parametrize("case", FITTING, ids=lambda case: case.replace(" ", "-"))
def test_whether_it_fits(tmp_path, case):
    content, expected = FITTING[case]
    write(tmp_path, {"a.xml": content})
    assert LAYOUT.fits(tmp_path) is expected
    assert LAYOUT.fits(tmp_path / "a.xml") is expected


def with_doctype(text, shape=""):
    return cvat(image(shape)).replace("<annotations>", "%s\n\n<annotations>" % text)


ENTITY = '<!DOCTYPE annotations [\n<!ENTITY cat "cat">]>'
BLOCK = 32_768  # bytes that lxml's iterparse reads at once
# the file -> (way, code, line) of the finding, and how many objects were read before
DAMAGED = {
    "cut short": (cvat(image(box()), image(box(), name="b.jpg"))[:-40], "bad", "xml-broken", 12, 1),
    "not well-formed at the end": (cvat(image(box())) + "<", "bad", "xml-broken", 12, 1),
    "no XML": ("<annotations><version>\x00", "bad", "xml-broken", 1, 0),
    "an entity": (with_doctype(ENTITY, box("&cat;")), "refuse", "xml-entity", 3, 0),
    "an entity in UTF-16": (with_doctype(ENTITY).replace("utf-8", "utf-16").encode("utf-16"), "refuse", "xml-entity", 3, 0),
    "an entity of another encoding": (
        with_doctype(ENTITY, box("&cat;")).replace("utf-8", "utf-7").replace("<!ENTITY", "+ADwAIQ-ENTITY"),
        "refuse",
        "xml-entity",
        5,
        0,
    ),
    "an entity of a DTD elsewhere": (
        with_doctype('<!DOCTYPE annotations SYSTEM "cvat.dtd">', box(inside='<attribute name="difficult">&cat;</attribute>')),
        "refuse",
        "xml-entity",
        10,
        0,
    ),
}


@pytest.mark.parametrize("case", DAMAGED, ids=lambda case: case.replace(" ", "-"))
def test_damaged_files(tmp_path, case):
    content, way, code, line, objects = DAMAGED[case]
    reading = read(LAYOUT, write(tmp_path / "root", {"annotations.xml": content}), tmp_path, SPEC)
    assert [(finding.way, finding.code, finding.line) for finding in reading.findings] == [(way, code, line)]
    assert len(reading.objects) == objects


@pytest.mark.parametrize("place", range(1, 8))
def test_an_entity_that_lies_across_two_blocks_of_the_parser(tmp_path, place):
    text = with_doctype("<!DOCTYPE a [<!--%s-->\n<!ENTITY b 'c'>]>" % ("x" * (BLOCK - 60 - place)))
    assert text.index("<!ENTITY") == BLOCK - place
    reading = read(LAYOUT, write(tmp_path / "root", {"annotations.xml": text}), tmp_path, SPEC)
    assert [(finding.code, finding.line) for finding in reading.findings] == [("xml-entity", 3)]


REFUSED = {
    "for video": ("<annotations><version>1.1</version>\n<track id='0'/></annotations>", "for video", "annotations.xml:2"),
    "tracks after images": (cvat(image(), "<track/>"), "for video", "annotations.xml:11"),
    "another root": ("<annotation><filename/></annotation>", "not CVAT's", "annotations.xml"),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_refused_files(tmp_path, case):
    content, what, where = REFUSED[case]
    with pytest.raises(StageError) as caught:
        read(LAYOUT, write(tmp_path / "root", {"annotations.xml": content}), tmp_path, SPEC)
    assert what in caught.value.what
    assert caught.value.where.endswith(where)


def test_a_large_file_is_never_whole_in_memory(tmp_path):
    from audit.findings import Findings

    root = write(tmp_path / "root", {"annotations.xml": cvat(*(image(box(), name="%d.jpg" % number) for number in range(1200)))})
    findings = Findings()
    kept = [len(element.getparent()) for element in top_elements(root / "annotations.xml", "a", findings)]
    assert len(kept) == 1202
    assert max(kept) < 600
    places = Places(root, "ingest")
    jobs = list(LAYOUT.jobs(LAYOUT.source(places, "train", SPEC), places, tmp_path))
    assert [len(LAYOUT.read(job).images) for job in jobs] == [500, 500, 200]
    assert len(pickle.dumps(jobs)) < 1000


def test_a_project_of_three_subsets(shared_data, tmp_path):
    root = shared_data("datasets") / "datumaro_assets/tests/assets/cvat_dataset/for_images/export_project"
    found = natural(LAYOUT, root, tmp_path)
    assert sorted(found) == ["test", "train", "val"]
    for split, subset in (("train", "Train"), ("val", "Validation"), ("test", "Test")):
        reading = found[split]
        assert reading.objects == [
            ("img0.jpg", "label1", [0, 2, 4, 4], OCCLUDED),
            ("img1.jpg", "label1", [1, 2, 6, 5], 0),
        ]
        assert [finding.code for finding in reading.findings] == ["shape-unsupported", "shape-unsupported", "box-from-polygon"]
        assert reading.source.images[0] == root / "images" / subset
        assert reading.source.options["classes"] == ["label1", "label2"]


def test_a_task_for_video(shared_data, tmp_path):
    root = shared_data("datasets") / "datumaro_assets/tests/assets/cvat_dataset/for_video"
    error = outcome(LAYOUT, root, tmp_path)
    assert "CVAT for images 1.1" in error.remedy


TAGS = st.sampled_from(
    ["image", "box", "polygon", "mask", "ellipse", "polyline", "tag", "meta", "labels", "label", "name", "track", "attribute"]
)
NAMES = st.sampled_from(
    [
        "name",
        "width",
        "height",
        "subset",
        "label",
        "xtl",
        "ytl",
        "xbr",
        "ybr",
        "points",
        "rle",
        "left",
        "top",
        "rotation",
        "cx",
        "cy",
        "rx",
        "ry",
    ]
)
VALUES = st.sampled_from(
    ["", "a.jpg", "../a", "cat", "1", "0", "-1", "64", "nan", "1e300", "1,2;3,4;5,6", "1,1", "&amp;", "&x;", "Train", "\u00e9", "9" * 12]
)
GOOD = cvat(image(box(), '<polygon label="cat" points="1,2;5.5,4;3,9"/>'), image(name="b.jpg")).encode()


def branch(inner):
    return st.tuples(TAGS, st.dictionaries(NAMES, VALUES, max_size=8), st.lists(inner, max_size=4)).map(
        lambda item: "<%s%s>%s</%s>" % (item[0], "".join(' %s="%s"' % pair for pair in item[1].items()), "".join(item[2]), item[0])
    )


TREES = st.recursive(VALUES, branch, max_leaves=12)
DOCUMENTS = st.lists(TREES, max_size=6).map(lambda trees: cvat("".join(trees), meta="").encode())
EDITS = st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), st.binary(max_size=6)), max_size=4)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return tmp_path_factory.mktemp("cvat")


def fuzzed(workshop, data):
    root = write(workshop / "root", {"annotations.xml": data})
    outcome(LAYOUT, root, workshop)
    outcome(LAYOUT, root, workshop, {"train": SPEC})
    outcome(LAYOUT, root, workshop, {"train": {**SPEC, "subset": "Train"}})


@given(DOCUMENTS)
def test_any_tree_of_cvat_tags(workshop, data):
    fuzzed(workshop, data)


@given(st.binary(max_size=200))
@example(b"")
@example(b"<annotations><version><?x?>\xff\xfe")
def test_any_bytes(workshop, data):
    fuzzed(workshop, data)


@given(EDITS)
def test_any_edit_of_a_good_file(workshop, edits):
    data = GOOD
    for place, length, new in edits:
        data = data[:place] + new + data[place + length :]
    fuzzed(workshop, data)
