import Testing
@testable import AllocatorTestKit
