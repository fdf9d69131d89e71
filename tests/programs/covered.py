"""The package coverage, switched on and off during the work, in each of its ways to watch that there is here."""

import importlib.util
import os
import sys

import coverage
import protocol
import watched


def covering(core):
    running = []

    def on():
        os.environ["COVERAGE_CORE"] = core
        running.append(coverage.Coverage(data_file=None, config_file=False, include=["*/watched.py"]))
        running[-1].start()

    def off():
        running.pop().stop()

    return on, off


def cores():
    yield "pytrace"
    if importlib.util.find_spec("coverage.tracer"):
        yield "ctrace"
    if sys.version_info >= (3, 12):
        yield "sysmon"


def workload(_options):
    watched.under_all([covering(core) for core in cores()])


if __name__ == "__main__":
    protocol.run(workload)
