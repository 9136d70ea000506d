/* Rows of a PNG: undoing its filters (https://www.w3.org/TR/png-3/#9Filters). */

#ifndef SEGDATA_PNG_H
#define SEGDATA_PNG_H

#include "_pixels.h"
#include "_work.h"

#define ONES 0x0101010101010101u

/* The pixel that ends before `at`, of 1 or 3 bytes, as often as it goes into a word;
   nothing is before the first one. */
static inline uint64_t last_pixel(const unsigned char *row, size_t at, size_t item)
{
    if (at < item)
        return 0;
    if (item == 1)
        return row[at - 1] * ONES;
    uint64_t color = row[at - 3] | (uint64_t)row[at - 2] << 8 | (uint64_t)row[at - 1] << 16;
    return color | color << 24 | color << 48;
}

/* Eight bytes at once of which none differs from its guess, as nearly all of a label
   image; whether it could be done. A filter of averages guesses no such thing. */
static inline int unfilter_word(int filter, const unsigned char *given,
                                const unsigned char *above, unsigned char *out,
                                size_t at, size_t item)
{
    uint64_t word, upper;
    memcpy(&word, given + at, sizeof word);
    memcpy(&upper, above + at, sizeof upper);
    /* Where those above are all alike, the guess of filter 4 is the one to the left. */
    if (word != 0 || filter == 3
        || (filter == 4 && upper != last_pixel(above, at, item)))
        return 0;
    word = filter == 2 ? upper : last_pixel(out, at, item);
    memcpy(out + at, &word, sizeof word);
    return 1;
}

/* What the filter 4 guesses: of left, above and corner that which is nearest to
   left + above - corner. */
static inline unsigned nearest(unsigned left, unsigned above, unsigned corner)
{
    int to_left = (int)above - (int)corner, to_above = (int)left - (int)corner;
    int to_corner = abs(to_left + to_above);
    to_left = abs(to_left);
    to_above = abs(to_above);
    if (to_left <= to_above && to_left <= to_corner)
        return left;
    return to_above <= to_corner ? above : corner;
}

/* One row of pixels of 1 or 3 bytes, after the row above it. */
static inline void unfilter_row(int filter, const unsigned char *given,
                                const unsigned char *above, unsigned char *out,
                                size_t size, size_t item)
{
    for (size_t i = 0; i < size;) {
        size_t end = i + 8;
        if (HAS_WORDS && end <= size
            && unfilter_word(filter, given, above, out, i, item)) {
            i = end;
            continue;
        }
        for (end = end < size ? end : size; i < end; i++) {
            unsigned left = i < item ? 0 : out[i - item];
            unsigned corner = i < item ? 0 : above[i - item];
            unsigned guess = filter == 1 ? left
                             : filter == 2 ? above[i]
                             : filter == 3 ? (left + above[i]) / 2
                                           : nearest(left, above[i], corner);
            out[i] = (unsigned char)(given[i] + guess);
        }
    }
}

/* The same, by a filter that the row names; whether it is known. */
static inline int unfilter_any(const unsigned char *row, const unsigned char *above,
                               unsigned char *out, size_t size, size_t item)
{
    switch (row[0]) {
    case 0: memcpy(out, row + 1, size); return 1;
    case 1: unfilter_row(1, row + 1, above, out, size, item); return 1;
    case 2: unfilter_row(2, row + 1, above, out, size, item); return 1;
    case 3: unfilter_row(3, row + 1, above, out, size, item); return 1;
    case 4: unfilter_row(4, row + 1, above, out, size, item); return 1;
    default: return 0;
    }
}

/* Rows of so many bytes, that begin with their filter -> pixels; whether all filters are
   known. Above the first row all is 0. */
static int unfilter_rows(const unsigned char *rows, size_t height, size_t size,
                         size_t item, const unsigned char *zeros, unsigned char *out)
{
    const unsigned char *above = zeros;
    for (size_t y = 0; y < height; y++, rows += size + 1, out += size) {
        if (!(item == 1 ? unfilter_any(rows, above, out, size, 1)
                        : unfilter_any(rows, above, out, size, 3)))
            return 0;
        above = out;
    }
    return 1;
}

#endif
