"""Another tracer: holds a probe in the program of another process.

    other_tracer.py PID FILE OFFSET COUNTER

OFFSET is that of the instruction in the file, COUNTER that of the reference counter (0: none). The kernel takes the
probe away when this process ends, however it ends.
"""

import ctypes
import os
import struct
import sys

import protocol

PERF_EVENT_OPEN = 298
PERF_FLAG_FD_CLOEXEC = 8
ATTRIBUTES_SIZE = 72
COUNTER_SHIFT = 32


def probe(pid, path, offset, counter):
    with open("/sys/bus/event_source/devices/uprobe/type") as file:
        kind = int(file.read())
    name = ctypes.create_string_buffer(os.fsencode(path))
    # struct perf_event_attr up to config2: of a uprobe's config only the counter, then config1 and config2.
    fields = [counter << COUNTER_SHIFT, 0, 0, 0, 0, 0, ctypes.addressof(name), offset]
    attributes = struct.pack("<2I8Q", kind, ATTRIBUTES_SIZE, *fields)
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(PERF_EVENT_OPEN, attributes, pid, -1, -1, PERF_FLAG_FD_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "perf_event_open")


def workload(_options):
    """The kernel does all there is to do."""


if __name__ == "__main__":
    pid, path, offset, counter = sys.argv[1:5]
    del sys.argv[1:5]
    probe(int(pid), path, int(offset), int(counter))
    protocol.run(workload)
