/* Polygons and column-major counts -> row-major runs -> protobuf, compiled.

   `encode` does what `segdata.masks.polygons` does with pycocotools and
   `segdata.masks.coco` with NumPy, from the same sums in the same order: the bytes are
   the same. pycocotools walks every pixel of an outline; here only the steps over the
   middle of a column are computed. What is odd or large is left to them, and so are
   all errors: `encode` returns None then.

   Compiled without contraction of a * b + c (setup.py): a fused operation rounds
   otherwise. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SCALE 5                /* oversampling, as in pycocotools */
#define FARTHEST (1 << 22)     /* segdata.masks.limits.MAX_POLYGON_WALK */
#define MOST_WORK (1LL << 20)  /* of an image, in pixels of outlines and in ends */
#define MOST_SIDE (1 << 16)    /* there is memory for each row and column */

typedef struct { int32_t column, row; } End;

/* Memory that grows, and is kept from object to object. */
typedef struct { void *data; size_t capacity; } Room;

static void *room_for(Room *room, size_t bytes)
{
    if (room->capacity < bytes) {
        size_t capacity = 2 * bytes + 4096;
        void *data = PyMem_Realloc(room->data, capacity);
        if (data == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        room->data = data;
        room->capacity = capacity;
    }
    return room->data;
}

typedef struct {
    int64_t height, width;
    int64_t walk;     /* pixels of outlines so far */
    int64_t columns;  /* ends along columns so far, one more for each object */
    int64_t rows;     /* ends along rows so far */
    Room points;      /* int64: corners of a polygon, oversampled */
    Room ends;        /* End: of the polygon or object, in any order */
    Room sorted;      /* int32: rows of the ends, column after column */
    Room starts;      /* int32: where each column's ends begin in `sorted` */
    Room spans;       /* Span: of all parts of an object */
    Room counts;      /* int32: boundaries of each row, then where they begin */
    Room lists;       /* int32: intervals of rows of all columns */
    Room found;       /* int64: boundaries of the object, ascending */
    Room runs;        /* int64: the result */
    size_t num_ends, num_runs;
} Work;

typedef struct { int32_t column, start, end; } Span;

enum Outcome { DONE, LEFT, FAILED };  /* LEFT: to the other implementation */

static inline int64_t floor_div(int64_t value, int64_t divisor)
{
    int64_t quotient = value / divisor;
    return quotient - ((value % divisor != 0) && (value < 0));
}

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
static enum Outcome read_polygon(Work *work, PyObject *polygon, int64_t **corners,
                                 size_t *num_corners)
{
    Py_ssize_t length = PyList_GET_SIZE(polygon);
    if (length < 6 || length % 2 || length > MOST_WORK)
        return LEFT;
    int64_t *points = room_for(&work->points, (size_t)length * sizeof *points);
    if (points == NULL)
        return FAILED;
    double first_x = 0, first_y = 0, before_x = 0, before_y = 0, value[2];
    int64_t walk = 0;
    for (Py_ssize_t i = 0; i < length; i += 2) {
        for (int axis = 0; axis < 2; axis++) {
            PyObject *item = PyList_GET_ITEM(polygon, i + axis);
            if (PyFloat_CheckExact(item)) {
                value[axis] = PyFloat_AS_DOUBLE(item);
            } else if (PyLong_CheckExact(item)) {
                value[axis] = PyLong_AsDouble(item);
                if (value[axis] == -1.0 && PyErr_Occurred()) {
                    PyErr_Clear();
                    return LEFT;
                }
            } else {
                return LEFT;
            }
            /* Not a number fails too. */
            if (!(fabs(value[axis]) <= FARTHEST))
                return LEFT;
            points[i + axis] = (int64_t)(SCALE * value[axis] + 0.5);
        }
        if (i == 0) {
            first_x = value[0];
            first_y = value[1];
        } else {
            walk += (int64_t)ceil(
                fmax(fabs(value[0] - before_x), fabs(value[1] - before_y)));
        }
        before_x = value[0];
        before_y = value[1];
    }
    walk += (int64_t)ceil(fmax(fabs(first_x - before_x), fabs(first_y - before_y)));
    work->walk += walk;
    *corners = points;
    *num_corners = (size_t)length / 2;
    return work->walk > MOST_WORK ? LEFT : DONE;
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

/* Sorts `ends` into `sorted`: column after column from `first` on, rows ascending. */
static int sort_ends(Work *work, int32_t *first, int32_t *num_columns)
{
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
    *first = low;
    *num_columns = (int32_t)columns;
    return 0;
}

/* Adds the vertical runs of the polygon in `ends` to `spans`, and empties `ends`. */
static int add_spans(Work *work, size_t *num_spans)
{
    int32_t first, columns;
    if (work->num_ends == 0)
        return 0;
    if (sort_ends(work, &first, &columns) < 0)
        return -1;
    size_t count = *num_spans + work->num_ends / 2;
    Span *spans = room_for(&work->spans, count * sizeof *spans);
    if (spans == NULL)
        return -1;
    const int32_t *starts = work->starts.data, *sorted = work->sorted.data;
    for (int32_t i = 0; i < columns; i++)
        for (int32_t at = starts[i]; at + 1 < starts[i + 1]; at += 2)
            spans[(*num_spans)++] = (Span){first + i, sorted[at], sorted[at + 1]};
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

/* The object in `ends` -> its boundaries along rows in `found`, ascending.

   A run along the rows begins or ends where a pixel differs from its left neighbour;
   that of the first column is the last one of the row above. */
static enum Outcome find_boundaries(Work *work, size_t *num_found)
{
    int32_t first, columns, height = (int32_t)work->height;
    *num_found = 0;
    if (work->num_ends == 0)
        return DONE;
    if (sort_ends(work, &first, &columns) < 0)
        return FAILED;
    const int32_t *starts = work->starts.data, *sorted = work->sorted.data;
    size_t rows = (size_t)height + 1;
    int32_t *counts = room_for(&work->counts, rows * sizeof *counts);
    /* Per column its number of ends, then they themselves; two columns each time. */
    int32_t *lists = room_for(
        &work->lists,
        (2 * work->num_ends + (size_t)columns + 2) * sizeof *lists);
    if (counts == NULL || lists == NULL)
        return FAILED;
    memset(counts, 0, rows * sizeof *counts);
    int wraps = first + columns == work->width;  /* onto the next row's first pixel */
    const int32_t *last = sorted + starts[columns - 1];
    size_t num_last = (size_t)(starts[columns] - starts[columns - 1]);
    size_t used = 0;
    int64_t total = 0;
    /* From the first column of the image, if the last one reaches it. */
    for (int32_t i = wraps && first > 0 ? -1 : 0; i < columns + !wraps; i++) {
        const int32_t *one = NULL, *other = NULL;
        size_t num_one = 0, num_other = 0;
        int32_t shift = 0;
        if (i >= 0 && i < columns) {
            other = sorted + starts[i];
            num_other = (size_t)(starts[i + 1] - starts[i]);
        }
        if (i > 0) {
            one = sorted + starts[i - 1];
            num_one = (size_t)(starts[i] - starts[i - 1]);
        } else if (wraps && (i < 0 || first == 0)) {
            one = last;
            num_one = num_last;
            shift = 1;
        }
        int32_t *list = lists + used;
        size_t count =
            differing(one, num_one, shift, other, num_other, height, list + 1);
        list[0] = (int32_t)count;
        used += count + 1;
        for (size_t k = 1; k + 1 <= count; k += 2) {
            counts[list[k]]++;
            counts[list[k + 1]]--;
            total += list[k + 1] - list[k];
        }
    }
    work->rows += total;
    if (work->rows > MOST_WORK)
        return LEFT;
    int64_t *found = room_for(&work->found, (size_t)total * sizeof *found + 1);
    if (found == NULL)
        return FAILED;
    /* Boundaries of each row -> where those of each row begin. */
    int32_t open = 0, begin = 0;
    for (size_t row = 0; row < rows; row++) {
        open += counts[row];
        counts[row] = begin;
        begin += open;
    }
    const int32_t *list = lists;
    for (int32_t i = wraps && first > 0 ? -1 : 0; i < columns + !wraps; i++) {
        int64_t column = i < 0 ? 0 : first + i;
        for (int32_t k = 1; k + 1 <= list[0]; k += 2)
            for (int32_t row = list[k]; row < list[k + 1]; row++)
                found[counts[row]++] = row * work->width + column;
        list += list[0] + 1;
    }
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

/* Ends of the vertical runs of united polygons -> `ends`. */
static enum Outcome ends_of_polygons(Work *work, PyObject *polygons)
{
    Py_ssize_t parts = PyList_GET_SIZE(polygons);
    if (parts == 0)
        return LEFT;
    size_t num_spans = 0;
    enum Outcome outcome;
    for (Py_ssize_t i = 0; i < parts; i++) {
        PyObject *polygon = PyList_GET_ITEM(polygons, i);
        int64_t *corners;
        size_t num_corners;
        if (!PyList_CheckExact(polygon))
            return LEFT;
        outcome = read_polygon(work, polygon, &corners, &num_corners);
        if (outcome == DONE)
            outcome = cross_columns(work, corners, num_corners);
        if (outcome != DONE)
            return outcome;
        if (parts > 1 && add_spans(work, &num_spans) < 0)
            return FAILED;
    }
    if (parts > 1 && unite(work, num_spans) < 0)
        return FAILED;
    work->columns += (int64_t)work->num_ends + 1;
    return work->columns > MOST_WORK ? LEFT : DONE;
}

/* The same of column-major counts, which sum to the image's size. */
static enum Outcome ends_of_counts(Work *work, const int64_t *counts, size_t length)
{
    int64_t start, end = 0, size = work->height * work->width;
    for (size_t i = 0; i < length; i++) {
        start = end;
        if (counts[i] < 0 || counts[i] > size - start)
            return LEFT;
        end = start + counts[i];
        if (i % 2 == 0 || end == start)
            continue;
        int64_t first = start / work->height, last = (end - 1) / work->height;
        size_t count = work->num_ends + 2 * (size_t)(last - first + 1);
        if (count > MOST_WORK)
            return LEFT;
        End *ends = room_for(&work->ends, count * sizeof *ends);
        if (ends == NULL)
            return FAILED;
        for (int64_t column = first; column <= last; column++) {
            int64_t top = column * work->height;
            int64_t from = start > top ? start - top : 0;
            int64_t to = end - top < work->height ? end - top : work->height;
            ends[work->num_ends++] = (End){(int32_t)column, (int32_t)from};
            ends[work->num_ends++] = (End){(int32_t)column, (int32_t)to};
        }
    }
    return end == size ? DONE : LEFT;
}

/* One object -> its runs. */
static enum Outcome encode_object(Work *work, PyObject *object, int64_t *num_runs)
{
    size_t num_found = 0;
    enum Outcome outcome;
    work->num_ends = 0;
    if (PyList_CheckExact(object)) {
        outcome = ends_of_polygons(work, object);
    } else {
        Py_buffer counts;
        if (PyObject_GetBuffer(object, &counts, PyBUF_SIMPLE) < 0) {
            PyErr_Clear();
            return LEFT;
        }
        outcome = ends_of_counts(work, counts.buf, (size_t)counts.len / 8);
        PyBuffer_Release(&counts);
    }
    if (outcome == DONE)
        outcome = find_boundaries(work, &num_found);
    if (outcome != DONE)
        return outcome;
    return append_runs(work, num_found, num_runs) < 0 ? FAILED : DONE;
}

static PyObject *encode_all(Work *work, PyObject *objects)
{
    Py_ssize_t count = PyList_GET_SIZE(objects);
    PyObject *lengths = PyList_New(count);
    if (lengths == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        int64_t num_runs = 0;
        enum Outcome outcome =
            encode_object(work, PyList_GET_ITEM(objects, i), &num_runs);
        PyObject *number = outcome == DONE ? PyLong_FromLongLong(num_runs) : NULL;
        if (number == NULL) {
            Py_DECREF(lengths);
            if (outcome == LEFT)
                Py_RETURN_NONE;
            return NULL;
        }
        PyList_SET_ITEM(lengths, i, number);
    }
    return Py_BuildValue(
        "y#NLLL", work->runs.data ? (const char *)work->runs.data : "",
        (Py_ssize_t)(work->num_runs * sizeof(int64_t)), lengths,
        (long long)work->walk, (long long)work->columns, (long long)work->rows);
}

static PyObject *encode(PyObject *module, PyObject *args)
{
    PyObject *objects;
    long long height, width;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!LL:encode", &PyList_Type, &objects, &height, &width))
        return NULL;
    if (height < 1 || width < 1 || height > MOST_SIDE || width > MOST_SIDE)
        Py_RETURN_NONE;
    Work work = {.height = height, .width = width};
    PyObject *result = encode_all(&work, objects);
    Room *rooms[] = {&work.points, &work.ends, &work.sorted, &work.starts, &work.spans,
                     &work.counts, &work.lists, &work.found, &work.runs};
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
        PyMem_Free(rooms[i]->data);
    return result;
}

static size_t put_varint(unsigned char *out, uint64_t value)
{
    size_t length = 0;
    for (; value >= 128; value >>= 7)
        out[length++] = (unsigned char)(value | 128);
    out[length++] = (unsigned char)value;
    return length;
}

static PyObject *int64_list(PyObject *module, PyObject *values)
{
    Py_buffer given;
    (void)module;
    if (PyObject_GetBuffer(values, &given, PyBUF_SIMPLE) < 0)
        return NULL;
    const int64_t *numbers = given.buf;
    size_t count = (size_t)given.len / 8, length = 0;
    PyObject *result = NULL;
    unsigned char head[11] = {1 << 3 | 2}; /* field 1, so many bytes */
    unsigned char *packed = PyMem_Malloc(10 * count + 1);
    if (packed == NULL) {
        PyErr_NoMemory();
    } else {
        for (size_t i = 0; i < count; i++)
            length += put_varint(packed + length, (uint64_t)numbers[i]);
        size_t head_length = 1 + put_varint(head + 1, length);
        result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(head_length + length));
        if (result != NULL) {
            memcpy(PyBytes_AS_STRING(result), head, head_length);
            memcpy(PyBytes_AS_STRING(result) + head_length, packed, length);
        }
    }
    PyMem_Free(packed);
    PyBuffer_Release(&given);
    return result;
}

PyDoc_STRVAR(encode_doc,
"encode(objects, height, width)\n--\n\n"
"Row-major runs of each object.\n\n"
"Args:\n"
"  objects: Per object a list of polygons, flat lists of x0, y0, x1, y1, ..., to be\n"
"    united; or its column-major counts, a contiguous buffer of int64.\n"
"  height: Image height in pixels.\n"
"  width: Image width in pixels.\n\n"
"Returns:\n"
"  Bytes of int64, the runs of all objects; the number of runs of each; what\n"
"  `segdata.masks.limits` takes: pixels of outlines, ends of polygons along columns,\n"
"  ends along rows. None where the input is malformed, not plain lists of numbers,\n"
"  or large.");

PyDoc_STRVAR(int64_list_doc,
"int64_list(values)\n--\n\n"
"A `tf.train.Int64List` as protobuf writes it, from a contiguous buffer of int64.");

static PyMethodDef methods[] = {
    {"encode", encode, METH_VARARGS, encode_doc},
    {"int64_list", int64_list, METH_O, int64_list_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "segdata.masks._runs",
    "Masks -> row-major runs -> protobuf, compiled; absent where nothing compiles it.", 0,
    methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__runs(void)
{
    return PyModule_Create(&definition);
}
