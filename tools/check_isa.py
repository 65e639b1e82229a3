#!/usr/bin/env python3
"""ISA flags must not leak: an object built for AVX holds no weak symbol that the linker could pick for everybody, and every
other object holds no VEX or EVEX instruction, which an older machine would die on."""
import pathlib
import re
import subprocess

import policy_common

ISA_OBJECT = re.compile(r"(^|_)avx(2|vnni|512)\.cc\.o$")
# Address, bytes, mnemonic, operands. AVX mnemonics begin with v; the few others of that letter are old system instructions.
INSTRUCTION = re.compile(r"^\s*[0-9a-f]+:\t(?:[0-9a-f]{2} )+\s*\t(\S+)\s*(.*)$", re.M)
OLD_V = {"verr", "verw", "vmcall", "vmlaunch", "vmresume", "vmxoff"}
VEX_GPR = re.compile(r"^(k(mov|and|or|not|xor|test|shift|unpck|add)\w*|andn|bextr|bls\w+|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx)$")
# The unwinder's reference to the C++ personality routine; the same word of data in every object.
HARMLESS = {"DW.ref.__gxx_personality_v0"}


def weak_symbols(path):
    out = subprocess.run(["nm", str(path)], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in out.splitlines()]
    return [row[-1] for row in rows if len(row) == 3 and row[1] in "WVu" and row[2] not in HARMLESS]


def vex_instructions(path):
    out = subprocess.run(["objdump", "-d", str(path)], check=True, capture_output=True, text=True).stdout
    return [f"{mnemonic} {operands.strip()}" for mnemonic, operands in INSTRUCTION.findall(out)
            if (mnemonic.startswith("v") and mnemonic not in OLD_V) or VEX_GPR.match(mnemonic) or "%ymm" in operands or "%zmm" in operands]


def violations_of(objects):
    found, vex_seen = [], 0
    for path in objects:
        if ISA_OBJECT.search(path.name):
            found += [f"{path.name}: weak symbol {name}" for name in weak_symbols(path)]
            vex_seen += len(vex_instructions(path))
        else:
            vex = vex_instructions(path)
            if vex:
                found.append(f"{path.name}: {len(vex)} VEX or EVEX instructions, the first is: {vex[0]}")
    return found, vex_seen


def main():
    parser = policy_common.parser(__doc__)
    parser.add_argument("build", type=pathlib.Path, help="build folder; the objects below its src/kvt are checked")
    objects = sorted((parser.parse_args().build / "src" / "kvt").rglob("*.cc.o"))
    found, vex_seen = violations_of(objects)
    if not any(ISA_OBJECT.search(path.name) for path in objects):
        found.append("no *avx2.cc, *avxvnni.cc or *avx512.cc object was found")
    elif vex_seen == 0:
        found.append("no VEX instruction in the ISA objects: this check or the build is broken")
    policy_common.finish("isa", found, len(objects))


if __name__ == "__main__":
    main()
