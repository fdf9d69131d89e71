"""Subinterpreters at the same time, each in a thread of its own. The program knows what each of them calls."""

import threading

import protocol

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

COUNT = 4
ROUNDS = 200

SCRIPT = """
def inner_{number}(value):
    return value


def outer_{number}(depth):
    return outer_{number}(depth - 1) if depth else inner_{number}(depth)


def steps_{number}(limit):
    for value in range(limit):
        yield value


def failing_{number}(depth):
    if depth == 0:
        raise ValueError
    failing_{number}(depth - 1)


for _ in range({rounds}):
    outer_{number}(9)
    for _ in steps_{number}(4):
        pass
    try:
        failing_{number}(2)
    except ValueError:
        pass
"""


def in_subinterpreter(number, finished):
    """Twice, so that what the first one leaves behind is used again."""
    for _ in range(2):
        interpreter = interpreters.create()
        failure = interpreters.run_string(interpreter, SCRIPT.format(number=number, rounds=ROUNDS))
        interpreters.destroy(interpreter)
        if failure is None:
            finished.append(number)


def workload(_options):
    finished = []
    threads = [threading.Thread(target=in_subinterpreter, args=(number, finished)) for number in range(COUNT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(finished) == 2 * COUNT
    for number in range(COUNT):
        protocol.known(function=f"inner_{number}", calls=2 * ROUNDS)
        protocol.known(function=f"outer_{number}", calls=2 * ROUNDS * 10)
        protocol.known(function=f"steps_{number}", calls=2 * ROUNDS, resumes=2 * ROUNDS * 4)
        protocol.known(function=f"failing_{number}", calls=2 * ROUNDS * 3)


if __name__ == "__main__":
    protocol.run(workload)
