/* Rows of a PNG: undoing its filters (https://www.w3.org/TR/png-3/#9Filters). */

#ifndef SEGDATA_PNG_H
#define SEGDATA_PNG_H

#include "_work.h"

#define ONES 0x0101010101010101u

/* Eight samples at once of which none differs from its guess, as nearly all of a label
   image; whether it could be done. A filter of averages guesses no such thing. */
static inline int unfilter_word(int filter, const unsigned char *given,
                                const unsigned char *above, unsigned char *out,
                                unsigned left, unsigned corner)
{
    uint64_t word, upper;
    memcpy(&word, given, sizeof word);
    memcpy(&upper, above, sizeof upper);
    /* Where those above are all alike, the guess of filter 4 is the one to the left. */
    if (word != 0 || filter == 3 || (filter == 4 && upper != corner * ONES))
        return 0;
    word = filter == 2 ? upper : left * ONES;
    memcpy(out, &word, sizeof word);
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

/* One row of samples of a byte, after the row above it. */
static inline void unfilter_row(int filter, const unsigned char *given,
                                const unsigned char *above, unsigned char *out,
                                size_t width)
{
    unsigned left = 0, corner = 0;
    for (size_t i = 0; i < width;) {
        size_t end = i + 8;
        if (end <= width
            && unfilter_word(filter, given + i, above + i, out + i, left, corner)) {
            i = end;
        } else {
            for (end = end < width ? end : width; i < end; i++) {
                unsigned guess = filter == 1 ? left
                                 : filter == 2 ? above[i]
                                 : filter == 3 ? (left + above[i]) / 2
                                               : nearest(left, above[i], corner);
                left = (given[i] + guess) & 255;
                corner = above[i];
                out[i] = (unsigned char)left;
            }
        }
        left = out[i - 1];
        corner = above[i - 1];
    }
}

/* Rows that begin with their filter -> pixels; whether all filters are known. Above the
   first row all is 0. */
static int unfilter_rows(const unsigned char *rows, size_t height, size_t width,
                         const unsigned char *zeros, unsigned char *out)
{
    const unsigned char *above = zeros;
    for (size_t y = 0; y < height; y++, rows += width + 1, out += width) {
        switch (rows[0]) {
        case 0: memcpy(out, rows + 1, width); break;
        case 1: unfilter_row(1, rows + 1, above, out, width); break;
        case 2: unfilter_row(2, rows + 1, above, out, width); break;
        case 3: unfilter_row(3, rows + 1, above, out, width); break;
        case 4: unfilter_row(4, rows + 1, above, out, width); break;
        default: return 0;
        }
        above = out;
    }
    return 1;
}

#endif
