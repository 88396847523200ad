// What a program imports: all modules for Swift programs under one name.

@_exported import AllocatorCore
@_exported import ComposableAllocators
@_exported import Heaps
@_exported import RangeAllocators
@_exported import SegmentedBuffers
@_exported import SlabArenas
