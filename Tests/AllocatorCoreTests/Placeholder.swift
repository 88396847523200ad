import Testing
@testable import AllocatorCore
