"""Whether a compiled model has the inputs and outputs of the model that it was made of."""

from _runtime import StageError


def require_same_interface(compiled, source, where, remedy):
    """Raise StageError where the inputs or outputs of a compiled model are not its source's: both `_tflite.model.Model`s.

    The compiler keeps them, in their order, with name, type, scale and zero point. It fills in a shape that is empty in the source: TOCO
    leaves those of the post-process operator's outputs so, and the compiler writes what the operator's kernel makes of them.
    """
    for role in ("inputs", "outputs"):
        before, after = ([model.tensors[index] for index in getattr(model, role)] for model in (source, compiled))
        if len(before) != len(after) or not all(map(_is_kept, before, after)):
            raise StageError("the compiled model's %s are not the model's" % role, where, _told(before), _told(after), remedy)


def _is_kept(before, after):
    # Of a model that was trained or calibrated anew, scales and zero points alone are others. All real pairs keep them but one, the public
    # BodyPix at 512 x 512, and there a tensor within the model differs as well: its two files are of two calibrations.
    same = all(getattr(before, name) == getattr(after, name) for name in ("name", "type", "scales", "zero_points"))
    return same and before.shape in ((), after.shape)


def _told(tensors):
    return "; ".join("%s %s %s%s" % (each.name, each.type, list(each.shape), _quantization(each)) for each in tensors) or "none"


def _quantization(tensor):
    if not tensor.scales:
        return ""
    return ", scale %s, zero point %s" % tuple(", ".join(map(repr, numbers)) for numbers in (tensor.scales, tensor.zero_points))
