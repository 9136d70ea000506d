/* Masks -> row-major runs -> protobuf, compiled.

   `encode` does what `segdata.masks.rle` does with pycocotools and NumPy: the bytes are
   the same. What is odd or large is left to them, and so are all errors: a function
   returns None then.

   Compiled without contraction of a * b + c (setup.py): a fused operation rounds
   otherwise. Of Python only the limited API is used: one file serves all versions. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000 /* 3.11 */
#include <Python.h>

#include "_counts.h"
#include "_outlines.h"
#include "_pixels.h"
#include "_png.h"
#include "_transpose.h"
#include "_work.h"

static PyObject *size_key, *counts_key;

/* Whether it is a contiguous buffer of items of one of the kinds. */
static int get_buffer(PyObject *object, Py_buffer *buffer, int ndim, const char *kinds)
{
    if (PyObject_GetBuffer(object, buffer, PyBUF_ND | PyBUF_FORMAT) < 0) {
        PyErr_Clear();
        return 0;
    }
    const char *format = buffer->format ? buffer->format : "B";
    if (*format && strchr("@=<>", *format))
        format++;
    if ((ndim && buffer->ndim != ndim) || strlen(format) != 1
        || !strchr(kinds, *format)) {
        PyBuffer_Release(buffer);
        return 0;
    }
    return 1;
}

/* Row-major or column-major runs, as they lie in memory. */
static int get_runs(PyObject *object, Py_buffer *buffer)
{
    if (!get_buffer(object, buffer, 1, "lq"))
        return 0;
    if (buffer->itemsize != sizeof(int64_t)) {
        PyBuffer_Release(buffer);
        return 0;
    }
    return 1;
}

/* Whole numbers of a list -> `counts`. */
static enum Outcome read_counts(Work *work, PyObject *list, size_t *num_counts)
{
    Py_ssize_t length = PyList_Size(list);
    work->columns += (int64_t)length;
    if (work->columns > MOST_WORK)
        return LEFT;
    int64_t *counts = room_for(&work->counts, (size_t)length * sizeof *counts);
    if (counts == NULL)
        return FAILED;
    for (Py_ssize_t i = 0; i < length; i++) {
        PyObject *item = PyList_GetItem(list, i);
        counts[i] = PyLong_CheckExact(item) ? PyLong_AsLongLong(item) : -1;
        if (counts[i] < 0) {
            PyErr_Clear();
            return LEFT;
        }
    }
    *num_counts = (size_t)length;
    return DONE;
}

/* Whether a list is `[height, width]`. */
static int is_size(const Work *work, PyObject *size)
{
    const int64_t sides[] = {work->height, work->width};
    if (size == NULL || !PyList_CheckExact(size) || PyList_Size(size) != 2)
        return 0;
    for (int i = 0; i < 2; i++) {
        PyObject *side = PyList_GetItem(size, i);
        if (!PyLong_CheckExact(side) || PyLong_AsLongLong(side) != sides[i]) {
            PyErr_Clear();
            return 0;
        }
    }
    return 1;
}

/* The columns of a COCO RLE, compressed or not. */
static enum Outcome columns_of_rle(Work *work, PyObject *rle)
{
    size_t num_counts = 0;
    enum Outcome outcome = LEFT;
    PyObject *counts = PyDict_GetItemWithError(rle, counts_key);
    if (counts == NULL || !is_size(work, PyDict_GetItemWithError(rle, size_key)))
        return LEFT;
    if (PyList_CheckExact(counts)) {
        outcome = read_counts(work, counts, &num_counts);
    } else {
        Py_ssize_t length = 0;
        const char *text = NULL;
        if (PyUnicode_CheckExact(counts)) {
            text = PyUnicode_AsUTF8AndSize(counts, &length);
        } else if (PyBytes_CheckExact(counts)) {
            text = PyBytes_AsString(counts);
            length = PyBytes_Size(counts);
        }
        if (text == NULL) {
            PyErr_Clear();
            return LEFT;
        }
        outcome = decompress(work, text, (size_t)length, &num_counts);
    }
    if (outcome == DONE)
        outcome = columns_of_counts(work, work->counts.data, num_counts);
    return outcome;
}

/* The boundaries of a dense mask, which already goes along rows. */
static enum Outcome boundaries_of_mask(Work *work, PyObject *mask, size_t *num_found)
{
    Py_buffer pixels;
    enum Outcome outcome = LEFT;
    if (!get_buffer(mask, &pixels, 2, "?bB"))
        return LEFT;
    if (pixels.shape[0] == work->height && pixels.shape[1] == work->width)
        outcome =
            find_changes(work, pixels.buf, (size_t)pixels.len, 1, 1, num_found);
    PyBuffer_Release(&pixels);
    return outcome;
}

/* One object -> its runs. */
static enum Outcome encode_object(Work *work, PyObject *object, int64_t *num_runs)
{
    size_t num_found = 0;
    enum Outcome outcome;
    int is_dense = 0;
    work->num_ends = 0;
    if (PyList_CheckExact(object)) {
        outcome = columns_of_lists(work, object);
    } else if (PyDict_CheckExact(object)) {
        outcome = columns_of_rle(work, object);
    } else {
        outcome = boundaries_of_mask(work, object, &num_found);
        is_dense = 1;
    }
    if (outcome == DONE && !is_dense)
        outcome = find_boundaries(work, &num_found);
    if (outcome != DONE)
        return outcome;
    return append_runs(work, num_found, num_runs) < 0 ? FAILED : DONE;
}

/* None for what is left to others, NULL with an exception. */
static PyObject *not_done(enum Outcome outcome)
{
    return outcome == LEFT ? Py_NewRef(Py_None) : NULL;
}

static PyObject *encode_all(Work *work, PyObject *objects)
{
    Py_ssize_t count = PyList_Size(objects);
    PyObject *lengths = PyList_New(count);
    if (lengths == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        int64_t num_runs = 0;
        enum Outcome outcome =
            encode_object(work, PyList_GetItem(objects, i), &num_runs);
        PyObject *number = outcome == DONE ? PyLong_FromLongLong(num_runs) : NULL;
        if (number == NULL) {
            Py_DECREF(lengths);
            return not_done(outcome);
        }
        PyList_SetItem(lengths, i, number);
    }
    PyObject *runs = PyByteArray_FromStringAndSize(
        work->runs.data, (Py_ssize_t)(work->num_runs * sizeof(int64_t)));
    if (runs == NULL) {
        Py_DECREF(lengths);
        return NULL;
    }
    return Py_BuildValue("NNLLL", runs, lengths, (long long)work->walk,
                         (long long)work->columns, (long long)work->rows);
}

static int is_usual_size(long long height, long long width)
{
    return 1 <= height && height <= MOST_SIDE && 1 <= width && width <= MOST_SIDE;
}

static PyObject *encode(PyObject *module, PyObject *args)
{
    PyObject *objects;
    long long height, width;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!LL:encode", &PyList_Type, &objects, &height, &width))
        return NULL;
    if (!is_usual_size(height, width))
        return Py_NewRef(Py_None);
    Work work = {.height = height, .width = width};
    PyObject *result = encode_all(&work, objects);
    free_rooms(&work);
    return result;
}

/* One object's row-major runs -> its string. Row-major runs of an image are
   column-major ones of its transpose: height and width are exchanged in `work`. */
static PyObject *compress_object(Work *work, PyObject *object)
{
    Py_buffer runs;
    size_t num_found = 0;
    int64_t num_counts;
    if (!get_runs(object, &runs))
        return not_done(LEFT);
    enum Outcome outcome =
        columns_of_counts(work, runs.buf, (size_t)runs.len / sizeof(int64_t));
    PyBuffer_Release(&runs);
    if (outcome == DONE)
        outcome = find_boundaries(work, &num_found);
    work->num_runs = 0;
    if (outcome == DONE && append_runs(work, num_found, &num_counts) < 0)
        outcome = FAILED;
    if (outcome != DONE)
        return not_done(outcome);
    char *text = room_for(&work->lists, MOST_DIGITS * (num_found + 1));
    if (text == NULL)
        return NULL;
    size_t length = compress_counts(work->runs.data, num_found + 1, text);
    return PyUnicode_FromStringAndSize(text, (Py_ssize_t)length);
}

static PyObject *compress_all(Work *work, PyObject *objects)
{
    Py_ssize_t count = PyList_Size(objects);
    PyObject *texts = PyList_New(count);
    for (Py_ssize_t i = 0; texts != NULL && i < count; i++) {
        PyObject *text = compress_object(work, PyList_GetItem(objects, i));
        if (text == NULL || text == Py_None) {
            Py_DECREF(texts);
            return text;
        }
        PyList_SetItem(texts, i, text);
    }
    return texts;
}

static PyObject *compress(PyObject *module, PyObject *args)
{
    PyObject *objects;
    long long height, width;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!LL:compress", &PyList_Type, &objects, &height,
                          &width))
        return NULL;
    if (!is_usual_size(height, width))
        return Py_NewRef(Py_None);
    Work work = {.height = width, .width = height};
    PyObject *result = compress_all(&work, objects);
    free_rooms(&work);
    return result;
}

static PyObject *decode(PyObject *module, PyObject *args)
{
    PyObject *objects, *result = NULL;
    long long size;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!L:decode", &PyList_Type, &objects, &size))
        return NULL;
    Py_ssize_t count = PyList_Size(objects);
    /* Twice: memory is asked for only when all runs are known to be valid. */
    for (int pass = 0; pass < 2; pass++) {
        unsigned char *pixels =
            pass ? (unsigned char *)PyByteArray_AsString(result) : NULL;
        for (Py_ssize_t i = 0; i < count; i++) {
            Py_buffer runs;
            int fits = get_runs(PyList_GetItem(objects, i), &runs);
            if (fits) {
                size_t length = (size_t)runs.len / sizeof(int64_t);
                fits = decode_mask(runs.buf, length, pixels, size);
                PyBuffer_Release(&runs);
            }
            if (!fits) {
                Py_XDECREF(result);
                return not_done(LEFT);
            }
            if (pass)
                pixels += size;
        }
        if (!pass && count && size > PY_SSIZE_T_MAX / count)
            return PyErr_NoMemory();
        if (!pass)
            result = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)size * count);
        if (result == NULL)
            return NULL;
    }
    return result;
}

static PyObject *unfilter(PyObject *module, PyObject *args)
{
    const char *rows;
    Py_ssize_t size, length;
    int item;
    (void)module;
    if (!PyArg_ParseTuple(args, "y#ni:unfilter", &rows, &size, &length, &item))
        return NULL;
    if (length < 1 || size % (length + 1) || (item != 1 && item != 3))
        return not_done(LEFT);
    Py_ssize_t height = size / (length + 1);
    PyObject *pixels = PyByteArray_FromStringAndSize(NULL, height * length);
    unsigned char *zeros = PyMem_Calloc((size_t)length, 1);
    int is_done = 0;
    if (pixels != NULL && zeros == NULL)
        PyErr_NoMemory();
    if (pixels != NULL && zeros != NULL)
        is_done =
            unfilter_rows((const unsigned char *)rows, (size_t)height, (size_t)length,
                          (size_t)item, zeros, (unsigned char *)PyByteArray_AsString(pixels));
    PyMem_Free(zeros);
    if (!is_done)
        Py_CLEAR(pixels);
    return pixels == NULL && !PyErr_Occurred() ? not_done(LEFT) : pixels;
}

static PyObject *changes(PyObject *module, PyObject *items)
{
    Py_buffer given;
    Work work = {0};
    size_t count = 0;
    enum Outcome outcome;
    (void)module;
    int is_color = get_buffer(items, &given, 2, "B");
    if (!is_color && !get_buffer(items, &given, 1, "?bBhHiIlLqQ"))
        return Py_NewRef(Py_None);
    if (is_color && given.shape[1] != 3)
        outcome = LEFT;
    else if (is_color)
        outcome = find_color_changes(&work, given.buf, (size_t)given.len, &count);
    else if (given.itemsize == 1)
        outcome = find_changes(&work, given.buf, (size_t)given.len, 1, 0, &count);
    else
        outcome = find_changes(&work, given.buf, (size_t)given.len,
                               (size_t)given.itemsize, 0, &count);
    PyBuffer_Release(&given);
    PyObject *result =
        outcome == DONE
            ? PyByteArray_FromStringAndSize(work.found.data,
                                            (Py_ssize_t)(count * sizeof(int64_t)))
            : not_done(outcome);
    free_rooms(&work);
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
            char *target = PyBytes_AsString(result);
            memcpy(target, head, head_length);
            memcpy(target + head_length, packed, length);
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
"    united; or a COCO RLE; or a dense mask, a contiguous buffer of bytes.\n"
"  height: Image height in pixels.\n"
"  width: Image width in pixels.\n\n"
"Returns:\n"
"  Bytes of int64, the runs of all objects; the number of runs of each; what\n"
"  `segdata.masks.limits` takes: pixels of outlines, ends along columns, ends along\n"
"  rows. None where the input is malformed, of other types, or large.");

PyDoc_STRVAR(compress_doc,
"compress(objects, height, width)\n--\n\n"
"COCO's compressed counts, as text, of each object's row-major runs; None where they\n"
"are malformed or large.");

PyDoc_STRVAR(decode_doc,
"decode(objects, size)\n--\n\n"
"Bytes of all masks, 1 on the object, from row-major runs; `size` bytes each. None\n"
"where runs are not valid.");

PyDoc_STRVAR(unfilter_doc,
"unfilter(rows, length, item)\n--\n\n"
"Pixels of a PNG, of 1 or 3 bytes, from its rows of `length` bytes, before each of\n"
"which stands its filter. None where a filter is unknown.");

PyDoc_STRVAR(changes_doc,
"changes(items)\n--\n\n"
"Bytes of int64: the places of integers, or of colours of `[colours, 3] uint8`, that\n"
"differ from the one before them. None where they are of another type, not contiguous,\n"
"or noise.");

PyDoc_STRVAR(int64_list_doc,
"int64_list(values)\n--\n\n"
"A `tf.train.Int64List` as protobuf writes it, from a contiguous buffer of int64.");

static PyMethodDef methods[] = {
    {"encode", encode, METH_VARARGS, encode_doc},
    {"compress", compress, METH_VARARGS, compress_doc},
    {"decode", decode, METH_VARARGS, decode_doc},
    {"unfilter", unfilter, METH_VARARGS, unfilter_doc},
    {"changes", changes, METH_O, changes_doc},
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
    size_key = PyUnicode_InternFromString("size");
    counts_key = PyUnicode_InternFromString("counts");
    return size_key && counts_key ? PyModule_Create(&definition) : NULL;
}
