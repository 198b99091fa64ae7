"""Behaves as its parameter says; see behaviour.py."""

import behaviour
from _runtime import run
from _words import tally


def main(task):
    tally(task)
    getattr(behaviour, task.params["do"])(task)


if __name__ == "__main__":
    run(main)
