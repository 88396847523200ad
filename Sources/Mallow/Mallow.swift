@_exported import AllocatorCore
@_exported import ComposableAllocators
