/* Assertions that stay on in release builds: our mistakes abort, the world's failures return.
 * Used by every folder, from any thread. */
#ifndef FLOPINIO_BASE_ASSERT_H
#define FLOPINIO_BASE_ASSERT_H

/* Prints the claim, the place and the work in hand (fl_assert_context) to stderr, then aborts. */
_Noreturn void fl_assert_fail(const char *claim, const char *file, int line, const char *func);

/* What the calling thread is working on ("call 0190.. step S_dispatch"); printed when an assertion
 * fails. `text` must stay valid until replaced; NULL clears it. */
void fl_assert_context(const char *text);

#define FL_ASSERT(claim)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(claim), 0))                                                         \
            fl_assert_fail(#claim, __FILE__, __LINE__, __func__);                                  \
    } while (0)

/* Where no path leads: `what` says what got there. */
#define FL_NEVER(what) fl_assert_fail(what, __FILE__, __LINE__, __func__)

/* An object reached through `void *` starts with `uint32_t magic`; checked on the cast. */
#define FL_CHECK_MAGIC(obj, value) FL_ASSERT((obj) != 0 && (obj)->magic == (value))

#define FL_MUST_CHECK        __attribute__((warn_unused_result))
#define FL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
/* A large variable that is written before it is read: the build clears all others (CMakeLists.txt),
 * which in what every call passes through costs more than what is done there. */
#define FL_NOT_CLEARED       __attribute__((uninitialized))

#define FL_UNUSED(x)  ((void)(x))
#define FL_COUNTOF(a) (sizeof(a) / sizeof((a)[0]))

#endif
