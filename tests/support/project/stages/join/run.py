"""Lists what it was given."""

from _runtime import run, write_text
from _words import tally


def main(task):
    tally(task)
    lines = [f"{part.name} {part.kind} {part.digest}" for part in task.inputs("parts")]
    lines.append("assayed" if task.input("assayed") else "not assayed")
    lines += [f"{stage['name']} is {stage['state']}" for stage in task.run["stages"]]
    write_text(task.output / "page.txt", "\n".join(lines) + "\n")


if __name__ == "__main__":
    run(main)
