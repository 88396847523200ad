// A program that computes with big integers: products of four primes are factorised by Pollard's rho in Brent's form.
// Numbers are immutable; each sum, product and remainder is a block of its own, of 8-64 bytes, most of which die a few
// lines later. An operation is one such block's life, its share of the arithmetic included.
//
// It checks itself: the primes that come out must be those that went in. (As *cfrac* of the field's suites, which
// factorises by continued fractions; the code is ours.)

#include "blocks.h"

// Little-endian, without leading zeros; zero has no limbs.
struct number {
    uint32_t length;
    uint32_t limbs[];
};

static uint64_t blocks_made;

static struct number *number_make(uint32_t length) {
    struct number *number = malloc(sizeof *number + length * sizeof number->limbs[0]);
    if (number == NULL)
        fail("malloc failed", NULL, length);
    escape(number);
    blocks_made++;
    number->length = length;
    return number;
}

static void number_drop(struct number *number) {
    free(number);
}

// Puts a result in the place of a number that is not needed any more.
static void number_assign(struct number **place, struct number *value) {
    number_drop(*place);
    *place = value;
}

static struct number *trimmed(struct number *number) {
    while (number->length > 0 && number->limbs[number->length - 1] == 0)
        number->length--;
    return number;
}

static struct number *number_from(uint32_t value) {
    struct number *number = number_make(1);
    number->limbs[0] = value;
    return trimmed(number);
}

static struct number *number_copy(const struct number *number) {
    struct number *copy = number_make(number->length);
    memcpy(copy->limbs, number->limbs, number->length * sizeof number->limbs[0]);
    return copy;
}

static int number_compare(const struct number *a, const struct number *b) {
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    for (uint32_t i = a->length; i-- > 0;) {
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    }
    return 0;
}

static bool is_one(const struct number *number) {
    return number->length == 1 && number->limbs[0] == 1;
}

static struct number *sum(const struct number *a, uint32_t b) {
    struct number *result = number_make(a->length + 1);
    uint64_t carry = b;
    for (uint32_t i = 0; i < a->length; i++) {
        carry += a->limbs[i];
        result->limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    result->limbs[a->length] = (uint32_t)carry;
    return trimmed(result);
}

static struct number *distance(const struct number *a, const struct number *b) {
    const struct number *large = number_compare(a, b) < 0 ? b : a, *small = large == a ? b : a;
    struct number *result = number_make(large->length);
    int64_t borrow = 0;
    for (uint32_t i = 0; i < large->length; i++) {
        borrow += (int64_t)large->limbs[i] - (i < small->length ? small->limbs[i] : 0);
        result->limbs[i] = (uint32_t)borrow;
        borrow >>= 32;
    }
    return trimmed(result);
}

static struct number *product(const struct number *a, const struct number *b) {
    struct number *result = number_make(a->length + b->length);
    memset(result->limbs, 0, result->length * sizeof result->limbs[0]);
    for (uint32_t i = 0; i < a->length; i++) {
        uint64_t carry = 0;
        for (uint32_t j = 0; j < b->length; j++) {
            carry += (uint64_t)a->limbs[i] * b->limbs[j] + result->limbs[i + j];
            result->limbs[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        result->limbs[i + b->length] = (uint32_t)carry;
    }
    return trimmed(result);
}

static struct number *shifted_left(const struct number *number, int shift) {
    struct number *result = number_make(number->length + 1);
    uint64_t carry = 0;
    for (uint32_t i = 0; i < number->length; i++) {
        carry |= (uint64_t)number->limbs[i] << shift;
        result->limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    result->limbs[number->length] = (uint32_t)carry;
    return result;
}

// Long division, limb by limb, from estimates by the upper limbs (Knuth, The Art of Computer Programming, 4.3.1 D).
// The remainder is returned; the quotient too if it is asked for. `divisor` is not zero.
static struct number *remainder_of(const struct number *number, const struct number *divisor,
                                   struct number **quotient) {
    if (number_compare(number, divisor) < 0) {
        if (quotient != NULL)
            *quotient = number_make(0);
        return number_copy(number);
    }
    int shift = __builtin_clz(divisor->limbs[divisor->length - 1]);
    struct number *rest = shifted_left(number, shift), *by = shifted_left(divisor, shift);
    uint32_t by_length = divisor->length, steps = number->length - by_length + 1;
    struct number *digits = quotient != NULL ? number_make(steps) : NULL;
    uint64_t top = by->limbs[by_length - 1], second = by_length > 1 ? by->limbs[by_length - 2] : 0;
    for (uint32_t j = steps; j-- > 0;) {
        uint32_t *limbs = rest->limbs + j;
        uint64_t upper = (uint64_t)limbs[by_length] << 32 | limbs[by_length - 1];
        uint64_t digit = upper / top, left = upper % top;
        uint64_t below = by_length > 1 ? limbs[by_length - 2] : 0;
        while (digit >> 32 != 0 || digit * second > (left << 32 | below)) {
            digit--;
            left += top;
            if (left >> 32 != 0)
                break;
        }
        int64_t borrow = 0;
        uint64_t carry = 0;
        for (uint32_t i = 0; i < by_length; i++) {
            carry += digit * by->limbs[i];
            borrow += (int64_t)limbs[i] - (uint32_t)carry;
            limbs[i] = (uint32_t)borrow;
            carry >>= 32;
            borrow >>= 32;
        }
        borrow += (int64_t)limbs[by_length] - (int64_t)carry;
        limbs[by_length] = (uint32_t)borrow;
        if (borrow < 0) { // the estimate was one too high
            digit--;
            carry = 0;
            for (uint32_t i = 0; i < by_length; i++) {
                carry += (uint64_t)limbs[i] + by->limbs[i];
                limbs[i] = (uint32_t)carry;
                carry >>= 32;
            }
            limbs[by_length] += (uint32_t)carry;
        }
        if (digits != NULL)
            digits->limbs[j] = (uint32_t)digit;
    }
    struct number *result = number_make(by_length);
    for (uint32_t i = 0; i < by_length; i++)
        result->limbs[i] = (uint32_t)(((uint64_t)rest->limbs[i + 1] << 32 | rest->limbs[i]) >> shift);
    number_drop(rest);
    number_drop(by);
    if (digits != NULL)
        *quotient = trimmed(digits);
    return trimmed(result);
}

static struct number *product_modulo(const struct number *a, const struct number *b, const struct number *modulus) {
    struct number *full = product(a, b);
    struct number *result = remainder_of(full, modulus, NULL);
    number_drop(full);
    return result;
}

static struct number *greatest_common_divisor(const struct number *a, const struct number *b) {
    struct number *x = number_copy(a), *y = number_copy(b);
    while (y->length > 0) {
        struct number *rest = remainder_of(x, y, NULL);
        number_drop(x);
        x = y;
        y = rest;
    }
    number_drop(y);
    return x;
}

// The next number of the sequence: x² + c.
static struct number *next_of(const struct number *x, uint32_t c, const struct number *modulus) {
    struct number *square = product(x, x), *plus = sum(square, c);
    struct number *result = remainder_of(plus, modulus, NULL);
    number_drop(square);
    number_drop(plus);
    return result;
}

// A proper divisor of a number that has one; NULL where this sequence finds none.
static struct number *divisor_by_rho(const struct number *number, uint32_t c) {
    enum { steps_per_gcd = 32 };
    struct number *hare = number_from(2), *tortoise = number_from(2), *factor = number_from(1);
    for (uint64_t power = 1; is_one(factor) && power < 1 << 20; power *= 2) {
        number_assign(&tortoise, number_copy(hare));
        for (uint64_t done = 0; done < power && is_one(factor);) {
            struct number *start = number_copy(hare), *differences = number_from(1);
            uint64_t steps = power - done < steps_per_gcd ? power - done : steps_per_gcd;
            for (uint64_t i = 0; i < steps; i++) {
                number_assign(&hare, next_of(hare, c, number));
                struct number *difference = distance(tortoise, hare);
                number_assign(&differences, product_modulo(differences, difference, number));
                number_drop(difference);
            }
            number_assign(&factor, greatest_common_divisor(differences, number));
            if (number_compare(factor, number) == 0) { // several at once: the same steps one by one
                number_assign(&hare, number_copy(start));
                do {
                    number_assign(&hare, next_of(hare, c, number));
                    struct number *difference = distance(tortoise, hare);
                    number_assign(&factor, greatest_common_divisor(difference, number));
                    number_drop(difference);
                } while (is_one(factor));
            }
            number_drop(start);
            number_drop(differences);
            done += steps;
        }
    }
    number_drop(hare);
    number_drop(tortoise);
    if (is_one(factor) || number_compare(factor, number) == 0) {
        number_drop(factor);
        return NULL;
    }
    return factor;
}

enum { prime_count = 64, primes_per_number = 4 };
static uint32_t primes[prime_count];

static bool is_known_prime(const struct number *number) {
    for (int i = 0; i < prime_count; i++) {
        if (number->length == 1 && number->limbs[0] == primes[i])
            return true;
    }
    return false;
}

// Splits a number until all that is left is primes; returns their sum. Consumes the number.
static uint64_t sum_of_factors(struct number *number) {
    if (is_known_prime(number)) {
        uint64_t prime = number->limbs[0];
        number_drop(number);
        return prime;
    }
    struct number *divisor = NULL, *quotient = NULL;
    for (uint32_t c = 1; divisor == NULL; c++) {
        if (c == 100)
            fail("no factor was found: arithmetic went wrong", number, number->length);
        divisor = divisor_by_rho(number, c);
    }
    struct number *rest = remainder_of(number, divisor, &quotient);
    if (rest->length != 0)
        fail("a divisor does not divide", divisor, divisor->length);
    number_drop(rest);
    number_drop(number);
    return sum_of_factors(divisor) + sum_of_factors(quotient);
}

static bool is_prime(uint32_t candidate) {
    for (uint32_t divisor = 3; divisor * divisor <= candidate; divisor += 2) {
        if (candidate % divisor == 0)
            return false;
    }
    return candidate % 2 != 0;
}

// Different primes of 16-24 bits.
static void choose_primes(uint64_t *state) {
    for (int i = 0; i < prime_count; i++) {
        uint32_t candidate = (1u << (16 + i / 8)) + random_below(state, 1u << (14 + i / 8));
        while (!is_prime(candidate) || (i > 0 && candidate == primes[i - 1]))
            candidate++;
        primes[i] = candidate;
    }
}

static uint64_t factorise(uint64_t operations) {
    uint64_t state = 0xc0ac29b7c97c50dd;
    choose_primes(&state);

    timed_part_begin();
    while (blocks_made < operations) {
        struct number *number = number_from(1);
        uint64_t expected = 0;
        for (int i = 0; i < primes_per_number; i++) {
            // One of each quarter of the table, so that they differ.
            uint32_t prime = primes[i * (prime_count / primes_per_number) + random_below(&state, prime_count / 4)];
            struct number *factor = number_from(prime);
            number_assign(&number, product(number, factor));
            number_drop(factor);
            expected += prime;
        }
        if (sum_of_factors(number) != expected)
            fail("the factors are wrong", NULL, 0);
    }
    timed_part_end();
    return blocks_made;
}

const struct workload factorise_workloads[] = {
    {"factorise", "big integers, each result a block of its own: products of four primes are factorised", 24000000,
     false, factorise},
    {0},
};
