"""Four threads that compute without a pause until they are told to stop, and check what they get."""

import threading

import protocol


def fibonacci(number):
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)


def failing(depth):
    if depth == 0:
        raise ValueError(depth)
    failing(depth - 1)


def caught(depth):
    try:
        failing(depth)
    except ValueError as error:
        return error.args[0]


def steps(limit):
    for number in range(limit):
        yield number


def delegating(limit):
    yield from steps(limit)


def compute(stop, rounds):
    done = 0
    while not stop.is_set():
        assert fibonacci(8) == 21
        assert caught(5) == 0
        assert sum(delegating(10)) == 45
        left = delegating(3)
        assert next(left) == 0
        left.close()
        done += 1
    rounds.append(done)


def workload(_options):
    stop, rounds = threading.Event(), []
    threads = [threading.Thread(target=compute, args=(stop, rounds)) for _ in range(4)]
    for thread in threads:
        thread.start()
    protocol.wait()
    stop.set()
    for thread in threads:
        thread.join()
    # A thread with a wrong result has ended without an entry.
    protocol.known(function="compute", calls=len([done for done in rounds if done]))


if __name__ == "__main__":
    protocol.run(workload)
