/* Ends of vertical runs, column after column -> row-major runs. */

#ifndef SEGDATA_TRANSPOSE_H
#define SEGDATA_TRANSPOSE_H

#include "_work.h"

static inline int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

static inline int32_t most(int32_t a, int32_t b) { return a < b ? b : a; }

/* Rows where two columns differ, `count` numbers in pairs: `one` and `other` merged,
   `shift` added to the rows of `one`, cut at `height`; twice the same is nothing. */
static size_t differing(const int32_t *one, size_t num_one, int32_t shift,
                        const int32_t *other, size_t num_other, int32_t height,
                        int32_t *merged)
{
    size_t i = 0, j = 0, count = 0;
    while (i < num_one || j < num_other) {
        int32_t row;
        if (j == num_other || (i < num_one && one[i] + shift <= other[j]))
            row = one[i++] + shift;
        else
            row = other[j++];
        row = row < height ? row : height;
        if (count && merged[count - 1] == row)
            count--;
        else
            merged[count++] = row;
    }
    return count;
}

/* Rows where column `i` of an object differs from its left neighbour; their number is
   put before them. */
static size_t list_rows(const Work *work, int32_t i, int wraps, int32_t *list)
{
    const int32_t *starts = work->starts.data, *sorted = work->sorted.data;
    int32_t last = work->num_columns - 1, left = i - 1, shift = 0;
    size_t num_one = 0, num_other = 0;
    if (i <= 0 && wraps && (i < 0 || work->first == 0)) {
        left = last;
        shift = 1;
    }
    if (left >= 0)
        num_one = (size_t)(starts[left + 1] - starts[left]);
    if (i >= 0 && i <= last)
        num_other = (size_t)(starts[i + 1] - starts[i]);
    const int32_t *one = num_one ? sorted + starts[left] : NULL;
    const int32_t *other = num_other ? sorted + starts[i] : NULL;
    if (num_one == 2 && num_other == 2 && !shift) {
        /* By far the most frequent, and where a guess of the processor often fails. */
        int32_t low = most(one[0], other[0]), high = least(one[1], other[1]);
        list[0] = 4;
        list[1] = least(one[0], other[0]);
        list[2] = least(low, high);
        list[3] = most(low, high);
        list[4] = most(one[1], other[1]);
        return 4;
    }
    size_t count = differing(one, num_one, shift, other, num_other,
                             (int32_t)work->height, list + 1);
    list[0] = (int32_t)count;
    return count;
}

/* Puts the boundaries of all columns, which `lists` tells, in the order of rows: as
   many as there are in each row are counted already, from row `low` to row `high`. */
static void sort_boundaries(Work *work, int32_t begin_column, int32_t end_column,
                            int32_t low, int32_t high)
{
    int32_t *of_row = work->of_row.data, open = 0, begin = 0;
    for (int32_t row = low; row <= high; row++) {
        open += of_row[row];
        of_row[row] = begin;
        begin += open;
    }
    int64_t *found = work->found.data, width = work->width;
    const int32_t *list = work->lists.data;
    for (int32_t i = begin_column; i < end_column; i++) {
        int64_t column = i < 0 ? 0 : work->first + i;
        for (int32_t k = 1; k + 1 <= list[0]; k += 2)
            for (int32_t row = list[k]; row < list[k + 1]; row++)
                found[of_row[row]++] = row * width + column;
        list += list[0] + 1;
    }
}

/* The object in `sorted` -> its boundaries along rows in `found`, ascending.

   A run along the rows begins or ends where a pixel differs from its left neighbour;
   that of the first column is the last one of the row above. So the ends of vertical
   runs in two neighbouring columns, merged and taken in pairs, are the rows with a
   boundary between them. */
static enum Outcome find_boundaries(Work *work, size_t *num_found)
{
    int32_t columns = work->num_columns, height = (int32_t)work->height;
    *num_found = 0;
    if (columns == 0)
        return DONE;
    const int32_t *sorted = work->sorted.data;
    int32_t low = sorted[0], high = sorted[0];
    for (size_t i = 1; i < work->num_ends; i++) {
        low = sorted[i] < low ? sorted[i] : low;
        high = sorted[i] > high ? sorted[i] : high;
    }
    high = high < height ? high + 1 : height;
    int32_t *of_row = room_for(&work->of_row, ((size_t)height + 1) * sizeof *of_row);
    /* Per column its number of ends, then they themselves; two columns each time. */
    int32_t *lists = room_for(
        &work->lists,
        (2 * work->num_ends + (size_t)columns + 2) * sizeof *lists);
    if (of_row == NULL || lists == NULL)
        return FAILED;
    memset(of_row + low, 0, (size_t)(high - low + 1) * sizeof *of_row);
    /* Onto the next row's first pixel, from the first column of the image on. */
    int wraps = work->first + columns == work->width;
    int32_t begin = wraps && work->first > 0 ? -1 : 0, end = columns + !wraps;
    int64_t total = 0;
    int32_t *list = lists;
    for (int32_t i = begin; i < end; i++) {
        size_t count = list_rows(work, i, wraps, list);
        for (size_t k = 1; k + 1 <= count; k += 2) {
            of_row[list[k]]++;
            of_row[list[k + 1]]--;
            total += list[k + 1] - list[k];
        }
        list += count + 1;
    }
    work->rows += total;
    if (work->rows > MOST_WORK)
        return LEFT;
    if (room_for(&work->found, (size_t)total * sizeof(int64_t)) == NULL)
        return FAILED;
    sort_boundaries(work, begin, end, low, high);
    *num_found = (size_t)total;
    return DONE;
}

/* Appends the even number of runs between the boundaries. */
static int append_runs(Work *work, size_t num_found, int64_t *num_own)
{
    size_t own = num_found + 1 + (num_found % 2 == 0);
    int64_t *runs =
        room_for(&work->runs, (work->num_runs + own) * sizeof *runs);
    if (runs == NULL)
        return -1;
    runs += work->num_runs;
    const int64_t *found = work->found.data;
    int64_t before = 0, size = work->height * work->width;
    for (size_t i = 0; i < num_found; i++) {
        runs[i] = found[i] - before;
        before = found[i];
    }
    runs[num_found] = size - before;
    if (num_found % 2 == 0)
        runs[num_found + 1] = 0;
    work->num_runs += own;
    *num_own = (int64_t)own;
    return 0;
}

#endif
