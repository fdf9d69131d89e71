"""How a test program and its test talk.

    program              test
    ready PID      ->
                   <-    go            (the tracer is attached by now)
    known ...      ->                  (what the program knows about itself, one JSON object a line)
    done           ->
                   <-    end of input  (the tracer has detached)

With --at-once the program does not wait. With --truth FILE it does not wait either, and the interpreter counts calls
and resumptions; with --same-run FILE it waits and counts, so that the tracer and the interpreter count one execution.
"""

import argparse
import json
import os
import sys

import truth


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--at-once", action="store_true")
    parser.add_argument("--truth", metavar="FILE")
    parser.add_argument("--same-run", metavar="FILE")
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


def run(workload):
    """Runs the workload as the command line says. The workload takes the parsed options."""
    options = arguments()
    waits = not (options.truth or options.at_once)
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
        else:
            workload(options)
        say("done")
    if waits:
        sys.stdin.readline()
    sys.exit(options.exit_status)
