/* Runs each case in a child process with a time limit. */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flopinio/base/mem.h"

enum { EXIT_FAIL = 1, EXIT_SKIP = 77 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWER 4
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOWER 4
#endif
#endif
#ifndef SLOWER
#define SLOWER 1
#endif

void fl_test_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stdout, "    %s:%d: ", file, line);
    vfprintf(stdout, fmt, ap);
    fputc('\n', stdout);
    va_end(ap);
    fflush(stdout);
    _exit(EXIT_FAIL);
}

void fl_test_skip(const char *why)
{
    printf("    skipped: %s\n", why);
    fflush(stdout);
    _exit(EXIT_SKIP);
}

/* Time limits are that many times longer: under a sanitizer, and under valgrind. */
static unsigned slower(void)
{
    const char *text = getenv("FL_TEST_SLOWER");
    return text ? (unsigned)strtoul(text, NULL, 10) : SLOWER;
}

static int run_case(const struct fl_test *test)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        alarm((test->limit_s ? test->limit_s : 20) * slower());
        fl_mem_init();
        test->run();
        fflush(stdout);
        exit(0); /* not _exit: the leak check runs at exit */
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    kill(-pid, SIGKILL); /* whatever the case left behind */
    if (WIFSIGNALED(status)) {
        printf("    ended by signal %d%s\n", WTERMSIG(status),
               WTERMSIG(status) == SIGALRM ? " (time limit)" : "");
        return EXIT_FAIL;
    }
    return WEXITSTATUS(status);
}

static bool is_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(name, argv[i]) == 0)
            return true;
    }
    return argc <= 1;
}

int fl_test_main(int argc, char **argv, const struct fl_test *tests, size_t count)
{
    int passed = 0, failed = 0, skipped = 0;
    const char *ci = getenv("CI");
    bool is_ci = ci && strcmp(ci, "true") == 0;
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < count; i++)
            puts(tests[i].name);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_wanted(tests[i].name, argc, argv))
            continue;
        int rc = run_case(&tests[i]);
        if (rc == EXIT_SKIP && !is_ci)
            skipped++;
        else if (rc)
            failed++;
        else
            passed++;
        printf("%s %s\n",
               rc == 0                     ? "ok  "
               : rc == EXIT_SKIP && !is_ci ? "skip"
                                           : "FAIL",
               tests[i].name);
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed || passed + skipped == 0;
}

char *fl_test_read_file(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    CHECK_MSG(f, "cannot open %s: %s", path, strerror(errno));
    size_t n = 0, cap = 4096;
    char *text = malloc(cap);
    for (;;) {
        CHECK(text);
        size_t got = fread(text + n, 1, cap - n - 1, f);
        if (got == 0)
            break;
        n += got;
        if (cap - n < 2)
            text = realloc(text, cap *= 2);
    }
    fclose(f);
    text[n] = 0;
    if (ret_n)
        *ret_n = n;
    return text;
}

const char *fl_test_data(const char *name)
{
    static char path[4096];
    struct stat st;
    if (stat(FL_TEST_DATA, &st) != 0)
        fl_test_skip("the published data (../shared/data) is not here");
    snprintf(path, sizeof path, "%s/%s", FL_TEST_DATA, name);
    return path;
}
