"""Threads that stand still in nested calls, before anything is traced, beside one that works."""

import os
import threading
import time

import protocol

HELD = threading.Lock()


class Opened:
    def __init__(self, lock):
        if lock is not None:
            lock.acquire()


def outer():
    middle()


def middle():
    inner()


def inner():
    HELD.acquire()


def opening():
    for _ in range(1000):
        opened(None)
    opened(HELD)


def opened(lock):
    return Opened(lock)


def stepping():
    for _ in steps():
        pass


def steps():
    yield
    HELD.acquire()


def work(number):
    return number


def workload(options):
    for number in range(options.size or 1000):
        work(number)


def stands_still(thread):
    """Its state is `S`, and it has run nothing for a while."""
    path = f"/proc/self/task/{thread.native_id}/"

    def switches():
        with open(path + "status") as status:
            return [line for line in status if "ctxt_switches" in line or line.startswith("State:\tS")]

    before = switches()
    time.sleep(0.05)
    return len(before) == 3 and switches() == before


if __name__ == "__main__":
    HELD.acquire()
    threads = [threading.Thread(target=body, daemon=True) for body in (outer, opening, stepping)]
    for thread in threads:
        thread.start()
    while not all(map(stands_still, threads)):
        pass
    try:
        protocol.run(workload)
    finally:
        os._exit(0)
