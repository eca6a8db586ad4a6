/* The files plugin: tools on the files below one directory, which nothing leaves. This file says
 * what it offers and reads the configuration; the runtime calls it on one thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "tools.h"

static const struct flopinio_tool *const tools[] = {
    &tool_list, &tool_stat,           &tool_read, &tool_search, &tool_write,
    &tool_edit, &tool_make_directory, &tool_move, &tool_delete, NULL
};

static int complain(const struct flopinio_host *host, const char *text)
{
    host->log(host, FLOPINIO_ERROR, text);
    return -1;
}

/* The host's accessors answer 0 for an absent value and for one of another type alike; only the
 * first may mean the default. */
static int wrong_type(const struct flopinio_host *host, const char *pointer, const char *must_be)
{
    const char *text;
    size_t n;
    int64_t number;
    int flag;
    char line[120];
    if (!host->config_string(host, pointer, &text, &n) &&
        !host->config_int(host, pointer, &number) && !host->config_bool(host, pointer, &flag))
        return 0;
    snprintf(line, sizeof line, "%s must be %s", pointer + 1, must_be);
    return complain(host, line);
}

static int config_flag(const struct flopinio_host *host, const char *pointer, bool *value)
{
    int flag;
    if (!host->config_bool(host, pointer, &flag))
        return wrong_type(host, pointer, "true or false");
    *value = flag != 0;
    return 0;
}

static int config_size(const struct flopinio_host *host, const char *pointer, int64_t min,
                       int64_t max, int64_t *value)
{
    char line[120];
    int64_t given;
    if (!host->config_int(host, pointer, &given)) {
        snprintf(line, sizeof line, "an integer from %lld to %lld", (long long)min, (long long)max);
        return wrong_type(host, pointer, line);
    }
    if (given < min || given > max) {
        snprintf(line, sizeof line, "%s is %lld, not from %lld to %lld", pointer + 1,
                 (long long)given, (long long)min, (long long)max);
        return complain(host, line);
    }
    *value = given;
    return 0;
}

static int configure(flopinio_instance *in, const struct flopinio_host *host)
{
    bool crosses_mounts = false;
    int64_t max_file = 4194304, max_read = 262144, max_results = 1000, timeout = 5000;
    const char *root = NULL, *why = NULL;
    size_t n = 0;
    in->shows_hidden = true;
    if (config_flag(host, "/read_only", &in->is_read_only) != 0 ||
        config_flag(host, "/show_hidden", &in->shows_hidden) != 0 ||
        config_flag(host, "/cross_mounts", &crosses_mounts) != 0 ||
        config_size(host, "/max_file_bytes", 1024, 64 << 20, &max_file) != 0 ||
        config_size(host, "/max_read_bytes", 1024, 1 << 20, &max_read) != 0 ||
        config_size(host, "/max_results", 1, 100000, &max_results) != 0 ||
        config_size(host, "/search_timeout_ms", 10, 60000, &timeout) != 0)
        return -1;
    if (!host->config_string(host, "/root", &root, &n) || n == 0)
        return complain(host, "root is missing: the absolute path of the directory to serve");
    if (root[0] != '/' || strlen(root) != n)
        return complain(host, "root must be an absolute path");
    if (root_open(&in->root, root, crosses_mounts, &why) != 0)
        return complain(host, why);
    in->max_file_bytes = (size_t)max_file;
    in->max_read_bytes = (size_t)max_read;
    in->max_results = (size_t)max_results;
    in->search_timeout_ms = timeout;
    return 0;
}

static void close_instance(flopinio_instance *in)
{
    if (!in)
        return;
    root_close(&in->root);
    free(in);
}

static int open_instance(const struct flopinio_host *host, flopinio_instance **ret)
{
    flopinio_instance *in = calloc(1, sizeof *in);
    if (!in)
        return complain(host, "out of memory");
    in->host = host;
    in->root.fd = -1;
    if (configure(in, host) != 0) {
        close_instance(in);
        return -1;
    }
    *ret = in;
    return 0;
}

FLOPINIO_EXPORT const struct flopinio_plugin *flopinio_plugin(void)
{
    static const struct flopinio_plugin plugin = {
        .magic = FLOPINIO_PLUGIN_MAGIC,
        .size = sizeof plugin,
        .abi_major = FLOPINIO_PLUGIN_ABI_MAJOR,
        .abi_minor = FLOPINIO_PLUGIN_ABI_MINOR,
        .name = "files",
        .version = "1.0.0",
        .description = "Files below one directory: list, read, search, write, edit, move, delete",
        .tools = tools,
        .open = open_instance,
        .close = close_instance,
    };
    return &plugin;
}
