// A logic minimiser: boolean functions, given as covers (sets of cubes; a cube is a product of literals), are made
// smaller as two-level minimisers do: complement, expand each cube as far as the complement lets it, drop what the rest
// covers. Each cube is a block of 16 bytes, each cover an array that grows; the recursion makes and drops thousands
// of them, in sets that live as long as one level of it. An operation is one block's life (a cube or a cover).
//
// It checks itself: the minimised cover must have the value of the original for every assignment of the variables.
// (As *espresso* of the field's suites; the code is ours.)

#include "blocks.h"

// Two bits a variable: 01 its complement, 10 itself, 11 either.
struct cube {
    uint32_t literal_count;
    uint32_t is_essential;
    uint64_t bits;
};

struct cover {
    uint32_t count, capacity;
    struct cube **cubes;
};

static uint64_t blocks_made;
static int variable_count;

static uint64_t all_bits(void) {
    return ((uint64_t)1 << (2 * variable_count)) - 1;
}

// The variables in which some bits are 00: a bit for each, at the even places.
static uint64_t empty_variables(uint64_t bits) {
    return ~(bits | bits >> 1) & all_bits() & UINT64_C(0x5555555555555555);
}

static uint64_t literal_places(uint64_t bits) {
    return ~(bits & bits >> 1) & all_bits() & UINT64_C(0x5555555555555555);
}

static struct cube *cube_make(uint64_t bits) {
    struct cube *cube = malloc(sizeof *cube);
    if (cube == NULL)
        fail("malloc failed", NULL, sizeof *cube);
    escape(cube);
    blocks_made++;
    cube->bits = bits;
    cube->literal_count = (uint32_t)__builtin_popcountll(literal_places(bits));
    cube->is_essential = 0;
    return cube;
}

static struct cover *cover_make(void) {
    struct cover *cover = calloc(1, sizeof *cover);
    if (cover == NULL)
        fail("calloc failed", NULL, sizeof *cover);
    escape(cover);
    blocks_made++;
    return cover;
}

// The cover owns the cube from here on.
static void cover_add(struct cover *cover, struct cube *cube) {
    if (cover->count == cover->capacity) {
        cover->capacity = cover->capacity == 0 ? 4 : cover->capacity + cover->capacity / 2;
        cover->cubes = realloc(cover->cubes, cover->capacity * sizeof *cover->cubes);
        if (cover->cubes == NULL)
            fail("realloc failed", NULL, cover->capacity);
        escape(cover->cubes);
        blocks_made++;
    }
    cover->cubes[cover->count++] = cube;
}

static void cover_remove(struct cover *cover, uint32_t index) {
    free(cover->cubes[index]);
    cover->cubes[index] = cover->cubes[--cover->count];
}

static void cover_drop(struct cover *cover) {
    for (uint32_t i = 0; i < cover->count; i++)
        free(cover->cubes[i]);
    free(cover->cubes);
    free(cover);
}

// What is left of the cover where `where` holds, each cube freed of the literals of `where`.
static struct cover *cofactor(const struct cover *cover, uint64_t where, const struct cube *without) {
    struct cover *result = cover_make();
    for (uint32_t i = 0; i < cover->count; i++) {
        const struct cube *cube = cover->cubes[i];
        if (cube != without && empty_variables(cube->bits & where) == 0)
            cover_add(result, cube_make((cube->bits | ~where) & all_bits()));
    }
    return result;
}

// The variable with the most literals, or -1 where some cube has none, or there is no cube.
static int splitting_variable(const struct cover *cover) {
    uint32_t counts[32] = {0};
    int best = -1;
    for (uint32_t i = 0; i < cover->count; i++) {
        uint64_t places = literal_places(cover->cubes[i]->bits);
        if (places == 0)
            return -1;
        for (; places != 0; places &= places - 1) {
            int variable = __builtin_ctzll(places) / 2;
            counts[variable]++;
            if (best < 0 || counts[variable] > counts[best])
                best = variable;
        }
    }
    return best;
}

static uint64_t literal(int variable, uint64_t value) {
    return all_bits() & ~((3 ^ value) << (2 * variable));
}

// Moves the cubes of a branch into the result, with the branch's literal; a cube that both branches have, without it.
static void merge_branches(struct cover *result, struct cover *low, struct cover *high, int variable) {
    for (uint32_t i = 0; i < low->count; i++) {
        bool is_in_both = false;
        for (uint32_t j = 0; j < high->count && !is_in_both; j++) {
            if (high->cubes[j]->bits == low->cubes[i]->bits) {
                cover_remove(high, j);
                is_in_both = true;
            }
        }
        cover_add(result, cube_make(low->cubes[i]->bits & (is_in_both ? all_bits() : literal(variable, 1))));
    }
    for (uint32_t j = 0; j < high->count; j++)
        cover_add(result, cube_make(high->cubes[j]->bits & literal(variable, 2)));
}

// By Shannon's expansion.
static struct cover *complement(const struct cover *cover) {
    struct cover *result = cover_make();
    int variable = splitting_variable(cover);
    if (cover->count == 0) {
        cover_add(result, cube_make(all_bits()));
    } else if (variable >= 0) {
        struct cover *branches[2];
        for (int i = 0; i < 2; i++) {
            struct cover *part = cofactor(cover, literal(variable, (uint64_t)1 << i), NULL);
            branches[i] = complement(part);
            cover_drop(part);
        }
        merge_branches(result, branches[0], branches[1], variable);
        cover_drop(branches[0]);
        cover_drop(branches[1]);
    }
    return result;
}

static bool is_always_true(const struct cover *cover) {
    int variable = splitting_variable(cover);
    if (variable < 0)
        return cover->count > 0;
    bool result = true;
    for (int i = 0; i < 2 && result; i++) {
        struct cover *part = cofactor(cover, literal(variable, (uint64_t)1 << i), NULL);
        result = is_always_true(part);
        cover_drop(part);
    }
    return result;
}

static bool intersects(uint64_t bits, const struct cover *cover) {
    for (uint32_t i = 0; i < cover->count; i++) {
        if (empty_variables(bits & cover->cubes[i]->bits) == 0)
            return true;
    }
    return false;
}

// Each cube without the literals that it can lose and still meet nothing of `off`. Cubes it then contains go.
static struct cover *expanded(const struct cover *cover, const struct cover *off) {
    struct cover *result = cover_make();
    for (uint32_t i = 0; i < cover->count; i++) {
        uint64_t bits = cover->cubes[i]->bits;
        for (uint64_t places = literal_places(bits); places != 0; places &= places - 1) {
            struct cube *raised = cube_make(bits | (uint64_t)3 << __builtin_ctzll(places));
            if (!intersects(raised->bits, off))
                bits = raised->bits;
            free(raised);
        }
        bool is_contained = false;
        for (uint32_t j = 0; j < result->count && !is_contained;) {
            uint64_t other = result->cubes[j]->bits;
            is_contained = (bits & other) == bits;
            if (!is_contained && (bits & other) == other)
                cover_remove(result, j);
            else
                j++;
        }
        if (!is_contained)
            cover_add(result, cube_make(bits));
    }
    return result;
}

static void drop_redundant(struct cover *cover) {
    for (uint32_t i = 0; i < cover->count;) {
        struct cover *rest = cofactor(cover, cover->cubes[i]->bits, cover->cubes[i]);
        if (is_always_true(rest))
            cover_remove(cover, i);
        else
            cover->cubes[i++]->is_essential = 1;
        cover_drop(rest);
    }
}

static struct cover *random_cover(uint64_t *state, uint32_t cube_count) {
    struct cover *cover = cover_make();
    while (cover->count < cube_count) {
        uint64_t bits = all_bits();
        for (int variable = 0; variable < variable_count; variable++) {
            uint32_t choice = random_below(state, 5);
            if (choice < 2)
                bits &= literal(variable, choice + 1);
        }
        cover_add(cover, cube_make(bits));
    }
    return cover;
}

static bool value(const struct cover *cover, uint64_t assignment) {
    for (uint32_t i = 0; i < cover->count; i++) {
        if ((cover->cubes[i]->bits & assignment) == assignment)
            return true;
    }
    return false;
}

// Every assignment: as a cube that has each variable's literal.
static void compare(const struct cover *minimised, const struct cover *original) {
    for (uint32_t number = 0; number < 1u << variable_count; number++) {
        uint64_t assignment = 0;
        for (int variable = 0; variable < variable_count; variable++)
            assignment |= (uint64_t)(1 + (number >> variable & 1)) << (2 * variable);
        if (value(minimised, assignment) != value(original, assignment))
            fail("the minimised function is another one", minimised, number);
    }
    if (minimised->count > original->count)
        fail("the minimised function has more cubes", minimised, minimised->count);
}

static uint64_t minimise_logic(uint64_t operations) {
    uint64_t state = 0x3f84d5b5b5470917;
    timed_part_begin();
    for (int round = 0; blocks_made < operations; round++) {
        variable_count = 8 + round % 4;
        struct cover *original = random_cover(&state, 24 + 8 * (uint32_t)(round % 4));
        struct cover *off = complement(original);
        struct cover *minimised = expanded(original, off);
        drop_redundant(minimised);
        compare(minimised, original);
        cover_drop(original);
        cover_drop(off);
        cover_drop(minimised);
    }
    timed_part_end();
    return blocks_made;
}

const struct workload minimise_workloads[] = {
    {"minimise-logic", "boolean functions as sets of cubes, 16 bytes each: complemented, expanded, made irredundant",
     20000000, false, minimise_logic},
    {0},
};
