"""Threads that are called something, two of them only after they have run for a while, and that stay."""

import ctypes
import threading
import time

import protocol

PR_SET_NAME = 15
LIBC = ctypes.CDLL(None)


def call_myself(name):
    LIBC.prctl(PR_SET_NAME, name)


def worker(name, late, ready):
    if late:
        call_myself(b"too early")
        # By then the tracer has looked.
        time.sleep(0.5)
    call_myself(name)
    ready.release()
    threading.Event().wait()


def workload(_options):
    ready = threading.Semaphore(0)
    names = (b"pool;1", False), (b"pool\x1b2", False), (b"renamed", True), ("später".encode(), True)
    for name, late in names:
        threading.Thread(target=worker, args=(name, late, ready), daemon=True).start()
    for _ in names:
        ready.acquire()


if __name__ == "__main__":
    protocol.run(workload)
