/* What is closed to plugins. Asked by the worker, in words that an operator reads; and by the
 * plugin process (landlock.c), of what it has opened. */
#include "runtime/host/closed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/host/host.h"

void fl_closed_resolve(const char *path, char ret[PATH_MAX])
{
    char start[PATH_MAX], real[PATH_MAX];
    size_t n = strlen(path);
    snprintf(ret, PATH_MAX, "%s", path);
    if (n >= sizeof start)
        return; /* nothing has such a name */
    memcpy(start, path, n + 1);
    while (n && !realpath(n > 1 ? start : "/", real)) {
        while (n && start[n - 1] == '/')
            n--;
        while (n && start[n - 1] != '/')
            n--;
        start[n] = 0;
    }
    if (n) {
        const char *rest = path + n;
        bool needs_slash = *rest && *rest != '/' && strcmp(real, "/") != 0;
        int is = snprintf(ret, PATH_MAX, "%s%s%s", real, needs_slash ? "/" : "",
                          strcmp(real, "/") == 0 && *rest == '/' ? rest + 1 : rest);
        if (is >= PATH_MAX)
            snprintf(ret, PATH_MAX, "/"); /* which meets all that is closed */
    }
}

bool fl_closed_meets(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > m) {
        const char *longer = a;
        a = b;
        b = longer;
        n = m;
    }
    while (n && a[n - 1] == '/')
        n--;
    return strncmp(a, b, n) == 0 && (b[n] == '/' || b[n] == 0);
}

enum fl_code fl_host_paths_check(const struct fl_host_sandbox *sandbox, struct fl_err *err)
{
    char path[PATH_MAX], closed[PATH_MAX];
    for (size_t i = 0; i < sandbox->path_count; i++) {
        if (sandbox->paths[i].path[0] != '/')
            continue; /* refused as such */
        fl_closed_resolve(sandbox->paths[i].path, path);
        for (const char *const *c = sandbox->closed; c && *c; c++) {
            fl_closed_resolve(*c, closed);
            if (fl_closed_meets(path, closed))
                return fl_err_set(
                    err, FL_CONFIG,
                    "a plugin may not reach the runtime's own files: %.120s contains, "
                    "is or lies in %.120s",
                    sandbox->paths[i].path, *c);
        }
    }
    return FL_OK;
}
