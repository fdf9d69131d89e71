"""How a test program and its test talk.

    program              test
    ready PID      ->
                   <-    go            (the tracer is attached by now)
    known ...      ->                  (what the program knows about itself, one JSON object a line)
    done           ->
                   <-    end of input  (the tracer has detached)

With --at-once the program does not wait. With --truth FILE it does not wait either, and the interpreter counts calls
and resumptions; with --same-run FILE it waits and counts, so that the tracer and the interpreter count one execution.
With --cprofile FILE it does not wait, and cProfile writes what it counted.
"""

import argparse
import json
import marshal
import os
import sys

import truth


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--at-once", action="store_true")
    parser.add_argument("--truth", metavar="FILE")
    parser.add_argument("--same-run", metavar="FILE")
    parser.add_argument("--cprofile", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=1, help="run the workload so often, each after a go")
    parser.add_argument("--size", type=int, default=None, help="how much work, where the program has a measure of it")
    parser.add_argument("--exit-status", type=int, default=0)
    return parser.parse_args()


def say(*words):
    print(*words, flush=True)


def known(**facts):
    """Tells the test a fact; every fact about a function has `function` as its qualified name."""
    say("known", json.dumps(facts))


def wait():
    """Waits for a word of the test; end of input ends the program."""
    if not sys.stdin.readline():
        os._exit(0)


def profiled(workload, path):
    """Runs the workload under cProfile and writes what that counted.

    As `Profile.dump_stats` does it, but of several code objects with the same file, line and name it keeps only one:
    here they are added up.
    """
    import cProfile

    profile = cProfile.Profile()
    profile.enable()
    workload()
    profile.disable()
    stats = {}
    for entry in profile.getstats():
        add(stats, label(entry.code), (entry.callcount - entry.reccallcount, *counted(entry)), {})
    for entry in profile.getstats():
        for call in entry.calls or ():
            callers = stats[label(call.code)][-1]
            nc, *times = counted(call)
            add(callers, label(entry.code), (nc, nc - call.reccallcount, *times))
    with open(path, "wb") as out:
        marshal.dump(stats, out)


def label(code):
    return ("~", 0, code) if isinstance(code, str) else (code.co_filename, code.co_firstlineno, code.co_name)


def counted(entry):
    return entry.callcount, entry.inlinetime, entry.totaltime


def add(stats, key, values, *rest):
    before = stats.get(key, (0,) * len(values) + rest)
    stats[key] = tuple(map(sum, zip(before, values))) + before[len(values):]


def run(workload):
    """Runs the workload as the command line says. The workload takes the parsed options."""
    options = arguments()
    waits = not (options.truth or options.at_once or options.cprofile)
    if waits:
        say("ready", os.getpid())
    counts_to = options.truth or options.same_run
    for _ in range(options.rounds):
        if waits:
            wait()
        if counts_to:
            counter = truth.counter(with_ends=bool(options.same_run))
            counter.start()
            workload(options)
            counter.stop()
            counter.write(counts_to)
        elif options.cprofile:
            profiled(lambda: workload(options), options.cprofile)
        else:
            workload(options)
        say("done")
    if waits:
        sys.stdin.readline()
    sys.exit(options.exit_status)
