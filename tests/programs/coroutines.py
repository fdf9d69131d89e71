"""Coroutines and asynchronous generators under asyncio: gather, cancellation, clean-up."""

import asyncio
import contextlib

import protocol


async def innermost(number):
    await asyncio.sleep(0)
    return number


async def between(number):
    return await innermost(number) + await innermost(number)


async def worker(number):
    total = 0
    for _ in range(10):
        total += await between(number)
    return total


async def immediate(number):
    return number


async def gathered():
    await asyncio.gather(*(worker(number) for number in range(20)))
    for number in range(100):
        await immediate(number)


async def waits_forever():
    try:
        await nested_wait()
    finally:
        cleaned_up()


async def nested_wait():
    await asyncio.sleep(3600)


async def refuses_once():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        raise


def cleaned_up():
    pass


async def cancelled():
    tasks = [asyncio.ensure_future(make()) for make in (waits_forever, refuses_once) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    never_run = asyncio.ensure_future(waits_forever())
    never_run.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await never_run
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(waits_forever(), timeout=0.05)


async def ticks(limit):
    try:
        for number in range(limit):
            await asyncio.sleep(0)
            yield number
    finally:
        cleaned_up()


async def asynchronous_generators():
    for _ in range(10):
        async for _number in ticks(5):
            pass
        [number async for number in ticks(3)]
        stopped = ticks(5)
        await stopped.__anext__()
        await stopped.aclose()
        thrown = ticks(5)
        await thrown.__anext__()
        with contextlib.suppress(KeyError):
            await thrown.athrow(KeyError())
    abandoned = ticks(5)
    await abandoned.__anext__()
    del abandoned
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class Resource:
    async def __aenter__(self):
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_error):
        await asyncio.sleep(0)


class Awaitable:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return 1


@contextlib.asynccontextmanager
async def managed():
    await asyncio.sleep(0)
    yield
    await asyncio.sleep(0)


async def protocols():
    for _ in range(20):
        async with Resource():
            await Awaitable()
        async with managed():
            pass


async def failing(depth):
    if depth:
        await failing(depth - 1)
    await asyncio.sleep(0)
    raise LookupError


async def failures():
    for _ in range(10):
        with contextlib.suppress(LookupError):
            await failing(5)
        await asyncio.gather(failing(2), failing(1), return_exceptions=True)
    coroutine = immediate(1)
    coroutine.close()


async def main():
    await gathered()
    await cancelled()
    await asynchronous_generators()
    await protocols()
    await failures()


def workload(_options):
    asyncio.run(main())


if __name__ == "__main__":
    protocol.run(workload)
