import Testing
@testable import ComposableAllocators
