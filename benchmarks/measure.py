"""What the benchmarks share: timing a call, and saying how busy the machine was."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable


def best_and_median(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Seconds of the quickest round and of the median one."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times), statistics.median(times)


def load() -> str:
    """The machine's load while this ran."""
    one, five, _ = os.getloadavg()
    return f"load {one:.2f} (1 min), {five:.2f} (5 min) on {os.cpu_count()} cores"
