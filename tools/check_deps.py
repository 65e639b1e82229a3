#!/usr/bin/env python3
"""Holds every #include of src/kvt against the dependency table of ARCHITECTURE.md, the only copy of that table."""
import re

import policy_common

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)
# Third-party headers with one door each, by the way their path begins.
FOREIGN = {
    "nlohmann": ("nlohmann/",), "openssl": ("openssl/",), "pagmo": ("pagmo/", "boost/"), "eigen": ("Eigen/", "eigen3/"),
    "CLI11": ("CLI/",), "llama": ("llama",), "ggml": ("ggml", "gguf"), "build_info": ("kvt_build_info.h",), "omp": ("omp.h",),
    "yaml-cpp": ("yaml-cpp/",), "httplib": ("httplib.h",), "zlib": ("zlib.h",), "seccomp": ("seccomp.h",), "sqlite": ("sqlite3.h",), "mpi": ("mpi.h",),
    "immintrin": ("immintrin.h", "x86intrin.h", "arm_neon.h", "cpuid.h"),
}


def read_table(text):
    """component -> (components it may include, third-party names, other places), out of the rows `| name, place | ... | ... |`."""
    try:
        section = text.split("## Dependency table", 1)[1].split("\n## ", 1)[0]
    except IndexError:
        raise SystemExit("deps: ARCHITECTURE.md has no section '## Dependency table'")
    table = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not re.fullmatch(r"[a-z_/, ]+", cells[0]) or cells[0] == "component":
            continue
        name, *places = [place.strip() for place in cells[0].split(",")]
        allowed, foreign = ({item.strip() for item in cell.split(",") if item.strip() not in ("", "-")} for cell in cells[1:])
        table[name] = (allowed, foreign, places)
    return table


def component_of(path, table):
    """The longest component that path (relative to src/kvt) lies in: a folder, or one file such as tuner/records.h."""
    fits = [(len(place), name) for name, (_, _, places) in table.items() for place in [name, *places] if path.startswith((place + "/", place + "."))]
    return max(fits, default=(0, None))[1]


def violations_of(root, table):
    base = root / "src" / "kvt"
    found, checked = [], 0
    for path, name in policy_common.own_files(root, (".h", ".cc", ".inc"), ("src/kvt",)):
        checked += 1
        own = component_of(path.relative_to(base).as_posix(), table)
        if own is None:
            found.append(f"{name}: its folder is not in the table of ARCHITECTURE.md")
            continue
        allowed, foreign, _ = table[own]
        for bracket, header in INCLUDE.findall(path.read_text()):
            if header.startswith("kvt/"):
                other = component_of(header[len("kvt/"):], table)
                if not (base.parent / header).is_file():
                    found.append(f'{name}: includes "{header}", which does not exist')
                elif other != own and other not in allowed:
                    found.append(f'{name}: {own} may not include {other} ("{header}")')
                continue
            owner = next((key for key, starts in FOREIGN.items() if header.startswith(starts)), None)
            if owner is not None and owner not in foreign:
                found.append(f"{name}: {own} may not include {owner} headers ({header})")
            elif owner is None and bracket == '"':
                found.append(f'{name}: "{header}" is neither "kvt/<component>/<file>" nor a listed third-party header')
    return found, checked


def cmake_violations_of(root, table):
    """The same table for linking: DEPS and PRIVATE_DEPS of every kvt_component, targets kvt::a_b standing for component a/b."""
    targets = {name.replace("/", "_"): name for name in table}
    found = []
    for path, name in policy_common.own_files(root, ("CMakeLists.txt",), ("src/kvt",)):
        text = re.sub(r"#.*", "", path.read_text())
        for own, body in re.findall(r"kvt_component\((\w+)([^)]*)\)", text):
            if own not in targets:
                found.append(f"{name}: kvt_component({own}) has no row in ARCHITECTURE.md")
                continue
            allowed = table[targets[own]][0]
            linked = {targets.get(other, other) for other in re.findall(r"kvt::(\w+)", body)}
            found += [f"{name}: {own} links {other} against the table" for other in sorted(linked - allowed - {targets[own]})]
    return found


def main():
    root = policy_common.parser(__doc__).parse_args().root
    table = read_table((root / "ARCHITECTURE.md").read_text())
    found, checked = violations_of(root, table)
    for name, (allowed, foreign, _) in table.items():
        found += [f"ARCHITECTURE.md: row {name} names {other}, which has no row" for other in sorted(allowed - table.keys())]
        found += [f"ARCHITECTURE.md: row {name} names {other}, which is no known library" for other in sorted(foreign - FOREIGN.keys())]
    policy_common.finish("deps", found, checked)


if __name__ == "__main__":
    main()
