"""Runs solution.py, which ends with its checks, and exits with 42 once they passed: a program that ends itself has not passed."""
import os
import sys
import traceback
import types

with open("/program/solution.py", encoding="utf-8") as file:
    source = file.read()
module = types.ModuleType("humaneval")  # not __main__: what stands under a main guard is not wanted
sys.modules["humaneval"] = module
try:
    exec(compile(source, "solution.py", "exec"), module.__dict__)
except BaseException:
    traceback.print_exc()
    sys.exit(1)
os._exit(42)
