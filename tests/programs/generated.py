"""Many code objects that live briefly: their addresses are used again by code of other names."""

import protocol


def make(number):
    name = f"made_{number % 11}"
    space = {}
    exec(compile(f"def {name}(n):\n    return n + {number}\n", f"<generated {number % 7}>", "exec"), space)
    return space[name]


def use(number):
    function = make(number)
    for _ in range(number % 3 + 1):
        function(number)


def template():
    return 1


def replaced(number):
    name = f"copy_{number % 13}"
    template.__code__ = template.__code__.replace(co_name=name, co_qualname=f"copies.{name}")
    template()


def workload(_options):
    for number in range(2000):
        use(number)
    for number in range(500):
        replaced(number)


if __name__ == "__main__":
    protocol.run(workload)
