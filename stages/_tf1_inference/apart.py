"""Work with TensorFlow in a process of its own.

A session starts threads that all sessions of the process share, and a forked process has none of them: one whose parent has run a session
can wait for them for ever. So what must be computed before a stage's processes start is computed apart, in a process that is not forked.
"""

import sys
from multiprocessing import get_context

from _runtime import StageError


def run_apart(function, *values):
    """function(*values), which must be picklable, as must be what it returns. A StageError of `function` passes through."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, values))
    process.start()
    theirs.close()
    try:
        result, error = ours.recv()
    except EOFError:
        process.join()
        raise StageError(
            "a process died",
            function.__name__,
            "a result",
            "exit status %d" % process.exitcode,
            "read the stage's log; where it was killed, most often memory ran out",
        ) from None
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    if error is not None:
        raise error
    return result


def _answer(pipe, function, values):
    # What else fails is a defect: its traceback goes to the log.
    try:
        answer = function(*values), None
    except StageError as error:
        answer = None, error
    sys.stdout.flush()
    pipe.send(answer)
