"""Code objects under other names."""


def renamed(code, name, qualified, **changes):
    """A copy of the code; before 3.11 it has no qualified name."""
    if hasattr(code, "co_qualname"):
        changes["co_qualname"] = qualified
    return code.replace(co_name=name, **changes)
