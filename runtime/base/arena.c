/* Arena: chunks with a bump pointer. With FL_ARENA_MALLOC every piece is its own malloc. */
#include "flopinio/base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "flopinio/base/mem.h"

#define ALIGNMENT (_Alignof(max_align_t))
#define CHUNK_MIN 1024
#define CHUNK_MAX (64 * 1024)

struct chunk {
    struct chunk *next;
    size_t size, used;
    _Alignas(max_align_t) char bytes[];
};

struct fl_arena {
    struct chunk *chunks; /* newest first */
    size_t next_size;
    size_t used;
};

struct fl_arena *fl_arena_new(size_t first_bytes)
{
    struct fl_arena *arena = fl_calloc(1, sizeof *arena);
    if (arena)
        arena->next_size = first_bytes > CHUNK_MIN ? first_bytes : CHUNK_MIN;
    return arena;
}

void fl_arena_free(struct fl_arena **arena)
{
    if (!*arena)
        return;
    for (struct chunk *c = (*arena)->chunks, *next; c; c = next) {
        next = c->next;
        fl_free(c);
    }
    fl_free(*arena);
    *arena = NULL;
}

static struct chunk *add_chunk(struct fl_arena *arena, size_t at_least)
{
#ifdef FL_ARENA_MALLOC
    size_t size = at_least;
#else
    size_t size = arena->next_size > at_least ? arena->next_size : at_least;
    if (arena->next_size < CHUNK_MAX)
        arena->next_size *= 2;
#endif
    if (size > SIZE_MAX / 2)
        return NULL;
    struct chunk *c = fl_malloc(sizeof *c + size);
    if (!c)
        return NULL;
    c->size = size;
    c->used = 0;
    c->next = arena->chunks;
    arena->chunks = c;
    return c;
}

void *fl_arena_alloc(struct fl_arena *arena, size_t size)
{
    size_t room = size ? size : 1;
    if (room > SIZE_MAX / 4)
        return NULL;
#ifndef FL_ARENA_MALLOC
    room = (room + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
#endif
    struct chunk *c = arena->chunks;
#ifdef FL_ARENA_MALLOC
    c = add_chunk(arena, room);
#else
    if (!c || c->size - c->used < room)
        c = add_chunk(arena, room);
#endif
    if (!c)
        return NULL;
    void *p = c->bytes + c->used;
    c->used += room;
    arena->used += room;
    memset(p, 0, room);
    return p;
}

void *fl_arena_array(struct fl_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : fl_arena_alloc(arena, bytes);
}

char *fl_arena_strndup(struct fl_arena *arena, const char *text, size_t n)
{
    char *copy = n == SIZE_MAX ? NULL : fl_arena_alloc(arena, n + 1);
    if (copy && n)
        memcpy(copy, text, n);
    return copy;
}

char *fl_arena_strdup(struct fl_arena *arena, const char *text)
{
    return fl_arena_strndup(arena, text, strlen(text));
}

struct fl_str fl_arena_str(struct fl_arena *arena, struct fl_str s)
{
    char *copy = fl_arena_strndup(arena, s.p, s.n);
    return (struct fl_str){ copy, copy ? s.n : 0 };
}

char *fl_arena_printf(struct fl_arena *arena, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *text = n < 0 ? NULL : fl_arena_alloc(arena, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return text;
}

size_t fl_arena_used(const struct fl_arena *arena)
{
    return arena->used;
}
