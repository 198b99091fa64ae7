"""The order among equal values in which C++'s std::partial_sort leaves them, as libstdc++ computes it.

TFLite_Detection_PostProcess ranks a box's classes with it, and quantized scores are often equal. The standard leaves that order open;
LiteRT and TensorFlow are built with libstdc++, whose way is a heap of the best so far, the worst of them on top.
"""


def best_places(values, count):
    """The places of the `count` greatest of `values` (a list of numbers), the greatest first: a list of ints."""
    order = list(range(len(values)))
    for place in range((count - 2) // 2, -1, -1):
        _sink(order, values, count, place, order[place])
    for place in range(count, len(values)):
        if values[order[place]] > values[order[0]]:
            item, order[place] = order[place], order[0]
            _sink(order, values, count, 0, item)
    for last in range(count - 1, 0, -1):
        item, order[last] = order[last], order[0]
        _sink(order, values, last, 0, item)
    return order[:count]


def _sink(order, values, size, top, item):
    """Put `item` into the heap order[:size] below `top`, whose place is free.

    The free place first goes down to a leaf, each time to the child with the smaller value (the second, if they are equal); then the item
    climbs from there past what is greater. This detour decides the order among equals.
    """
    hole = top
    while 2 * hole + 2 < size:
        child = 2 * hole + 2
        if values[order[child]] > values[order[child - 1]]:
            child -= 1
        order[hole], hole = order[child], child
    if 2 * hole + 2 == size:
        order[hole], hole = order[size - 1], size - 1
    while hole > top and values[order[(hole - 1) // 2]] > values[item]:
        order[hole], hole = order[(hole - 1) // 2], (hole - 1) // 2
    order[hole] = item
