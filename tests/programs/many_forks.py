"""Parents that have children at the same time, each as many as the size says, while the children come to their CPUs and
leave them."""

import os
import time

import protocol

PARENTS = 6


def child():
    for _ in range(20):
        time.sleep(0.005)
    os._exit(0)


def parent(children):
    for _ in range(children):
        if os.fork() == 0:
            child()
    for _ in range(children):
        os.wait()
    os._exit(0)


def workload(options):
    for _ in range(PARENTS):
        if os.fork() == 0:
            parent(options.size)
    for _ in range(PARENTS):
        os.wait()
    protocol.known(function="child", calls=PARENTS * options.size)


if __name__ == "__main__":
    protocol.run(workload)
