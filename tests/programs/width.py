"""Many processes, each with some threads and functions of its own, all there at the same time.

The first process forks the others before it is ready. Told to work, each makes its functions, calls them in all of its
threads, and recurses: some processes at a time, as many as would on a machine that is not overloaded. No thread ends
before all processes are done.
"""

import os
import sys
import threading

import protocol

PROCESSES = 200
THREADS = 5
FUNCTIONS = 250
CALLS = 3
DEPTH = 5_000
AT_A_TIME = 4


def descend(depth):
    if depth > 1:
        descend(depth - 1)


def functions(number):
    """Functions that no other process has."""
    names = [f"step_{number}_{function}" for function in range(FUNCTIONS)]
    scope = {}
    exec("\n".join(f"def {name}(): pass" for name in names), scope)
    return [scope[name] for name in names]


def call_all(steps, called, release):
    for _ in range(CALLS):
        for step in steps:
            step()
    called.wait()
    release.wait()


def work(number, tell_done, wait_for_release):
    steps = functions(number)
    called, release = threading.Barrier(THREADS), threading.Event()
    others = [threading.Thread(target=call_all, args=(steps, called, release)) for _ in range(THREADS - 1)]
    for other in others:
        other.start()
    sys.setrecursionlimit(2 * DEPTH)
    descend(DEPTH)
    for _ in range(CALLS):
        for step in steps:
            step()
    called.wait()
    tell_done()
    wait_for_release()
    release.set()
    for other in others:
        other.join()


class Crowd:
    """The other processes, and the pipes by which they and the first one talk."""

    def __init__(self):
        self.go, self.done, self.release = os.pipe(), os.pipe(), os.pipe()
        self.pids = [self.fork(number) for number in range(1, PROCESSES)]

    def fork(self, number):
        pid = os.fork()
        if pid == 0:
            os.read(self.go[0], 1)
            os.close(self.release[1])
            work(number, self.tell_done, lambda: os.read(self.release[0], 1))
            os._exit(0)
        return pid

    def tell_done(self):
        os.write(self.done[1], b".")
        # The next one's turn.
        os.write(self.go[1], b".")

    def wait_until_done(self):
        missing = len(self.pids)
        while missing:
            missing -= len(os.read(self.done[0], missing))
        # The end of this pipe is what they wait for.
        os.close(self.release[1])

    def workload(self, _options):
        os.write(self.go[1], b"." * AT_A_TIME)
        work(0, lambda: None, self.wait_until_done)
        for pid in [os.getpid(), *self.pids]:
            protocol.known(function="descend", pid=pid, calls=DEPTH)


if __name__ == "__main__":
    protocol.run(Crowd().workload)
