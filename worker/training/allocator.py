"""How this process gets its memory from the system: once."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

# The names of mallopt(3), from malloc.h.
_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4

_NEVER: Final = 2**31 - 1


def keep_memory() -> bool:
    """Have the C library keep what is freed, for the next tensor of that size; tell whether it can.

    By default it hands large blocks back to the system at once, and the pages of the next one are zeroed one by one as
    they are touched: of a small fully connected network's step that took a sixth.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # a C library other than GNU's
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _NEVER))
