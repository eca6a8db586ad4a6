/* Reads files of the time zone database. */
#include "flopinio/base/zone.h"

#include <stdio.h>

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
    FILE *file = fopen(path, "rbe");
    if (!file)
        return false;
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, file)) > 0;)
        fl_buf_put(out, bytes, got);
    bool is_read = !ferror(file); /* a folder opens, and fails here */
    fclose(file);
    return is_read;
}
