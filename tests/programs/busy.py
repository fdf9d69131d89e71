"""Calls as fast as the interpreter can, and says how long a call took."""

import time

import protocol


def callee(number):
    return number


def loop(count):
    for number in range(count):
        callee(number)


def empty(count):
    for number in range(count):
        pass


def workload(options):
    count = options.size or 1_000_000
    sample = min(count, 1_000_000)
    start = time.perf_counter_ns()
    empty(sample)
    middle = time.perf_counter_ns()
    loop(count)
    end = time.perf_counter_ns()
    empty_ns = (middle - start) * count // sample
    protocol.known(function="callee", calls=count, total_ns=end - middle, empty_ns=empty_ns)


if __name__ == "__main__":
    protocol.run(workload)
