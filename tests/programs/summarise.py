"""Reads tables of numbers from text and summarises them as HTML: many small calls, and memory that grows meanwhile."""

import time

import protocol

COLUMNS = 20


def text(lines):
    """What there is to read: a section of names and units, and one of rows."""
    yield "~Columns"
    for column in range(COLUMNS):
        yield f"C{column}.m : column {column}"
    yield "~Rows"
    for line in range(lines):
        yield " ".join(["%.3f" % (line * 7919 % 1009 / (column + 1)) for column in range(COLUMNS)])


class Section:
    def __init__(self, name):
        self.name = name
        self.rows = []

    def add(self, line):
        self.rows.append(self.parsed(line))


class Columns(Section):
    def parsed(self, line):
        name, _, rest = line.partition(".")
        unit, _, description = rest.partition(":")
        return name.strip(), unit.strip(), description.strip()


class Rows(Section):
    def parsed(self, line):
        return [number(word) for word in line.split()]


SECTIONS = {"~Columns": Columns, "~Rows": Rows}


def number(word):
    return float(word) if plausible(word) else None


def plausible(word):
    return word[0].isdigit()


def sections(lines):
    section = None
    for line in lines:
        if line in SECTIONS:
            if section:
                yield section
            section = SECTIONS[line](line)
        else:
            section.add(line)
    yield section


def statistics(values):
    return min(values), max(values), sum(values) / len(values)


def cell(value):
    return f"<td>{escaped(str(value))}</td>"


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")


def html(columns, rows):
    yield "<table>"
    for names, values in zip(columns.rows, zip(*rows.rows)):
        yield "<tr>" + "".join(cell(value) for value in (*names, *statistics(values))) + "</tr>"
    yield "</table>"


def summary(lines):
    columns, rows = sections(lines)
    return "\n".join(html(columns, rows))


def workload(options):
    lines = list(text(options.size or 20_000))
    start = time.perf_counter_ns()
    summary(lines)
    protocol.known(function="summary", calls=1, total_ns=time.perf_counter_ns() - start)


if __name__ == "__main__":
    protocol.run(workload)
