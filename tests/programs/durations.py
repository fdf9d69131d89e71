"""Functions whose time is known: each is timed from within and around its call, on the tracer's clock.

The tracer's figure lies between the two, however slow the machine is.
"""

import asyncio
import contextlib
import threading
import time
from collections import defaultdict

import protocol

# name: [wall from within, wall around, CPU from within, CPU around], nanoseconds
SPANS = defaultdict(lambda: [0, 0, 0, 0])


class Span:
    """Adds the time of a block to two of a function's four sums."""

    def __init__(self, name, column):
        self.sums, self.column = SPANS[name], column

    def __enter__(self):
        self.wall, self.cpu = time.monotonic_ns(), time.thread_time_ns()

    def __exit__(self, *_error):
        # The clock read first is inside the other: the order is turned round, so that both spans are nested.
        cpu, wall = time.thread_time_ns(), time.monotonic_ns()
        self.sums[self.column] += wall - self.wall
        self.sums[self.column + 2] += cpu - self.cpu


def inside(name):
    return Span(name, 0)


def around(name):
    return Span(name, 1)


def sleeps():
    with inside("sleeps"):
        time.sleep(0.2)


def computes():
    with inside("computes"), around("spin"):
        spin(0.2)


def spin(seconds):
    with inside("spin"):
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass


def parent():
    with inside("parent"):
        time.sleep(0.1)
        for _ in range(2):
            with around("child"):
                child()


def child():
    with inside("child"):
        time.sleep(0.1)


def recursive(depth):
    """Every level sleeps; the outermost level is the whole, counted once."""
    with inside("recursive") if depth == 9 else contextlib.nullcontext():
        time.sleep(0.02)
        if depth:
            recursive(depth - 1)


def waits_for_lock(lock):
    with inside("waits_for_lock"):
        with lock:
            pass


def holds_lock():
    lock = threading.Lock()
    thread = threading.Thread(target=timed_wait, args=(lock,))
    with lock:
        thread.start()
        time.sleep(0.2)
    thread.join()


def timed_wait(lock):
    with around("waits_for_lock"):
        waits_for_lock(lock)


def steps():
    """Runs for a fifth of the time that its consumer takes."""
    for _ in range(4):
        with inside("steps"):
            time.sleep(0.05)
        yield


def consumes():
    generator = steps()
    while True:
        with around("steps"):
            more = next(generator, True)
        if more is True:
            return
        time.sleep(0.2)


async def suspended():
    await asyncio.sleep(0.3)
    with inside("suspended"):
        time.sleep(0.05)


async def suspends():
    with around("suspended"):
        await suspended()
    # A suspended coroutine is on no stack, so this is not its time; timers may be early by the clock's resolution.
    SPANS["suspended"][1] -= 290_000_000


def raises():
    with inside("raises"):
        time.sleep(0.1)
    raise ValueError


def workload(_options):
    for function in sleeps, computes, parent:
        with around(function.__name__):
            function()
    with around("spin"):
        spin(0.1)
    with around("recursive"):
        recursive(9)
    holds_lock()
    consumes()
    asyncio.run(suspends())
    with around("raises"):
        try:
            raises()
        except ValueError:
            pass
    for name, (wall, wall_around, cpu, cpu_around) in SPANS.items():
        protocol.known(
            function=name,
            wall_ns=[wall, wall_around],
            cpu_ns=[cpu, cpu_around],
        )


if __name__ == "__main__":
    protocol.run(workload)
