"""Throws into generators that have not started: their frames run without ever passing their beginning."""

import contextlib

import protocol


def unborn():
    yield 1


async def coroutine():
    pass


def workload(_options):
    for _ in range(50):
        for make in unborn, coroutine:
            with contextlib.suppress(KeyError):
                make().throw(KeyError())


if __name__ == "__main__":
    protocol.run(workload)
