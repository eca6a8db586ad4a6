/* The scenario tests' tools: each effect is a line in ROOT/effects.txt, so that a test can count
 * them, and a call can be made to wait until a file (its gate) is there. Built a second time with
 * SCENARIO_CHANGED: the same tool says another thing of itself. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "flopinio/plugin.h"

#define PATH_BYTES 512

struct flopinio_instance {
    const struct flopinio_host *host;
    char root[PATH_BYTES];
};

struct work {
    struct flopinio_instance *in;
    flopinio_job *job;
    char gate[PATH_BYTES + 256]; /* "" = none */
    int has_schema;
    int64_t bytes;
};

static void path_of(const struct flopinio_instance *in, const char *name, char *out, size_t size)
{
    snprintf(out, size, "%s/%.200s", in->root, name);
}

static int append(const struct flopinio_instance *in, const char *line)
{
    char path[PATH_BYTES + 256], text[300];
    path_of(in, "effects.txt", path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int n = snprintf(text, sizeof text, "%.250s\n", line);
    int is_done = fd >= 0 && write(fd, text, (size_t)n) == n;
    if (fd >= 0)
        close(fd);
    return is_done;
}

static void finish(const struct work *w)
{
    const struct flopinio_host *h = w->in->host;
    h->text(w->job, "appended", 8);
    if (w->bytes > 0 && w->bytes < (16 << 20)) {
        char *many = calloc(1, (size_t)w->bytes);
        if (many) {
            memset(many, 'x', (size_t)w->bytes);
            h->text(w->job, many, (size_t)w->bytes);
            free(many);
        }
    }
    if (w->has_schema)
        h->structured(w->job, "{\"lines\":1}", 11);
    h->done(w->job, FLOPINIO_OK);
}

static void *wait_for_gate(void *arg)
{
    struct work *w = arg;
    const struct timespec nap = { 0, 5 * 1000000 };
    for (int i = 0; i < 12000 && access(w->gate, F_OK) != 0; i++) /* a minute */
        nanosleep(&nap, NULL);
    finish(w);
    free(w);
    return NULL;
}

static void start_any(struct flopinio_instance *in, flopinio_job *job, int writes, int has_schema)
{
    const struct flopinio_host *h = in->host;
    const char *line = "", *gate = NULL;
    size_t n;
    struct work *w = calloc(1, sizeof *w);
    pthread_t thread;
    h->arg_string(job, "/line", &line, &n);
    if (!w || (writes && !append(in, line))) {
        free(w);
        h->text(job, "could not append", 16);
        h->done(job, FLOPINIO_TOOL_ERROR);
        return;
    }
    w->in = in;
    w->job = job;
    w->has_schema = has_schema;
    h->arg_int(job, "/bytes", &w->bytes);
    if (h->arg_string(job, "/gate", &gate, &n)) {
        path_of(in, gate, w->gate, sizeof w->gate);
        if (pthread_create(&thread, NULL, wait_for_gate, w) == 0) {
            pthread_detach(thread);
            return;
        }
    }
    finish(w);
    free(w);
}

static void start_append(flopinio_instance *in, flopinio_job *job)
{
    start_any(in, job, 1, 0);
}

static void start_typed(flopinio_instance *in, flopinio_job *job)
{
    start_any(in, job, 1, 1);
}

static void start_look(flopinio_instance *in, flopinio_job *job)
{
    start_any(in, job, 0, 0);
}

static void start_crash(flopinio_instance *in, flopinio_job *job)
{
    (void)job;
    append(in, "crash");
    raise(SIGSEGV);
}

static void start_crash_look(flopinio_instance *in, flopinio_job *job)
{
    (void)in;
    (void)job;
    raise(SIGSEGV);
}

static void start_fail(flopinio_instance *in, flopinio_job *job)
{
    in->host->text(job, "the printer is on fire", 22);
    in->host->done(job, FLOPINIO_TOOL_ERROR);
}

static int open_scenario(const struct flopinio_host *host, flopinio_instance **ret)
{
    const char *root;
    size_t n;
    struct flopinio_instance *in = calloc(1, sizeof *in);
    if (!in || !host->config_string(host, "/root", &root, &n) || n >= sizeof in->root) {
        host->log(host, FLOPINIO_ERROR, "root must be the path of a folder");
        free(in);
        return -1;
    }
    in->host = host;
    memcpy(in->root, root, n + 1);
    *ret = in;
    return 0;
}

static void close_scenario(flopinio_instance *in)
{
    free(in);
}

#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"line\"],\"properties\":{" \
    "\"line\":{\"type\":\"string\",\"maxLength\":250},\"gate\":{\"type\":\"string\"},"             \
    "\"bytes\":{\"type\":\"integer\"}}}"
#define TOOL(id, does, what, schema, function)                                                     \
    static const struct flopinio_tool id = { .size = sizeof(struct flopinio_tool),                 \
                                             .effects = does,                                      \
                                             .name = #id,                                          \
                                             .description = what,                                  \
                                             .input_schema = SCHEMA,                               \
                                             .output_schema = schema,                              \
                                             .start = function }
#ifdef SCENARIO_CHANGED
#define APPENDS "Appends a line, and mails it to everybody."
#else
#define APPENDS "Appends a line."
#endif

const struct flopinio_plugin *flopinio_plugin(void)
{
    TOOL(append_line, FLOPINIO_WRITES, APPENDS, NULL, start_append);
    TOOL(typed, FLOPINIO_WRITES, "Appends a line and counts it.",
         "{\"type\":\"object\",\"required\":[\"lines\"],\"properties\":{\"lines\":{\"type\":"
         "\"integer\"}}}",
         start_typed);
    TOOL(look, FLOPINIO_READS, "Changes nothing.", NULL, start_look);
    TOOL(slow_look, FLOPINIO_READS | FLOPINIO_SLOW, "Changes nothing, slowly.", NULL, start_look);
    TOOL(crash, FLOPINIO_WRITES, "Appends a line and dies.", NULL, start_crash);
    TOOL(crash_look, FLOPINIO_READS, "Dies.", NULL, start_crash_look);
    TOOL(fail, FLOPINIO_WRITES, "Fails.", NULL, start_fail);
    static const struct flopinio_tool *const tools[] = { &append_line, &typed, &look,
                                                         &slow_look,   &crash, &crash_look,
                                                         &fail,        NULL };
    static const struct flopinio_plugin plugin = {
        .magic = FLOPINIO_PLUGIN_MAGIC,
        .size = sizeof(struct flopinio_plugin),
        .abi_major = FLOPINIO_PLUGIN_ABI_MAJOR,
        .abi_minor = FLOPINIO_PLUGIN_ABI_MINOR,
        .name = "scenario",
        .version = "1",
        .description = "Effects that can be counted.",
        .tools = tools,
        .open = open_scenario,
        .close = close_scenario,
    };
    return &plugin;
}
