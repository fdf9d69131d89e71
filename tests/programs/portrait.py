"""A little of everything that a recording can hold, in a third of a second: what tests of views and exports look at.

Recursion, a generator, exceptions, two threads, asyncio tasks that run and wait, memory that stays and memory that is
given back, and a function with a name that would do harm if it were shown as it is.
"""

import asyncio
import mmap
import threading
import time

PAGE = mmap.PAGESIZE
kept = []


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def countdown(n):
    while n:
        yield n
        n -= 1


def fail():
    raise ValueError("on purpose")


def caught():
    try:
        fail()
    except ValueError:
        return True


def touch(pages):
    """Adds so many pages of resident memory."""
    memory = mmap.mmap(-1, pages * PAGE)
    for page in range(pages):
        memory[page * PAGE] = 1
    return memory


def keep():
    kept.append(touch(64))


def give_back():
    touch(128).close()


def nap():
    time.sleep(0.02)


async def fetch(number):
    await asyncio.sleep(0.01 * number)
    return fib(5)


async def gather():
    return await asyncio.gather(*(fetch(number) for number in range(1, 4)))


def work():
    for _ in range(3):
        nap()
        fib(8)


def main():
    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    fib(10)
    sum(countdown(20))
    caught()
    for _ in range(4):
        keep()
        give_back()
    asyncio.run(gather())
    hostile()
    for worker in workers:
        worker.join()


def hostile():
    pass


hostile.__code__ = hostile.__code__.replace(co_name="</script><b>x;\x1b[31m'\"&\n", co_qualname="</script><b>x;\x1b[31m'\"&\n")

if __name__ == "__main__":
    main()
