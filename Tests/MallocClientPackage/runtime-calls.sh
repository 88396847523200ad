#!/usr/bin/env bash
# Prints what of the Swift runtime and the standard library the named functions of an executable can reach, each with
# one way to it; 1 if there is anything. malloc must reach none of it: the runtime allocates, and may not be set up yet.
#
# Follows every function that an instruction names, called or as an address: so also the functions that are handed to
# pthread_atfork. It does not see through a call of a pointer that was read from memory.
#
# usage: runtime-calls.sh EXECUTABLE FUNCTION…
set -euo pipefail
executable=$1
shift

toolchain=$(dirname "$(readlink -f "$(command -v "${SWIFT:-swift}")")")
objdump=$(command -v "$toolchain/llvm-objdump" || command -v llvm-objdump)
nm=$(command -v "$toolchain/llvm-nm" || command -v llvm-nm)
# Where the standard library rethrows an error of type Never the compiler leaves the call that tells a debugger of it.
never='^swift_willThrowTypedImpl$|^[$]ss5NeverO'
{
    "$nm" --print-size --defined-only "$executable"
    "$objdump" --dynamic-reloc "$executable"
    "$objdump" --disassemble --no-show-raw-insn "$executable"
} | awk -v roots="$*" -v never="$never" '
    # Of the Swift runtime and its libraries, and so not one of the three modules that malloc is made of.
    function is_foreign(name) {
        return name ~ /^_?swift_|^\$[sS]|^_\$s|^\$e/ && name !~ /^\$s[A-Za-z]*(10MallocHeap|12SystemMemory|9MallowABI)/ &&
            name !~ never
    }
    function number(text,    value, place) {
        value = 0
        for (place = 1; place <= length(text); place++) {
            value = value * 16 + index("0123456789abcdef", substr(text, place, 1)) - 1
        }
        return value
    }
    function way(name) { return name in parent ? way(parent[name]) " > " name : name }
    # A symbol that has a size: what lies behind its end, up to the next label, is a function without a name.
    NF == 4 && /^[0-9a-f]+ [0-9a-f]+ [tTwW] / { size[$4] = $2; next }
    # What the loader fills in: the address of the slot, and whose address it gets.
    /^[0-9a-f]+ R_/ { sub(/@.*/, "", $3); slot[$1] = $3; next }
    /^[0-9a-f]+ <.*>:$/ {
        current = substr($2, 2, length($2) - 3)
        start = number($1)
        end = current in size ? start + number(size[current]) : 0
        defined[current] = 1
        next
    }
    /^ *[0-9a-f]+:/ {
        if (end && number(substr($1, 1, length($1) - 1)) >= end) {
            current = current "-and-beyond"
            end = 0
        }
        target = ""
        if (match($0, /# 0x[0-9a-f]+/)) {
            address = sprintf("%16s", substr($0, RSTART + 4, RLENGTH - 4))
            gsub(/ /, "0", address)
            target = slot[address]
        }
        if (target == "" && match($0, /<[^<>]+>/)) {
            target = substr($0, RSTART + 1, RLENGTH - 2)
            offset = target
            if (!sub(/.*\+0x/, "", offset)) offset = "0"
            sub(/\+0x[0-9a-f]+$/, "", target)
            sub(/@.*/, "", target)
            if (target in size && number(size[target]) && number(offset) >= number(size[target])) {
                target = target "-and-beyond"
            }
        }
        if (target != "" && target != current) callees[current] = callees[current] " " target
    }
    END {
        count = split(roots, queue, " ")
        for (first = 1; first <= count; first++) {
            if (!(queue[first] in defined)) {
                print queue[first] " is not in the executable"
                exit 2
            }
            seen[queue[first]] = 1
        }
        for (first = 1; first <= count; first++) {
            name = queue[first]
            total = split(callees[name], targets, " ")
            for (index_ = 1; index_ <= total; index_++) {
                target = targets[index_]
                if (target in seen) continue
                seen[target] = 1
                parent[target] = name
                if (is_foreign(target)) {
                    print way(target)
                    failed = 1
                } else {
                    queue[++count] = target
                }
            }
        }
        print count " functions reached"
        exit failed
    }'
