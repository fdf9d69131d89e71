"""The same piece of work again and again, until the test ends the program: units.py NAME -- [...]

Each line tells what a number of pieces took of the processor's time. NAME is one of the functions below; those that say
so run a benchmark of pyperformance.
"""

import html
import http.cookies
import json
import logging
import os
import sqlite3
import string
import sys
import time
import urllib.parse

import benchmark
import protocol

# Long enough that the clock costs nothing, short enough that many fit into a phase of the test.
LEAST_NS = 100_000_000


def calls():
    """Nothing but calls of two small functions."""

    def leaf(number):
        return number

    def inner(number):
        for _ in range(10):
            leaf(number)

    def unit():
        for number in range(10_000):
            inner(number)

    return unit


def web():
    """What an application does for a request, with the standard library alone."""
    data = sqlite3.connect(":memory:")
    data.execute("create table item (number integer primary key, name text, price real)")
    data.executemany("insert into item values (?, ?, ?)", [(n, f"item <{n}>", n * 1.5) for n in range(200)])
    page = string.Template("<html><h1>$title</h1><ul>$rows</ul>$total</html>")
    row = string.Template("<li>$name: $price</li>")
    log = logging.getLogger("units")
    log.addHandler(logging.StreamHandler(open(os.devnull, "w")))
    log.setLevel(logging.INFO)

    def parsed(target, headers):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query)
        cookies = http.cookies.SimpleCookie(headers["Cookie"])
        return query, cookies["session"].value

    def items(first, count):
        found = data.execute("select name, price from item where number >= ? limit ?", (first, count))
        return [{"name": name, "price": price} for name, price in found]

    def rendered(title, rows):
        shown = [row.substitute(name=html.escape(item["name"]), price=item["price"]) for item in rows]
        total = sum(item["price"] for item in rows)
        return page.substitute(title=html.escape(title), rows="".join(shown), total=total)

    def unit():
        for number in range(100):
            target = f"/orders?first={number}&count=20&q=a%20b"
            query, session = parsed(target, {"Cookie": f"theme=dark; session=s{number}"})
            rows = items(int(query["first"][0]), int(query["count"][0]))
            json.loads(json.dumps({"session": session, "items": rows}))
            rendered("Orders & more", rows)
            log.info("%s %s", target, session)

    return unit


def phases():
    """Two programs in turn, some 30 ms each: one that calls all the time, and one that calls far less."""
    busy, calm = calls(), web()

    def unit():
        for _ in range(7):
            busy()
        for _ in range(2):
            calm()

    return unit


def module(name):
    import importlib.util

    path = benchmark.file_of(name)
    spec = importlib.util.spec_from_file_location("bm_" + name, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def richards():
    program = module("richards").Richards()
    return lambda: program.run(1)


def deltablue():
    program = module("deltablue")
    return lambda: program.delta_blue(100)


def raytrace():
    program = module("raytrace")
    return lambda: program.bench_raytrace(1, 50, 50, None)


def hexiom():
    program = module("hexiom")
    return lambda: program.main(1, program.DEFAULT_LEVEL)


def go():
    return module("go").versus_cpu


def pyflate():
    program = module("pyflate")
    file = os.path.join(os.path.dirname(program.__file__), "data", "interpreter.tar.bz2")
    return lambda: program.bench_pyflake(1, file)


def workload(_options):
    unit = globals()[NAME]()
    while True:
        pieces, begin = 0, time.process_time_ns()
        while (taken := time.process_time_ns() - begin) < LEAST_NS:
            unit()
            pieces += 1
        protocol.known(function=NAME, calls=pieces, cpu_ns=[taken, taken])


if __name__ == "__main__":
    NAME = sys.argv[1]
    del sys.argv[1:3]
    protocol.run(workload)
