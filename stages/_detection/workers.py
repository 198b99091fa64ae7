"""Work on many items in several processes, results in the items' order."""

import ctypes
import os
import signal
from collections import deque
from functools import partial

from _runtime import StageError

_PR_SET_PDEATHSIG = 1  # prctl(2), Linux
_WAITING = 4  # chunks under way for each process: bounds the memory that finished results take


def ordered_map(function, items, processes, chunk=16):
    """Yield function(item) for each item, in order, whatever the number of processes.

    function and items must be picklable; with one process (or few items) everything happens here. A StageError of `function` passes
    through; a worker that dies (killed for want of memory, say) raises StageError.
    """
    items = list(items)
    if processes <= 1 or len(items) <= chunk:
        for item in items:
            yield function(item)
        return
    # Only here: a stage of one process starts sooner without them.
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    chunks = iter([items[start : start + chunk] for start in range(0, len(items), chunk)])
    with ProcessPoolExecutor(max_workers=processes, initializer=_start, initargs=(os.getpid(),)) as pool:
        waiting = deque()
        try:
            for _ in range(processes * _WAITING):
                _submit(pool, function, chunks, waiting)
            while waiting:
                results = waiting.popleft().result()
                _submit(pool, function, chunks, waiting)
                for result in results:
                    yield result
        except BrokenProcessPool:
            raise StageError(
                "a worker process died",
                expected="%d processes to finish" % processes,
                found="one was killed",
                remedy="most often memory ran out: give the stage more memory, or fewer cpus",
            ) from None
        finally:
            for future in waiting:
                future.cancel()


def _submit(pool, function, chunks, waiting):
    work = next(chunks, None)
    if work is not None:
        waiting.append(pool.submit(partial(_each, function), work))


def _each(function, items):
    return [function(item) for item in items]


def _start(parent):
    """Make a worker end with its parent: politely when that is asked to stop, at once when it is killed."""
    # A signal to the whole group must not look like a worker that died: the parent answers it, and closes the pool.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Else workers of a killed parent would wait for work for ever, and keep its log open.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
