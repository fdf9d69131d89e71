"""Functions that make many small calls, and know how long they take when nothing else does: the shortest of many runs."""

import time

import protocol

RUNS = 300
CALLS = 50


def small(number):
    return number


def middling(number):
    return sum(range(100))


def calls_small():
    for number in range(CALLS):
        small(number)


def calls_middling():
    for number in range(CALLS):
        middling(number)


def shortest(function):
    best = None
    for _ in range(RUNS):
        start = time.perf_counter_ns()
        function()
        took = time.perf_counter_ns() - start
        best = took if best is None else min(best, took)
    return best


def workload(_options):
    for function in (calls_small, calls_middling):
        protocol.known(function=function.__name__, calls=RUNS, total_ns=shortest(function))


if __name__ == "__main__":
    protocol.run(workload)
