"""Functions and files whose names would do harm where they are shown as they are. Its own command line has one too."""

import protocol
from renamed import renamed

NAMES = [
    "plain",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m c1",
    "\u202egnp.exe",
    "\u2066isolated\u2069",
    "two\nlines\r\nor three",
    "tab\there",
    "nul\0inside",
    '"quoted", \'twice\'; `thrice`',
    "</script><script>alert(1)</script>",
    "]]><svg onload=alert(1)>",
    "=HYPERLINK(\"http://evil\")",
    "@SUM(1+1)",
    "semi;colon 17",
    "\ufeff mark",
    "\u2028line separator",
    "\udce9 alone",
    "%s %n {} ${x}",
    "\\x1b \\",
    "",
]


def template(number):
    return bytearray(200_000)


def workload(_options):
    for name in NAMES:
        for code in (
            renamed(template.__code__, name, name),
            renamed(template.__code__, "in_file", "in_file", co_filename=f"/srv/{name}/x.py"),
        ):
            function = type(template)(code, {})
            for number in range(3):
                function(number)


if __name__ == "__main__":
    protocol.run(workload)
