"""Counts its steps in the scratch folder, so that it goes on after a kill."""

import os
import signal

from _runtime import run, write_json, write_text
from _words import tally


def main(task):
    tally(task)
    place = task.scratch / "step"
    begin = int(place.read_text()) if place.is_file() else 0
    for step in range(begin, task.params["steps"]):
        write_text(place, str(step + 1))
        if step + 1 == task.params["die_at"] and begin == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    (task.output / "model.bin").write_bytes(b"\0\0\0\0MINI" + b"." * 16)
    write_json(task.output / "info.json", {"schema": 1, "words": "learnt"})
    write_json(task.output / "notes.json", {"schema": 1, "began_at": begin})


if __name__ == "__main__":
    run(main)
