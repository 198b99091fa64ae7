"""Build a detector and print, as JSON, what its heads are made of.

A program, so that it can put unpatched heads in place of the patched ones.

head_probe.py CONFIG [FOLDER]    FOLDER holds box_head.py and class_head.py to use instead of the installed ones
"""

import importlib.util
import json
import sys
from pathlib import Path

import tensorflow as tf
from google.protobuf import text_format

HEADS = "object_detection.predictors.heads."


def use_heads(folder):
    """Make the API import its two head modules from `folder`."""
    for name in ("box_head", "class_head"):
        spec = importlib.util.spec_from_file_location(HEADS + name, str(folder / (name + ".py")))
        module = importlib.util.module_from_spec(spec)
        sys.modules[HEADS + name] = module
        spec.loader.exec_module(module)


def probe(text):
    """What the training graph of a pipeline.config has in its heads."""
    from object_detection.builders import graph_rewriter_builder, model_builder
    from object_detection.protos import pipeline_pb2

    config = text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())
    size = config.model.ssd.image_resizer.fixed_shape_resizer
    with tf.Graph().as_default() as graph:
        model = model_builder.build(config.model, is_training=True)
        model.predict(model.preprocess(tf.zeros([2, size.height, size.width, 3]))[0], None)
        tf.train.get_or_create_global_step()
        graph_rewriter_builder.build(config.graph_rewriter, is_training=True)()
        quantized = [operation.name for operation in graph.get_operations() if operation.type.startswith("FakeQuantWithMinMaxVars")]
        heads = [
            variable
            for variable in tf.global_variables()
            if variable.op.name.startswith("BoxPredictor") and "quant" not in variable.op.name
        ]
        offsets = [variable for variable in heads if variable.op.name.endswith(("ClassPredictor/biases", "ClassPredictor/BatchNorm/beta"))]
        with tf.Session(graph=graph) as session:
            session.run(tf.variables_initializer(offsets))
            start = {variable.op.name: sorted(set(session.run(variable).tolist())) for variable in offsets}
    return {
        "fake_quant": len(quantized),
        "fake_quant_in_heads": len([name for name in quantized if name.startswith("BoxPredictor")]),
        "variables": sorted(variable.op.name for variable in heads),
        "class_offset": start,
    }


if __name__ == "__main__":
    tf.logging.set_verbosity(tf.logging.ERROR)
    if len(sys.argv) > 2:
        use_heads(Path(sys.argv[2]))
    print(json.dumps({name: probe(text) for name, text in json.loads(Path(sys.argv[1]).read_text()).items()}))
