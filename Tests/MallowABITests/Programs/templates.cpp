// A translation unit that makes a compiler work: deep recursive templates, tuples and variants of many types, ranges of
// algorithms instantiated for many containers, and a compile-time sieve. The test compares the objects that come out.

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

template <std::size_t n>
constexpr std::array<bool, n> sieve()
{
    std::array<bool, n> composite{};
    for (std::size_t i = 2; i < n; i++)
        for (std::size_t j = i * 2; j < n && !composite[i]; j += i) composite[j] = true;
    return composite;
}

constexpr auto primes = sieve<4000>();

template <int n>
struct Tag {
    std::string name = "tag" + std::to_string(n);
    std::vector<std::array<int, n % 13 + 1>> rows;
    std::map<int, std::tuple<Tag<n - 1> *, std::string, double>> others;
};

template <>
struct Tag<0> {
    std::string name = "none";
};

template <int... n>
auto every(std::integer_sequence<int, n...>)
{
    return std::tuple<Tag<n>...>();
}

template <typename Tuple, std::size_t... i>
std::size_t lengths(const Tuple &tuple, std::index_sequence<i...>)
{
    return (std::get<i>(tuple).name.size() + ...);
}

template <typename... Types>
struct Visitor : Types... {
    using Types::operator()...;
};
template <typename... Types>
Visitor(Types...) -> Visitor<Types...>;

using Any = std::variant<int, double, std::string, std::vector<int>, std::map<std::string, int>, Tag<3>, Tag<7>>;

std::size_t visited(const std::vector<Any> &all)
{
    std::size_t total = 0;
    for (auto &left : all)
        for (auto &right : all)
            total += std::visit(
                Visitor{
                    [](int a, int b) -> std::size_t { return static_cast<std::size_t>(a + b); },
                    [](const std::string &a, const std::string &b) { return a.size() + b.size(); },
                    [](const auto &a, const auto &b) { return sizeof a * sizeof b; },
                },
                left, right);
    return total;
}

template <typename Value>
std::size_t sorted(std::vector<Value> values)
{
    std::sort(values.begin(), values.end());
    std::stable_sort(values.begin(), values.end(), std::greater<Value>());
    std::unordered_map<std::size_t, std::vector<Value>> buckets;
    for (auto &value : values) buckets[sizeof value % 7].push_back(value);
    return buckets.size() + static_cast<std::size_t>(std::unique(values.begin(), values.end()) - values.begin());
}

std::size_t all()
{
    auto tuple = every(std::make_integer_sequence<int, 40>());
    std::size_t total = lengths(tuple, std::make_index_sequence<40>()) + primes[97];
    total += sorted<int>({3, 1}) + sorted<double>({2, 1}) + sorted<std::string>({"b", "a"});
    total += sorted<std::pair<int, std::string>>({{1, "x"}}) + sorted<std::vector<int>>({{1}, {2, 3}});
    total += std::regex_match("abc", std::regex("[a-c]+")) + visited({1, 2.0, std::string("x")});
    return total;
}

#ifdef WITH_MAIN
int main() { return static_cast<int>(all() % 100); }
#endif
