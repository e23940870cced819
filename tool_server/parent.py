"""Dying with one's parent: no process of ours outlives the supervisor, even one killed with -9."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1


def follow_parent(number: int = signal.SIGKILL) -> None:
    """Ask Linux to send us `number` when the parent ends; elsewhere nothing happens."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, int(number))
    except (OSError, AttributeError):
        return


def follow(parent: int) -> None:
    """In a child that `parent` has forked, before its program starts: an orphan ends even while it imports."""
    follow_parent()
    if os.getppid() != parent:  # it died before Linux was asked
        os._exit(1)
