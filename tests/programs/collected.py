"""Generators that only the collector frees, at any moment of other work. Their clean-up runs on top of that.

A profiler would make the collector run within itself, where it does not look, so the program counts.
"""

import gc

import protocol

COUNT = 500

finished = {"guarded": 0, "delegating": 0, "cleaned_up": 0}


def cleaned_up(name):
    finished["cleaned_up"] += 1
    finished[name] += 1


def guarded(knot):
    try:
        yield knot
    finally:
        cleaned_up("guarded")


def delegating(knot):
    try:
        yield from guarded(knot)
    finally:
        cleaned_up("delegating")


class Knot:
    """Holds a generator that holds it."""

    def __init__(self, make):
        self.steps = make(self)
        next(self.steps)


def other_work(number):
    """Makes objects that the collector looks at, so that it runs in here."""
    return [[], [[]], {"number": number}]


def workload(_options):
    threshold = gc.get_threshold()
    gc.collect()
    gc.set_threshold(30)
    for number in range(COUNT):
        Knot(guarded)
        Knot(delegating)
        other_work(number)
    gc.set_threshold(*threshold)
    gc.collect()
    assert finished == {"guarded": 2 * COUNT, "delegating": COUNT, "cleaned_up": 3 * COUNT}
    protocol.known(function="guarded", calls=2 * COUNT, resumes=2 * COUNT)
    protocol.known(function="delegating", calls=COUNT, resumes=COUNT)
    protocol.known(function="cleaned_up", calls=3 * COUNT)
    protocol.known(function="other_work", calls=COUNT)


if __name__ == "__main__":
    protocol.run(workload)
