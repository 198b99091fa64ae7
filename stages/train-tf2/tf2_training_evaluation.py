"""COCO metrics of a checkpoint on the evaluation split, in one model that is built and traced once and used for every evaluation."""

from contextlib import nullcontext

import tensorflow as tf
from object_detection import eval_util, inputs, model_lib, model_lib_v2
from object_detection.core import standard_fields
from object_detection.utils import label_map_util, visualization_utils
from tf2_training_input import sequential_input
from tf2_training_model import build_model

from _training.progress import as_map

_COCO = "coco_detection_metrics"
_MAP, _MAP50, _LOSS = "DetectionBoxes_Precision/mAP", "DetectionBoxes_Precision/mAP@.50IOU", "Loss/total_loss"
_ORIGINAL = standard_fields.InputDataFields.original_image


class Evaluator:
    """Evaluates checkpoints. The model is made at the first call, because a short run needs it once and a resumed one perhaps never.

    What the API's own loop does (model_lib_v2.eager_eval_loop), which traces the model anew for each checkpoint.
    """

    def __init__(self, config, seed, deterministic, events):
        """config: a TrainEvalPipelineConfig with absolute paths; events: a _training.events.Events for TensorBoard."""
        self._config, self._seed, self._deterministic, self._events = config, seed, deterministic, events
        self._model = None

    def evaluate(self, prefix, step):
        """{"step", "map", "map50", "loss"} of the checkpoint `prefix`; mAP as COCO defines it, 0 to 1 (-1 becomes 0: no object at all)."""
        if self._model is None:
            self._build()
        tf.train.Checkpoint(model=self._model).read(prefix).expect_partial().assert_existing_objects_matched()
        evaluators = eval_util.get_evaluators(
            self._eval_config, list(self._categories.values()), eval_util.evaluator_options_from_eval_config(self._eval_config)
        )
        losses = []
        for place, (features, labels) in enumerate(self._dataset):
            loss, found = self._run(features, labels)
            losses.append(loss)
            for evaluator in evaluators:
                evaluator.add_eval_dict(found)
            if _ORIGINAL in features and place < self._eval_config.num_visualizations:
                self._draw(found, place, step)
        values = {str(name): float(value) for evaluator in evaluators for name, value in evaluator.evaluate().items()}
        for name in losses[0]:
            values[name] = float(tf.reduce_mean([loss[name] for loss in losses]))
        self._events.scalars(step, values)
        self._events.flush()
        return {"step": step, "map": as_map(values[_MAP]), "map50": as_map(values[_MAP50]), "loss": round(values[_LOSS], 6)}

    def _build(self):
        config = type(self._config)()
        config.CopyFrom(self._config)
        self._eval_config, reader = config.eval_config, config.eval_input_reader[0]
        if _COCO not in self._eval_config.metrics_set:
            self._eval_config.metrics_set.append(_COCO)
        reader.num_epochs, reader.shuffle, reader.drop_remainder = 1, False, False  # each picture once
        tf.keras.utils.set_random_seed(self._seed)
        self._categories = label_map_util.create_category_index_from_labelmap(reader.label_map_path)
        self._model = build_model(config, is_training=False)
        with sequential_input(self._seed) if self._deterministic else nullcontext():
            self._dataset = inputs.eval_input(self._eval_config, reader, config.model, model=self._model)
        self._run = tf.function(self._detect)

    def _detect(self, features, labels):
        """(losses by the API's names, what the API's evaluators want to know of a batch)."""
        tf.keras.backend.set_learning_phase(False)
        unpad = self._eval_config.batch_size == 1 and labels[standard_fields.InputDataFields.groundtruth_boxes].shape[1] is not None
        model_lib.provide_groundtruth(self._model, model_lib.unstack_batch(dict(labels), unpad_groundtruth_tensors=unpad))
        images, shapes = (features[getattr(standard_fields.InputDataFields, name)] for name in ("image", "true_image_shape"))
        predictions = self._model.predict(images, shapes, **self._model.get_side_inputs(features))
        losses = dict(self._model.loss(predictions, shapes))
        if self._config.train_config.add_regularization_loss and self._model.regularization_losses():
            losses["Loss/regularization_loss"] = tf.add_n(self._model.regularization_losses())
        losses[_LOSS] = tf.add_n(list(losses.values()))
        found, _ = model_lib_v2.prepare_eval_dict(self._model.postprocess(predictions, shapes), dict(labels), features)
        return losses, found

    def _draw(self, found, place, step):
        """Pictures with the boxes found beside those with the true ones, as the API's own loop draws and names them."""
        sides = visualization_utils.draw_side_by_side_evaluation_image(
            found,
            category_index=self._categories,
            max_boxes_to_draw=self._eval_config.max_num_boxes_to_visualize,
            min_score_thresh=self._eval_config.min_score_threshold,
            use_normalized_coordinates=False,
        )
        for number, picture in enumerate(sides):
            self._events.picture(step, "eval_side_by_side_%d_%d" % (place, number), tf.io.encode_png(picture[0]).numpy())
