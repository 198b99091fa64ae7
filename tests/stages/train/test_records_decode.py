"""TensorFlow 1.13 and the Object Detection API read what the data image's records stage writes.

tests/stages/golden/two.record: a.png (8 × 4, two objects, one with a mask, labels of the whole image) and b.png (5 × 7 grey, nothing),
kept true by tests/stages/data/test_records.py.
"""

import pytest
import tensorflow as tf
from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder
from object_detection.protos import input_reader_pb2
from object_detection.utils import label_map_util

from stage_helpers import ROOT

RECORD = str(ROOT / "tests" / "stages" / "golden" / "two.record")
LABEL_MAP = str(ROOT / "tests" / "stages" / "golden" / "two.pbtxt")


def decoded(**options):
    """file name to decoded tensors."""
    with tf.Graph().as_default(), tf.Session() as session:
        following = tf.data.TFRecordDataset(RECORD).map(TfExampleDecoder(**options).decode).make_initializable_iterator()
        tensors = following.get_next()
        session.run([tf.tables_initializer(), following.initializer])
        return {values["filename"]: values for values in (session.run(tensors) for _ in range(2))}


def test_the_file_holds_two_whole_records():
    assert len(list(tf.python_io.tf_record_iterator(RECORD))) == 2


def test_boxes_classes_and_flags():
    values = decoded()[b"a.png"]
    assert values["image"].shape == (4, 8, 3)
    assert values["groundtruth_boxes"].tolist() == [[0.25, 0.125, 0.75, 0.875], [0, 0, 1, 1]]
    assert values["groundtruth_classes"].tolist() == [2, 1]
    assert values["groundtruth_difficult"].tolist() == [True, True]
    assert values["groundtruth_group_of"].tolist() == [False, False]
    assert values["groundtruth_is_crowd"].tolist() == [False, False]
    assert values["groundtruth_weights"].tolist() == [0.5, 1.0]
    assert values["source_id"] == b"1"
    assert values["original_image_spatial_shape"].tolist() == [4, 8]


def test_an_image_without_objects_is_a_grey_one_in_three_channels():
    values = decoded()[b"b.png"]
    assert values["image"].shape == (7, 5, 3)
    assert (values["image"][..., 0] == values["image"][..., 2]).all()
    assert values["groundtruth_boxes"].shape == (0, 4)
    assert values["groundtruth_classes"].shape == (0,)


def test_masks_are_those_of_the_objects_or_of_their_boxes():
    options = {"load_instance_masks": True, "instance_mask_type": input_reader_pb2.PNG_MASKS}
    masks = {name: values["groundtruth_instance_masks"] for name, values in decoded(**options).items()}
    rows = [[int(1 <= row < 3 and 1 <= column < 6) for column in range(8)] for row in range(4)]
    assert masks[b"a.png"].tolist() == [rows, [[1] * 8] * 4]
    assert masks[b"b.png"].shape == (0, 7, 5)


@pytest.mark.parametrize("options", [{}, {"label_map_proto_file": LABEL_MAP}], ids=["ids", "names"])
def test_labels_of_the_whole_image(options):
    values = decoded(**options)
    assert values[b"a.png"]["groundtruth_image_classes"].tolist() == [2, 1]
    assert values[b"b.png"]["groundtruth_image_classes"].tolist() == []


def test_classes_by_name_through_the_label_map():
    """The API prefers class names to ids where it has a label map: both must say the same, whatever the letters."""
    assert decoded(label_map_proto_file=LABEL_MAP)[b"a.png"]["groundtruth_classes"].tolist() == [2, 1]


def test_the_label_map_is_the_apis():
    assert label_map_util.get_label_map_dict(LABEL_MAP) == {"a": 1, "na\u00efve": 2}
