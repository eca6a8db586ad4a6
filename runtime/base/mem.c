/* The one door to the allocator, with a counter that tests use to make allocations fail. */
#include "flopinio/base/mem.h"

#include <errno.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "flopinio/base/id.h"

static _Atomic uint64_t alloc_count;
static _Atomic uint64_t fail_from; /* 0 = never */
static _Atomic bool fail_once;
static _Atomic bool is_counting;
static _Thread_local uint64_t failures;

static bool must_fail(void)
{
    if (!atomic_load_explicit(&is_counting, memory_order_relaxed))
        return false;
    uint64_t n = atomic_fetch_add(&alloc_count, 1) + 1;
    uint64_t from = atomic_load(&fail_from);
    if (from == 0 || n < from)
        return false;
    return n == from || !atomic_load(&fail_once);
}

uint64_t fl_mem_fail_at(uint64_t n, int only_once)
{
    uint64_t before = atomic_load(&alloc_count);
    atomic_store(&fail_from, 0);
    atomic_store(&alloc_count, 0);
    atomic_store(&fail_once, only_once != 0);
    atomic_store(&fail_from, n);
    atomic_store(&is_counting, n != 0);
    return before;
}

static void *counted(void *ptr)
{
    failures += !ptr;
    return ptr;
}

uint64_t fl_mem_failures(void)
{
    return failures;
}

void *fl_malloc(size_t size)
{
    return counted(must_fail() ? NULL : malloc(size ? size : 1));
}

void *fl_calloc(size_t count, size_t size)
{
    if (must_fail())
        return counted(NULL);
    return counted(count && size ? calloc(count, size) : calloc(1, 1));
}

void *fl_realloc(void *ptr, size_t size)
{
    return counted(must_fail() ? NULL : realloc(ptr, size ? size : 1));
}

void *fl_reallocarray(void *ptr, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return fl_realloc(ptr, bytes);
}

char *fl_strdup(const char *text)
{
    return fl_strndup(text, strlen(text));
}

char *fl_strndup(const char *text, size_t n)
{
    char *copy = n == SIZE_MAX ? NULL : fl_malloc(n + 1);
    if (copy) {
        if (n)
            memcpy(copy, text, n);
        copy[n] = 0;
    }
    return copy;
}

void fl_free(void *ptr)
{
    free(ptr);
}

void fl_mem_init(void)
{
    size_t seed = 0;
    fl_random(&seed, sizeof seed);
    json_set_alloc_funcs(fl_malloc, fl_free);
    json_object_seed(seed ? seed : 1); /* 0 would ask jansson to find one by itself */
}
