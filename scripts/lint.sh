#!/usr/bin/env bash
# Formatting, absolute paths and clang-tidy's short list over our own files.
# usage: scripts/lint.sh [--fix] [--no-tidy]     --fix formats in place
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

fix=no tidy=yes
for argument in "$@"; do
    case $argument in
    --fix) fix=yes ;;
    --no-tidy) tidy=no ;;
    *) die "unknown option $argument (known: --fix --no-tidy)" ;;
    esac
done
need_tools clang-format clang-tidy git python3
cd "$kvt_root"
failed=()

# --- Formatting ---
mapfile -t sources < <(find src tests bench -name '*.h' -o -name '*.cc' | sort)
[ ${#sources[@]} -gt 0 ] || die "found no source file under $kvt_root"
if [ $fix = yes ]; then
    clang-format -i "${sources[@]}"
    say "formatted ${#sources[@]} files"
elif ! clang-format --dry-run -Werror --ferror-limit=1 "${sources[@]}"; then
    failed+=("clang-format (scripts/lint.sh --fix mends it)")
fi
for script in scripts/*.sh .ci/run; do bash -n "$script" || failed+=("syntax of $script"); done

# --- House rules that read text ---
python3 tools/check_text.py --root . || failed+=("tools/check_text.py")

# --- clang-tidy ---
# A file is checked again only after it, any header of ours or the list of checks changed: 0 s instead of minutes on a second run.
if [ $tidy = yes ]; then
    need_cache
    stamps=$kvt_cache/tidy
    mkdir -p "$stamps"
    build=$("$kvt_root/scripts/build.sh" --configure-only release)
    common=$({ clang-tidy --version; sha256sum .clang-tidy; find src tests bench -name '*.h' | sort | xargs sha256sum; } | sha256sum)
    # What the build compiles: kernels of other processors have no flags here.
    mapfile -t units < <(find src -name '*.cc' | sort | grep -F -f <(grep -o "src/kvt/[^\"]*\.cc" "$build/compile_commands.json" | sort -u))
    todo=()
    for unit in "${units[@]}"; do
        stamp=$stamps/$(printf '%s %s' "$common" "$(sha256sum "$unit")" | sha256sum | cut -c 1-24)
        [ -e "$stamp" ] || todo+=("$unit" "$stamp")
    done
    say "clang-tidy: $((${#todo[@]} / 2)) of ${#units[@]} files have changed"
    check_one() { clang-tidy --quiet -p "$1" "$2" 2>/dev/null && touch "$3"; }
    export -f check_one
    start=$SECONDS
    if [ ${#todo[@]} -gt 0 ]; then
        printf '%s\0' "${todo[@]}" | xargs -0 -n 2 -P "$(nproc)" bash -c 'check_one "$0" "$@"' "$build" >&2 || failed+=("clang-tidy")
        say "clang-tidy took $((SECONDS - start)) s"
    fi
fi

if [ ${#failed[@]} -gt 0 ]; then die "$(printf '%s; ' "${failed[@]}" | sed 's/; $//')"; fi
say "clean"
