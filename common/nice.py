"""Threads that let others go first."""

import os
import sys
import threading

NICE = 5


def be_nice() -> None:
    """The calling thread runs after the event loop and the writer, where that can be had.

    On Linux a priority belongs to a thread; elsewhere to the process, and nothing is done.
    """
    if sys.platform.startswith("linux"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
