"""Where in a model something is, in words that a person finds it by."""

from _tflite.outputs import POSTPROCESS

CALL = "StatefulPartitionedCall/"  # what TensorFlow 2 puts before the names of a SavedModel's graph


def scope_of(name):
    """The scope of a tensor, which is the layer that made it: the folder part of its name, None where it has none.

    The converter of TensorFlow 2 joins the names of what it fused with ";": the first that has a folder counts.
    """
    for part in name.split(";"):
        folder = part.replace(CALL, "").rpartition("/")[0]
        if folder:
            return folder
    return None


class Places:
    """Of a `Model`. where: its name; makers, readers: {index of a tensor: operators, in order}."""

    def __init__(self, model, where):
        self.model, self._where = model, where
        self.makers, self.readers = {}, {}
        for operator in model.operators:
            for index in operator.outputs:
                self.makers.setdefault(index, []).append(operator)
            for index in operator.inputs:
                self.readers.setdefault(index, []).append(operator)

    def operator(self, operator):
        """Such as "model.tflite, operator CONV_2D 3"."""
        return "%s, operator %s %d" % (self._where, operator.op, operator.index)

    def of_layer(self, operator):
        """Such as ", of the layer BoxPredictor"; nothing where the names do not tell."""
        scopes = [scope_of(self.model.tensors[index].name) for index in operator.outputs[:1]]
        return ", of the layer %s" % scopes[0] if any(scopes) else ""

    def tensor(self, tensor):
        """Such as "model.tflite, tensor Conv/Relu6"."""
        return "%s, tensor %s" % (self._where, tensor.name)

    def users(self, tensor):
        """The first operators that make or read a tensor, as text."""
        index = tensor.index
        users = ["%s %d" % (each.op, each.index) for each in self.model.operators if index in each.inputs or index in each.outputs]
        return ", ".join(users[:3]) or "no operator"

    def put_out(self):
        """Indices of the tensors that the post-process operator puts out."""
        return {index for operator in self.model.operators if operator.op == POSTPROCESS for index in operator.outputs}

    def taken_in(self):
        """Indices of the tensors that the post-process operator reads."""
        return {index for operator in self.model.operators if operator.op == POSTPROCESS for index in operator.inputs}
