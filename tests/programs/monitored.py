"""sys.settrace, sys.setprofile and, where there is one, sys.monitoring, switched on and off during the work."""

import sys

import protocol
import watched


def tracing(opcodes):
    def trace(frame, _event, _argument):
        frame.f_trace_opcodes = opcodes
        return trace

    def on():
        sys.settrace(trace)
        # Those that are running already are told of their lines only if they are asked.
        frame = sys._getframe(1)
        while frame:
            frame.f_trace = trace
            frame = frame.f_back

    return on, lambda: sys.settrace(None)


def profile(_frame, _event, _argument):
    pass


def profiling():
    return lambda: sys.setprofile(profile), lambda: sys.setprofile(None)


def monitoring(names, answer):
    """Told of these events everywhere; the answer may be that one place shall not be told of again."""
    tool = sys.monitoring.OPTIMIZER_ID
    events = [getattr(sys.monitoring.events, name) for name in names]

    def on():
        sys.monitoring.use_tool_id(tool, "test")
        for event in events:
            sys.monitoring.register_callback(tool, event, lambda *_arguments: answer)
        sys.monitoring.set_events(tool, sum(events))
        sys.monitoring.restart_events()

    def off():
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.free_tool_id(tool)

    return on, off


def monitoring_of_one_function():
    tool = sys.monitoring.OPTIMIZER_ID
    code = watched.recursive.__code__

    def on():
        sys.monitoring.use_tool_id(tool, "test")
        sys.monitoring.set_local_events(tool, code, sys.monitoring.events.PY_START | sys.monitoring.events.LINE)

    def off():
        sys.monitoring.set_local_events(tool, code, 0)
        sys.monitoring.free_tool_id(tool)

    return on, off


def watchers():
    yield tracing(opcodes=False)
    yield tracing(opcodes=True)
    yield profiling()
    if hasattr(sys, "monitoring"):
        frames = ["PY_START", "PY_RESUME", "PY_RETURN", "PY_YIELD"]
        yield monitoring([*frames, "PY_THROW", "PY_UNWIND", "RAISE"], None)
        yield monitoring([*frames, "LINE", "CALL"], None)
        yield monitoring([*frames, "LINE", "CALL", "INSTRUCTION"], sys.monitoring.DISABLE)
        yield monitoring_of_one_function()


def workload(_options):
    watched.under_all(list(watchers()))


if __name__ == "__main__":
    protocol.run(workload)
