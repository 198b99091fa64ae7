"""Which operators the compiler takes, given which it could: it makes one partition and no more.

The compiler works as a TensorFlow Lite delegate, and TensorFlow Lite partitions a graph by what depends on what, not by the order of
execution (tensorflow/lite/graph_info.cc). Of the delegable partitions the first alone is compiled; the others are told as "More than one
subgraph is not supported". So an operator is left out where one that cannot be mapped lies between it and one that can. That holds for
all pairs of google-coral/test_data; in movenet_single_pose_lightning_ptq operators are mapped that come after others that are not, but
depend on none of them.
"""

from typing import NamedTuple

YES, NO, UNKNOWN = "mapped", "cpu", "unknown"


class _Above(NamedTuple):
    """What is true of the operators that one depends on, at any distance.

    sure_able, may_able: one of them is, or may be, able; sure_break, may_break: one of them is, or may be, unable and depends itself on
    one that is, or may be, able; may_unable: one may be unable.
    """

    sure_able: bool = False
    may_able: bool = False
    sure_break: bool = False
    may_break: bool = False
    may_unable: bool = False


def first_partition(able, makers):
    """For each operator in the order of execution whether it is in the first partition: YES, NO or UNKNOWN.

    able: for each True, False, or None where nobody knows whether it can be mapped; makers: for each the operators (indices, all of them
    before it) whose outputs it reads. What is unable from the start, like the quantization of a float input, lies before the partition.
    """
    above, places = [], []
    for index, each in enumerate(able):
        flags = _Above(*(any(values) for values in zip(_Above(), *(_seen_below(able[maker], above[maker]) for maker in makers[index]))))
        above.append(flags)
        places.append(NO if each is False or flags.sure_break else YES if each and not flags.may_break else UNKNOWN)
    beginnings = [each for index, each in enumerate(able) if not makers[index]]
    if len(beginnings) > 1 and any(each is not False for each in beginnings):
        # One of them may begin a partition of its own: whether what lies behind something unable joins it depends on their order.
        places = [UNKNOWN if place == YES and flags.may_unable else place for place, flags in zip(places, above)]
    return places


def _seen_below(able, above):
    """The flags that an operator hands to those that read its output."""
    return _Above(
        above.sure_able or able is True,
        above.may_able or able is not False,
        above.sure_break or (able is False and above.sure_able),
        above.may_break or (able is not True and above.may_able),
        above.may_unable or able is not True,
    )


def boundary(model, operators):
    """(names of the tensors that go into `operators`, of those that come out of them), each in the order of its first use.

    Constants do not go in: they are compiled into the partition.
    """
    inside = {each.index for each in operators}
    made = {index for each in operators for index in each.outputs}
    read_outside = set(model.outputs).union(*(each.inputs for each in model.operators if each.index not in inside))
    into = [index for each in operators for index in each.inputs if index >= 0 and index not in made and not model.tensors[index].bytes]
    out = [index for each in operators for index in each.outputs if index in read_outside]
    return tuple([model.tensors[index].name for index in dict.fromkeys(indices)] for indices in (into, out))
