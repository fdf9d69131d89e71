"""Four threads at once, pools, and a generator that wanders between threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import protocol


def shared(number):
    return helper(number) + helper(number)


def helper(number):
    return number


def recursive(depth):
    return 0 if depth == 0 else 1 + recursive(depth - 1)


def stepping(limit):
    for number in range(limit):
        yield number


def body(rounds):
    for number in range(rounds):
        shared(number)
        recursive(20)
        for _ in stepping(5):
            pass


class Worker(threading.Thread):
    def __init__(self, rounds):
        super().__init__()
        self.rounds = rounds

    def run(self):
        body(self.rounds)


def four():
    workers = [Worker(rounds) for rounds in (200, 300, 400, 500)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def short_lived():
    for _ in range(30):
        thread = threading.Thread(target=shared, args=(1,))
        thread.start()
        thread.join()


def pooled(number):
    return helper(number)


def pools():
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(pooled, range(200)))


def wandering(limit):
    for number in range(limit):
        yield helper(number)


def elsewhere():
    steps = wandering(40)
    for _ in range(10):
        next(steps)
        thread = threading.Thread(target=next, args=(steps,))
        thread.start()
        thread.join()


def workload(_options):
    four()
    short_lived()
    pools()
    elsewhere()


if __name__ == "__main__":
    protocol.run(workload)
