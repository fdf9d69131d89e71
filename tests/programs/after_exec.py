"""What execs.py becomes: says so, and waits for the end of its input."""

import sys


def after(number):
    return number


def main():
    for number in range(30):
        after(number)
    print("done", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
