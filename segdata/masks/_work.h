/* What all steps share: memory that grows, what an image may cost, lists of pixels. */

#ifndef SEGDATA_WORK_H
#define SEGDATA_WORK_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FARTHEST (1 << 22)     /* segdata.masks.limits.MAX_POLYGON_WALK */
#define MOST_WORK (1LL << 20)  /* of an image, in pixels of outlines and in ends */
#define MOST_SIDE (1 << 16)    /* there is memory for each row and column */

enum Outcome { DONE, LEFT, FAILED };  /* LEFT: to the other implementation */

/* Memory that grows, and is kept from object to object. */
typedef struct { void *data; size_t capacity; } Room;

static int grow(Room *room, size_t bytes)
{
    size_t capacity = 2 * bytes + 4096;
    void *data = PyMem_Realloc(room->data, capacity);
    if (data == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    room->data = data;
    room->capacity = capacity;
    return 0;
}

static inline void *room_for(Room *room, size_t bytes)
{
    return room->capacity <= bytes && grow(room, bytes) < 0 ? NULL : room->data;
}

typedef struct { int32_t column, row; } End;
typedef struct { int32_t column, start, end; } Span;

typedef struct {
    int64_t height, width;
    int64_t walk;     /* pixels of outlines so far */
    int64_t columns;  /* ends along columns so far, one more for each object */
    int64_t rows;     /* ends along rows so far */
    Room points;      /* double: numbers of a polygon */
    Room corners;     /* int64: its corners, oversampled */
    Room counts;      /* int64: column-major counts of an object */
    Room ends;        /* End: of the polygon or object, in any order */
    Room sorted;      /* int32: rows of the ends, column after column */
    Room starts;      /* int32: where each column's ends begin in `sorted` */
    Room spans;       /* Span: of all parts of an object */
    Room of_row;      /* int32: boundaries of each row, then where they begin */
    Room lists;       /* int32: intervals of rows of all columns */
    Room found;       /* int64: boundaries of the object, ascending */
    Room runs;        /* int64: the result */
    int32_t first, num_columns;  /* the columns in `sorted` */
    size_t num_ends, num_runs;
} Work;

static void free_rooms(Work *work)
{
    Room *rooms[] = {&work->points, &work->corners, &work->counts,
                     &work->ends, &work->sorted, &work->starts, &work->spans,
                     &work->of_row, &work->lists, &work->found, &work->runs};
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
        PyMem_Free(rooms[i]->data);
}

static inline int64_t floor_div(int64_t value, int64_t divisor)
{
    int64_t quotient = value / divisor;
    return quotient - ((value % divisor != 0) && (value < 0));
}

#endif
