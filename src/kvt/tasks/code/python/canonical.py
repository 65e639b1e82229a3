"""A text for a value, such that equal values have equal texts: 1, 1.0 and True are equal, a list and a tuple are not, NaN is equal
to nothing. What JSON cannot give has a text that no JSON value has."""
import json
import numbers
import sys

sys.setrecursionlimit(50000)
if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)


def canonical(value, nan):
    if value is None:
        return "null"
    if isinstance(value, numbers.Integral):
        return hex(int(value))
    if isinstance(value, numbers.Real):
        value = float(value)
        if value != value:
            return nan
        if value in (float("inf"), float("-inf")):
            return str(value)
        return hex(int(value)) if value.is_integer() else value.hex()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(item, nan) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(sorted(canonical(key, nan) + ":" + canonical(item, nan) for key, item in value.items())) + "}"
    if isinstance(value, tuple):
        return "(" + ",".join(canonical(item, nan) for item in value) + ")"
    return "?" + type(value).__name__
