"""A small service to look at: answers made-up requests until it is ended.

It computes, waits, keeps a cache that grows and is emptied, streams from a generator, and has an asynchronous part.
"""

import asyncio
import hashlib
import json
import random
import time


class Cache:
    """Keeps answers until there are too many of them."""

    def __init__(self, limit):
        self.limit = limit
        self.entries = {}

    def get(self, key):
        return self.entries.get(key)

    def put(self, key, value):
        if len(self.entries) >= self.limit:
            self.empty()
        self.entries[key] = value

    def empty(self):
        self.entries.clear()


class Handler:
    """Answers a request for one page."""

    def __init__(self, cache):
        self.cache = cache

    def handle(self, page):
        answer = self.cache.get(page)
        if answer is None:
            answer = self.render(self.query(page))
            self.cache.put(page, answer)
        return answer

    def query(self, page):
        time.sleep(0.002)
        return [{"page": page, "row": number, "digest": digest(page, number)} for number in range(40)]

    def render(self, rows):
        picture = bytearray(b"#") * (1 << 20)
        return json.dumps(list(lines(rows))).encode() + picture


def digest(page, number):
    return hashlib.sha256(f"{page}/{number}".encode()).hexdigest()


def lines(rows):
    for row in rows:
        yield f"{row['page']}:{row['row']}:{row['digest']}"


async def fetch(source):
    await asyncio.sleep(0.003)
    return parse('{"source": %d, "value": [1, 2, 3]}' % source)


def parse(text):
    return json.loads(text)


async def collect():
    return await asyncio.gather(*(fetch(source) for source in range(5)))


def serve(handler, chance):
    for _ in range(10):
        handler.handle(chance.randrange(100))
    asyncio.run(collect())


def main():
    handler, chance = Handler(Cache(limit=50)), random.Random(1)
    print("serving", flush=True)
    while True:
        serve(handler, chance)


if __name__ == "__main__":
    main()
