"""What a user can do about a training that cannot go on, in the fields of the config that it has. Imports no framework."""

from typing import NamedTuple


class Advice(NamedTuple):
    """Remedies. memory: there is too little; loss: it is no number any more; random: a step draws at random."""

    memory: str
    loss: str
    random: str


_RATE = "lower the learning rate or warm it up longer"
OBJECT_DETECTION_API = Advice(
    memory="lower train_config.batch_size or the image size, or give the stage more memory",
    loss=_RATE + "; without focal loss, see that encode_background_as_zeros and the anchors fit the data",
    random="remove what draws at random (as model.ssd.loss.random_example_sampler), or set `deterministic: false`",
)
MODEL_GARDEN = Advice(
    memory="lower task.train_data.global_batch_size or task.model.input_size, or give the stage more memory",
    loss=_RATE + " (trainer.optimizer_config.learning_rate and .warmup)",
    random="remove what draws at random (as stochastic_depth_drop_rate of task.model.backbone), or set `deterministic: false`",
)
