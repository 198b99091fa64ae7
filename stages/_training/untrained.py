"""What a model of Keras needs before its first step, so that its graph is converted as that of a trained one."""

import tensorflow as tf

PICTURES = 4  # of noise in a batch: of a single one a layer of one pixel would be constant
_LITTLE = 0.001


def noise(seed, size):
    """Pixels of noise, float32 [PICTURES, height, width, 3], from 0 to 255. size: [height, width]."""
    return tf.random.stateless_uniform([PICTURES, *size, 3], [seed & 0x7FFFFFFF, 0], 0.0, 255.0)


def settle(model, seed, forward):
    """Bring the weights that a model begins with into a state in which 8 bits could be given to what each of its layers puts out.

    forward: runs the model as in training. It sets batch norm's averages to what its layers see: layers that were never trained shrink what
    they are given, or let it grow, and those that it begins with do not make up for it. Fake-quantization gets ranges by it.
    """
    stir(model.trainable_variables, seed)
    layers = [layer for layer in model.submodules if isinstance(layer, tf.keras.layers.BatchNormalization)]
    momentums = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    forward()
    for layer, momentum in zip(layers, momentums):
        layer.momentum = momentum


def stir(variables, seed):
    """Make the values of those variables differ that are all the same: converters leave out what adds 0, and what multiplies by 1."""
    for number, variable in enumerate(variables):
        if variable.shape.rank and bool(tf.reduce_all(variable == tf.reshape(variable, [-1])[0])):
            little = tf.random.stateless_uniform(variable.shape, [seed & 0x7FFFFFFF, number + 1], -_LITTLE, _LITTLE)
            variable.assign_add(tf.cast(little, variable.dtype))
