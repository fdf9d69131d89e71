"""Functions that know their own share of the time: in the interpreter, in native code, in the kernel, asleep; and what
resident memory one of them takes. A second thread does nothing but compute, a third nothing but wait. It ends when the
process has had so much CPU time, however busy the machine is."""

import mmap
import os
import sys
import threading
import time
import zlib
from collections import defaultdict

import protocol

MIB = 1 << 20
ZEROES = os.open("/dev/zero", os.O_RDONLY)
NOISE = os.urandom(1 << 20)
cpu_ns = defaultdict(int)
wall_ns = defaultdict(int)
kept = []


def measured(function, *arguments):
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    function(*arguments)
    cpu_ns[function.__name__] += time.thread_time_ns() - cpu
    wall_ns[function.__name__] += time.perf_counter_ns() - wall


def adds(rounds):
    total = 0
    for number in range(rounds):
        total += number
    return total


def multiplies(rounds):
    total = 1
    for number in range(rounds):
        total = total * number % 1000003 + 1
    return total


def checks():
    for _ in range(16):
        zlib.crc32(NOISE)


def reads(buffer):
    for _ in range(8):
        os.readv(ZEROES, [buffer])


def sleeps():
    """Its clock is its own: while a function that it has called returns, another thread may run."""
    began = time.perf_counter_ns()
    time.sleep(0.01)
    wall_ns["sleeps"] += time.perf_counter_ns() - began


def takes_4_mib():
    memory = mmap.mmap(-1, 4 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[:: mmap.PAGESIZE] = b"x" * (4 * MIB // mmap.PAGESIZE)
    kept.append(memory)


def descends(depth):
    """A stack of known depth, at whose end there is work."""
    return multiplies(4000) if depth == 0 else descends(depth - 1)


def computes(until):
    while time.process_time() < until:
        measured(adds_in_thread)


def adds_in_thread():
    total = 0
    for number in range(20000):
        total += number
    return total


def waits(event):
    event.wait()


def workload(options):
    began = time.perf_counter_ns()
    cpu_began = time.process_time_ns()
    until = time.process_time() + (options.size or 3000) / 1000
    event = threading.Event()
    threads = [threading.Thread(target=computes, args=[until]), threading.Thread(target=waits, args=[event])]
    for thread in threads:
        thread.start()
    rounds = 0
    buffer = bytearray(MIB)
    while time.process_time() < until:
        measured(adds, 20000)
        measured(multiplies, 8000)
        measured(checks)
        measured(reads, buffer)
        measured(descends, 40)
        if rounds % 4 == 0:
            sleeps()
        if rounds < 10:
            measured(takes_4_mib)
        rounds += 1
    event.set()
    for thread in threads:
        thread.join()
    whole = {"wall_ns": [time.perf_counter_ns() - began] * 2, "cpu_ns": [time.process_time_ns() - cpu_began] * 2}
    protocol.known(function="workload", **whole)
    for name in wall_ns:
        protocol.known(function=name, cpu_ns=[cpu_ns[name]] * 2, wall_ns=[wall_ns[name]] * 2)


# Whoever gives the lock away in a system call gets it back soon, although the second thread never gives it away.
sys.setswitchinterval(0.000_2)
protocol.run(workload)
