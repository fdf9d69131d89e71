"""Many short children, a few at once. The last one works in a second round, when its probes have long been in place."""

import os

import protocol

AT_ONCE = 4


def step(number):
    return number


def work():
    for number in range(10):
        step(number)
    os._exit(0)


class Workload:
    def __init__(self):
        self.writer = None

    def __call__(self, options):
        if self.writer is not None:
            os.close(self.writer)
            os.wait()
            return
        live = 0
        for _ in range(options.size - 1):
            if os.fork() == 0:
                work()
            live += 1
            if live == AT_ONCE:
                os.wait()
                live -= 1
        for _ in range(live):
            os.wait()
        self.start_last()

    def start_last(self):
        reader, self.writer = os.pipe()
        last = os.fork()
        if last == 0:
            os.close(self.writer)
            os.read(reader, 1)
            work()
        protocol.known(function="step", pid=last, calls=10)


if __name__ == "__main__":
    protocol.run(Workload())
