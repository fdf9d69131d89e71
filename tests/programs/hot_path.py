"""One call path that takes most of the time, beside two that do not, until the test ends the program.

The time goes into few long C calls, so that it is the same whether anything watches or not.
"""

import protocol


def serve():
    query()
    render()
    note()


def query():
    burn(200_000)


def render():
    lay_out()


def lay_out():
    for _ in range(3):
        burn(400_000)


def note():
    burn(100_000)


def burn(amount):
    sum(range(amount))


def workload(_options):
    requests = 0
    while True:
        serve()
        requests += 1
        protocol.known(function="serve", calls=requests)


if __name__ == "__main__":
    protocol.run(workload)
