"""Children that become programs that are not Python, in every way."""

import os
import subprocess

import protocol


def step(number):
    return number


def workload(_options):
    for number in range(10):
        step(number)
        subprocess.run(["/bin/true"], check=True)
    child = os.posix_spawn("/bin/sleep", ["/bin/sleep", "0.1"], os.environ)
    os.waitpid(child, 0)
    child = os.fork()
    if child == 0:
        os.execv("/bin/true", ["/bin/true"])
    os.waitpid(child, 0)
    for number in range(10):
        step(number)


if __name__ == "__main__":
    protocol.run(workload)
