"""Many code objects that live briefly: their addresses are used again by code of other names."""

import protocol
from renamed import renamed

COUNT = 3000

addresses = set()


def make(number):
    """A function that nothing else refers to: it is freed once it has been used."""
    name = f"made_{number % 11}"
    space = {}
    exec(compile(f"def {name}(n):\n    return n + {number}\n", f"<generated {number % 7}>", "exec"), space)
    return space.pop(name)


def use(number):
    function = make(number)
    addresses.add(id(function.__code__))
    for _ in range(number % 3 + 1):
        function(number)


def template():
    return 1


def replaced(number):
    name = f"copy_{number % 13}"
    template.__code__ = renamed(template.__code__, name, f"copies.{name}")
    template()


def workload(_options):
    for number in range(COUNT):
        use(number)
    assert len(addresses) <= COUNT - 1000, "addresses are used again"
    for number in range(500):
        replaced(number)


if __name__ == "__main__":
    protocol.run(workload)
