// The server on whatever malloc the process has: glibc's, or one that is preloaded.

import CatalogueService

@main
struct Main {
    static func main() async { await ServerCommand.main() }
}
