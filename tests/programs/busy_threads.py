"""Four threads that compute without a pause, also between the rounds, and check what they get."""

import threading
import time

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


class Worker(threading.Thread):
    def __init__(self):
        super().__init__()
        self.rounds = 0
        self.stopped = False

    def run(self):
        """Ends at a wrong result, or when it is told to."""
        while not self.stopped:
            assert fibonacci(8) == 21
            assert caught(5) == 0
            assert sum(delegating(10)) == 45
            left = delegating(3)
            assert next(left) == 0
            left.close()
            self.rounds += 1


WORKERS = [Worker() for _ in range(4)]


def workload(options):
    """Waits until each thread has begun and ended a round; the last call ends them."""
    if not WORKERS[0].is_alive():
        for worker in WORKERS:
            worker.start()
    ends = [worker.rounds + 2 for worker in WORKERS]
    while any(worker.rounds < end and worker.is_alive() for worker, end in zip(WORKERS, ends)):
        time.sleep(0.001)
    protocol.known(function="run", calls=sum(worker.is_alive() for worker in WORKERS))
    options.rounds -= 1
    if options.rounds == 0:
        for worker in WORKERS:
            worker.stopped = True
        for worker in WORKERS:
            worker.join()


if __name__ == "__main__":
    protocol.run(workload)
