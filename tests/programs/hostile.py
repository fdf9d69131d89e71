"""Functions with names that no source file could give them."""

import protocol
from renamed import renamed


def template():
    return 1


NAMES = [
    "",
    "tab\there",
    "line\nbreak",
    "\x1b[31mred\x1b[0m",
    "nul\0inside",
    'quote"and\\backslash',
    "latin-\xe9\xff",
    "greek-\u03b1\u03b2",
    "astral-\U0001f40d",
    "comma,semi;colon:",
    "a" * 200,
    "b" * 5000,
    "<angle>.<locals>.[0]{}",
]


def call(name, file):
    code = renamed(template.__code__, name, name, co_filename=file)
    function = type(template)(code, {})
    for _ in range(3):
        function()


def workload(_options):
    for name in NAMES:
        call(name, "hostile.py")
        call("plain", f"/hostile/{name}")


if __name__ == "__main__":
    protocol.run(workload)
