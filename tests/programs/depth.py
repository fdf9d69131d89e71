"""Runs into the recursion limit. A profiler would be hit by the limit itself, so the program counts."""

import sys

import protocol

entered = {"deeper": 0, "there": 0, "back": 0}


def deeper():
    entered["deeper"] += 1
    deeper()


def there():
    entered["there"] += 1
    back()


def back():
    entered["back"] += 1
    there()


def workload(_options):
    for limit in 300, 1000, 5000:
        sys.setrecursionlimit(limit)
        for bottomless in deeper, there:
            for _ in range(5):
                try:
                    bottomless()
                except RecursionError:
                    pass
    for name, count in entered.items():
        protocol.known(function=name, calls=count)


if __name__ == "__main__":
    protocol.run(workload)
