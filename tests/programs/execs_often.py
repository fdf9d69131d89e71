"""Becomes itself again and again, by exec, and works each time; at the end it says so."""

import os
import sys

import protocol


def step(number):
    return number


def again(left):
    for number in range(1000):
        step(number)
    if left > 0:
        os.execv(sys.executable, [sys.executable, __file__, "again", str(left - 1)])
    protocol.say("done")
    sys.stdin.readline()


def workload(options):
    again(options.size)


if __name__ == "__main__":
    if sys.argv[1] == "again":
        again(int(sys.argv[2]))
    else:
        protocol.run(workload)
