// MALLOW_BUCKET and MALLOW_BUCKET_TYPE in C++: for structures, for classes in namespaces, for templates and for types of a
// larger alignment, with constructors and destructors as anywhere.
#include <mallow.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

static unsigned long made, failed;

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        made++;                                                                                \
        if (!(condition)) std::printf("line %d: %s\n", __LINE__, #condition), failed++;        \
    } while (0)

struct node {
    node *left, *right;
    long value;
};
MALLOW_BUCKET(node);

namespace shapes {
class Named {
public:
    static int alive;
    explicit Named(std::string name) : name(std::move(name)) { alive++; }
    ~Named() { alive--; }
    std::string name;
    long more;
};
int Named::alive;
MALLOW_BUCKET_TYPE(Named, named);
}

template <typename T> struct Twice {
    T first, second;
    char tag;
};
using TwiceLong = Twice<long>;
MALLOW_BUCKET_TYPE(TwiceLong, twice);

struct alignas(128) Line {
    char bytes[300];
};
MALLOW_BUCKET_TYPE(Line, line);

struct Deleter {
    void operator()(shapes::Named *value) const
    {
        value->~Named();
        shapes::named_free(value);
    }
};

int main()
{
    static_assert(sizeof(shapes::Named) == 40 && sizeof(TwiceLong) == 24 && sizeof(Line) == 384, "");
    {
        std::vector<std::unique_ptr<shapes::Named, Deleter>> all;
        for (int i = 0; i < 2000; i++) {
            auto place = shapes::named_allocate();
            CHECK(mallow_usable_size(place) == 40);
            all.emplace_back(new (place) shapes::Named("a name that is longer than a short one: " + std::to_string(i)));
        }
        CHECK(shapes::Named::alive == 2000);
        for (int i = 0; i < 2000; i++) CHECK(all[i]->name.size() >= 41 && std::stoi(all[i]->name.substr(40)) == i);
        // Freed by another thread, the half of them.
        std::vector<std::unique_ptr<shapes::Named, Deleter>> half;
        for (int i = 0; i < 1000; i++) half.push_back(std::move(all[2 * i]));
        std::thread([&] { half.clear(); }).join();
        CHECK(shapes::Named::alive == 1000);
    }
    CHECK(shapes::Named::alive == 0);
    auto a = node_allocate();
    auto b = twice_allocate();
    CHECK(mallow_usable_size(a) == 24 && mallow_usable_size(b) == 24);
    // One size, one class: what one type's bucket gave, the other's takes.
    twice_free(reinterpret_cast<TwiceLong *>(a));
    node_free(reinterpret_cast<node *>(b));
    auto line = line_allocate();
    CHECK(mallow_usable_size(line) == 384 && reinterpret_cast<std::uintptr_t>(line) % 128 == 0);
    line_free(line);
    line_free(nullptr);
    std::printf("%lu checks, %lu failed\n", made, failed);
    return failed != 0;
}
