"""A program that changes the interpreter's own structures under the eyes of a tracer, and puts them back in time.

While it waits for a word of the test, a frame of it and one of another thread are their own callers, or each other's.
Then it calls functions whose names lie nowhere, or are far longer than there is memory.
"""

import ctypes
import sys
import threading
import time

import protocol
from renamed import renamed

WORD = ctypes.sizeof(ctypes.c_size_t)
# Of a frame object: where the interpreter's own frame is. Of that: who called it.
FRAME = 3 * WORD
PREVIOUS = 6 * WORD if sys.version_info < (3, 12) else WORD
CALLS = 1000


def word(address):
    return ctypes.c_size_t.from_address(address)


def witness(number):
    return number


def template(number):
    return number


def in_a_loop(length, inside, outermost=None):
    """Calls something while so many frames, this one among them, are each other's callers in a ring."""
    outermost = outermost or sys._getframe()
    if length > 1:
        return in_a_loop(length - 1, inside, outermost)
    own = word(id(sys._getframe()) + FRAME).value
    link = word(word(id(outermost) + FRAME).value + PREVIOUS)
    saved = link.value
    link.value = own
    try:
        return inside()
    finally:
        link.value = saved


def forged_call(attribute, address):
    """Calls a function three times whose name is at an address of our choice."""
    names = {"co_name": "forged name", "co_filename": "forged file"}
    if hasattr(template.__code__, "co_qualname"):
        names["co_qualname"] = "forged qualified name"
    code = template.__code__.replace(**names)
    words = (ctypes.c_size_t * 32).from_address(id(code))
    at = list(words).index(id(getattr(code, attribute)))
    function = type(template)(code, {})
    words[at] = address
    try:
        for number in range(3):
            function(number)
    finally:
        words[at] = id(names[attribute])


def forged_string(length):
    """A string that says it has so many characters; the first is there."""
    image = (ctypes.c_char * 64)()
    ctypes.memmove(image, id("a name"), 64)
    ctypes.c_ssize_t.from_buffer(image, 2 * WORD).value = length
    return image


def odd_code():
    """Code objects that say odd things of themselves."""
    for number, changes in enumerate(
        [
            {"co_firstlineno": 2**31 - 1},
            {"co_linetable": b"\xff" * 64},
            {"co_linetable": b""},
            {"co_stacksize": 10_000},
            {"co_name": "a" * 10_000_000},
            {"co_filename": "/" + "b" * 10_000_000},
            {"co_name": "\ud800 alone", "co_filename": "\udcff alone"},
        ]
    ):
        name = changes.pop("co_name", f"odd {number}")
        function = type(template)(renamed(template.__code__, name, name, **changes), {})
        for _ in range(3):
            function(1)


def forged_names():
    attributes = ["co_filename", "co_qualname" if sys.version_info >= (3, 11) else "co_name"]
    strings = [forged_string(length) for length in (2**62, -1, 10_000_000)]
    for attribute in attributes:
        for address in [0, 1, 0xDEAD_0000_0000, 2**64 - 8, *map(ctypes.addressof, strings)]:
            forged_call(attribute, address)


def workload(_options):
    stopped = threading.Event()
    threads = [threading.Thread(target=in_a_loop, args=(length, stopped.wait)) for length in (1, 3)]
    for thread in threads:
        thread.start()
    # They are in their loops, and stay there.
    time.sleep(0.1)

    def looped():
        protocol.known(function="in a loop")
        protocol.wait()
        for number in range(CALLS):
            witness(number)

    in_a_loop(2, looped)
    odd_code()
    forged_names()
    for number in range(CALLS):
        witness(number)
    protocol.known(function="witness", calls=2 * CALLS)
    protocol.say("forged")
    protocol.wait()
    stopped.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    protocol.run(workload)
