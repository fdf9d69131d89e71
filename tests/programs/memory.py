"""Functions that take and give back known amounts of memory.

For each function the program states the change of the process's resident memory across its calls, as /proc has it.
With one thread that is the function's own doing; with four, what each one writes is known.
"""

import ctypes
import mmap
import os
import threading

import protocol

MIB = 1 << 20
PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None)


def resident():
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * PAGE


def fresh(size):
    """Anonymous memory of whole pages that nothing else lies in; never huge pages."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return memory


def written(size):
    """Fresh memory with a byte written to each page."""
    memory = fresh(size)
    memory[::PAGE] = b"x" * (size // PAGE)
    return memory


def takes_1_mib():
    return written(MIB)


def takes_16_mib():
    return written(16 * MIB)


def takes_64_mib():
    return written(64 * MIB)


def gives_back(memory):
    memory.close()


def drops_half(memory):
    memory.madvise(mmap.MADV_DONTNEED, 0, len(memory) // 2)


def large_object(size):
    """One large object of the interpreter, taken from the system by malloc."""
    return bytearray(b"x") * size


def takes_and_drops(size):
    block = bytearray(b"x") * size
    del block


def reads_only(size):
    """Memory that is only read stays the one page of zeros: no growth."""
    memory = fresh(size)
    sum(memory[::PAGE])
    memory.close()


def holds_many_small(count):
    return [bytes(1000) for _ in range(count)]


def measured(function, *arguments):
    before = resident()
    result = function(*arguments)
    protocol.known(function=function.__name__, rss_bytes=resident() - before)
    return result


def taken_in_thread(size, kept):
    kept.append(written(size))


def thread_3_mib(kept):
    taken_in_thread(3 * MIB, kept)


def thread_5_mib(kept):
    taken_in_thread(5 * MIB, kept)


def thread_7_mib(kept):
    taken_in_thread(7 * MIB, kept)


def thread_9_mib(kept):
    taken_in_thread(9 * MIB, kept)


def in_threads():
    kept = []
    targets = thread_3_mib, thread_5_mib, thread_7_mib, thread_9_mib
    threads = [threading.Thread(target=target, args=(kept,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for memory in kept:
        memory.close()


def workload(_options):
    # Without this, malloc keeps freed blocks for later and the same request takes memory only once.
    M_MMAP_THRESHOLD = -3
    LIBC.mallopt(M_MMAP_THRESHOLD, 128 << 10)
    start = resident()
    kept = [measured(function) for function in (takes_1_mib, takes_16_mib, takes_64_mib)]
    measured(drops_half, kept[1])
    measured(gives_back, kept[2])
    for mebibytes in 1, 2, 4, 8, 16, 32, 64:
        measured(takes_and_drops, mebibytes * MIB)
    large = measured(large_object, 24 * MIB)
    del large
    measured(reads_only, 16 * MIB)
    small = measured(holds_many_small, 40_000)
    in_threads()
    protocol.known(process=os.getpid(), rss_start_bytes=start, rss_end_bytes=resident())
    del small, kept


if __name__ == "__main__":
    protocol.run(workload)
