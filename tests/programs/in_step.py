"""Two functions that take turns, each half of the time: as often as a timer of RATE ticks."""

import time

import protocol

RATE = 199
PERIOD_NS = 1_000_000_000 / RATE


def first(until_ns):
    while time.monotonic_ns() < until_ns:
        pass


def second(until_ns):
    while time.monotonic_ns() < until_ns:
        pass


def workload(_options):
    begin_ns = time.monotonic_ns()
    for number in range(6 * RATE):
        first(begin_ns + (number + 0.5) * PERIOD_NS)
        second(begin_ns + (number + 1) * PERIOD_NS)


if __name__ == "__main__":
    protocol.run(workload)
