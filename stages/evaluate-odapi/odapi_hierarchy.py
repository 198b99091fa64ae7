"""Open Images' class hierarchy: a box of a class is one of its superclasses, too, and where a class is absent, so are its subclasses.

The Object Detection API's own dataset_tools/oid_hierarchical_labels_expansion.py (wheel tf-object-detection 0.0.3) decides; it takes a tree
and rows of CSV. Rows are given to it with numbers for names here, as a name may hold a comma.
"""

from object_detection.dataset_tools.oid_hierarchical_labels_expansion import OIDHierarchicalLabelsExpansion

from _runtime import StageError

_PRESENT, _ABSENT = 1, 0


class Expansion:
    """What each class stands for, by the label map's ids.

    boxes: {id: [id, ids of its superclasses]}; present, absent: the same for an image-level label that says so. Superclasses that are no
    class of the dataset are left out, and a class that the hierarchy does not know stands for itself.
    """

    def __init__(self, classes, hierarchy, where):
        """classes: list of names; hierarchy: {name: [names of its direct subclasses]}; where: its file, for messages.

        Raises StageError where a class is a subclass of itself.
        """
        names = list(dict.fromkeys([*classes, *hierarchy, *(child for children in hierarchy.values() for child in children)]))
        _check_no_circle(hierarchy, where)
        expansion = OIDHierarchicalLabelsExpansion(_tree(names, hierarchy))
        ids = range(1, len(classes) + 1)  # a name's number is its place in `names`, in which the classes come first
        self.boxes = {number: _known(expansion.expand_boxes_or_segments_from_csv(str(number), 0), ids) for number in ids}
        self.present = {number: _known(expansion.expand_labels_from_csv("%d,%d" % (number, _PRESENT), 0, 1), ids) for number in ids}
        self.absent = {number: _known(expansion.expand_labels_from_csv("%d,%d" % (number, _ABSENT), 0, 1), ids) for number in ids}


def _tree(names, hierarchy):
    """The hierarchy as the API's JSON has it, below a root that counts as no class; LabelName: the place in `names` from 1, as text."""
    nodes = {name: {"LabelName": str(number), "Subcategory": []} for number, name in enumerate(names, 1)}
    for name, children in hierarchy.items():
        nodes[name]["Subcategory"] = [nodes[child] for child in children]
    below = {child for children in hierarchy.values() for child in children}
    return {"LabelName": "", "Subcategory": [node for name, node in nodes.items() if name not in below]}


def _known(rows, ids):
    """The first column of the API's rows, as far as it is a class of the dataset: the class itself, then the others sorted."""
    first, *others = [int(row.split(",")[0]) for row in rows]
    return [first, *sorted(number for number in others if number in ids)]


def _check_no_circle(hierarchy, where):
    """The API's recursion would never end."""
    done = set()
    for start in hierarchy:
        path, waiting = [], [(start, 0)]
        while waiting:
            name, depth = waiting.pop()
            del path[depth:]
            if name in path:
                raise StageError(
                    "the class hierarchy goes round in a circle",
                    "%s: hierarchy" % where,
                    "no class among its own subclasses",
                    " > ".join([*path[path.index(name) :], name]),
                    "mend the hierarchy file that `ingest` reads, and build the dataset again",
                )
            if name not in done:
                path.append(name)
                waiting += [(child, depth + 1) for child in hierarchy.get(name, [])]
        done.add(start)
