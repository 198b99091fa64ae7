"""Tables of visual relationships in the Open Images Challenge's layout."""

SIDES = ["XMin1", "XMax1", "YMin1", "YMax1", "XMin2", "XMax2", "YMin2", "YMax2"]
RELATIONS = ["ImageID", "LabelName1", "LabelName2", *SIDES, "RelationshipLabel"]
PREDICTIONS = [*RELATIONS, "Score"]
LABELS = ["ImageID", "Source", "LabelName", "Confidence"]


def relation(image, labels, subject, object_, score=None):
    """A row. labels: (subject, object, relationship); subject, object_: [ymin, xmin, ymax, xmax] in fractions of the image's sides."""
    sides = [box[place] for box in (subject, object_) for place in (1, 3, 0, 2)]
    return [image, *labels[:2], *sides, labels[2], *([] if score is None else [score])]


def label(image, name, confidence):
    """A row of image-level labels."""
    return [image, "verification", name, confidence]


def table(path, header, rows):
    """Write a CSV file; returns its path as text."""
    path.write_text("".join(",".join(str(value) for value in row) + "\n" for row in [header, *rows]), encoding="utf-8")
    return str(path)
