import AllocatorCore
import Testing
