/* Dense masks and label maps: where one run ends and the next begins. */

#ifndef SEGDATA_PIXELS_H
#define SEGDATA_PIXELS_H

#include "_work.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK 64  /* bytes: one for each bit of a word */
#define AT_ONCE (4 * BLOCK)

#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HAS_WORDS 1  /* else pixel by pixel: slower, the same runs */

typedef uint64_t Lanes __attribute__((vector_size(32)));

static inline uint64_t load(const unsigned char *pixels)
{
    uint64_t word;
    memcpy(&word, pixels, sizeof word);
    return word;
}

/* Whether `length` bytes are all as in `pattern`. */
static inline __attribute__((always_inline)) int is_same(const unsigned char *pixels,
                                                         int length, uint64_t pattern)
{
    const Lanes same = {pattern, pattern, pattern, pattern};
    Lanes differs = {0, 0, 0, 0}, lanes;
    for (int i = 0; i < length; i += (int)sizeof lanes) {
        memcpy(&lanes, pixels + i, sizeof lanes);
        differs |= lanes ^ same;
    }
    return (differs[0] | differs[1] | differs[2] | differs[3]) == 0;
}

/* Goes on from `at` over bytes that are as in `pattern`, many at a time. */
static inline __attribute__((always_inline)) size_t skip_blocks(
    const unsigned char *pixels, size_t at, size_t size, uint64_t pattern)
{
    while (at + AT_ONCE <= size && is_same(pixels + at, AT_ONCE, pattern))
        at += AT_ONCE;
    return at;
}

static size_t skip_plainly(const unsigned char *pixels, size_t at, size_t size,
                           uint64_t pattern)
{
    return skip_blocks(pixels, at, size, pattern);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static size_t skip_wide(
    const unsigned char *pixels, size_t at, size_t size, uint64_t pattern)
{
    return skip_blocks(pixels, at, size, pattern);
}
#define SKIP (__builtin_cpu_supports("avx2") ? skip_wide : skip_plainly)
#else
#define SKIP skip_plainly
#endif

/* Each byte that is not 0 becomes 1. */
static inline uint64_t zero_or_one(uint64_t word)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7f;
    return ((((word & low) + low) | word) & ~low) >> 7;
}

/* A bit for each byte of a block that is not as in another one, lowest first. */
static inline uint64_t differing_bytes(const unsigned char *pixels,
                                       const unsigned char *other)
{
    uint64_t bits = 0;
#ifdef __SSE2__
    for (int i = 0; i < BLOCK; i += 16) {
        __m128i these = _mm_loadu_si128((const __m128i *)(pixels + i));
        __m128i those = _mm_loadu_si128((const __m128i *)(other + i));
        int same = _mm_movemask_epi8(_mm_cmpeq_epi8(these, those));
        bits |= (uint64_t)(same ^ 0xffff) << i;
    }
#else
    for (int i = 0; i < BLOCK; i += 8) {
        uint64_t differs = zero_or_one(load(pixels + i) ^ load(other + i));
        bits |= (differs * 0x0102040810204080 >> 56) << i;
    }
#endif
    return bits;
}

/* A bit for each byte of a block where a run begins. `before` is the last item. */
static inline uint64_t turns_of_block(const unsigned char *pixels, int is_mask,
                                      uint64_t *before)
{
    static const unsigned char ZEROS[BLOCK];
    if (!is_mask) {
        *before = pixels[BLOCK - 1];
        return differing_bytes(pixels, pixels - 1);
    }
    uint64_t bits = differing_bytes(pixels, ZEROS);
    uint64_t turns = bits ^ (bits << 1 | *before);
    *before = bits >> 63;
    return turns;
}
#else
#define HAS_WORDS 0
#define differing_bytes(pixels, other) 0  /* never asked for */
#endif

/* Where items of 1, 2, 4 or 8 bytes differ from the one before them, in items, in
   `found`. Of a mask only 0 and not 0 differ, and before its first item is a 0. */
static inline enum Outcome find_changes(Work *work, const unsigned char *pixels,
                                        size_t size, size_t item, int is_mask,
                                        size_t *num_found)
{
    int64_t *found = room_for(&work->found, 16 * sizeof *found);
    size_t at = 0, count = 0;
    if (found == NULL)
        return FAILED;
#if HAS_WORDS
    const unsigned bits = 8 * (unsigned)item;
    const uint64_t whole = item == 8 ? ~(uint64_t)0 : ((uint64_t)1 << bits) - 1;
    size_t (*skip)(const unsigned char *, size_t, size_t, uint64_t) = SKIP;
    uint64_t before = 0, pattern = 0;
    if (size >= 8 && !is_mask)
        before = load(pixels) & whole;
    while (at + 8 <= size) {
        if (at)  /* the last item, as often as it goes into a word */
            pattern = (load(pixels + at - 8) >> (64 - bits)) * (~(uint64_t)0 / whole);
        at = skip(pixels, at, size, pattern);
        found = room_for(&work->found, (count + AT_ONCE + 1) * sizeof *found);
        if (found == NULL)
            return FAILED;
        size_t stop = at + AT_ONCE < size ? at + AT_ONCE : size;
        while (item == 1 && (at || is_mask) && at + BLOCK <= stop) {
            uint64_t places = turns_of_block(pixels + at, is_mask, &before);
            for (; places; places &= places - 1)
                found[count++] = (int64_t)at + __builtin_ctzll(places);
            at += BLOCK;
        }
        for (; at + 8 <= stop; at += 8) {
            uint64_t word = load(pixels + at);
            if (is_mask)
                word = zero_or_one(word);
            uint64_t turns = word ^ (item == 8 ? before : word << (bits & 63) | before);
            before = word >> (64 - bits);
            while (turns) {
                unsigned place = (unsigned)__builtin_ctzll(turns) / bits;
                found[count++] = (int64_t)(at / item + place);
                turns &= ~(whole << place * bits);
            }
        }
        if (count > MOST_WORK)
            return LEFT;
    }
#endif
    for (; at < size; at += item) {
        const unsigned char *last = pixels + at - item;
        int is_change = is_mask ? (pixels[at] != 0) != (at && *last)
                                : at && memcmp(pixels + at, last, item);
        if (is_change)
            found[count++] = (int64_t)(at / item);
        if (count > MOST_WORK)
            return LEFT;
        found = room_for(&work->found, (count + 16) * sizeof *found);
        if (found == NULL)
            return FAILED;
    }
    *num_found = count;
    return DONE;
}

/* Where colours of 3 bytes differ from the one before them, in colours, in `found`. */
static enum Outcome find_color_changes(Work *work, const unsigned char *pixels,
                                       size_t size, size_t *num_found)
{
    int64_t *found = room_for(&work->found, sizeof *found);
    size_t at = 3, count = 0;
    if (found == NULL)
        return FAILED;
    while (at < size) {
        size_t length = size - at < BLOCK ? size - at : BLOCK;
        uint64_t bits = 0;
        found = room_for(&work->found, (count + BLOCK) * sizeof *found);
        if (found == NULL)
            return FAILED;
        if (HAS_WORDS && length == BLOCK)
            bits = differing_bytes(pixels + at, pixels + at - 3);
        else
            for (size_t i = 0; i < length; i++)
                bits |= (uint64_t)(pixels[at + i] != pixels[at + i - 3]) << i;
        for (size_t i = at; bits; i++, bits >>= 1) {
            int64_t place = (int64_t)(i / 3);
            if (bits & 1 && !(count && found[count - 1] == place))
                found[count++] = place;
        }
        if (count > MOST_WORK)
            return LEFT;
        at += length;
    }
    *num_found = count;
    return DONE;
}

/* Whether runs are valid; writes their mask, 0 and 1, if there are pixels to. */
static int decode_mask(const int64_t *runs, size_t count, unsigned char *pixels,
                       int64_t size)
{
    int64_t left = size;
    for (size_t i = 0; i < count; i++) {
        if (runs[i] < 0 || runs[i] > left)
            return 0;
        left -= runs[i];
        if (pixels != NULL) {
            memset(pixels, i % 2, (size_t)runs[i]);
            pixels += runs[i];
        }
    }
    return left == 0 && count % 2 == 0;
}

#endif
