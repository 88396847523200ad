// Every way in which a box can end, in code that knows its types and in code that does not.

import Mallow

struct Holder<Value: ~Copyable, A: Allocator>: ~Copyable {
    var box: Box<Value, A>
    var number = 3
}

final class HolderObject<Value: ~Copyable, A: Allocator> {
    var box: Box<Value, A>?
    init(_ box: consuming Box<Value, A>) { self.box = consume box }
}

struct Node: ~Copyable {
    let token: Token
    var next: Box<Node, StatelessAllocator>?
}

// Never specialised: these destroy through the witnesses of the type, which the module of Box has compiled.
@inline(never) @_semantics("optimize.sil.specialize.generic.never")
func end<T: ~Copyable>(_ value: consuming T) {}

@inline(never) @_semantics("optimize.sil.specialize.generic.never")
func endInMemory<T: ~Copyable>(_ value: consuming T) {
    let pointer = UnsafeMutablePointer<T>.allocate(capacity: 1)
    pointer.initialize(to: value)
    pointer.deinitialize(count: 1)
    pointer.deallocate()
}

@inline(never) @_semantics("optimize.sil.specialize.generic.never")
func boxAndEnd<T: ~Copyable, A: Allocator>(_ value: consuming T, _ allocator: A) throws {
    let box = try Box(value, in: allocator)
    _ = box
}

@inline(never) @_semantics("optimize.sil.specialize.generic.never")
func boxAndTake<T: ~Copyable, A: Allocator>(_ value: consuming T, _ allocator: A) throws -> T {
    try Box(value, in: allocator).take()
}

@inline(never) @_semantics("optimize.sil.specialize.generic.never")
func endOptional<T: ~Copyable>(_ value: consuming T) {
    var optional: T? = consume value
    optional = nil
    _ = optional
}

/// `own`: how many values the allocator counts for itself.
func checkBox<A: Allocator>(_ name: String, own: Int, _ make: () -> A) {
    func check(_ what: String, ends ended: Int, _ body: (A) throws -> Void) {
        client.check("Box, \(name), \(what)", ends: ended + own) { try body(make()) }
    }

    check("local", ends: 1) { a in
        let box = try Box(Token(1), in: a)
        expect(box.value.number == 1, "the value of a box")
    }
    check("discarded", ends: 1) { a in _ = try Box(Token(1), in: a) }
    check("consumed", ends: 1) { a in end(try Box(Token(1), in: a)) }
    check("in memory", ends: 1) { a in endInMemory(try Box(Token(1), in: a)) }
    check("by a generic function", ends: 1) { a in try boxAndEnd(Token(1), a) }
    check("taken", ends: 1) { a in
        let token = try Box(Token(9), in: a).take()
        expect(tally.ended == 0 && liveBlocks == 0 && token.number == 9, "what take gives")
    }
    check("taken by a generic function", ends: 1) { a in
        let token = try boxAndTake(Token(9), a)
        expect(liveBlocks == 0 && token.number == 9, "what take gives to a generic function")
    }
    check("replaced", ends: 2) { a in
        var box = try Box(Token(1), in: a)
        expect(box.replace(with: Token(2)).number == 1, "what replace gives")
        expect(box.value.number == 2, "what replace puts in")
    }
    check("written", ends: 2) { a in
        var box = try Box(Token(1), in: a)
        box.value = Token(2)
        expect(tally.ended == 1, "writing ends the old value")
        expect(box.value.number == 2, "what was written")
    }
    check("assigned", ends: 2) { a in
        var box = try Box(Token(1), in: a)
        box = try Box(Token(2), in: a)
        expect(tally.ended == 1, "assigning ends the old box")
        expect(box.value.number == 2, "what was assigned")
    }
    check("optional", ends: 1) { a in
        var box: Box<Token, A>? = try Box(Token(1), in: a)
        box = nil
        expect(tally.ended == 1 && box == nil, "nil ends the box")
    }
    check("optional of a generic function", ends: 1) { a in endOptional(try Box(Token(1), in: a)) }
    check("in a struct", ends: 1) { a in _ = Holder(box: try Box(Token(1), in: a)) }
    check("in a struct, generic", ends: 1) { a in end(Holder(box: try Box(Token(1), in: a))) }
    check("in a class", ends: 1) { a in _ = HolderObject(try Box(Token(1), in: a)) }
    check("of a box", ends: 1) { a in
        let box = try Box(Box(Token(1), in: a), in: a)
        expect(box.value.value.number == 1, "the value of a box of a box")
    }
    check("of a box, generic", ends: 1) { a in endInMemory(try Box(Box(Token(1), in: a), in: a)) }
    check("of a box, by a generic function", ends: 1) { a in try boxAndEnd(Box(Token(1), in: a), a) }
    check("in an inline array", ends: 3) { a in
        let array = try InlineArray<3, Box<Token, A>> { number in try Box(Token(number), in: a) }
        expect(array[2].value.number == 2, "a box of an array")
    }
    check("in a tuple's place", ends: 2) { a in
        let first = try Box(Token(1), in: a)
        let second = try Box(Token(2), in: a)
        end(first)
        expect(tally.ended == 1 && second.value.number == 2, "one ends, the other stays")
    }
    check("an object", ends: 1) { a in
        let box = try Box(Witness(), in: a)
        let other = try box.copy()
        expect(other.value === box.value, "a copy has the same object")
    }
    check("moved from an optional", ends: 1) { a in
        var token: Token? = Token(4)
        let box = try Box(moving: &token, in: a)
        expect(token == nil && box.value.number == 4, "moving empties the optional")
    }
    check("made in place", ends: 1) { a in
        let box = try Box(in: a) { Token(5) }
        expect(box.value.number == 5, "made in place")
    }
    check("leaked and adopted", ends: 1) { a in
        let pointer = try Box(Token(6), in: a).leak()
        expect(tally.ended == 0 && pointer.pointee.number == 6, "leak ends nothing")
        let box = Box(adopting: pointer, in: a)
        box.withUnsafePointer { expect($0 == UnsafePointer(pointer), "the address stays") }
    }
}

func checkBoxes() {
    checkBox("stateless allocator", own: 0) { StatelessAllocator() }
    checkBox("class allocator", own: 1) { ClassAllocator() }
    checkBox("large allocator", own: 2) { LargeAllocator() }

    check("Box, a list", ends: 100) {
        var head = try Box(Node(token: Token(0), next: nil), in: StatelessAllocator())
        for number in 1..<100 {
            let next = consume head
            head = try Box(Node(token: Token(number), next: consume next), in: StatelessAllocator())
        }
        expect(head.value.next!.value.token.number == 98, "the second of a list")
    }
    check("Box, of the system", ends: 1) {
        let box = try Box(Token(1))
        expect(box.value.number == 1, "the value of a box of the system")
    }
}
