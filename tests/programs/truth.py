"""The interpreter's own count of calls, resumptions and ends.

A call is the first time a frame runs; a generator or coroutine that goes on, or is thrown into, is resumed. Each of them
ends: by a return, a yield or an exception.
"""

import ctypes
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
        self.ends = defaultdict(itertools.count)
        self.thrown_at_birth = defaultdict(itertools.count)

    def write(self, path):
        calls, resumes, thrown = totals(self.calls), totals(self.resumes), totals(self.thrown_at_birth)
        sums = {key: calls.get(key, 0) + resumes.get(key, 0) for key in calls.keys() | resumes.keys()}
        ends = totals(self.ends) or sums
        rows = [
            {"function": key[0], "file": key[1], "line": key[2],
             "calls": calls.get(key, 0) - thrown.get(key, 0), "resumes": resumes.get(key, 0) + thrown.get(key, 0),
             "ends": ends.get(key, 0)}
            for key in sorted(calls.keys() | resumes.keys())
        ]
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"functions": rows}, out)


class Profile(Counter):
    """Counts with `sys.setprofile`, for 3.11, which has no `sys.monitoring`."""

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
        elif event == "return":
            next(self.ends[key_of(frame.f_code)])


class NativeProfile(Counter):
    """Counts with the C function behind `sys.setprofile`, for interpreters before 3.11.

    There `sys.setprofile` copies the local variables of every frame it tells of, and so keeps them alive: generators
    would be finalised later than without it, and where it does not look.
    """

    CALL, RETURN = 0, 3

    def __init__(self):
        super().__init__()
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.py_object, ctypes.c_int, ctypes.c_void_p)
        self.callback = kind(self.event)
        self.set = ctypes.pythonapi.PyEval_SetProfile
        self.set.argtypes = kind, ctypes.c_void_p
        self.set.restype = None
        self.none = kind()

    def start(self):
        threading.setprofile(self.first_event)
        self.set(self.callback, None)

    def stop(self):
        self.set(self.none, None)
        threading.setprofile(None)

    def first_event(self, frame, event, _argument):
        """In a thread that begins."""
        self.set(self.callback, None)
        if event == "call":
            self.event(None, frame, self.CALL, None)

    def event(self, _self, frame, event, _argument):
        if event == self.CALL:
            counts = self.calls if frame.f_lasti < 0 else self.resumes
            next(counts[key_of(frame.f_code)])
        elif event == self.RETURN:
            next(self.ends[key_of(frame.f_code)])
            if frame.f_lasti < 0:
                next(self.thrown_at_birth[key_of(frame.f_code)])
        return 0


class Monitoring(Counter):
    """Counts with `sys.monitoring`, in all threads.

    Ends are counted on demand only: to be told of them has the interpreter resume generators to close them that it
    otherwise just drops. Not counted, they are as many as calls and resumptions: nothing that is compared is left open.
    """

    def __init__(self, with_ends):
        super().__init__()
        self.with_ends = with_ends

    def start(self):
        monitoring = sys.monitoring
        events = monitoring.events
        monitoring.use_tool_id(monitoring.PROFILER_ID, "truth")
        counters = {
            events.PY_START: self.calls,
            events.PY_RESUME: self.resumes,
            events.PY_THROW: self.resumes,
        }
        if self.with_ends:
            counters.update({event: self.ends for event in (events.PY_RETURN, events.PY_YIELD, events.PY_UNWIND)})
        for event, counts in counters.items():
            monitoring.register_callback(monitoring.PROFILER_ID, event, adder(counts))
        monitoring.set_events(monitoring.PROFILER_ID, sum(counters))

    def stop(self):
        sys.monitoring.set_events(sys.monitoring.PROFILER_ID, 0)
        sys.monitoring.free_tool_id(sys.monitoring.PROFILER_ID)


def counter(with_ends):
    if sys.version_info >= (3, 12):
        return Monitoring(with_ends)
    return Profile() if sys.version_info >= (3, 11) else NativeProfile()


def adder(counts):
    def add(code, *_arguments):
        next(counts[key_of(code)])

    return add


def key_of(code):
    """Not the code object itself: to keep it would keep its address from being used again."""
    return (name_of(code), code.co_filename, code.co_firstlineno)


def name_of(code):
    """The qualified name; before 3.11 code has none."""
    return getattr(code, "co_qualname", code.co_name)


RESUME = dis.opmap.get("RESUME")


def starts(frame):
    """Is this the first time that the frame runs? RESUME says so in its argument; a throw stands elsewhere."""
    code, at = frame.f_code.co_code, frame.f_lasti
    return at >= 0 and code[at] == RESUME and code[at + 1] & 3 == 0


def totals(counters):
    return {key: next(counter) for key, counter in counters.items()}
