import Mallow

struct Token: ~Copyable {}

// error: 'box' is borrowed and cannot be consumed
func takesWhatWasLent(_ box: borrowing Box<Int, SystemAllocator>) -> Int { box.take() }

// error: cannot consume noncopyable stored property 'object.box' of a class
func takesWhatAnObjectOwns(_ object: Owner) -> Int { object.box.take() }

final class Owner {
    let box: Box<Int, SystemAllocator>
    init() throws { box = try Box(5) }
}

func movesTheValueOut() throws {
    let box = try Box(Token())
    let token = box.value  // error: noncopyable 'box.value' cannot be consumed
    _ = consume token
}

func endsItWhileItsValueIsLent() throws {
    let box = try Box(Token())  // error: 'box' used after consume
    use(box.value, end(box))
}

func use(_ token: borrowing Token, _: Void) {}
func end(_ box: consuming Box<Token, SystemAllocator>) {}
