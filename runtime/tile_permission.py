"""Asks Linux for AMX's tile registers: they are 8 kB more for each thread, so that it saves none unasked.

A process asks once, for all of its threads, those that run already among them (Linux,
Documentation/arch/x86/xstate.rst).
"""

import ctypes
import logging
import os
import platform
from functools import cache

ARCH_PRCTL = 158  # the system call's number on x86-64
ARCH_REQ_XCOMP_PERM = 0x1023
XFEATURE_XTILEDATA = 18

log = logging.getLogger(__name__)


@cache
def may_use_tiles() -> bool:
    """Whether this process may use tile registers; what is refused is told once."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return False
    system = ctypes.CDLL(None, use_errno=True)
    system.syscall.restype = ctypes.c_long
    request = (ctypes.c_long(number) for number in (ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA))
    if system.syscall(*request) == 0:
        return True
    reason = os.strerror(ctypes.get_errno())
    log.warning("the system does not grant AMX (%s): kernels for this CPU do without", reason)
    return False
