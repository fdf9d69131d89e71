"""Becomes another program under the same PID, by exec."""

import os
import sys

import protocol


def before(number):
    return number


def workload(_options):
    for number in range(50):
        before(number)
    later = os.path.join(os.path.dirname(os.path.abspath(__file__)), "after_exec.py")
    os.execv(sys.executable, [sys.executable, later])


if __name__ == "__main__":
    protocol.run(workload)
