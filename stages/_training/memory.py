"""What a training does about memory before it begins."""

import ctypes

# mallopt's parameters (malloc.h of the GNU C library).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory():
    """Let the C library keep freed memory for the next step; whether it could be told.

    By default every large tensor is a mapping of its own, which the kernel clears page by page in each step: a fifth of a small
    model's time. Only the GNU C library has this setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all(
        mallopt(name, value) for name, value in ((_M_MMAP_THRESHOLD, 2**31 - 1), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 << 20))
    )
