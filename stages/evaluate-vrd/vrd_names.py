"""Names of classes and relationships, and their ids."""

from _detection.label_map import read_items
from _runtime import StageError


class Names:
    """Ids of names: those of a label map, or, without one, from 1 in the order in which the ground truth has them.

    unknown: {name: (id, where it was first)} of names that only predictions have; their ids are below 0, for none of the truth is.
    """

    def __init__(self, what, path=None):
        """what: "class" or "relationship"; path: of a label map, or None. Raises StageError where that cannot be read."""
        self._what, self._path = what, path
        self.ids = {} if path is None else _label_map(path)
        self.unknown = {}

    def of_truth(self, name, where):
        """The id of a name of the ground truth. Raises StageError for one that the label map lacks."""
        if name not in self.ids:
            self._refuse(name, where)
            self.ids[name] = len(self.ids) + 1
        return self.ids[name]

    def of_prediction(self, name, where):
        """The id of a name of a prediction. Raises StageError for one that the label map lacks."""
        if name in self.ids:
            return self.ids[name]
        if name not in self.unknown:
            self._refuse(name, where)
            self.unknown[name] = (-1 - len(self.unknown), where)
        return self.unknown[name][0]

    def by_id(self):
        """{id: name}."""
        return {number: name for name, number in self.ids.items()}

    def _refuse(self, name, where):
        if self._path is None and name:
            return
        raise StageError(
            "a %s is unknown" % self._what,
            where,
            "a name of %s" % self._path if self._path else "a name",
            name or "nothing",
            "mend the line, or the label map" if self._path else "mend the line",
        )


def _label_map(path):
    """{name: id}, with gaps as they are."""
    try:
        with open(str(path), encoding="utf-8") as stream:
            items = read_items(stream.read(), path)
    except OSError as error:
        raise StageError("the label map cannot be read", path, "a .pbtxt file", error.strerror, "check the path") from None
    except UnicodeDecodeError:
        raise StageError("the label map is not UTF-8", path, "UTF-8 text", "other bytes", "save it as UTF-8") from None
    ids = {}
    for item in items:
        if item.id < 1 or item.id in ids.values() or item.name in ids:
            raise StageError(
                "an item of the label map cannot be told from another",
                "%s:%d" % (path, item.line),
                "ids from 1, each id and each name once",
                "id %d, name %s" % (item.id, item.name),
                "give it its own",
            )
        ids[item.name] = item.id
    return ids
