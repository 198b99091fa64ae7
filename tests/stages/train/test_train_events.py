"""TensorBoard events as TensorFlow 1 writes them."""

import tensorflow as tf

from stage_helpers import load

events = load("_training", "events")


def read(folder):
    (path,) = folder.iterdir()
    return list(tf.train.summary_iterator(str(path)))


def test_numbers_are_written_by_name_and_step(tmp_path):
    with events.Events(tmp_path) as made:
        made.scalars(3, {"loss": 0.5, "learning_rate": 0.25})
    (found,) = [event for event in read(tmp_path) if event.HasField("summary")]
    assert (found.step, {value.tag: value.simple_value for value in found.summary.value}) == (3, {"loss": 0.5, "learning_rate": 0.25})


def test_a_picture_is_written_as_its_file(tmp_path):
    with events.Events(tmp_path) as made:
        made.picture(3, "boxes", b"\x89PNG")
    (found,) = [event for event in read(tmp_path) if event.HasField("summary")]
    assert [(value.tag, value.image.encoded_image_string) for value in found.summary.value] == [("boxes", b"\x89PNG")]


def test_where_training_begins_again_is_marked_for_tensorboard(tmp_path):
    with events.Events(tmp_path) as made:
        made.resumed(7)
    (found,) = [event for event in read(tmp_path) if event.HasField("session_log")]
    assert (found.step, found.session_log.status) == (7, tf.SessionLog.START)
