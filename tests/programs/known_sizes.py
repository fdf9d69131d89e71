"""Functions that take and give back known sizes, none of which calls another: what memory_profiler can tell apart."""

import ctypes
import mmap

import protocol

MIB = 1 << 20
MEASURED = "takes_4_mib", "takes_16_mib", "takes_and_drops", "swaps", "gives_back", "joins", "takes_nothing"
kept = []


def takes_4_mib():
    block = bytearray(4 * MIB)
    kept.append(block)


def takes_16_mib():
    block = bytearray(16 * MIB)
    kept.append(block)


def takes_and_drops():
    block = bytearray(8 * MIB)
    del block


def swaps():
    first = bytearray(2 * MIB)
    second = bytearray(6 * MIB)
    del first
    kept.append(second)


def gives_back():
    block = kept.pop()
    del block


def joins():
    whole = b"".join(kept)
    kept[:] = [whole]


def takes_nothing():
    memory = mmap.mmap(-1, 32 * MIB)
    memory.close()


def workload(_options):
    # Without this, malloc keeps large blocks once it has had one back.
    M_MMAP_THRESHOLD = -3
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 128 << 10)
    for _ in range(4):
        takes_4_mib()
    takes_16_mib()
    takes_and_drops()
    swaps()
    gives_back()
    joins()
    takes_nothing()


if __name__ == "__main__":
    protocol.run(workload)
