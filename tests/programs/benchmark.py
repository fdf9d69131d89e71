"""A benchmark of the package pyperformance, run once by its own main program: benchmark.py NAME [ARGUMENT...] -- [...]

It runs in this process, as in a worker of its harness (the package pyperf). What follows `--` is the protocol's.
"""

import contextlib
import importlib.util
import io
import os
import runpy
import sys

import protocol

ONCE = ["--worker", "--loops", "1", "--warmups", "0", "--values", "1"]


def file_of(name):
    package = importlib.util.find_spec("pyperformance").submodule_search_locations[0]
    return os.path.join(package, "data-files", "benchmarks", "bm_" + name, "run_benchmark.py")


class Benchmark:
    def __init__(self, name, *arguments):
        self.file = file_of(name)
        self.arguments = [self.file, *ONCE, *arguments]

    def __call__(self, _options):
        sys.argv[:] = self.arguments
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(self.file, run_name="__main__")


if __name__ == "__main__":
    end = sys.argv.index("--")
    workload = Benchmark(*sys.argv[1:end])
    del sys.argv[1:end + 1]
    protocol.run(workload)
