"""Steps of a generator as fast as the interpreter can, and says how long a step took."""

import time

import protocol


def steps(count):
    for number in range(count):
        yield number


def loop(count):
    for _ in steps(count):
        pass


def empty(count):
    for _ in range(count):
        pass


def workload(options):
    start = time.perf_counter_ns()
    empty(options.size)
    middle = time.perf_counter_ns()
    loop(options.size)
    end = time.perf_counter_ns()
    protocol.known(
        function="steps", calls=1, resumes=options.size, total_ns=end - middle, empty_ns=middle - start
    )


if __name__ == "__main__":
    protocol.run(workload)
