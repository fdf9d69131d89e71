"""Reads the clock without a pause, and says how long the gaps are: gaps.py SECONDS

No Python function is called meanwhile: no probe is hit, and what shows is what putting probes in place and taking them
away does to a process.
"""

import sys
import time

import protocol

LEAST_NS = 20_000


def workload(_options):
    clock = time.perf_counter_ns
    while True:
        gaps = []
        last = clock()
        end = last + SECONDS * 1_000_000_000
        while last < end:
            now = clock()
            if now - last > LEAST_NS:
                gaps.append(now - last)
            last = now
        gaps.sort()
        protocol.known(function="gaps", calls=len(gaps), longest_ns=[gaps[-1] if gaps else 0] * 2, total_ns=sum(gaps))


if __name__ == "__main__":
    SECONDS = int(sys.argv[1])
    del sys.argv[1:3]
    protocol.run(workload)
