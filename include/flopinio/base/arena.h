/* An arena: memory that lives as long as one call (or one request, one policy) and is never freed
 * alone. Not shared between threads. Built with FL_ARENA_MALLOC each piece is a malloc of its own,
 * so that the address sanitizer sees overruns between neighbours. */
#ifndef FLOPINIO_BASE_ARENA_H
#define FLOPINIO_BASE_ARENA_H

#include <stdarg.h>

#include "flopinio/base/assert.h"
#include "flopinio/base/str.h"

struct fl_arena;

/* NULL when there is no memory. `first_bytes` is a hint for the first chunk (0 = default). */
struct fl_arena *fl_arena_new(size_t first_bytes);
/* Accepts NULL and a pointer to NULL; nulls the pointer. */
void fl_arena_free(struct fl_arena **arena);
/* Zeroed, aligned for any type; NULL when there is no memory. size 0 gives a valid pointer. */
void *fl_arena_alloc(struct fl_arena *arena, size_t size);
/* The same, but not zeroed: for what is written whole before it is read. */
void *fl_arena_raw(struct fl_arena *arena, size_t size);
/* count*size checked for overflow. */
void *fl_arena_array(struct fl_arena *arena, size_t count, size_t size);
/* Copies are NUL-terminated behind n bytes. */
char *fl_arena_strndup(struct fl_arena *arena, const char *text, size_t n);
char *fl_arena_strdup(struct fl_arena *arena, const char *text);
/* A copy of s; on no memory p is NULL. An empty string has a non-NULL p. */
struct fl_str fl_arena_str(struct fl_arena *arena, struct fl_str s);
char *fl_arena_printf(struct fl_arena *arena, const char *fmt, ...) FL_PRINTF(2, 3);
/* Bytes handed out so far (for budgets). */
size_t fl_arena_used(const struct fl_arena *arena);

/* This thread keeps freed arenas for the next ones, up to so many bytes: for the loop of a worker,
 * where each call has some. 0: frees them and keeps none, as at first. */
void fl_arena_keep(size_t most_bytes);
/* How many bytes this thread keeps so now. */
size_t fl_arena_kept(void);

#define FL_ARENA_NEW(arena, type) ((type *)fl_arena_alloc((arena), sizeof(type)))

#endif
