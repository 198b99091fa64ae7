"""The classes that a pipeline names by a label map: the file's oddities are told, and refused, or mended by numbering anew."""

import json

import pytest
from _detection import dataset as datasets
from _runtime import StageError
from voc_files import image_bytes, ingest, write_pair

CAT, DOG = "item { id: 1 name: 'cat' }\n", "item { id: 2 name: 'dog' }\n"

# the label map's text, code, line, the classes where the errors are dropped
ODD = {
    "a gap": (CAT + "item { id: 4 name: 'dog' }\n", "label-map-gap", None, ["cat", "dog"]),
    "an id of 0": ("item { id: 0 name: 'background' }\n" + CAT + DOG, "label-map-zero", 1, ["cat", "dog"]),
    "an id twice": (CAT + "item { id: 1 name: 'emu' }\n" + DOG, "label-map-duplicate", 2, ["cat", "dog"]),
    "a name twice": (CAT + DOG + "item { id: 3 name: 'dog' }\n", "label-map-duplicate", 3, ["cat", "dog"]),
}


@pytest.fixture
def root(tmp_path):
    """A dataset of cats and dogs."""
    write_pair(tmp_path / "root", "a", [("cat", 1, 1, 9, 9), ("dog", 1, 1, 30, 30)])
    return tmp_path / "root"


def read(tmp_path, root, text, **params):
    path = tmp_path / "map.pbtxt"
    path.write_text(text, encoding="utf-8")
    return ingest(tmp_path / "out", root, label_map=str(path), **params)


@pytest.mark.parametrize("case", ODD, ids=lambda case: case.replace(" ", "-"))
def test_an_odd_label_map_is_refused_with_file_and_line(tmp_path, root, case):
    text, code, line, _ = ODD[case]
    with pytest.raises(StageError, match=code) as caught:
        read(tmp_path, root, text)
    assert caught.value.where == str(tmp_path / "map.pbtxt") + ("" if line is None else ":%d" % line)


@pytest.mark.parametrize("policy", ["drop", "clip"])
@pytest.mark.parametrize("case", ODD, ids=lambda case: case.replace(" ", "-"))
def test_what_is_left_is_numbered_anew(tmp_path, root, case, policy):
    text, code, line, classes = ODD[case]
    task = read(tmp_path, root, text, on_error=policy)
    assert datasets.load(task.output).classes == classes
    problems = json.loads((task.output / "audit.json").read_text(encoding="utf-8"))["problems"]
    action = "fixed" if policy == "clip" else "dropped"
    assert [(problem["code"], problem["line"], problem["action"]) for problem in problems] == [(code, line, action)]


def test_an_official_label_map_with_gaps(shared_data, tmp_path):
    """mscoco_label_map.pbtxt: 80 items, ids up to 90; its names are MIDs, what people call them is the display name."""
    root = tmp_path / "root"
    path = shared_data("label_maps") / "official__mscoco_label_map.pbtxt"
    write_pair(root, "a", [("/m/01g317", 1, 1, 9, 9)])
    with pytest.raises(StageError, match="label-map-gap"):
        ingest(tmp_path / "out", root, label_map=str(path))


@pytest.mark.parametrize("text", ["", "# nothing\n", "item { id: 0 name: 'background' }\n"])
def test_a_label_map_without_classes_is_refused(tmp_path, root, text):
    with pytest.raises(StageError, match="has no items"):
        read(tmp_path, root, text, on_error="drop")


BOXES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
LABELS = "ImageID,Source,LabelName,Confidence\n"


def test_an_image_labelled_with_a_class_of_which_it_has_no_box_is_told(tmp_path):
    root = tmp_path / "root"
    (root / "train").mkdir(parents=True)
    for seed, name in enumerate(("a", "b", "c")):
        (root / "train" / (name + ".jpg")).write_bytes(image_bytes(seed))
    (root / "train-annotations-bbox.csv").write_text(
        BOXES + "a,x,/m/cat,1,0.1,0.5,0.1,0.5,0,0,0,0,0\nc,x,/m/dog,1,0.1,0.5,0.1,0.5,0,0,0,0,0\n"
    )
    labels = "a,v,/m/cat,1\na,v,/m/dog,0\nb,v,/m/cat,1\nb,v,/m/emu,1\nc,v,/m/dog,1\n"
    (root / "train-annotations-human-imagelabels.csv").write_text(LABELS + labels)
    task = ingest(tmp_path / "out", root)
    problems = json.loads((task.output / "audit.json").read_text(encoding="utf-8"))["problems"]
    told = [problem for problem in problems if problem["code"] == "label-unboxed"]
    assert [(problem["file"], problem["severity"]) for problem in told] == [("train/b.jpg", "warning")]
    assert "/m/cat" in told[0]["message"]
    assert "/m/emu" not in told[0]["message"]  # no class of this dataset
