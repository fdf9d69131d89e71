"""Calls within calls, on two threads, that take time and memory. Each function says on which stack it runs."""

import _thread
import mmap
import sys
import time

import protocol

PAGE = mmap.PAGESIZE
stacks, kept = [], []


def here():
    """Notes the stack of its caller, outermost first."""
    frame, names = sys._getframe(1), []
    while frame:
        names.append(frame.f_code.co_qualname)
        frame = frame.f_back
    stacks.append(names[::-1])


def request(pages):
    here()
    query()
    render(pages)


def query():
    here()
    time.sleep(0.02)


def render(pages):
    here()
    memory = mmap.mmap(-1, pages * PAGE)
    memory[::PAGE] = b"x" * pages
    kept.append(memory)
    time.sleep(0.01)


def empty():
    here()
    for memory in kept[1:]:
        memory.close()


def descend(levels):
    here()
    if levels:
        descend(levels - 1)
    else:
        time.sleep(0.05)


def background(done):
    here()
    descend(3)
    done.release()


def workload(_options):
    here()
    done = _thread.allocate_lock()
    done.acquire()
    # Not a Thread of threading: the functions of that would be on stacks that nobody states.
    _thread.start_new_thread(background, (done,))
    for pages in 30, 50, 70:
        request(pages)
    empty()
    done.acquire()
    for stack in stacks:
        protocol.known(stack=stack)


if __name__ == "__main__":
    protocol.run(workload)
