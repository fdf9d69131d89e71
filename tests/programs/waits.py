"""Coroutines whose running and waiting is known: each step is timed from within, and around by a coroutine object that
sends to the real one. The tracer's figures lie between the two.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Coroutine

import protocol

# Of each coroutine, a list of instances: [ran from within, ran around, whole from within, whole around], nanoseconds
INSTANCES = defaultdict(list)


class Around(Coroutine):
    """Runs a coroutine and times each of its steps."""

    def __init__(self, coroutine, times):
        self.coroutine, self.times, self.began = coroutine, times, None

    def send(self, value):
        begin = time.monotonic_ns()
        self.began = self.began or begin
        try:
            return self.coroutine.send(value)
        finally:
            end = time.monotonic_ns()
            self.times[1] += end - begin
            self.times[3] = end - self.began

    def throw(self, *error):
        return self.coroutine.throw(*error)

    def close(self):
        self.coroutine.close()

    def __await__(self):
        return self


def start(function, *arguments):
    times = [0, 0, 0, 0]
    INSTANCES[function.__qualname__].append(times)
    return asyncio.create_task(Around(function(times, *arguments), times))


def busy(times, seconds):
    begin = time.monotonic_ns()
    while time.monotonic_ns() - begin < seconds * 1e9:
        pass
    times[0] += time.monotonic_ns() - begin


async def runs_and_waits(times, rounds):
    begin = time.monotonic_ns()
    for _ in range(rounds):
        busy(times, 0.01)
        await asyncio.sleep(0.05)
    busy(times, 0.01)
    times[2] = time.monotonic_ns() - begin


async def only_runs(times):
    begin = time.monotonic_ns()
    busy(times, 0.02)
    times[2] = time.monotonic_ns() - begin


async def waits_for_others(times, others):
    begin = time.monotonic_ns()
    for other in others:
        await other
    times[2] = time.monotonic_ns() - begin


async def everything():
    tasks = [start(runs_and_waits, rounds) for rounds in (1, 2, 4)]
    tasks += [start(only_runs) for _ in range(2)]
    await start(waits_for_others, tasks)


def workload(_options):
    asyncio.run(everything())
    for function, instances in INSTANCES.items():
        ran, ran_around, whole, whole_around = map(list, zip(*instances))
        protocol.known(
            function=function,
            calls=len(instances),
            ran_ns=[sum(ran), sum(ran_around)],
            whole_ns=[sum(whole), sum(whole_around)],
            longest_ns=[max(whole), max(whole_around)],
        )


if __name__ == "__main__":
    protocol.run(workload)
