"""Runs a program under another interpreter, whose command is in the environment as OTHER_PYTHON."""

import json
import os
import subprocess

import protocol


def step(number):
    return number


def workload(_options):
    step(1)
    here = os.path.dirname(os.path.abspath(__file__))
    words = [*json.loads(os.environ["OTHER_PYTHON"]), os.path.join(here, "in_a_while.py")]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    protocol.run(workload)
