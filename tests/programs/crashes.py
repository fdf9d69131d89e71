"""Ends by a fault, seven calls deep, after some that went well."""

import ctypes

import protocol


def fault(depth):
    if depth == 0:
        return ctypes.string_at(0)
    return fault(depth - 1)


def fine(number):
    return number


def workload(_options):
    for number in range(1000):
        fine(number)
    fault(6)


if __name__ == "__main__":
    protocol.run(workload)
