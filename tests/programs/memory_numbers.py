"""Ways to take and give back memory, each in a function of its own: the rows of docs/memory-numbers.md.

The names of the functions are those of the rows. What they need they are given, so that a function does only what its
row says. Everything is done once before the test looks: by then the interpreter has the memory that it needs itself.
"""

import contextlib
import ctypes
import gc
import itertools
import mmap
import os
import tempfile

import protocol

PAGE = mmap.PAGESIZE
MIB = 1 << 20
EACH_PAGE = b"x" * (MIB // PAGE)
HUGE = 2 * MIB
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
LIBC = ctypes.CDLL(None)
PIDFD_OPEN, PROCESS_MADVISE, MADV_PAGEOUT = 434, 440, 21


# Pages


def maps():
    return mmap.mmap(-1, MIB, flags=PRIVATE)


def reads(memory):
    memory[::PAGE]


def writes(memory):
    memory[::PAGE] = EACH_PAGE


def writes_again(memory):
    memory[::PAGE] = EACH_PAGE


def writes_after_fork(memory):
    memory[::PAGE] = EACH_PAGE


def discards(memory):
    memory.madvise(mmap.MADV_DONTNEED, 0, MIB // 2)


def offers(memory):
    memory.madvise(mmap.MADV_FREE)


def unmaps(memory):
    memory.close()


def maps_populated():
    return mmap.mmap(-1, MIB, flags=PRIVATE | mmap.MAP_POPULATE)


def writes_and_unmaps():
    memory = mmap.mmap(-1, MIB, flags=PRIVATE)
    memory[::PAGE] = EACH_PAGE
    memory.close()


def writes_one_byte(memory, at):
    memory[at] = 1


# Files and shared memory


def reads_mapped_file(memory):
    memory[::PAGE]


def writes_private_file(memory):
    memory[::PAGE] = EACH_PAGE


def unmaps_file(memory):
    memory.close()


def reads_file(file):
    return os.pread(file, MIB, 0)


def writes_shared(memory):
    memory[::PAGE] = EACH_PAGE


def unmaps_shared(memory):
    memory.close()


def waits(child):
    os.waitpid(child, 0)


# Objects


def makes_bytearray():
    return bytearray(MIB)


def makes_zeros():
    return bytes(MIB)


def makes_and_drops():
    bytearray(MIB)


def drops_last(kept):
    kept.pop()


def collects():
    gc.collect()


def appends(numbers):
    for _ in range(100_000):
        numbers.append(None)


def makes_small():
    return list(map(bytes, itertools.repeat(400, 40_000)))


def drops_most(objects):
    for at in range(len(objects)):
        if at % 8:
            objects[at] = None


def makes_small_again():
    return list(map(bytes, itertools.repeat(400, 10_000)))


def drops_rest(objects):
    objects.clear()


# What calls them


def pages():
    memory = maps()
    reads(memory)
    writes(memory)
    writes_again(memory)
    with a_copy():
        writes_after_fork(memory)
    discards(memory)
    offers(memory)
    unmaps(memory)
    maps_populated().close()
    writes_and_unmaps()
    with mmap.mmap(-1, 2 * HUGE, flags=PRIVATE) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        writes_one_byte(memory, -address % HUGE)


def files(file):
    with mmap.mmap(file, MIB, access=mmap.ACCESS_COPY) as memory:
        reads_mapped_file(memory)
        writes_private_file(memory)
    reads_file(file)
    memory = mmap.mmap(file, MIB)
    memory[::PAGE]
    waits(evicting(memory))
    memory[::PAGE]
    unmaps_file(memory)
    memory = mmap.mmap(-1, MIB)
    writes_shared(memory)
    unmaps_shared(memory)


def objects():
    kept = [makes_bytearray()]
    drops_last(kept)
    makes_zeros()
    makes_and_drops()
    cycle = [bytearray(MIB)]
    cycle.append(cycle)
    del cycle
    collects()
    appends([])
    small = makes_small()
    drops_most(small)
    makes_small_again()
    drops_rest(small)


@contextlib.contextmanager
def a_copy():
    """Another process that has the same pages, for as long."""
    end, hold = os.pipe()
    copy = os.fork()
    if not copy:
        os.close(hold)
        os.read(end, 1)
        os._exit(0)
    yield
    os.close(hold)
    os.waitpid(copy, 0)
    os.close(end)


def evicting(memory):
    """Another process that has the kernel take these pages from this one."""
    address, evicted = ctypes.addressof(ctypes.c_char.from_buffer(memory)), os.getpid()
    child = os.fork()
    if not child:
        range = (ctypes.c_size_t * 2)(address, len(memory))
        LIBC.syscall(PROCESS_MADVISE, LIBC.syscall(PIDFD_OPEN, evicted, 0), range, 1, MADV_PAGEOUT, 0)
        os._exit(0)
    return child


def everything(file):
    pages()
    files(file)
    objects()


def workload(_options):
    # Without this, malloc keeps large blocks once it has had one back.
    M_MMAP_THRESHOLD = -3
    LIBC.mallopt(M_MMAP_THRESHOLD, 128 << 10)
    # On a disk, if there is such a folder: /tmp can be in memory.
    with tempfile.TemporaryFile(dir="/var/tmp" if os.path.isdir("/var/tmp") else None) as file:
        file.write(b"x" * MIB)
        os.fsync(file.fileno())
        everything(file.fileno())


if __name__ == "__main__":
    protocol.run(workload)
