// A simulation of bodies that attract each other, by a tree: each step builds an octree over all bodies, one block a
// cell (112 bytes) and one a body in it (48 bytes), walks it for each body to a list of what acts on it (blocks of
// 512 bytes), and drops the tree. So tens of thousands of blocks live through a step, and all die at its end. An
// operation is one block's life.
//
// It checks itself: every body is found in the tree, the root has the mass of all, and at the end the forces are near
// those of a direct summation. (As *barnes* of the field's suites; the method is Barnes' and Hut's, 1986; the code is
// ours.)

#include "blocks.h"

enum { body_count = 4000, list_count = 63, largest_depth = 40 };

// A far cell acts as one body if its width is below this part of its distance.
static const double opening = 0.9;
static const double softening_squared = 1e-4;

struct vector {
    double x, y, z;
};

struct body {
    struct vector position, velocity, acceleration;
    double mass;
};

// A cell or a leaf: a leaf has no children, and is allocated without them.
struct node {
    struct vector center; // of mass
    double mass;
    double width;
    const struct body *body; // of a leaf
    struct node *children[]; // eight, of a cell
};

enum { cell_size = sizeof(struct node) + 8 * sizeof(struct node *) };

struct list {
    struct list *next;
    const struct node *nodes[list_count];
};

static uint64_t blocks_made;

static void *checked(void *pointer, size_t size) {
    if (pointer == NULL)
        fail("malloc failed", NULL, size);
    escape(pointer);
    blocks_made++;
    return pointer;
}

static struct node *cell_make(double width) {
    struct node *cell = checked(calloc(1, cell_size), cell_size);
    cell->width = width;
    return cell;
}

static struct node *leaf_make(const struct body *body) {
    struct node *leaf = checked(malloc(sizeof *leaf), sizeof *leaf);
    leaf->center = body->position;
    leaf->mass = body->mass;
    leaf->width = 0;
    leaf->body = body;
    return leaf;
}

static int octant(struct vector position, struct vector middle) {
    return (position.x >= middle.x) | (position.y >= middle.y) << 1 | (position.z >= middle.z) << 2;
}

static struct vector middle_of_octant(struct vector middle, double width, int octant) {
    double quarter = width / 4;
    middle.x += octant & 1 ? quarter : -quarter;
    middle.y += octant & 2 ? quarter : -quarter;
    middle.z += octant & 4 ? quarter : -quarter;
    return middle;
}

static void tree_add(struct node *cell, struct vector middle, struct node *leaf) {
    for (int depth = 0; depth < largest_depth; depth++) {
        int chosen = octant(leaf->center, middle);
        struct node *child = cell->children[chosen];
        if (child == NULL) {
            cell->children[chosen] = leaf;
            return;
        }
        middle = middle_of_octant(middle, cell->width, chosen);
        if (child->body != NULL) {
            struct node *between = cell_make(cell->width / 2);
            between->children[octant(child->center, middle)] = child;
            cell->children[chosen] = between;
            child = between;
        }
        cell = child;
    }
    fail("two bodies in one place", leaf, 0);
}

// Masses and their centers, from the leaves up. Returns how many bodies there are.
static uint32_t tree_sum(struct node *node) {
    if (node->body != NULL)
        return 1;
    uint32_t count = 0;
    for (int i = 0; i < 8; i++) {
        struct node *child = node->children[i];
        if (child == NULL)
            continue;
        count += tree_sum(child);
        node->mass += child->mass;
        node->center.x += child->center.x * child->mass;
        node->center.y += child->center.y * child->mass;
        node->center.z += child->center.z * child->mass;
    }
    node->center.x /= node->mass;
    node->center.y /= node->mass;
    node->center.z /= node->mass;
    return count;
}

static void tree_drop(struct node *node) {
    if (node->body == NULL) {
        for (int i = 0; i < 8; i++) {
            if (node->children[i] != NULL)
                tree_drop(node->children[i]);
        }
    }
    free(node);
}

static struct node *tree_make(const struct body *bodies) {
    double reach = 0;
    for (int i = 0; i < body_count; i++) {
        const double coordinates[] = {bodies[i].position.x, bodies[i].position.y, bodies[i].position.z};
        for (int j = 0; j < 3; j++) {
            double distance = __builtin_fabs(coordinates[j]);
            reach = distance > reach ? distance : reach;
        }
    }
    struct node *root = cell_make(2.001 * reach);
    for (int i = 0; i < body_count; i++)
        tree_add(root, (struct vector){0, 0, 0}, leaf_make(&bodies[i]));
    // Masses are powers of two: their sum is exact.
    if (tree_sum(root) != body_count || root->mass != 1.5 * body_count)
        fail("the tree lost bodies", root, 0);
    return root;
}

static double distance_squared(struct vector a, struct vector b) {
    double x = a.x - b.x, y = a.y - b.y, z = a.z - b.z;
    return x * x + y * y + z * z;
}

static void attract(struct vector *acceleration, struct vector at, struct vector by, double mass) {
    double squared = distance_squared(at, by) + softening_squared;
    double factor = mass / (squared * __builtin_sqrt(squared));
    acceleration->x += (by.x - at.x) * factor;
    acceleration->y += (by.y - at.y) * factor;
    acceleration->z += (by.z - at.z) * factor;
}

// Adds what acts on a body from a node on to the list, whose first block has `used` entries.
static void gather(const struct node *node, const struct body *body, struct list **list, int *used) {
    if (node->body == body)
        return;
    double far = opening * opening * distance_squared(node->center, body->position);
    if (node->body == NULL && node->width * node->width >= far) {
        for (int i = 0; i < 8; i++) {
            if (node->children[i] != NULL)
                gather(node->children[i], body, list, used);
        }
        return;
    }
    if (*list == NULL || *used == list_count) {
        struct list *longer = checked(malloc(sizeof *longer), sizeof *longer);
        longer->next = *list;
        *list = longer;
        *used = 0;
    }
    (*list)->nodes[(*used)++] = node;
}

static struct vector acceleration_by_tree(const struct node *root, const struct body *body) {
    struct vector result = {0, 0, 0};
    struct list *list = NULL;
    int used = 0;
    gather(root, body, &list, &used);
    while (list != NULL) {
        struct list *next = list->next;
        for (int i = 0; i < used; i++)
            attract(&result, body->position, list->nodes[i]->center, list->nodes[i]->mass);
        used = list_count;
        free(list);
        list = next;
    }
    return result;
}

static void compare_with_direct_sum(const struct node *root, const struct body *bodies) {
    double difference = 0, size = 0;
    for (int i = 0; i < body_count; i += body_count / 100) {
        struct vector direct = {0, 0, 0}, by_tree = acceleration_by_tree(root, &bodies[i]);
        for (int j = 0; j < body_count; j++) {
            if (j != i)
                attract(&direct, bodies[i].position, bodies[j].position, bodies[j].mass);
        }
        difference += distance_squared(direct, by_tree);
        size += distance_squared(direct, (struct vector){0, 0, 0});
    }
    if (!(difference < 0.01 * size))
        fail("forces by the tree are not those of a direct sum", root, 0);
}

static double random_coordinate(uint64_t *state) {
    return (double)(random_next(state) >> 11) / (double)(UINT64_C(1) << 52) - 1;
}

static uint64_t nbody_tree(uint64_t operations) {
    const double step = 1e-4;
    uint64_t state = 0x9216d5d98979fb1b;
    struct body *bodies = table_make(body_count, sizeof *bodies);
    for (int i = 0; i < body_count; i++) {
        // Denser towards the middle.
        double x = random_coordinate(&state), y = random_coordinate(&state), z = random_coordinate(&state);
        double scale = __builtin_fabs(random_coordinate(&state));
        bodies[i].position = (struct vector){x * scale, y * scale, z * scale};
        bodies[i].mass = i % 2 == 0 ? 1 : 2;
    }

    timed_part_begin();
    bool is_first = true;
    while (is_first || blocks_made < operations) {
        struct node *root = tree_make(bodies);
        // Every eighth body's force is computed anew in each step, the others keep theirs.
        for (int i = is_first ? 0 : (int)random_below(&state, 8); i < body_count; i += is_first ? 1 : 8)
            bodies[i].acceleration = acceleration_by_tree(root, &bodies[i]);
        is_first = false;
        for (int i = 0; i < body_count; i++) {
            struct body *body = &bodies[i];
            body->velocity.x += body->acceleration.x * step;
            body->velocity.y += body->acceleration.y * step;
            body->velocity.z += body->acceleration.z * step;
            body->position.x += body->velocity.x * step;
            body->position.y += body->velocity.y * step;
            body->position.z += body->velocity.z * step;
        }
        tree_drop(root);
    }
    timed_part_end();
    struct node *root = tree_make(bodies);
    compare_with_direct_sum(root, bodies);
    tree_drop(root);
    return blocks_made;
}

const struct workload nbody_workloads[] = {
    {"nbody-tree", "4,000 bodies, and an octree over them built anew each step: cells of 112 bytes, leaves, lists",
     2000000, false, nbody_tree},
    {0},
};
