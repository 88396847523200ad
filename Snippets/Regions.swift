// A region: one line's words at a time, all freed at once. A result that is used after `reset()` does not compile.

import Mallow

var region = Region()
for line in ["to be or not to be", "that is the question"] {
    do {
        var lengths = try region.makeArray(of: Int.self)
        var longest = try region.makeString()
        for word in line.split(separator: " ") {
            try lengths.append(word.utf8.count)
            if word.utf8.count > longest.utf8Count {
                longest.removeAll()
                try longest.append(word)
            }
        }
        print("\(lengths.count) words, the longest: \(longest.description)")
    }
    region.reset()
}
