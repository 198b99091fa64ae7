"""TensorBoard events, written alike by both versions of TensorFlow."""

import tensorflow.compat.v1 as tf


class Events:
    """Events of one run in `folder`; a context manager that closes their file."""

    def __init__(self, folder):
        with tf.Graph().as_default():  # where TensorFlow 2 computes at once, it refuses to make such a writer
            self._writer = tf.summary.FileWriter(str(folder))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._writer.close()

    def scalars(self, step, values):
        """Numbers by name."""
        self.summary(step, tf.Summary(value=[tf.Summary.Value(tag=name, simple_value=value) for name, value in sorted(values.items())]))

    def picture(self, step, name, encoded):
        """A picture as the bytes of its PNG or JPEG file."""
        self.summary(step, tf.Summary(value=[tf.Summary.Value(tag=name, image=tf.Summary.Image(encoded_image_string=encoded))]))

    def summary(self, step, summary):
        """A tf.Summary as it is."""
        self._writer.add_summary(summary, step)

    def resumed(self, step):
        """Training begins again at `step`: TensorBoard then drops what an earlier attempt wrote of later steps."""
        self._writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), step)

    def flush(self):
        """Bring what was written to the file."""
        self._writer.flush()
