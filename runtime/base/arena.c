/* Arena: chunks with a bump pointer, the first of them behind the arena itself. With
 * FL_ARENA_MALLOC every piece is its own malloc, and nothing is kept for the next arena. */
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
    struct chunk *chunks; /* newest first; the last one is `first` */
    size_t next_size;
    size_t used;
    struct fl_arena *next_kept;
    struct chunk first; /* last member: its bytes follow */
};

/* ---- arenas kept for the next ones: first chunks have sizes of powers of two, a list each ---- */
#define KEPT_SIZES 6 /* 1 KB to 32 KB */

static _Thread_local struct fl_arena *kept[KEPT_SIZES];
static _Thread_local size_t kept_bytes, keep_most_bytes;

void fl_arena_keep(size_t most_bytes)
{
#ifndef FL_ARENA_MALLOC
    keep_most_bytes = most_bytes;
#endif
    if (most_bytes > 0)
        return;
    for (size_t i = 0; i < KEPT_SIZES; i++) {
        for (struct fl_arena *a = kept[i], *next; a; a = next) {
            next = a->next_kept;
            fl_free(a);
        }
        kept[i] = NULL;
    }
    kept_bytes = 0;
}

size_t fl_arena_kept(void)
{
    return kept_bytes;
}

/* Which list; KEPT_SIZES: none. Rounds *size up to the list's. */
static size_t list_of(size_t *size)
{
    size_t i = 0;
    while (i < KEPT_SIZES && (size_t)CHUNK_MIN << i < *size)
        i++;
    if (i < KEPT_SIZES)
        *size = (size_t)CHUNK_MIN << i;
    return i;
}

static struct fl_arena *take_kept(size_t i)
{
    struct fl_arena *arena = i < KEPT_SIZES ? kept[i] : NULL;
    if (!arena)
        return NULL;
    kept[i] = arena->next_kept;
    kept_bytes -= arena->first.size;
    return arena;
}

static bool keep(struct fl_arena *arena)
{
    size_t size = arena->first.size, i = list_of(&size);
    if (i == KEPT_SIZES || kept_bytes + size > keep_most_bytes)
        return false;
    arena->next_kept = kept[i];
    kept[i] = arena;
    kept_bytes += size;
    return true;
}

/* ---- */
struct fl_arena *fl_arena_new(size_t first_bytes)
{
    size_t size = first_bytes;
    struct fl_arena *arena = take_kept(list_of(&size));
#ifdef FL_ARENA_MALLOC
    size = 0;
#endif
    if (!arena && size < SIZE_MAX / 2)
        arena = fl_malloc(sizeof *arena + size);
    if (!arena)
        return NULL;
    arena->chunks = &arena->first;
    arena->next_size = size < CHUNK_MIN ? CHUNK_MIN : size > CHUNK_MAX / 2 ? CHUNK_MAX : size * 2;
    arena->used = 0;
    arena->first.next = NULL;
    arena->first.size = size;
    arena->first.used = 0;
    return arena;
}

void fl_arena_free(struct fl_arena **arena)
{
    struct fl_arena *a = *arena;
    *arena = NULL;
    if (!a)
        return;
    for (struct chunk *c = a->chunks, *next; c != &a->first; c = next) {
        next = c->next;
        fl_free(c);
    }
    if (!keep(a))
        fl_free(a);
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

void *fl_arena_raw(struct fl_arena *arena, size_t size)
{
    size_t room = size ? size : 1;
    if (room > SIZE_MAX / 4)
        return NULL;
    struct chunk *c = arena->chunks;
#ifdef FL_ARENA_MALLOC
    c = add_chunk(arena, room);
    if (c)
        memset(c->bytes, 0xa5, room); /* what is not written before it is read shows itself */
#else
    room = (room + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (c->size - c->used < room)
        c = add_chunk(arena, room);
#endif
    if (!c)
        return NULL;
    void *p = c->bytes + c->used;
    c->used += room;
    arena->used += room;
    return p;
}

void *fl_arena_alloc(struct fl_arena *arena, size_t size)
{
    void *p = fl_arena_raw(arena, size);
    if (p)
        memset(p, 0, size);
    return p;
}

void *fl_arena_array(struct fl_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : fl_arena_alloc(arena, bytes);
}

char *fl_arena_strndup(struct fl_arena *arena, const char *text, size_t n)
{
    char *copy = n == SIZE_MAX ? NULL : fl_arena_raw(arena, n + 1);
    if (!copy)
        return NULL;
    if (n)
        memcpy(copy, text, n);
    copy[n] = 0;
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
