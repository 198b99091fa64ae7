"""Writes words in capitals."""

from _runtime import run, write_json, write_text
from _words import in_capitals, tally


def main(task):
    tally(task)
    text = (task.input("text").path / "text.txt").read_text(encoding="utf-8")
    for old, new in task.params["names"].items():
        text = text.replace(old, new)
    write_text(task.output / "text.txt", (in_capitals(text) + task.params["mark"]) * task.params["times"])
    write_json(task.output / "notes.json", {"schema": 1, "loudness": task.params["loudness"]})
    task.progress(1, 1, "text")


if __name__ == "__main__":
    run(main)
