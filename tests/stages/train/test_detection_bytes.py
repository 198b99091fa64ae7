"""Detections in the TensorFlow 1 images: the same bytes and the same samples as in the data image (see tests/stages/data)."""

import detection_samples


def test_bytes_are_those_of_every_image(tmp_path):
    assert detection_samples.shard_digest(tmp_path / "shard") == detection_samples.SHARD


def test_samples_of_a_layer_are_of_the_same_places_in_every_image():
    assert detection_samples.places_digest() == detection_samples.PLACES
