@_exported import AllocatorCore
@_exported import ComposableAllocators
@_exported import SlabArenas
