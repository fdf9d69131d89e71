"""A generator goes on and is suspended without a pause, until it is killed."""

import protocol


def steps():
    while True:
        yield


def loop():
    for _ in steps():
        pass


def workload(_options):
    loop()


if __name__ == "__main__":
    protocol.run(workload)
