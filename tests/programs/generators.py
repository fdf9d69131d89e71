"""Generators that end in every way a generator can end."""

import contextlib
import gc
import sys

import protocol

ROUNDS = 100


def count_to(limit):
    for number in range(limit):
        yield number


def silent(limit):
    """Does nothing between two yields: every step looks like the one before."""
    while limit:
        limit -= 1
        yield


def driven():
    for _ in range(ROUNDS):
        for _number in count_to(10):
            pass
        list(count_to(5))
        sum(number for number in count_to(3))
        steps = count_to(4)
        next(steps)
        next(steps)
        list(steps)
    for _ in silent(500):
        pass


def inner(limit):
    received = 0
    for number in range(limit):
        received += (yield number) or 0
    return received


def delegating(limit):
    return (yield from inner(limit))


def outermost(limit):
    total = yield from delegating(limit)
    yield total


def delegated():
    for _ in range(ROUNDS):
        list(outermost(5))
        sent = outermost(3)
        next(sent)
        sent.send(10)
        sent.send(20)
        sent.send(30)


class Tree:
    def __init__(self, depth):
        self.children = [Tree(depth - 1), Tree(depth - 1)] if depth else []

    def __iter__(self):
        yield self
        for child in self.children:
            yield from child


def recursive():
    tree = Tree(5)
    for _ in range(10):
        list(tree)


def never_started(limit):
    yield limit


def left_in_the_middle(limit):
    for number in range(limit):
        yield number


def abandoned():
    for _ in range(ROUNDS):
        never_started(1)
        steps = left_in_the_middle(10)
        next(steps)
        next(steps)
        del steps


def plain(limit):
    for number in range(limit):
        yield number


def guarded(limit):
    try:
        for number in range(limit):
            yield number
    finally:
        cleaned_up()


def cleaned_up():
    pass


def closed():
    for _ in range(ROUNDS):
        for make in plain, guarded:
            steps = make(5)
            next(steps)
            steps.close()
        guarded(5).close()
        last = guarded(5)
        next(last)
        del last


def stubborn():
    while True:
        try:
            yield 1
        except ValueError:
            yield 2


def helpless():
    yield 1
    yield 2


def through():
    yield from helpless()


def thrown_into():
    for _ in range(ROUNDS):
        steps = stubborn()
        next(steps)
        for _ in range(3):
            steps.throw(ValueError())
            next(steps)
        steps.close()
        for make in helpless, through:
            steps = make()
            next(steps)
            with contextlib.suppress(KeyError):
                steps.throw(KeyError())


class Knot:
    """Holds a generator that holds it: only the collector frees the two."""

    def __init__(self):
        self.steps = self.walk()
        next(self.steps)

    def walk(self):
        try:
            yield self
        finally:
            cleaned_up()


def collected():
    gc.collect()
    for _ in range(20):
        Knot()
    gc.collect()


def failing(limit):
    yield limit
    raise ArithmeticError


def stopping():
    yield 1
    raise StopIteration


def raised():
    for _ in range(ROUNDS):
        for make, error in (lambda: failing(1), ArithmeticError), (stopping, RuntimeError):
            with contextlib.suppress(error):
                list(make())


@contextlib.contextmanager
def managed():
    cleaned_up()
    yield
    cleaned_up()


def managers():
    for _ in range(ROUNDS):
        with managed():
            pass


class Source:
    """Its iterator is made by Python code, also from within the prologue of a generator expression."""

    def __iter__(self):
        return iter((1, 2, 3))


def expressions():
    for _ in range(ROUNDS):
        list(number for number in Source())
        (number for number in Source())
        steps = (number * 2 for number in count_to(3))
        next(steps)
        with contextlib.suppress(TypeError):
            (number for number in None)


def workload(_options):
    driven()
    delegated()
    recursive()
    abandoned()
    closed()
    thrown_into()
    collected()
    raised()
    managers()
    expressions()


if __name__ == "__main__":
    sys.setswitchinterval(1)
    protocol.run(workload)
