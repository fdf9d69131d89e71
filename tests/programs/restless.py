"""Never the same for long, until it is killed: processes, threads, code, generators, modules and files come and go.

Each second it says how many processes it has started so far.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time

import protocol


def step(number):
    return number


def steps(limit):
    for number in range(limit):
        yield step(number)


def fails(depth):
    if depth == 0:
        raise ValueError(depth)
    fails(depth - 1)


def works():
    sum(steps(200))
    left = steps(10)
    next(left)
    left.close()
    try:
        fails(10)
    except ValueError:
        pass


def makes_code(number):
    space = {}
    exec(compile(f"def made_{number % 13}(n):\n    return n + {number}\n", f"<made {number % 7}>", "exec"), space)
    for _ in range(20):
        space[f"made_{number % 13}"](number)


def imports(folder, number):
    name = f"module_{number % 5}"
    with open(os.path.join(folder, f"{name}.py"), "w") as file:
        file.write(f"def inside(n):\n    return n * {number}\n")
    sys.modules.pop(name, None)
    __import__(name).inside(number)


def starts_threads():
    threads = [threading.Thread(target=works) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def forks():
    child = os.fork()
    if child == 0:
        works()
        os._exit(0)
    os.waitpid(child, 0)


def executes():
    subprocess.run([sys.executable, "-c", "def brief(n): return n\nfor n in range(100): brief(n)"], check=True)


def workload(_options):
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        sys.dont_write_bytecode = True
        number, processes, said = 0, 0, time.monotonic()
        while True:
            number += 1
            works()
            makes_code(number)
            imports(folder, number)
            starts_threads()
            if number % 5 == 0:
                forks()
                processes += 1
            if number % 50 == 0:
                executes()
                processes += 1
            time.sleep(0.01)
            if time.monotonic() - said >= 1:
                said = time.monotonic()
                protocol.known(function="workload", calls=processes)


if __name__ == "__main__":
    protocol.run(workload)
