"""Waits for its work in the middle of nested calls: four of one function and a step of a generator."""

import protocol


def descend(levels, bottom):
    if levels:
        descend(levels - 1, bottom)
    else:
        bottom()


def step():
    next(steps())


def steps():
    protocol.run(workload)
    yield


def workload(_options):
    descend(6, later)


def later():
    pass


if __name__ == "__main__":
    descend(3, step)
