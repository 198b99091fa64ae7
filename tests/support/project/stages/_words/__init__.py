"""What several stages of this project share."""

import os


def in_capitals(text):
    return text.upper()


def tally(task):
    """One line for each time that a program of this project runs, beside the workspace; none in a container, which sees no such place."""
    place = task.output.parents[4]
    if not os.access(str(place), os.W_OK):
        return
    with (place / "tally").open("a", encoding="utf-8") as stream:
        stream.write(task.name + "\n")
