"""Work during which the interpreter's own tracing is switched on and off. The functions count themselves."""

import threading
from collections import Counter

import protocol

ROUNDS = 10

calls = Counter()
resumes = Counter()


def leaf(number):
    calls["leaf"] += 1
    return number


def recursive(depth):
    calls["recursive"] += 1
    return recursive(depth - 1) if depth else leaf(depth)


def steps(limit):
    calls["steps"] += 1
    for number in range(limit):
        yield leaf(number)
        resumes["steps"] += 1


def failing(depth):
    calls["failing"] += 1
    if depth == 0:
        raise ValueError
    failing(depth - 1)


def switching(switch):
    """Its callers and it are running when the switch is thrown."""
    calls["switching"] += 1
    leaf(1)
    switch()
    leaf(2)


def work():
    calls["work"] += 1
    recursive(5)
    for _ in steps(4):
        pass
    try:
        failing(3)
    except ValueError:
        leaf(3)


def beside():
    """What another thread does meanwhile."""
    for number in range(2000):
        beside_leaf(number)


def beside_leaf(number):
    return number


def nothing():
    calls["nothing"] += 1


def under(watcher):
    """Every function runs with the watcher, without it, and through its switching on and off."""
    calls["under"] += 1
    on, off = watcher
    for between in nothing, work:
        work()
        suspended = steps(6)
        next(suspended)
        switching(on)
        next(suspended)
        between()
        begun_watched = steps(6)
        next(begun_watched)
        switching(off)
        next(suspended)
        next(begun_watched)
        on()
        list(suspended)
        work()
        off()
        list(begun_watched)


def under_all(watchers):
    for watcher in watchers:
        thread = threading.Thread(target=beside)
        thread.start()
        for _ in range(ROUNDS):
            under(watcher)
        thread.join()
    for function, count in calls.items():
        protocol.known(function=function, calls=count, resumes=resumes[function])
    protocol.known(function="beside_leaf", calls=2000 * len(watchers))
