"""Calls at an even pace until the test ends the program, and says how many there were every so often."""

import itertools
import time

import protocol


def tick(number):
    return number


def workload(options):
    pause = (options.size or 1) / 1000
    for number in itertools.count(1):
        tick(number)
        if number % 100 == 0:
            protocol.known(function="tick", calls=number)
        time.sleep(pause)


if __name__ == "__main__":
    protocol.run(workload)
