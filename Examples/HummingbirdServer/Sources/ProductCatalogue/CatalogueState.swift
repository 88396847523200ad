// What a catalogue's lock protects: a dictionary by id, the ids in order for lists, and an index of words for searches.
//
// I1: `ids` is sorted, and holds the keys of `products`, each once.
// I2: `idsByWord[word]` holds the ids of exactly the products that have the word; no set in it is empty.

struct CatalogueState {
    private(set) var products: [Int: Product] = [:]
    private(set) var ids: [Int] = []
    private(set) var idsByWord: [String: Set<Int>] = [:]
    private(set) var nextID = 1

    /// The first place in `ids` with an id that is not below this one.
    func position(of id: Int) -> Int {
        var (low, high) = (0, ids.count)
        while low < high {
            let middle = (low + high) / 2
            if ids[middle] < id { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// A product with the next id.
    mutating func insert(_ makeProduct: (Int) -> Product) -> Product {
        let product = makeProduct(nextID)
        nextID += 1
        // I1: ids only grow.
        ids.append(product.id)
        products[product.id] = product
        index(product)
        return product
    }

    /// Another product under the id of one that is there.
    mutating func replace(_ old: Product, by product: Product) {
        unindex(old)
        index(product)
        products[product.id] = product
    }

    @discardableResult
    mutating func remove(_ id: Int) -> Bool {
        guard let product = products.removeValue(forKey: id) else { return false }
        ids.remove(at: position(of: id))
        unindex(product)
        return true
    }

    private mutating func index(_ product: Product) {
        for word in product.words { idsByWord[word, default: []].insert(product.id) }
    }

    private mutating func unindex(_ product: Product) {
        for word in product.words {
            idsByWord[word]?.remove(product.id)
            if idsByWord[word]?.isEmpty == true { idsByWord[word] = nil }
        }
    }

    func checkInvariants() {
        precondition(ids == products.keys.sorted(), "I1: the ids are not those of the products")
        var expected: [String: Set<Int>] = [:]
        for product in products.values {
            for word in product.words { expected[word, default: []].insert(product.id) }
        }
        precondition(idsByWord == expected, "I2: the index is not that of the products")
    }
}
