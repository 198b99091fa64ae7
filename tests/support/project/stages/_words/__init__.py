"""What several stages of this project share."""


def in_capitals(text):
    return text.upper()


def tally(task):
    """One line for each time that a program of this project runs, beside the workspace."""
    with (task.output.parents[4] / "tally").open("a", encoding="utf-8") as stream:
        stream.write(task.name + "\n")
