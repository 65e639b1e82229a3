"""Runs solution.py as the main program: input and output are its own, SystemExit is no error, any other exception is."""
import sys
import types

with open("/program/solution.py", encoding="utf-8") as file:
    source = file.read()
driver = sys.modules["__main__"]  # its globals must outlive the replacement
sys.modules["__main__"] = types.ModuleType("__main__")
sys.argv = ["solution.py"]
try:
    exec(compile(source, "solution.py", "exec"), sys.modules["__main__"].__dict__)
except SystemExit:
    pass
