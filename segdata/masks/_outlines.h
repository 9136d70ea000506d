/* Polygons -> ends of vertical runs.

   From the same sums in the same order as pycocotools, which walks every pixel of an
   outline; here only the steps over the middle of a column are computed. */

#ifndef SEGDATA_OUTLINES_H
#define SEGDATA_OUTLINES_H

#include "_work.h"

#define SCALE 5                /* oversampling, as in pycocotools */

static int compare_rows(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int compare_spans(const void *a, const void *b)
{
    const Span *x = a, *y = b;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static void sort_rows(int32_t *rows, size_t count)
{
    if (count == 2) {  /* nearly always, and in any order */
        int32_t one = rows[0], other = rows[1];
        rows[0] = one < other ? one : other;
        rows[1] = one < other ? other : one;
        return;
    }
    if (count > 24) {
        qsort(rows, count, sizeof *rows, compare_rows);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        int32_t row = rows[i];
        size_t j = i;
        for (; j > 0 && rows[j - 1] > row; j--)
            rows[j] = rows[j - 1];
        rows[j] = row;
    }
}

/* The corners of a polygon, five-fold; its outline goes to the budget. */
static enum Outcome scale_corners(Work *work, const double *points, size_t length)
{
    if (length < 6 || length % 2)
        return LEFT;
    int64_t *corners = room_for(&work->corners, length * sizeof *corners);
    if (corners == NULL)
        return FAILED;
    double before_x = points[length - 2], before_y = points[length - 1];
    for (size_t i = 0; i < length; i += 2) {
        double x = points[i], y = points[i + 1];
        /* Not a number fails too. */
        if (!(fabs(x) <= FARTHEST && fabs(y) <= FARTHEST))
            return LEFT;
        corners[i] = (int64_t)(SCALE * x + 0.5);
        corners[i + 1] = (int64_t)(SCALE * y + 0.5);
        double right = fabs(x - before_x), down = fabs(y - before_y);
        /* Rounded up without a call: only the first of all can be out of range. */
        double edge = right > down ? right : down;
        int64_t whole = edge <= 2.0 * FARTHEST ? (int64_t)edge : 0;
        work->walk += whole + ((double)whole < edge);
        before_x = x;
        before_y = y;
    }
    return work->walk > MOST_WORK ? LEFT : DONE;
}

/* The numbers of a list as doubles; `length` of them. */
static enum Outcome read_numbers(Work *work, PyObject *list, size_t *length)
{
    Py_ssize_t count = PyList_Size(list);
    if (count > MOST_WORK)
        return LEFT;
    double *points = room_for(&work->points, (size_t)count * sizeof *points);
    if (points == NULL)
        return FAILED;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyList_GetItem(list, i);
        if (!PyFloat_CheckExact(item) && !PyLong_CheckExact(item))
            return LEFT;
        points[i] = PyFloat_AsDouble(item);
        if (points[i] == -1.0 && PyErr_Occurred()) {
            PyErr_Clear();
            return LEFT;
        }
    }
    *length = (size_t)count;
    return DONE;
}

/* Upper end of the step over the middle of a column, of an edge that goes right more
   than down, from (x, y) on. */
static inline int64_t flat_step(int64_t x, int64_t y, double slope, int64_t column)
{
    double base = (double)y;
    int64_t step = SCALE * column + 2 - x;
    double one = base + slope * (double)step, other = base + slope * (double)(step + 1);
    return (int64_t)((one < other ? one : other) + 0.5);
}

/* The same of an edge that goes down more than right. Division may miss the last row
   before the step by one: ask on both sides. */
static inline int64_t steep_step(int64_t x, int64_t y, double slope, int64_t column)
{
    double base = (double)x, limit = (double)(SCALE * column) + 3.0;
    int rises = slope > 0;
    double near = floor((limit - 0.5 - base) / slope);
    int for_row = (base + slope * near + 0.5 < limit) == rises;
    int for_next = (base + slope * (near + 1) + 0.5 < limit) == rises;
    return y + (int64_t)near - 1 + for_row + for_next;
}

/* Ends of the vertical runs of one polygon, appended to `ends`. */
static enum Outcome cross_columns(Work *work, const int64_t *points, size_t corners)
{
    for (size_t i = 0; i < corners; i++) {
        size_t next = i + 1 < corners ? i + 1 : 0;
        int64_t x = points[2 * i], y = points[2 * i + 1];
        int64_t to_x = points[2 * next], to_y = points[2 * next + 1];
        int64_t low = x < to_x ? x : to_x, high = x < to_x ? to_x : x;
        int64_t first = floor_div(low + 2, SCALE), last = floor_div(high - 3, SCALE);
        if (first < 0)
            first = 0;
        if (last > work->width - 1)
            last = work->width - 1;
        if (last < first)
            continue;
        int64_t right = to_x - x, down = to_y - y;
        int is_steep = llabs(right) < llabs(down);
        if (is_steep ? y > to_y : x > to_x) {
            x = to_x;
            y = to_y;
            right = -right;
            down = -down;
        }
        double slope = is_steep ? (double)right / (double)down
                                : (double)down / (double)right;
        size_t count = work->num_ends + (size_t)(last - first + 1);
        if (count > MOST_WORK)
            return LEFT;
        End *ends = room_for(&work->ends, count * sizeof *ends);
        if (ends == NULL)
            return FAILED;
        for (int64_t column = first; column <= last; column++) {
            int64_t v = is_steep ? steep_step(x, y, slope, column)
                                 : flat_step(x, y, slope, column);
            int64_t row = floor_div(v + 2, SCALE);
            row = row < 0 ? 0 : row > work->height ? work->height : row;
            ends[work->num_ends++] = (End){(int32_t)column, (int32_t)row};
        }
    }
    return DONE;
}

/* Sorts `ends` into `sorted`, column after column, rows ascending. */
static int sort_ends(Work *work)
{
    work->num_columns = 0;
    if (work->num_ends == 0)
        return 0;
    const End *ends = work->ends.data;
    size_t count = work->num_ends;
    int32_t low = ends[0].column, high = low;
    for (size_t i = 1; i < count; i++) {
        low = ends[i].column < low ? ends[i].column : low;
        high = ends[i].column > high ? ends[i].column : high;
    }
    size_t columns = (size_t)(high - low) + 1;
    int32_t *starts = room_for(&work->starts, (columns + 2) * sizeof *starts);
    int32_t *sorted = room_for(&work->sorted, count * sizeof *sorted);
    if (starts == NULL || sorted == NULL)
        return -1;
    memset(starts, 0, (columns + 2) * sizeof *starts);
    for (size_t i = 0; i < count; i++)
        starts[ends[i].column - low + 2]++;
    for (size_t i = 2; i < columns + 2; i++)
        starts[i] += starts[i - 1];
    for (size_t i = 0; i < count; i++)  /* leaves starts[i] where column i begins */
        sorted[starts[ends[i].column - low + 1]++] = ends[i].row;
    for (size_t i = 0; i < columns; i++)
        sort_rows(sorted + starts[i], (size_t)(starts[i + 1] - starts[i]));
    work->first = low;
    work->num_columns = (int32_t)columns;
    return 0;
}

/* Adds the vertical runs of the polygon in `ends` to `spans`, and empties `ends`. */
static int add_spans(Work *work, size_t *num_spans)
{
    if (sort_ends(work) < 0)
        return -1;
    size_t count = *num_spans + work->num_ends / 2;
    Span *spans = room_for(&work->spans, count * sizeof *spans);
    if (spans == NULL)
        return -1;
    const int32_t *starts = work->starts.data, *sorted = work->sorted.data;
    for (int32_t i = 0; i < work->num_columns; i++)
        for (int32_t at = starts[i]; at + 1 < starts[i + 1]; at += 2)
            spans[(*num_spans)++] = (Span){work->first + i, sorted[at], sorted[at + 1]};
    work->num_ends = 0;
    return 0;
}

/* Replaces `ends` by those of the union of `spans`. */
static int unite(Work *work, size_t num_spans)
{
    if (num_spans == 0)
        return 0;
    Span *spans = work->spans.data;
    End *ends = room_for(&work->ends, 2 * num_spans * sizeof *ends);
    if (ends == NULL)
        return -1;
    qsort(spans, num_spans, sizeof *spans, compare_spans);
    for (size_t i = 0; i < num_spans;) {
        Span joined = spans[i++];
        for (; i < num_spans && spans[i].column == joined.column
               && spans[i].start <= joined.end; i++)
            joined.end = spans[i].end > joined.end ? spans[i].end : joined.end;
        ends[work->num_ends++] = (End){joined.column, joined.start};
        ends[work->num_ends++] = (End){joined.column, joined.end};
    }
    return 0;
}

/* One polygon of an object, from its numbers in `points`. */
static enum Outcome add_polygon(Work *work, size_t length, int is_only,
                                size_t *num_spans)
{
    enum Outcome outcome = scale_corners(work, work->points.data, length);
    if (outcome == DONE)
        outcome = cross_columns(work, work->corners.data, length / 2);
    if (outcome == DONE && !is_only && add_spans(work, num_spans) < 0)
        return FAILED;
    return outcome;
}

/* The columns of an object, when all its polygons are added. */
static enum Outcome unite_columns(Work *work, int is_only, size_t num_spans)
{
    if (!is_only && unite(work, num_spans) < 0)
        return FAILED;
    work->columns += (int64_t)work->num_ends + 1;
    if (work->columns > MOST_WORK)
        return LEFT;
    return sort_ends(work) < 0 ? FAILED : DONE;
}

/* The columns of a list of polygons. */
static enum Outcome columns_of_lists(Work *work, PyObject *polygons)
{
    Py_ssize_t parts = PyList_Size(polygons);
    size_t num_spans = 0, length = 0;
    if (parts == 0)
        return LEFT;
    for (Py_ssize_t i = 0; i < parts; i++) {
        PyObject *polygon = PyList_GetItem(polygons, i);
        if (!PyList_CheckExact(polygon))
            return LEFT;
        enum Outcome outcome = read_numbers(work, polygon, &length);
        if (outcome == DONE)
            outcome = add_polygon(work, length, parts == 1, &num_spans);
        if (outcome != DONE)
            return outcome;
    }
    return unite_columns(work, parts == 1, num_spans);
}

#endif
