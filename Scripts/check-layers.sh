#!/usr/bin/env bash
# Holds the sources to the order of the layers in Sources/README.md: a module imports only modules above it, and the
# malloc's own modules import nothing else but the standard library's Synchronization.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
allow() { # folder, then what it may import
    local folder=$1 file line module
    shift
    while IFS=: read -r file line module; do
        module=$(sed -E 's/^[[:space:]]*((@[a-z_]+|public|package|internal) )*import ([A-Za-z0-9_]+).*/\3/' <<<"$module")
        case " $* " in
        *" $module "*) ;;
        *)
            echo "$file:$line: $folder may not import $module (it may import: $*)" >&2
            failed=1
            ;;
        esac
    done < <(grep -rnE '^[[:space:]]*((@[a-z_]+|public|package|internal) )*import ' "Sources/$folder" --include='*.swift' || true)
}

allow SystemMemory CMallowShims Synchronization
allow MallocHeap CMallowShims SystemMemory SystemMemoryEmbedded Synchronization
allow MallowABI CMallowShims SystemMemory SystemMemoryEmbedded MallocHeap MallocHeapEmbedded
allow RangeAllocators Synchronization
allow AllocatorCore CMallowShims SystemMemory Glibc Musl Darwin
allow ComposableAllocators RangeAllocators AllocatorCore SystemMemory CMallowShims Synchronization Glibc Musl Darwin
allow SlabArenas AllocatorCore ComposableAllocators SystemMemory CMallowShims Synchronization Glibc Musl Darwin
allow AllocatorTestKit AllocatorCore Synchronization Glibc Musl Darwin Android
allow SegmentedBuffers AllocatorCore ComposableAllocators SystemMemory CMallowShims Synchronization Glibc Musl Darwin
allow Heaps AllocatorCore MallocHeap Synchronization
allow Mallow RangeAllocators AllocatorCore ComposableAllocators SlabArenas SegmentedBuffers Heaps
allow MallowMalloc CMallowMalloc MallowABI MallocHeap
allow MallowNIO Mallow NIOCore Synchronization Glibc Musl Darwin
allow MallowFoundation Mallow Foundation FoundationEssentials
allow MallowTool ArgumentParser Foundation FoundationEssentials Glibc Musl Darwin

for folder in Sources/*/; do
    name=$(basename "$folder")
    case $name in CMallowShims | SystemMemory | SystemMemoryEmbedded | MallocHeap | MallocHeapEmbedded | MallowABI | \
        MallowABIEmbedded | CMallowMalloc | MallowMalloc | RangeAllocators | AllocatorCore | ComposableAllocators | \
        SlabArenas | SegmentedBuffers | AllocatorTestKit | Heaps | Mallow | MallowNIO | MallowFoundation | MallowTool) ;;
    *)
        echo "Sources/$name has no place in the order of the layers" >&2
        failed=1
        ;;
    esac
done
[ "$failed" = 0 ] && echo "layers: in order"
exit "$failed"
