/* COCO's counts: of strings, of lists, of row-major runs; and strings of them. */

#ifndef SEGDATA_COUNTS_H
#define SEGDATA_COUNTS_H

#include "_work.h"

#define MOST_DIGITS 7  /* of a number in a string, as segdata.masks.coco has it */

/* A compressed string -> `counts`, as `rleFrString` of COCO's maskApi.c does it: six-bit
   characters from 48, five bits of value, lowest first, and one that says that more
   follow; from the fourth number on each is added to the one two before it. */
static enum Outcome decompress(Work *work, const char *text, size_t length,
                               size_t *num_counts)
{
    work->columns += (int64_t)length;
    if (work->columns > MOST_WORK)
        return LEFT;
    int64_t *counts = room_for(&work->counts, length * sizeof *counts);
    if (counts == NULL)
        return FAILED;
    size_t count = 0;
    for (size_t i = 0; i < length;) {
        uint64_t value = 0;
        unsigned shift = 0, code;
        do {
            code = (unsigned)(unsigned char)text[i++] - 48;
            if (code > 63 || shift == 5 * MOST_DIGITS)
                return LEFT;
            value |= (uint64_t)(code & 31) << shift;
            shift += 5;
        } while (code & 32 && i < length);
        if (code & 32)  /* and no more follow */
            return LEFT;
        if (code & 16)
            value |= ~(uint64_t)0 << shift;
        /* 2^20 numbers of 35 bits: their sum does not wrap around. */
        counts[count] = (int64_t)value + (count > 2 ? counts[count - 2] : 0);
        count++;
    }
    *num_counts = count;
    return DONE;
}

/* Counts as their string; at most 7 characters each, all below 2^33. */
static size_t compress_counts(const int64_t *counts, size_t count, char *text)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t rest = counts[i] - (i > 2 ? counts[i - 2] : 0);
        int is_last;
        do {
            int64_t digit = ((rest % 32) + 32) % 32;
            rest = (rest - digit) / 32;
            is_last = rest == (digit & 16 ? -1 : 0);
            text[length++] = (char)(48 + digit + (is_last ? 0 : 32));
        } while (!is_last);
    }
    return length;
}

/* Column-major counts, which sum to the image's size -> its columns in `sorted`. */
static enum Outcome columns_of_counts(Work *work, const int64_t *counts, size_t length)
{
    int64_t height = work->height, left = work->height * work->width;
    int64_t column = 0, row = 0;  /* where the next run begins */
    if (length > MOST_WORK)
        return LEFT;
    /* Two ends of each run, and two where it goes on in the next column. */
    size_t most = length + 1 + 2 * (size_t)work->width;
    int32_t *sorted = room_for(&work->sorted, most * sizeof *sorted);
    int32_t *starts =
        room_for(&work->starts, ((size_t)work->width + 1) * sizeof *starts);
    if (sorted == NULL || starts == NULL)
        return FAILED;
    int32_t first = 0, columns = 0;
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        int64_t count = counts[i];
        if (count < 0 || count > left)
            return LEFT;
        left -= count;
        if (i % 2 == 0) {
            row += count;
            if (row >= 2 * height) {
                column += row / height;
                row %= height;
            } else if (row >= height) {
                column++;
                row -= height;
            }
            continue;
        }
        while (count > 0) {
            int64_t end = row + count < height ? row + count : height;
            if (columns == 0)
                first = (int32_t)column;
            while (first + columns <= column)
                starts[columns++] = (int32_t)used;
            sorted[used++] = (int32_t)row;
            sorted[used++] = (int32_t)end;
            count -= end - row;
            row = end;
            if (row == height) {
                column++;
                row = 0;
            }
        }
    }
    starts[columns] = (int32_t)used;
    work->first = first;
    work->num_columns = columns;
    work->num_ends = used;
    return left ? LEFT : DONE;
}

#endif
