"""The options of builtin operators, as far as rules ask for them (tensorflow/lite/schema/schema.fbs, union BuiltinOptions)."""

_ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")

_ACTIVATION = "fused_activation_function"
# For each operator its fields: (name, slot in the table, struct type, default).
_FIELDS = {
    "CONV_2D": (("dilation_w_factor", 4, "i", 1), ("dilation_h_factor", 5, "i", 1)),
    "DEPTHWISE_CONV_2D": (("depth_multiplier", 3, "i", 0), ("dilation_w_factor", 5, "i", 1), ("dilation_h_factor", 6, "i", 1)),
    "AVERAGE_POOL_2D": ((_ACTIVATION, 5, "b", 0),),
    "MAX_POOL_2D": ((_ACTIVATION, 5, "b", 0),),
    "CONCATENATION": ((_ACTIVATION, 1, "b", 0),),
    "FULLY_CONNECTED": (("weights_format", 1, "b", 0),),
    "RESIZE_BILINEAR": (("align_corners", 2, "?", False), ("half_pixel_centers", 3, "?", False)),
    "RESIZE_NEAREST_NEIGHBOR": (("align_corners", 0, "?", False), ("half_pixel_centers", 1, "?", False)),
    "STRIDED_SLICE": (("ellipsis_mask", 2, "i", 0), ("new_axis_mask", 3, "i", 0)),
}


def read_builtin_options(op, table):
    """{field: number, bool or, for an enumeration, its name} of an operator's options table, absent fields with their default.

    Empty for an operator whose options no rule asks for. `table` is None where the file has no options. Raises DamagedError.
    """
    found = {}
    for name, slot, code, default in _FIELDS.get(op, ()):
        value = default if table is None else table.number(slot, code, default)
        if name == _ACTIVATION:
            value = _ACTIVATIONS[value] if 0 <= value < len(_ACTIVATIONS) else "%s_%d" % (name.upper(), value)
        found[name] = value
    return found
