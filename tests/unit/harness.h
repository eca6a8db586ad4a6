/* Unit test harness: each case runs in a process of its own with a time limit, so that a crash or
 * a hang is one failed case. A program prints one line a case and ends with "N passed, N failed,
 * N skipped". `test_x NAME...` runs only the named cases, `test_x --list` names them. */
#ifndef FL_TEST_HARNESS_H
#define FL_TEST_HARNESS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

struct fl_test {
    const char *name; /* the claim, as words_with_underscores */
    void (*run)(void);
    unsigned limit_s; /* 0 = 20 s (times 4 under a sanitizer) */
};

#define T(name)                                                                                    \
    {                                                                                              \
#name, test_##name, 0                                                                      \
    }
#define T_LIMIT(name, s)                                                                           \
    {                                                                                              \
#name, test_##name, (s)                                                                    \
    }

int fl_test_main(int argc, char **argv, const struct fl_test *tests, size_t count);
#define TEST_MAIN(tests)                                                                           \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return fl_test_main(argc, argv, (tests), sizeof(tests) / sizeof((tests)[0]));              \
    }

_Noreturn void fl_test_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Ends the case as skipped, saying why. Under CI=true a skip is a failure. */
_Noreturn void fl_test_skip(const char *why);

#define CHECK(claim)                                                                               \
    do {                                                                                           \
        if (!(claim))                                                                              \
            fl_test_fail(__FILE__, __LINE__, "%s", #claim);                                        \
    } while (0)
#define CHECK_MSG(claim, ...)                                                                      \
    do {                                                                                           \
        if (!(claim))                                                                              \
            fl_test_fail(__FILE__, __LINE__, __VA_ARGS__);                                         \
    } while (0)
#define CHECK_INT(got, want)                                                                       \
    do {                                                                                           \
        long long got_ = (long long)(got), want_ = (long long)(want);                              \
        if (got_ != want_)                                                                         \
            fl_test_fail(__FILE__, __LINE__, "%s is %lld, not %lld", #got, got_, want_);           \
    } while (0)
#define CHECK_STR(got, want)                                                                       \
    do {                                                                                           \
        const char *got_ = (got), *want_ = (want);                                                 \
        if (!got_ || strcmp(got_, want_) != 0)                                                     \
            fl_test_fail(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #got,                     \
                         got_ ? got_ : "(null)", want_);                                           \
    } while (0)
#define CHECK_SPAN(got, want)                                                                      \
    do {                                                                                           \
        struct fl_str got_ = (got), want_ = fl_str_of(want);                                       \
        if (!fl_str_eq(got_, want_))                                                               \
            fl_test_fail(__FILE__, __LINE__, "%s is \"%.*s\", not \"%s\"", #got, FL_STR_ARG(got_), \
                         (want));                                                                  \
    } while (0)
#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        enum fl_code code_ = (call);                                                               \
        if (code_ != FL_OK)                                                                        \
            fl_test_fail(__FILE__, __LINE__, "%s gave %s", #call, fl_code_name(code_));            \
    } while (0)

/* The whole file, NUL-terminated; fails the case if it cannot be read. Free with free(). */
char *fl_test_read_file(const char *path, size_t *ret_n);
/* ../shared/data/NAME; skips the case when the folder is absent. Static buffer. */
const char *fl_test_data(const char *name);

#endif
