"""A part of exceptions.py that older interpreters can't read: `except*` is of 3.11."""


def grouped(note):
    try:
        raise ExceptionGroup("two", [ValueError(), KeyError()])
    except* ValueError:
        note()
    except* KeyError:
        note()
