"""Runs known_sizes.py under memory_profiler, and prints by how many bytes each function changed the memory (JSON)."""

import json

import known_sizes
from memory_profiler import LineProfiler


def increment(lines):
    """What the lines of a function have added. The line of its `def` bears what there was before."""
    measured = [measure for _, measure in lines if measure]
    return round(sum(added for added, _, _ in measured[1:]) * (1 << 20))


def main():
    profiler = LineProfiler(backend="psutil")
    for name in known_sizes.MEASURED:
        setattr(known_sizes, name, profiler(getattr(known_sizes, name)))
    known_sizes.workload(None)
    increments = [increment(lines) for _, lines in profiler.code_map.items()]
    print(json.dumps(dict(zip(known_sizes.MEASURED, increments))))


if __name__ == "__main__":
    main()
