#include "probe.h"

#include <string>
#include <vector>

void *probe_make_strings(int count, int length) {
    auto strings = new std::vector<std::string>;
    strings->reserve(count);
    for (int index = 0; index < count; index++) strings->emplace_back(length, 'x');
    return strings;
}

void probe_end_strings(void *strings) { delete static_cast<std::vector<std::string> *>(strings); }
