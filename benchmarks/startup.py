"""How long a person waits for `./mill --list`, and for `./mill demo` when everything is published."""

from __future__ import annotations

import subprocess
import sys

from measure import best_and_median, load

from edgemill import PROJECT

ROUNDS = 9


def seconds(*command: str) -> tuple[float, float]:
    """Best and median of several runs of a command that must succeed."""
    return best_and_median(lambda: subprocess.run(command, cwd=PROJECT, check=True, capture_output=True), ROUNDS)


def main() -> None:
    """Print each command's time, and as a multiple of starting Python alone."""
    bare = seconds(sys.executable, "-c", "pass")[1]
    print(f"python -c pass        median {bare:.3f} s")
    for limit, command in ((0.4, ("./mill", "--list")), (0.5, ("./mill", "demo"))):
        best, median = seconds(*command)
        print(f"{' '.join(command):<20}  median {median:.3f} s, best {best:.3f} s; limit {limit} s; {median / bare:.1f} × a bare Python")
    print(load())


if __name__ == "__main__":
    main()
