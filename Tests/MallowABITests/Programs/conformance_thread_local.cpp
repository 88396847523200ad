// What C++ does while threads and the program end: thread_local objects whose destructors free and allocate, strings
// and maps that one thread made and another destroys, exceptions that cross threads, and static objects that go after
// main. Prints one line a failed check.

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

std::atomic<int> failures{0}, made{0}, gone{0};

void check(bool holds, const char *what)
{
    if (!holds && failures++ < 20) std::printf("%s\n", what);
}

std::mutex lock;
std::vector<std::string> left_by_the_dead;

// Its destructor runs while its thread ends: it frees what it has, makes more, and leaves some to others.
struct Diary {
    std::map<int, std::string> pages;
    std::vector<std::unique_ptr<std::string>> loose;

    Diary() { made++; }

    ~Diary()
    {
        gone++;
        for (auto &[number, text] : pages) check(text == std::string(number % 300, 'a' + number % 26), "a page was spoilt");
        std::string summary(pages.size() * 10, 'x');
        pages.clear();
        for (int i = 0; i < 10; i++) loose.push_back(std::make_unique<std::string>(100 + i, 'y'));
        std::lock_guard guard(lock);
        left_by_the_dead.push_back(std::move(summary));
        if (left_by_the_dead.size() > 100) left_by_the_dead.clear();
    }

    void write(int number) { pages[number] = std::string(number % 300, 'a' + number % 26); }
};

thread_local Diary diary;
thread_local std::string name = std::string(200, 'n');

struct alignas(256) Wide {
    std::array<char, 1000> bytes;
};

void live(int seed)
{
    check(name.size() == 200, "a thread_local string is wrong");
    for (int i = 0; i < 50; i++) diary.write(seed * 31 + i * 7);
    auto wide = std::make_unique<Wide>();
    check((reinterpret_cast<std::uintptr_t>(wide.get()) & 255) == 0, "aligned new is not aligned");
    std::unique_ptr<Wide[]> row(new Wide[3]);
    check((reinterpret_cast<std::uintptr_t>(row.get()) & 255) == 0, "aligned new[] is not aligned");
    try {
        if (seed % 3 == 0) throw std::runtime_error("thrown by " + std::to_string(seed));
    } catch (const std::exception &error) {
        check(error.what() == "thrown by " + std::to_string(seed), "an exception's text is wrong");
    }
}

struct Last {
    std::vector<std::string> words = std::vector<std::string>(1000, std::string(50, 'w'));

    // After main, and after the main thread's own thread_local objects.
    ~Last()
    {
        for (auto &word : words) check(word == std::string(50, 'w'), "a word was spoilt after main");
        words.assign(2000, std::string(70, 'v'));
        words.clear();
        char text[80];
        int length = std::snprintf(text, sizeof text, "%d diaries, %d failed\n", gone.load(), failures.load());
        if (write(1, text, length) != length || failures != 0 || gone != made || gone == 0) _exit(1);
    }
};

Last last;

}  // namespace

int main()
{
    for (int batch = 0; batch < 300; batch++) {
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; i++) threads.emplace_back(live, batch * 4 + i);
        for (auto &thread : threads) thread.join();
    }

    // Values and exceptions out of threads that have ended.
    for (int i = 0; i < 200; i++) {
        auto text = std::async(std::launch::async, [i] { return std::string(i * 10, 'q'); });
        auto error = std::async(std::launch::async, [i]() -> int { throw std::runtime_error(std::string(i + 100, 'e')); });
        check(text.get() == std::string(i * 10, 'q'), "a future's string is wrong");
        try {
            error.get();
            check(false, "a future's exception is missing");
        } catch (const std::runtime_error &caught) {
            check(caught.what() == std::string(i + 100, 'e'), "a future's exception is wrong");
        }
    }

    try {
        std::vector<char> impossible(std::vector<char>().max_size());
        check(false, "new of PTRDIFF_MAX bytes did not throw");
    } catch (const std::bad_alloc &) {
    }
    check(new (std::nothrow) char[std::size_t(1) << 62] == nullptr, "nothrow new of 2^62 bytes is not null");
    diary.write(1);
    std::fflush(stdout);
}
