"""The interpreter's own count of calls and resumptions.

A call is the first time a frame runs; a generator or coroutine that goes on, or is thrown into, is resumed.
"""

import dis
import itertools
import json
import sys
import threading
from collections import defaultdict


class Counter:
    """Counts that threads can add to at once: `next` on a counter is one step of the interpreter."""

    def __init__(self):
        self.calls = defaultdict(itertools.count)
        self.resumes = defaultdict(itertools.count)

    def write(self, path):
        calls, resumes = totals(self.calls), totals(self.resumes)
        rows = [
            {"function": key[0], "file": key[1], "line": key[2],
             "calls": calls.get(key, 0), "resumes": resumes.get(key, 0)}
            for key in sorted(calls.keys() | resumes.keys())
        ]
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"functions": rows}, out)


class Profile(Counter):
    """Counts with `sys.setprofile`, for interpreters without `sys.monitoring`."""

    def start(self):
        threading.setprofile(self.event)
        sys.setprofile(self.event)

    def stop(self):
        sys.setprofile(None)
        threading.setprofile(None)

    def event(self, frame, event, _argument):
        if event == "call":
            counts = self.calls if starts(frame) else self.resumes
            next(counts[key_of(frame.f_code)])


class Monitoring(Counter):
    """Counts with `sys.monitoring`, in all threads."""

    def start(self):
        monitoring = sys.monitoring
        events = monitoring.events
        monitoring.use_tool_id(monitoring.PROFILER_ID, "truth")
        for event, counts in (
            (events.PY_START, self.calls),
            (events.PY_RESUME, self.resumes),
            (events.PY_THROW, self.resumes),
        ):
            monitoring.register_callback(monitoring.PROFILER_ID, event, adder(counts))
        monitoring.set_events(monitoring.PROFILER_ID, events.PY_START | events.PY_RESUME | events.PY_THROW)

    def stop(self):
        sys.monitoring.set_events(sys.monitoring.PROFILER_ID, 0)
        sys.monitoring.free_tool_id(sys.monitoring.PROFILER_ID)


def counter():
    return Monitoring() if hasattr(sys, "monitoring") else Profile()


def adder(counts):
    def add(code, *_arguments):
        next(counts[key_of(code)])

    return add


def key_of(code):
    """Not the code object itself: to keep it would keep its address from being used again."""
    return (code.co_qualname, code.co_filename, code.co_firstlineno)


RESUME = dis.opmap["RESUME"]


def starts(frame):
    """Is this the first time that the frame runs? RESUME says so in its argument; a throw stands elsewhere."""
    code, at = frame.f_code.co_code, frame.f_lasti
    return at >= 0 and code[at] == RESUME and code[at + 1] & 3 == 0


def totals(counters):
    return {key: next(counter) for key, counter in counters.items()}
