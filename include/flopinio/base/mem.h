/* Allocation. One door, so that tests can make the n-th allocation fail and every library that
 * takes allocation hooks (jansson) can be made to fail too. Any thread. */
#ifndef FLOPINIO_BASE_MEM_H
#define FLOPINIO_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* NULL when there is no memory. fl_calloc and fl_reallocarray check the product. */
void *fl_malloc(size_t size);
void *fl_calloc(size_t count, size_t size);
void *fl_realloc(void *ptr, size_t size);
void *fl_reallocarray(void *ptr, size_t count, size_t size);
char *fl_strdup(const char *text);
char *fl_strndup(const char *text, size_t n);
void fl_free(void *ptr);

/* Once, before anything else: routes jansson through fl_malloc and seeds its hash tables. */
void fl_mem_init(void);

/* How many allocations of this thread have failed so far. For libraries that go on without the
 * memory: jansson's lexer loses a byte of the text when its buffer cannot grow, and says nothing.
 */
uint64_t fl_mem_failures(void);

/* Tests only. The n-th allocation from now on (1 = the next) of this process fails, once if
 * `only_once`, else it and all later ones; 0 switches failing off. Returns the count so far. */
uint64_t fl_mem_fail_at(uint64_t n, int only_once);

#endif
