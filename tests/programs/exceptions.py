"""Exceptions that leave frames in every way."""

import contextlib
import functools
import importlib
import sys

import protocol

exception_groups = importlib.import_module("exception_groups") if sys.version_info >= (3, 11) else None

ROUNDS = 100


def descend(depth):
    if depth == 0:
        raise ValueError
    descend(depth - 1)


def unwound():
    for _ in range(ROUNDS):
        with contextlib.suppress(ValueError):
            descend(6)


def note():
    pass


def through_finally(depth):
    try:
        if depth == 0:
            raise KeyError
        through_finally(depth - 1)
    finally:
        note()


def reraising(depth):
    try:
        through_finally(depth)
    except KeyError:
        note()
        raise


def chaining():
    try:
        reraising(3)
    except KeyError as error:
        raise RuntimeError from error


def replacing():
    try:
        chaining()
    finally:
        raise OSError


def handled():
    for _ in range(ROUNDS):
        try:
            replacing()
        except OSError:
            note()


def swallowing(depth):
    try:
        descend(depth)
    except ValueError:
        return note()


def returning(depth):
    try:
        descend(depth)
    finally:
        return note()  # noqa: B012


def caught_half_way():
    for _ in range(ROUNDS):
        swallowing(3)
        returning(3)


class Unmade:
    def __init__(self):
        descend(1)


class Suppressing:
    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return True


def constructors():
    for _ in range(ROUNDS):
        with Suppressing():
            Unmade()
        with contextlib.suppress(TypeError):
            descend(1, 2, 3)


def key(number):
    if number == 3:
        raise ValueError
    return number


def through_c():
    for _ in range(ROUNDS):
        with contextlib.suppress(ValueError):
            sorted(range(6), key=key)
        with contextlib.suppress(ValueError):
            functools.reduce(lambda left, right: key(right), range(6))
        with contextlib.suppress(ValueError):
            [key(number) for number in range(6)]


class Noisy:
    def __del__(self):
        descend(1)


def in_finalizers():
    hook, sys.unraisablehook = sys.unraisablehook, lambda _unraisable: None
    for _ in range(20):
        Noisy()
    sys.unraisablehook = hook


def keeps_its_traceback():
    try:
        descend(4)
    except ValueError as error:
        return error


def frames_kept():
    kept = [keeps_its_traceback() for _ in range(20)]
    for error in kept:
        trace = error.__traceback__
        while trace:
            trace.tb_frame.f_locals
            trace = trace.tb_next


def leaves():
    try:
        sys.exit(3)
    except SystemExit:
        note()


def others():
    for _ in range(ROUNDS):
        if exception_groups:
            exception_groups.grouped(note)
        leaves()


def workload(_options):
    unwound()
    handled()
    caught_half_way()
    constructors()
    through_c()
    in_finalizers()
    frames_kept()
    others()


if __name__ == "__main__":
    protocol.run(workload)
