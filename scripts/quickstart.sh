#!/usr/bin/env bash
# From a fresh clone to a tuned plan that runs inside an unmodified llama.cpp, compared with stock cache types.
# usage: scripts/quickstart.sh [model.gguf]      default: SmolLM2-135M-Instruct
#   KVT_OUT   folder for the results; default ~/.local/share/kvtuner/<model name> (or below XDG_DATA_HOME)
# Every step is skipped when its result is there: a second run only compares again.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ $# -le 1 ] || die "at most one argument, the path of a GGUF model"

step() { printf '\n== %s\n' "$*" >&2; }

# A wrong path should be told before minutes of building.
if [ $# -eq 1 ]; then "$kvt_root/scripts/model.sh" "$1" >/dev/null; fi

step "1/6 packages"
"$kvt_root/scripts/deps.sh"
step "2/6 llama.cpp v0.5.0"
llama=$("$kvt_root/scripts/llama_cpp.sh")
say "$llama"
step "3/6 kvtuner"
build=$("$kvt_root/scripts/build.sh" release kvtuner ggml-kvtuner)
step "4/6 model"
model=$("$kvt_root/scripts/model.sh" "$@")
say "$model"

name=$(basename "$model" .gguf)
out=${KVT_OUT:-${XDG_DATA_HOME:-$HOME/.local/share}/kvtuner/$name}
mkdir -p "$out" 2>/dev/null || die "cannot make the results folder $out; set KVT_OUT to one that can be written"
step "5/6 tuning, results in $out"
# All plans and all held-out text of the default model took 8 to 22 minutes, by machine; with limits a first result comes after 7. Without
# them the same command goes on from here.
"$build/bin/kvtuner" tune -m "$model" -o "$out" --time 5m --check-chunks 4

step "6/6 proof: unmodified llama.cpp programs with the plan, against stock cache types"
"$kvt_root/scripts/compare_with_stock.py" --llama "$llama" --plugin "$build/bin/libggml-kvtuner.so" --model "$model" \
    --plan "$out/plan.json" --rounds 1 --depth 1024 --chunks 4 --text "$kvt_root/data/wikitext2/wiki.test.head.raw"

cat <<END

Use the plan in any llama.cpp v0.5.0 program:
  export GGML_BACKEND_PATH=$build/bin/libggml-kvtuner.so
  export KVT_PLAN=$out/plan.json
  $llama/build/bin/llama-completion -m $model --device KVT0 -p "Once upon a time" -n 64
Look closer:
  $build/bin/kvtuner plan show $out/plan.json
  $build/bin/kvtuner eval kld -m $model --plan $out/plan.json --plan kivi:KV4
END
