// A limit for one tenant: what is live may not go beyond it, and what is refused says why.

import Mallow

let tenant = try QuotaAllocator(limit: 1 << 20)
let block = try tenant.allocate(byteCount: 1_000_000)
do {
    _ = try tenant.allocate(byteCount: 100_000)
} catch {
    print(error)
}
tenant.deallocate(block)
try tenant.close()
