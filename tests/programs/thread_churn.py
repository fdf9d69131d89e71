"""Many short threads, one after the other."""

import _thread

import protocol


def body(ended):
    ended.release()


def workload(options):
    for _ in range(options.size):
        ended = _thread.allocate_lock()
        ended.acquire()
        _thread.start_new_thread(body, (ended,))
        ended.acquire()


if __name__ == "__main__":
    protocol.run(workload)
