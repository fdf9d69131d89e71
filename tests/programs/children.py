"""Children of every kind. In the first round they are started and wait, in the second each works and ends.

The kind is an argument of the program: fork, multiprocessing-fork, multiprocessing-spawn,
multiprocessing-forkserver, subprocess. Subprocesses run the same interpreter, or the one of the command in OTHER_PYTHON.
"""

import json
import multiprocessing
import os
import subprocess
import sys

import protocol

CHILDREN = 4


def step(number):
    return number


def work(count):
    for number in range(count):
        step(number)


def child(number, reader):
    """Waits for a byte of the pipe, then works: the first child 100 steps, the second 200, and so on."""
    os.read(reader, 1)
    work(100 * (number + 1))


class Forked:
    def __init__(self, number, reader):
        self.pid = os.fork()
        if self.pid == 0:
            child(number, reader)
            os._exit(0)

    def end(self):
        os.waitpid(self.pid, 0)


class OfMultiprocessing:
    def __init__(self, number, reader, method):
        context = multiprocessing.get_context(method)
        pipe = context.Pipe(duplex=False)
        self.sender = pipe[1]
        self.process = context.Process(target=received, args=(number, pipe[0]))
        self.process.start()
        self.pid = self.process.pid

    def end(self):
        self.sender.send_bytes(b"go")
        self.process.join()


def received(number, connection):
    connection.recv_bytes()
    work(100 * (number + 1))


class Subprocess:
    def __init__(self, number, reader):
        python = json.loads(os.environ.get("OTHER_PYTHON", "null")) or [sys.executable]
        words = [*python, os.path.abspath(__file__), "--child", str(number)]
        self.process = subprocess.Popen(words, stdin=reader)
        self.pid = self.process.pid

    def end(self):
        self.process.wait()


def start(kind, number, reader):
    if kind == "fork":
        return Forked(number, reader)
    if kind == "subprocess":
        return Subprocess(number, reader)
    return OfMultiprocessing(number, reader, kind.removeprefix("multiprocessing-"))


class Workload:
    def __init__(self, kind):
        self.kind = kind
        self.children = []
        self.writers = []

    def __call__(self, _options):
        work(7)
        if not self.children:
            self.begin()
            return
        for writer in self.writers:
            os.write(writer, b"g")
        for started in self.children:
            started.end()

    def begin(self):
        for number in range(CHILDREN):
            reader, writer = os.pipe()
            self.children.append(start(self.kind, number, reader))
            self.writers.append(writer)
            protocol.known(function="step", pid=self.children[-1].pid, calls=100 * (number + 1))


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        child(int(sys.argv[2]), 0)
    else:
        workload = Workload(sys.argv.pop(1))
        protocol.run(workload)
