"""C functions that call back into Python."""

import bisect
import copy
import functools
import itertools
import json
import re
import sys
import weakref
from collections import defaultdict

import protocol

ROUNDS = 50
BISECT_HAS_KEY = sys.version_info >= (3, 10)


def negative(number):
    return -number


def compare(left, right):
    return (left > right) - (left < right)


def add(left, right):
    return left + right


def is_odd(number):
    return number % 2


def upper(match):
    return inside(match.group())


def inside(text):
    return text.upper()


class Ordered:
    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return less(self.value, other.value)

    def __repr__(self):
        return f"Ordered({self.value})"


def less(left, right):
    return left < right


def sorting():
    numbers = [7, 3, 9, 1, 5, 8, 2]
    for _ in range(ROUNDS):
        sorted(numbers, key=negative)
        sorted(numbers, key=functools.cmp_to_key(compare))
        sorted(Ordered(number) for number in numbers)
        min(numbers, key=negative)
        if BISECT_HAS_KEY:
            bisect.bisect(sorted(numbers), 4, key=lambda number: number)


def iterating():
    for _ in range(ROUNDS):
        list(map(negative, range(10)))
        list(filter(is_odd, range(10)))
        functools.reduce(add, range(10))
        list(itertools.starmap(add, [(1, 2), (3, 4)]))
        list(itertools.takewhile(is_odd, [1, 3, 4]))
        [list(group) for _, group in itertools.groupby(range(6), key=is_odd)]
        list(iter(iter([1, 2, 0]).__next__, 0))
        "".join(inside(word) for word in ("a", "b"))


def texts():
    for _ in range(ROUNDS):
        re.sub("[a-z]+", upper, "one two three")
        json.loads('{"a": {"b": {}}}', object_hook=hook)
        str([Ordered(1), Ordered(2)])
        f"{Ordered(1)!r}"


def hook(value):
    return value


class Missing(dict):
    def __missing__(self, key):
        return negative(key)


def factory():
    return inside("x")


def containers():
    for number in range(ROUNDS):
        Missing()[number]
        defaultdict(factory)[number]
        copy.deepcopy(Copied())


class Copied:
    def __deepcopy__(self, memo):
        return self


class Dying:
    def __del__(self):
        inside("x")


def gone(_reference):
    pass


def finalizers():
    for _ in range(ROUNDS):
        dying = Dying()
        reference = weakref.ref(dying, gone)
        del dying
        assert reference() is None


def workload(_options):
    sorting()
    iterating()
    texts()
    containers()
    finalizers()


if __name__ == "__main__":
    protocol.run(workload)
