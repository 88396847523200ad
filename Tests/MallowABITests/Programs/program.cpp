// A C++ program like many: containers and strings that go from thread to thread, shared and weak pointers, exceptions
// through many frames, aligned and placement new, polymorphic memory resources, streams, a thread pool, and a regular
// expression. What it prints depends on nothing but its input.

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <new>
#include <numeric>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

namespace {

class Pool {
public:
    explicit Pool(int count)
    {
        for (int i = 0; i < count; i++) threads.emplace_back([this] { work(); });
    }

    ~Pool()
    {
        {
            std::lock_guard guard(lock);
            closing = true;
        }
        changed.notify_all();
        for (auto &thread : threads) thread.join();
    }

    void add(std::function<void()> task)
    {
        {
            std::lock_guard guard(lock);
            tasks.push_back(std::move(task));
        }
        changed.notify_one();
    }

private:
    void work()
    {
        for (;;) {
            std::unique_lock guard(lock);
            changed.wait(guard, [this] { return closing || !tasks.empty(); });
            if (tasks.empty()) return;
            auto task = std::move(tasks.front());
            tasks.pop_front();
            guard.unlock();
            task();
        }
    }

    std::vector<std::thread> threads;
    std::deque<std::function<void()>> tasks;
    std::mutex lock;
    std::condition_variable changed;
    bool closing = false;
};

struct Tree {
    std::shared_ptr<Tree> left, right;
    std::weak_ptr<Tree> parent;
    std::string label;
};

std::shared_ptr<Tree> grown(int depth, std::uint32_t seed)
{
    auto tree = std::make_shared<Tree>();
    tree->label.assign(seed % 70, static_cast<char>('a' + seed % 26));
    if (depth > 0) {
        tree->left = grown(depth - 1, seed * 1664525u + 1013904223u);
        tree->right = grown(depth - 1, seed * 22695477u + 1u);
        tree->left->parent = tree->right->parent = tree;
    }
    return tree;
}

std::size_t weight(const Tree &tree)
{
    return tree.label.size() + (tree.left ? weight(*tree.left) + weight(*tree.right) : 0);
}

int deeper(int depth, const std::string &why)
{
    std::vector<std::string> local(depth % 5 + 1, why + std::to_string(depth));
    if (depth == 0) throw std::invalid_argument(why + " at the bottom");
    return deeper(depth - 1, local.back().substr(0, 60)) + static_cast<int>(local.size());
}

template <std::size_t alignment>
struct alignas(alignment) Padded {
    char bytes[3 * alignment];
};

template <std::size_t alignment>
bool aligned()
{
    std::vector<std::unique_ptr<Padded<alignment>>> all;
    for (int i = 0; i < 50; i++) all.push_back(std::make_unique<Padded<alignment>>());
    std::vector<Padded<alignment>> row(20);
    all.erase(all.begin(), all.begin() + 25);
    auto fits = [](const void *pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % alignment == 0; };
    return fits(row.data()) && std::all_of(all.begin(), all.end(), [&](auto &each) { return fits(each.get()); });
}

}  // namespace

int main()
{
    std::mutex lock;
    std::map<int, std::map<std::string, std::vector<int>>> results;
    std::vector<std::shared_ptr<Tree>> trees(40);
    std::size_t caught = 0;
    {
        Pool pool(4);
        for (int task = 0; task < 400; task++) {
            pool.add([&, task] {
                std::map<std::string, std::vector<int>> words;
                for (int i = 0; i < 300; i++) {
                    auto &places = words["word " + std::string(i * task % 40, 'w') + std::to_string(i % 37)];
                    places.push_back(i);
                }
                auto tree = grown(7, static_cast<std::uint32_t>(task));
                std::size_t thrown = 0;
                try {
                    deeper(30 + task % 20, "thrown by task " + std::to_string(task));
                } catch (const std::exception &error) {
                    thrown = std::string(error.what()).size();
                }
                std::lock_guard guard(lock);
                results[task] = std::move(words);
                trees[static_cast<std::size_t>(task) % trees.size()] = std::move(tree);
                caught += thrown;
            });
        }
    }
    // Which task was the last of its slot depends on the threads: each slot gets a tree that does not.
    for (std::size_t slot = 0; slot < trees.size(); slot++) trees[slot] = grown(7, static_cast<std::uint32_t>(slot));
    std::size_t heavy = 0;
    for (auto &tree : trees) heavy += weight(*tree);
    std::size_t places = 0;
    for (auto &[task, words] : results)
        for (auto &[word, found] : words) places += word.size() * found.size();
    std::cout << results.size() << ' ' << places << ' ' << heavy << ' ' << caught << '\n';
    std::cout << aligned<32>() << aligned<64>() << aligned<256>() << aligned<4096>() << aligned<65536>() << '\n';

    std::pmr::unsynchronized_pool_resource pool;
    std::pmr::unordered_map<int, std::pmr::string> numbers(&pool);
    for (int i = 0; i < 50000; i++) numbers[i * 31 % 20011] += std::to_string(i) + ",";
    std::set<std::string> sorted;
    for (auto &[number, text] : numbers) sorted.emplace(text);
    std::cout << sorted.size() << ' ' << *sorted.begin() << ' ' << *sorted.rbegin() << '\n';

    std::ostringstream stream;
    for (int i = 0; i < 20000; i++) stream << i << '=' << i * 0.37 << ";\n";
    std::string text = stream.str();
    std::regex pattern("(\\d+)=(\\d+)\\.(\\d+);");
    std::string part = text.substr(0, 60000);
    auto matches = std::distance(std::sregex_iterator(part.begin(), part.end(), pattern), std::sregex_iterator());
    std::cout << text.size() << ' ' << std::accumulate(text.begin(), text.end(), 0u) << ' ' << matches << '\n';

    std::list<std::variant<int, std::string, std::vector<double>>> mixed;
    for (int i = 0; i < 30000; i++) {
        if (i % 3 == 0) mixed.emplace_back(i);
        if (i % 3 == 1) mixed.emplace_back(std::string(i % 90, 'm'));
        if (i % 3 == 2) mixed.emplace_back(std::vector<double>(i % 60, i));
    }
    mixed.remove_if([](auto &each) { return each.index() == 1 && std::get<1>(each).size() % 2 == 0; });
    std::cout << mixed.size() << std::endl;
    return 6;
}
