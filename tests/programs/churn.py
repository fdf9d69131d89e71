"""Many short children, a few at once."""

import os

import protocol

AT_ONCE = 4


def step(number):
    return number


def child():
    for number in range(10):
        step(number)
    os._exit(0)


def workload(options):
    live = 0
    for _ in range(options.size):
        if os.fork() == 0:
            child()
        live += 1
        if live == AT_ONCE:
            os.wait()
            live -= 1
    for _ in range(live):
        os.wait()


if __name__ == "__main__":
    protocol.run(workload)
