"""When a signal to stop is heard. Imports no framework."""

import signal
import threading
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def heard_at_end():
    """A signal to stop within it is heard at its end, unless an error ends it first; a second one is heard at once."""
    if threading.current_thread() is not threading.main_thread():  # no other thread hears signals
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS if callable(signal.getsignal(number))}
    heard = []

    def restore():
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(*what):
        heard.append(what)
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        restore()
    for number, frame in heard:
        before[number](number, frame)
