"""LabelMe: what the shapes of its JSON files say, the web tool's XML files, and what is wrong with either."""

import base64
import io
import json

import numpy as np
import pytest
from _detection import rle as rles
from hypothesis import example, given
from hypothesis import strategies as st
from layout_reading import outcome, read, write
from layouts.labelme import LabelMe
from masks import area_box, to_rle
from PIL import Image

LAYOUT = LabelMe()
PICTURE = b"a picture"  # readers open no images
RECTANGLE = [[10, 20], [40.5, 25]]
BOX = [10, 20, 40.5, 25]
DIFFICULT, TRUNCATED, GROUP_OF, CROWD, OCCLUDED = 1, 2, 4, 8, 16


def shape(kind="rectangle", points=RECTANGLE, label="cat", **fields):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **fields}


def labelme(*shapes, **fields):
    value = {"version": "5.2.1", "flags": {}, "shapes": list(shapes), "imagePath": "a.jpg", "imageData": None}
    value.update({"imageHeight": 48, "imageWidth": 64, **fields})
    return json.dumps({name: item for name, item in value.items() if item is not ...}, indent=2)


GOOD = labelme(shape())


@pytest.fixture
def reading(tmp_path):
    """reading(text of a.json): the `Reading` of a folder that holds it."""
    return lambda text: read(LAYOUT, write(tmp_path / "root", {"a.json": text}), tmp_path)


@pytest.mark.parametrize(
    ("files", "spec"),
    [
        ({"a.json": GOOD, "a.jpg": PICTURE}, {"folder": "."}),
        ({"labels/a.json": GOOD, "images/a.jpg": PICTURE}, {"folder": "."}),
        ({"Annotations/a.json": GOOD, "JPEGImages/a.jpg": PICTURE}, {"folder": "."}),
        ({"train/a.json": GOOD, "train/a.jpg": PICTURE}, {"folder": "train"}),
        ({"marks/a.json": GOOD, "photos/a.jpg": PICTURE}, {"annotations": "marks", "images": "photos"}),
        ({"marks/a.json": GOOD.replace("a.jpg", "..\\\\photos\\\\a.jpg"), "photos/a.jpg": PICTURE}, {"annotations": "marks"}),
    ],
)
def test_where_files_and_images_are(tmp_path, files, spec):
    root = write(tmp_path / "root", files)
    assert LAYOUT.fits(root / next(iter(spec.values())))
    found = read(LAYOUT, root, tmp_path, spec)
    assert [item[1:] for item in found.objects] == [("cat", BOX, 0)]
    assert any((folder / found.images[0].name).is_file() for folder in found.source.images)
    assert found.findings == []


def test_a_list_chooses_files(tmp_path):
    root = write(tmp_path / "root", {"a.json": GOOD, "b.json": GOOD, "train.txt": "b\nc.jpg\n"})
    found = read(LAYOUT, root, tmp_path, {"list": "train.txt"})
    assert [image.file for image in found.images] == ["b.json"]
    assert [(finding.code, finding.line) for finding in found.findings] == [("annotation-missing", 2)]


@pytest.mark.parametrize(
    "files", [{}, {"a.json": "{}"}, {"a.json": '{"images": [], "annotations": []}'}, {"a.xml": "<annotation><bndbox/></annotation>"}]
)
def test_what_is_no_labelme_does_not_fit(tmp_path, files):
    (tmp_path / "root").mkdir()
    assert not LAYOUT.fits(write(tmp_path / "root", files))


def test_a_file_with_the_image_inside_fits(tmp_path):
    text = json.dumps({"version": "4", "imageData": "A" * 300_000, "shapes": [shape()]})
    root = write(tmp_path / "root", {"a.json": text})
    assert LAYOUT.fits(root)
    assert read(LAYOUT, root, tmp_path).objects == [("", "cat", BOX, 0)]


@pytest.mark.parametrize(
    ("written", "file", "name"),
    [
        ("a.jpg", "labels/a.json", "a.jpg"),
        ("../images/a.jpg", "labels/a.json", "images/a.jpg"),
        ("..\\images\\a.jpg", "labels/a.json", "images/a.jpg"),
        ("images/a.jpg", "train/a.json", "train/images/a.jpg"),
        ("..\\..\\photos\\a.jpg", "labels/a.json", "a.jpg"),
        ("../../../../etc/passwd", "labels/a.json", "passwd"),
        ("/home/me/a.jpg", "a.json", "a.jpg"),
        ("C:\\photos\\a.jpg", "a.json", "a.jpg"),
        ("C:a.jpg", "a.json", ""),
        ("..", "labels/a.json", ""),
        ("a\0.jpg", "a.json", ""),
        ("", "a.json", ""),
        (None, "a.json", ""),
        (7, "a.json", ""),
    ],
)
def test_the_images_name_stays_in_the_dataset(tmp_path, written, file, name):
    root = write(tmp_path / "root", {file: labelme(imagePath=written)})
    assert read(LAYOUT, root, tmp_path, {"annotations": file.rpartition("/")[0] or "."}).images[0].name == name


def test_the_image_and_its_size(reading):
    image = reading(GOOD).images[0]
    assert (image.name, image.file, image.width, image.height, image.stem) == ("a.jpg", "a.json", 64, 48, "a")


def test_an_image_without_shapes_is_told(reading):
    found = reading(labelme())
    assert [image.name for image in found.images] == ["a.jpg"]
    assert found.findings == []


TRIANGLE = [[10, 20], [30, 20], [10.5, 40]]
SHAPES = [
    (shape(points=[[40.5, 20], [10, 25]]), BOX, None),
    (shape(points=[[10, 20], [40.5, 20], [40.5, 25], [10, 25]]), BOX, None),
    (shape("polygon", TRIANGLE), [10, 20, 30, 40], TRIANGLE),
    (shape(None, TRIANGLE), [10, 20, 30, 40], TRIANGLE),
    (shape("rotation", TRIANGLE), [10, 20, 30, 40], TRIANGLE),
    (shape("circle", [[20, 20], [23, 24]]), [15, 15, 25, 25], None),
]


@pytest.mark.parametrize(("given", "box", "outline"), SHAPES)
def test_boxes_and_outlines_of_shapes(reading, given, box, outline):
    found = reading(labelme(given))
    assert found.objects == [("a.jpg", "cat", box, 0)]
    expected = {} if outline is None else {0: {"mask": {"polygons": [[value for point in outline for value in point]], "unit": "pixels"}}}
    assert found.extra == expected
    assert found.findings == []


def encoded(pixels):
    data = io.BytesIO()
    Image.fromarray(np.array(pixels, np.uint8)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[10, 20], [13, 22]], [10, 20, 13, 22]),
        ([[-1, -1], [2, 1]], [0, 0, 2, 1]),
        ([[62, 47], [65, 49]], [62, 47, 64, 48]),
        ([[90, 20], [93, 22]], None),
    ],
)
def test_a_mask_in_the_file_is_put_at_its_place(reading, points, expected):
    found = reading(labelme(shape("mask", points, mask=encoded(np.full((2, 3), 255)))))
    rle = found.extra[0]["mask"]["rle"]
    assert rle["size"] == [48, 64]
    assert rles.decode(rle).any() == (expected is not None)
    assert expected is None or area_box(to_rle({"rle": rle}, 64, 48)) == expected


@pytest.mark.parametrize("last", [[12, 21], [13, 22]])
def test_the_box_of_a_mask_is_the_one_around_its_pixels(reading, last):
    """LabelMe's second point is the picture's last pixel; other programs write one past it."""
    found = reading(labelme(shape("mask", [[10, 20], last], mask=encoded([[0, 1, 1], [0, 1, 0]]))))
    assert found.objects == [("a.jpg", "cat", [11, 20, 13, 22], 0)]


def test_an_empty_mask_keeps_the_box_of_its_points(reading):
    found = reading(labelme(shape("mask", [[10, 20], [13, 22]], mask=encoded(np.zeros((2, 3))))))
    assert found.objects == [("a.jpg", "cat", [10, 20, 13, 22], 0)]


def test_shapes_of_one_group_and_label_are_one_object(reading):
    left, right = [[1, 1], [3, 1], [3, 5]], [[11, 2], [13, 2], [13, 9]]
    grouped = [
        shape("polygon", left, group_id=1),
        shape(label="dog", group_id=1),
        shape("polygon", right, group_id=1),
        shape("polygon", left, group_id=2),
    ]
    found = reading(labelme(*grouped))
    assert found.objects == [("a.jpg", "cat", [1, 1, 13, 9], 0), ("a.jpg", "dog", BOX, 0), ("a.jpg", "cat", [1, 1, 3, 5], 0)]
    assert len(found.extra[0]["mask"]["polygons"]) == 2
    assert found.lines == [(0, 1), (0, 2), (0, 4)]


def test_masks_of_one_group_are_united(reading):
    block = encoded(np.full((2, 2), 1))
    found = reading(
        labelme(shape("mask", [[0, 0], [2, 2]], mask=block, group_id=1), shape("mask", [[9, 9], [11, 11]], mask=block, group_id=1))
    )
    assert area_box(to_rle(found.extra[0]["mask"], 64, 48)) == [0, 0, 11, 11]


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({"flags": {"difficult": True, "occluded": False, "mine": True}}, DIFFICULT),
        ({"flags": {"truncated": True, "occluded": True}}, TRUNCATED | OCCLUDED),
        ({"flags": {"crowd": True, "group_of": True}}, CROWD | GROUP_OF),
        ({"difficult": True}, DIFFICULT),
        ({"flags": None}, 0),
    ],
)
def test_flags(reading, fields, flags):
    assert reading(labelme(shape(**fields))).objects[0][3] == flags


WRONG = [
    (labelme(shape("point", [[1, 2]])), "bad", "shape-unsupported", "cat: the point encloses nothing"),
    (labelme(shape("line")), "bad", "shape-unsupported", "the line"),
    (labelme(shape("linestrip")), "bad", "shape-unsupported", "the linestrip"),
    (labelme(shape(["x"])), "bad", "shape-unsupported", "the ['x']"),
    (labelme(shape(label="")), "bad", "label-empty", "no label"),
    (labelme(shape(label=None)), "bad", "label-empty", "no label that can be used: None"),
    (labelme(shape(label="\ud800")), "bad", "label-empty", "no label"),
    (labelme(5), "bad", "entry-broken", "a shape is 5"),
    (labelme(shape(points=[[1, 2]])), "bad", "box-incomplete", "cat: the rectangle has 1 points, where 2 or 4 were expected"),
    (labelme(shape("polygon")), "bad", "box-incomplete", "the polygon has 2 points, where at least 3"),
    (labelme(shape("circle", TRIANGLE)), "bad", "box-incomplete", "the circle has 3 points"),
    (labelme(shape(points=None)), "bad", "box-incomplete", "no list of points"),
    (labelme(shape(points=[[1, 2], 3])), "bad", "box-incomplete", "no list of points"),
    (labelme(shape(points=[[1, 2], [3, float("nan")]])), "bad", "box-not-a-number", "the coordinate nan"),
    (labelme(shape(points=[[1, 2], [3, "4"]])), "bad", "box-not-a-number", "the coordinate 4"),
    (labelme(shape(points=[[1, 2], [3, 10**400]])), "bad", "box-not-a-number", "the coordinate 1000"),
    (labelme(shape("mask", mask="!")), "bad", "mask-broken", "the mask is no mask that can be read"),
    (labelme(shape("mask", mask=None)), "bad", "mask-broken", "the mask is no mask that can be read"),
    (labelme(shape("mask", mask=base64.b64encode(b"no picture").decode())), "bad", "mask-broken", "cannot be decoded"),
    (labelme(shape(), imageWidth=...), "doubt", "size-undeclared", "size is not declared"),
    (labelme(shape(), imageHeight="48"), "doubt", "size-undeclared", "size is not declared"),
    (GOOD[:-5], "bad", "json-broken", "not well-formed JSON"),
    (GOOD.encode("utf-16"), "bad", "json-broken", "not UTF-8"),
    ('{"shapes": [', "bad", "json-broken", "not well-formed"),
    ('{"shapes": [%s]}' % ("[" * 100_000 + "]" * 100_000), "bad", "json-broken", "not well-formed"),
    ('[{"shapes": []}]', "bad", "json-not-labelme", "no list of shapes"),
    ('{"shapes": {}, "x": {"shapes": []}}', "bad", "json-not-labelme", "no list of shapes"),
]


@pytest.mark.parametrize(("text", "way", "code", "told"), WRONG)
def test_what_is_wrong_is_told(tmp_path, text, way, code, told):
    # Files of UTF-16 are not known by their first bytes: one beside them is.
    found = read(LAYOUT, write(tmp_path / "root", {"b.json": GOOD.replace("a.jpg", "b.jpg"), "c.json": text}), tmp_path)
    assert found.codes() == [(way, code)]
    assert told in found.findings[0].message
    assert found.findings[0].file == "c.json"
    assert found.objects[0] == ("b.jpg", "cat", BOX, 0)


def test_a_syntax_error_names_its_line(reading):
    found = reading(GOOD.replace('"label": "cat",', '"label": "cat"'))
    assert [(finding.code, finding.line) for finding in found.findings] == [("json-broken", 7)]


# The web tool's XML


def xml(objects, filename="a.jpg", folder="", size="<imagesize><nrows>48</nrows><ncols>64</ncols></imagesize>"):
    return "<annotation><filename>%s</filename><folder>%s</folder>%s%s</annotation>" % (filename, folder, objects, size)


def polygon(*points, more=""):
    written = "".join("<pt><x>%s</x><y>%s</y></pt>" % point for point in points)
    return "<object><name>cat</name><deleted>0</deleted>%s<polygon><username>me</username>%s</polygon></object>" % (more, written)


OUTLINE = polygon((1, 2), (9, 2), (5, "8.5"))


@pytest.fixture
def reading_xml(tmp_path):
    return lambda text: read(LAYOUT, write(tmp_path / "root", {"a.xml": text}), tmp_path)


def test_a_polygon_of_the_web_tool(reading_xml):
    found = reading_xml(xml(OUTLINE))
    assert found.objects == [("a.jpg", "cat", [1, 2, 9, 8.5], 0)]
    assert found.extra == {0: {"mask": {"polygons": [[1, 2, 9, 2, 5, 8.5]], "unit": "pixels"}}}
    assert (found.images[0].width, found.images[0].height) == (64, 48)


def test_a_polygon_that_was_drawn_as_a_box_has_no_mask(reading_xml):
    box = polygon((1, 2), (9, 2), (9, 8), (1, 8), more="<type>bounding_box</type><occluded>yes</occluded>")
    found = reading_xml(xml(box))
    assert found.objects == [("a.jpg", "cat", [1, 2, 9, 8], OCCLUDED)]
    assert found.extra == {}


def test_what_was_deleted_is_left_out(reading_xml):
    found = reading_xml(xml(OUTLINE + OUTLINE.replace("<deleted>0", "<deleted>1")))
    assert len(found.objects) == 1
    assert found.findings == []


XML_WRONG = [
    (xml(polygon((1, 2), (3, 4))), "box-incomplete", "2 points"),
    (xml(polygon((1, 2), (3, 4), (5, "nan"))), "box-not-a-number", "the coordinate nan"),
    (xml(polygon((1, 2), (3, 4), (5, ""))), "box-not-a-number", "the coordinate"),
    (xml(OUTLINE.replace("cat", "")), "label-empty", "no <name>"),
    (xml("<object><name>cat</name><segm/></object>"), "box-missing", "neither <polygon> nor <segm>"),
    (xml(OUTLINE, filename="../a.jpg"), "filename-outside", "lead out"),
    (xml(OUTLINE)[:-9], "xml-broken", "not well-formed"),
    (xml(OUTLINE).replace("annotation", "annotations"), "xml-not-labelme", "<annotations>"),
]


@pytest.mark.parametrize(("text", "code", "told"), XML_WRONG)
def test_what_is_wrong_with_xml_is_told(tmp_path, text, code, told):
    found = read(LAYOUT, write(tmp_path / "root", {"a.xml": xml(OUTLINE), "b.xml": text}), tmp_path)
    assert [finding.code for finding in found.findings] == [code]
    assert told in found.findings[0].message


def test_a_dataset_of_the_web_tool(shared_data, tmp_path):
    root = shared_data("datasets/datumaro_assets/tests/assets/labelme_dataset")
    assert LAYOUT.fits(root)
    found = read(LAYOUT, root, tmp_path)
    assert found.objects == [
        ("subset1/img1.png", "window", [43, 34, 45, 37], 0),
        ("subset1/img1.png", "license plate", [58, 66, 62, 68], 0),
        ("subset1/img1.png", "o1", [15, 12, 42, 26], OCCLUDED),
        ("subset1/img1.png", "q1", [28, 21, 43, 31], 0),
        ("subset1/img1.png", "b1", [13, 19, 23, 30], OCCLUDED),
        ("subset1/img1.png", "m1", [56, 14, 70, 23], 0),
        ("subset1/img1.png", "hg", [60, 21, 74, 34], 0),
    ]
    assert found.findings == []
    assert any((folder / found.images[0].name).is_file() for folder in found.source.images)
    assert sorted(found.extra) == [0, 1, 2, 3, 5, 6]
    boxes = {row: area_box(to_rle(extra["mask"], 102, 77)) for row, extra in found.extra.items()}
    assert boxes[1] == [58, 67, 63, 69]
    assert boxes[5] == [55, 14, 70, 24]  # the tool rounds boxes otherwise


# Anything


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return tmp_path_factory.mktemp("labelme")


EDITED = labelme(shape(), shape("polygon", TRIANGLE, group_id=1), shape("mask", mask=encoded([[1, 1], [0, 1]]))).encode()


@pytest.mark.parametrize(("name", "data"), [("a.json", EDITED), ("a.xml", xml(OUTLINE).encode())])
def test_any_edit_of_a_good_file(workshop, name, data):
    pieces = st.binary(max_size=6) | st.sampled_from([b"NaN", b"null", b"[", b"}", b'"', b"-1e999", b"<pt>", b"&x;"])
    edits = st.lists(st.tuples(st.integers(0, len(data)), st.integers(0, 12), pieces), max_size=4)
    folder = workshop / ("edits_" + name.replace(".", "_"))

    @given(edits)
    def check(edits):
        edited = data
        for place, length, new in edits:
            edited = edited[:place] + new + edited[place + length :]
        outcome(LAYOUT, write(folder, {name: edited}), workshop)

    check()


@given(st.binary(max_size=100))
@example(b"")
@example(b'"shapes": [')
@example(b"<annotation><polygon>")
def test_any_bytes(workshop, data):
    outcome(LAYOUT, write(workshop / "bytes", {"a.json": data, "b.xml": data}), workshop)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "..", "cat", "mask", "circle", "../a.jpg", "QUJD"]),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)
ENTRIES = st.lists(
    VALUES
    | st.dictionaries(st.sampled_from(["label", "points", "group_id", "shape_type", "flags", "mask", "difficult"]), VALUES, max_size=6),
    max_size=5,
)


@given(ENTRIES, VALUES, VALUES, VALUES)
def test_any_values(workshop, shapes, path, width, height):
    text = labelme(shape(), *shapes, imagePath=path, imageWidth=width, imageHeight=height)
    found = outcome(LAYOUT, write(workshop / "values", {"a.json": text}), workshop)
    assert found[0].objects[0][1:] == ("cat", BOX, 0)
