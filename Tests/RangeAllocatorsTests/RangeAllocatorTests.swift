import RangeAllocators
import Testing
