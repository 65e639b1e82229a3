# Calls the function that function.txt names in solution.py with the arguments on standard input, one JSON value a line, and writes
# the canonical text of what it returns. What the solution prints is not an answer.
import os
import types


def read(name):
    with open("/program/" + name, encoding="utf-8") as file:
        return file.read()


def main():
    arguments = [json.loads(line) for line in sys.stdin.read().split("\n") if line.strip()]
    answer = os.dup(1)
    os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    exec(compile(read("solution.py"), "solution.py", "exec"), module.__dict__)
    owner = module.Solution() if hasattr(module, "Solution") else module
    result = getattr(owner, read("function.txt"))(*arguments)
    if isinstance(result, tuple):
        result = list(result)
    text = canonical(result, "nan")
    with os.fdopen(answer, "w") as out:
        out.write(text + "\n")


try:
    main()
except SystemExit:  # no answer was given
    sys.exit(1)
