// The same server on Mallow's malloc: its target depends on the product MallowMalloc, and that is all.

import CatalogueService

@main
struct Main {
    static func main() async { await ServerCommand.main() }
}
