"""The first process of a container whose daemon has no docker-init: hands signals on, reaps orphans, and ends as the stage does.

The kernel drops signals that the first process of a container has no handler for, and those that it sends itself: a stage cannot be that.
The Docker engine gives this text to the image's Python, 3.7 or newer.
"""

import os
import signal
import sys
from types import FrameType
from typing import List, Optional  # noqa: UP035  Python 3.7

HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main(command: List[str]) -> int:  # noqa: UP006  Python 3.7
    """Run a command; its exit status, 128 + signal where a signal ended it."""
    child = os.fork()
    if child == 0:
        os.execvp(command[0], command)  # noqa: S606  no shell is the point

    def hand_on(signum: int, _frame: Optional[FrameType]) -> None:  # noqa: UP045  Python 3.7
        os.kill(child, signum)

    for signum in HANDED_ON:
        signal.signal(signum, hand_on)
    while True:
        ended, status = os.wait()
        if ended == child:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
