/* Reads files of the time zone database. */
#include "flopinio/base/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define ZONE_DIRECTORY "/usr/share/zoneinfo"

static bool is_safe(struct fl_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        bool is_first = i == 0 || name.p[i - 1] == '/';
        if (name.p[i] == 0 || (is_first && (name.p[i] == '.' || name.p[i] == '/')))
            return false;
    }
    return name.n > 0;
}

bool fl_zone_file(void *ctx, struct fl_str name, struct fl_buf *out)
{
    FL_UNUSED(ctx);
    char path[256], bytes[4096];
    int n = snprintf(path, sizeof path, ZONE_DIRECTORY "/%.*s", FL_STR_ARG(name));
    if (!is_safe(name) || n < 0 || (size_t)n >= sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC); /* fopen would need memory */
    if (fd < 0)
        return false;
    ssize_t got;
    while ((got = read(fd, bytes, sizeof bytes)) > 0 || (got < 0 && errno == EINTR)) {
        if (got > 0)
            fl_buf_put(out, bytes, (size_t)got);
    }
    bool is_read = got == 0; /* a folder opens, and fails here */
    close(fd);
    return is_read;
}
