"""Becomes another program by an exec that not the first thread calls."""

import os
import sys
import threading

import protocol


def before(number):
    return number


def become():
    later = os.path.join(os.path.dirname(os.path.abspath(__file__)), "children.py")
    os.execv(sys.executable, [sys.executable, later, "--child", "0"])


def workload(_options):
    for number in range(50):
        before(number)
    thread = threading.Thread(target=become)
    thread.start()
    thread.join()


if __name__ == "__main__":
    protocol.run(workload)
