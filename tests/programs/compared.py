"""A program under one of the tools that pytracer is compared with: compared.py PROGRAM TOOL FOLDER FUNCTION -- [...]

It tells how long the work took, the peak of its resident memory, and of FUNCTION (`name@file:line`, or empty) how often
the tool says that it was called; with the tool `count`, which function was called most often, by the interpreter's own
count. FOLDER is for what the tool writes. What follows `--` is the protocol's.
"""

import contextlib
import email.parser
import html
import io
import json
import logging
import os
import sqlite3
import string
import sys
import time
import urllib.parse
from collections import Counter
from http.cookies import SimpleCookie

import protocol


# Programs: a callable that does the work, its size left to it.


def calls(size):
    def callee(number):
        return number

    def loop():
        for number in range(size or 100_000):
            callee(number)

    return loop


def richards(size):
    import importlib.util

    package = importlib.util.find_spec("pyperformance").submodule_search_locations[0]
    file = os.path.join(package, "data-files", "benchmarks", "bm_richards", "run_benchmark.py")
    spec = importlib.util.spec_from_file_location("bm_richards", file)
    module = importlib.util.module_from_spec(spec)
    with without_harness():
        spec.loader.exec_module(module)
    return lambda: module.Richards().run(size or 1)


@contextlib.contextmanager
def without_harness():
    """Benchmarks import the package pyperf, which they need only as programs of their own."""
    had = sys.modules.get("pyperf")
    sys.modules["pyperf"] = type(sys)("pyperf")
    yield
    if had is None:
        del sys.modules["pyperf"]


PAGE = string.Template("<h1>$title</h1><ul>$items</ul>")
HEADERS = "Host: shop.example\r\nAccept: text/html\r\nCookie: session=%d; theme=dark\r\nX-Request: %d\r\n\r\n"


class Request:
    def __init__(self, number):
        self.headers = email.parser.Parser().parsestr(HEADERS % (number, number), headersonly=True)
        self.cookies = SimpleCookie(self.headers["Cookie"])
        self.url = urllib.parse.urlsplit(f"https://shop.example/orders?first={number}&count=5")
        self.query = urllib.parse.parse_qs(self.url.query)


def web(size):
    """Requests as a small service answers them: headers, cookies, URL, JSON, a database, a template, a log."""
    database = sqlite3.connect(":memory:")
    database.execute("create table orders (id integer, data text)")
    orders = [(number, json.dumps({"item": f"item {number}", "price": number})) for number in range(200)]
    database.executemany("insert into orders values (?, ?)", orders)
    log = logging.Logger("web")
    log.addHandler(logging.StreamHandler(io.StringIO()))

    def answer(number):
        request = Request(number)
        first, count = (int(request.query[key][0]) for key in ("first", "count"))
        rows = database.execute("select data from orders where id >= ? limit ?", (first % 200, count))
        items = [json.loads(data) for (data,) in rows]
        text = "".join(f"<li>{html.escape(item['item'])}: {item['price']}</li>" for item in items)
        log.info("%s %s", request.cookies["session"].value, request.url.path)
        return PAGE.substitute(title=html.escape(request.url.path), items=text)

    def serve():
        for number in range(size or 300):
            answer(number)

    return serve


# Tools: a context that is on while the program works. It may leave a function that counts the calls of another one.


def nothing(_folder):
    return contextlib.nullcontext()


@contextlib.contextmanager
def count(_folder):
    counted = Counter()

    def event(frame, what, _argument):
        if what == "call":
            counted[frame.f_code] += 1

    sys.setprofile(event)
    yield lambda: [(called(code), times) for code, times in counted.items() if code.co_name != "__exit__"]
    sys.setprofile(None)


@contextlib.contextmanager
def cprofile(_folder):
    import cProfile

    profile = cProfile.Profile()
    profile.enable()
    yield lambda: [
        (called(entry.code), entry.callcount) for entry in profile.getstats() if not isinstance(entry.code, str)
    ]
    profile.disable()


@contextlib.contextmanager
def yappi(_folder):
    import yappi

    yappi.set_clock_type("wall")
    yappi.start()
    yield lambda: [
        (name_of(stat.name.rpartition(".")[2], stat.module, stat.lineno), stat.ncall)
        for stat in yappi.get_func_stats()
    ]
    yappi.stop()


@contextlib.contextmanager
def viztracer(folder):
    import viztracer

    tracer = viztracer.VizTracer(
        output_file=os.path.join(folder, "log.json"), tracer_entries=20_000_000, log_async=False, verbose=0
    )
    tracer.start()
    yield lambda: viztracer_calls(folder)
    tracer.stop()
    tracer.save()


def viztracer_calls(folder):
    counted = Counter()
    with open(os.path.join(folder, "log.json"), encoding="utf-8") as log:
        for event in json.load(log)["traceEvents"]:
            if event["ph"] == "X" and event["name"].endswith(")"):
                name, _, place = event["name"][:-1].rpartition(" (")
                file, _, line = place.rpartition(":")
                counted[name_of(name.rpartition(".")[2], file, line)] += 1
    return list(counted.items())


@contextlib.contextmanager
def memray(folder):
    import memray

    with memray.Tracker(os.path.join(folder, "log.bin")):
        yield


def pymemtrace_events(kind, trigger):
    @contextlib.contextmanager
    def tool(folder):
        from pymemtrace import cPyMemTrace

        log = os.path.join(folder, "log.txt")
        with getattr(cPyMemTrace, kind)(trigger, filepath=log):
            yield lambda: pymemtrace_calls(log)

    return tool


def pymemtrace_calls(log):
    counted = Counter()
    with open(log, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            words = line.split()
            if len(words) > 6 and words[4] == "CALL":
                counted[name_of(words[-3], words[-5], words[-4])] += 1
    return list(counted.items())


@contextlib.contextmanager
def pymemtrace_process(_folder):
    from pymemtrace import process

    logging.basicConfig(stream=io.StringIO())
    with process.log_process(interval=0.1, log_level=logging.CRITICAL):
        yield


@contextlib.contextmanager
def pymemtrace_trace_malloc(_folder):
    from pymemtrace import trace_malloc

    with trace_malloc.TraceMalloc():
        yield


@contextlib.contextmanager
def pymemtrace_debug_malloc_stats(_folder):
    from pymemtrace import debug_malloc_stats

    with debug_malloc_stats.DiffSysDebugMallocStats():
        yield


PROGRAMS = {"calls": calls, "richards": richards, "web": web}
TOOLS = {
    "nothing": nothing,
    "count": count,
    "cprofile": cprofile,
    "yappi": yappi,
    "viztracer": viztracer,
    "memray": memray,
    "pymemtrace-profile-pages": pymemtrace_events("Profile", -1),
    "pymemtrace-profile-all": pymemtrace_events("Profile", 0),
    "pymemtrace-trace-pages": pymemtrace_events("Trace", -1),
    "pymemtrace-trace-all": pymemtrace_events("Trace", 0),
    "pymemtrace-process": pymemtrace_process,
    "pymemtrace-trace-malloc": pymemtrace_trace_malloc,
    "pymemtrace-debug-malloc-stats": pymemtrace_debug_malloc_stats,
}


def events(folder):
    """Events in what a tool has logged, as far as that has one for each: lines, with those of its own, or objects."""
    lines, objects = (os.path.join(folder, name) for name in ("log.txt", "log.json"))
    if os.path.exists(objects):
        with open(objects, encoding="utf-8") as log:
            return len(json.load(log)["traceEvents"])
    if os.path.exists(lines):
        with open(lines, "rb") as log:
            return sum(1 for _ in log)
    return 0


def name_of(name, file, line):
    return f"{name}@{os.path.basename(file)}:{line}"


def called(code):
    return name_of(code.co_name, code.co_filename, code.co_firstlineno)


def peak_bytes():
    with open("/proc/self/status", encoding="ascii") as status:
        peak = next(line for line in status if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024


class Compared:
    def __init__(self, program, tool, folder, function):
        self.program = PROGRAMS[program]
        self.tool = tool
        self.folder = folder
        self.function = function

    def __call__(self, options):
        work = self.program(options.size)
        with TOOLS[self.tool](self.folder) as counts:
            start = time.perf_counter_ns()
            work()
            total_ns = time.perf_counter_ns() - start
        peak = peak_bytes()
        counted = counts() if counts else []
        if self.tool == "count":
            self.function, _ = max(counted, key=lambda entry: entry[1])
        protocol.known(
            function=self.function,
            calls=sum(times for function, times in counted if function == self.function),
            all_calls=sum(times for _, times in counted),
            events=events(self.folder),
            total_ns=total_ns,
            rss_end_bytes=peak,
        )


if __name__ == "__main__":
    end = sys.argv.index("--")
    compared = Compared(*sys.argv[1:end])
    del sys.argv[1:end + 1]
    protocol.run(compared)
