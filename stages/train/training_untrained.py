"""The model before its first step: the seed's weights, and for each fake-quantization the range that a first step would give it."""

import numpy as np
from training_graph import Api, TrainingGraph

from _odapi.config_text import print_config
from _odapi.exportable import input_size
from _runtime import write_text
from _training.export import export_untrained

# Pictures of noise in the one batch. The model does not depend on it; of a single one a layer of one pixel would be constant behind batch
# norm, and its range empty.
_PICTURES = 4
_ANY_SIZE = 320  # pixels a side where the config leaves the size open; freezing refuses that
_QUANTIZATION = "FakeQuantWithMinMaxVars"


def write_untrained(task, plan, config, source, more):
    """Write the artifact of step 0. config: with absolute paths; source: its file as configured; more: fields of checkpoint.json."""
    config.train_config.batch_size = _PICTURES
    write_text(task.scratch / "pipeline.config", print_config(config))
    params = task.params
    api = Api(task.scratch / "pipeline.config", task.scratch / "unused", params["seed"])
    threads = (params["intra_op_threads"], params["inter_op_threads"])
    graph = TrainingGraph(api, params["seed"], threads, deterministic=False, optimize=False)
    size = [side or _ANY_SIZE for side in input_size(config)]
    set_ranges(graph, np.random.RandomState(params["seed"]).uniform(-1, 1, [_PICTURES, *size, 3]))
    export_untrained(task, plan, graph.save, source, more)
    graph.close()


def set_ranges(graph, images):
    """Run what leads to the fake-quantizations of a `TrainingGraph`, which sets their ranges; how many there are.

    images: preprocessed. No weight is changed. The converter refuses the ranges that the variables begin with.
    """
    quantizations = [operation for operation in graph.graph.get_operations() if operation.type == _QUANTIZATION]
    graph.session.run(quantizations, {graph.images: images})
    return len(quantizations)
