@_exported import AllocatorCore
@_exported import ComposableAllocators
@_exported import RangeAllocators
@_exported import SegmentedBuffers
@_exported import SlabArenas
