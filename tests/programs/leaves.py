"""Forks a child and ends; the child works on alone."""

import os
import time

import protocol


def step(number):
    return number


def last():
    pass


def workload(_options):
    parent = os.getpid()
    if os.fork() > 0:
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(0.01)
    for number in range(500):
        step(number)
        time.sleep(0.001)
    last()
    os._exit(0)


if __name__ == "__main__":
    protocol.run(workload)
