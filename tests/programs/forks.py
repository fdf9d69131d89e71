"""A parent whose children run the same functions: their calls are not the parent's."""

import os
import subprocess
import sys

import protocol


def work(count):
    for number in range(count):
        step(number)


def step(number):
    return number


def forked():
    child = os.fork()
    if child == 0:
        work(1000)
        os._exit(0)
    os.waitpid(child, 0)


def spawned():
    subprocess.run([sys.executable, "-c", "def step(n): return n\nfor n in range(1000): step(n)"], check=True)


def workload(_options):
    work(10)
    forked()
    work(20)
    spawned()
    work(40)
    protocol.known(function="step", calls=70)


if __name__ == "__main__":
    protocol.run(workload)
