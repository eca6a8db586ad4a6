/* A plugin that behaves, for test_host.c: one tool for each promise of the host table. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "flopinio/plugin.h"

struct flopinio_instance {
    const struct flopinio_host *host;
    int calls;
    flopinio_job *waiting; /* of wait_async */
};

/* Of the instance opened last: enough for tests, which have one of a plugin in a process. A real
 * plugin keeps it in its instance. */
static const struct flopinio_host *_Atomic h;

static void say(flopinio_job *job, const char *text)
{
    h->text(job, text, strlen(text));
}

static void finish(flopinio_job *job, const char *text)
{
    say(job, text);
    h->done(job, FLOPINIO_OK);
}

static void nap(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static void echo(flopinio_instance *self, flopinio_job *job)
{
    const char *json;
    size_t n;
    self->calls++;
    if (h->arg_json(job, "", &json, &n)) {
        h->text(job, json, n);
        h->structured(job, json, n);
    }
    h->done(job, FLOPINIO_OK);
}

static void counter(flopinio_instance *self, flopinio_job *job)
{
    char text[64];
    snprintf(text, sizeof text, "%d %d", (int)getpid(), ++self->calls);
    finish(job, text);
}

static void arguments(flopinio_instance *self, flopinio_job *job)
{
    const char *s = "?", *json = "?", *odd = "?", *unused;
    size_t n = 0, count = 0, items = 0, json_n = 0, odd_n = 0;
    int64_t i = 0, whole = 0;
    double d = 0;
    int b = 0;
    char text[512];
    (void)self;
    int got = h->arg_string(job, "/s", &s, &n) + h->arg_int(job, "/i", &i) +
              h->arg_int(job, "/whole", &whole) + h->arg_number(job, "/d", &d) +
              h->arg_bool(job, "/b", &b) + h->arg_count(job, "", &count) +
              h->arg_count(job, "/list", &items) + h->arg_json(job, "/list/1", &json, &json_n) +
              h->arg_json(job, "/o/a~1b", &odd, &odd_n);
    int absent = h->arg_string(job, "/none", &unused, &n) + h->arg_int(job, "/s", &i) +
                 h->arg_bool(job, "/i", &b) + h->arg_count(job, "/s", &count) +
                 h->arg_number(job, "/s", &d) + h->arg_json(job, "/list/9", &unused, &n) +
                 h->arg_string(job, NULL, &unused, &n) + h->arg_int(job, "/d", &i);
    snprintf(text, sizeof text, "%d %d %s %lld %lld %g %d %zu %zu %.*s %.*s", got, absent, s,
             (long long)i, (long long)whole, d, b, count, items, (int)json_n, json, (int)odd_n,
             odd);
    finish(job, text);
}

/* ---- ends from elsewhere ---- */

struct delayed {
    flopinio_job *job;
    long ms;
};

static void *end_later(void *arg)
{
    struct delayed delayed = *(struct delayed *)arg;
    free(arg);
    nap(delayed.ms);
    finish(delayed.job, "later");
    return NULL;
}

static void later(flopinio_instance *self, flopinio_job *job)
{
    pthread_t thread;
    int64_t ms = 20;
    (void)self;
    struct delayed *delayed = malloc(sizeof *delayed);
    h->arg_int(job, "/ms", &ms);
    if (!delayed) {
        h->done(job, FLOPINIO_TOOL_ERROR);
        return;
    }
    delayed->job = job;
    delayed->ms = (long)ms;
    if (pthread_create(&thread, NULL, end_later, delayed) == 0) {
        pthread_detach(thread);
    } else {
        free(delayed);
        h->done(job, FLOPINIO_TOOL_ERROR);
    }
}

static void wait_cancelled(flopinio_instance *self, flopinio_job *job)
{
    (void)self;
    while (!h->is_cancelled(job))
        nap(1);
    say(job, "told to stop");
    h->done(job, FLOPINIO_TOOL_ERROR);
}

static void wait_async(flopinio_instance *self, flopinio_job *job)
{
    self->waiting = job;
}

static void cancel_async(flopinio_instance *self, flopinio_job *job)
{
    say(job, self->waiting == job ? "cancelled" : "another job was cancelled");
    h->done(job, FLOPINIO_TOOL_ERROR);
}

/* ---- previews ---- */

static void preview_write(flopinio_instance *self, flopinio_job *job)
{
    static const char diff[] = "--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n";
    (void)self;
    h->preview_diff(job, diff, sizeof diff - 1);
    h->preview_precondition(job, "version 1");
    h->done(job, FLOPINIO_OK);
}

static void write_it(flopinio_instance *self, flopinio_job *job)
{
    const char *condition = h->precondition(job);
    (void)self;
    if (condition && strcmp(condition, "version 1") != 0) {
        h->done(job, FLOPINIO_TARGET_CHANGED);
        return;
    }
    finish(job, condition ? "written, as shown" : "written, unseen");
}

static void preview_wrongly(flopinio_instance *self, flopinio_job *job)
{
    char long_text[300];
    const char *how = "";
    size_t n;
    (void)self;
    h->arg_string(job, "/how", &how, &n);
    if (strcmp(how, "mixed") == 0) {
        h->preview_text(job, "a", 1);
        h->preview_diff(job, "b", 1);
    } else if (strcmp(how, "long") == 0) {
        memset(long_text, 'x', sizeof long_text - 1);
        long_text[sizeof long_text - 1] = 0;
        h->preview_precondition(job, long_text);
    } else if (strcmp(how, "bytes") == 0) {
        h->preview_text(job, "\xff", 1);
    } else if (strcmp(how, "outcome") == 0) {
        h->done(job, FLOPINIO_TARGET_CHANGED);
        return;
    }
    h->done(job, FLOPINIO_OK);
}

/* ---- results ---- */

static void content(flopinio_instance *self, flopinio_job *job)
{
    static const unsigned char bytes[] = { 0, 1, 2, 255 };
    (void)self;
    h->text(job, "a \"b\"\n\xff!", 8);
    h->media(job, "image", "image/png", bytes, sizeof bytes);
    h->media(job, "audio", "audio/wav", bytes, 1);
    h->media(job, "video", "video/mp4", bytes, 1); /* MCP has none */
    h->resource(job, "file:///x", "text/plain", "hello", 5);
    h->structured(job, "{\"x\": 1}", 8);
    h->structured(job, "{\"x\": 2}", 8); /* once only */
    h->preview_text(job, "not here", 8);
    h->done(job, FLOPINIO_OK);
}

static void big(flopinio_instance *self, flopinio_job *job)
{
    int64_t n = 0;
    char chunk[4096];
    (void)self;
    h->arg_int(job, "/n", &n);
    memset(chunk, 'x', sizeof chunk);
    for (int64_t left = n; left > 0; left -= (int64_t)sizeof chunk)
        h->text(job, chunk, left < (int64_t)sizeof chunk ? (size_t)left : sizeof chunk);
    h->done(job, FLOPINIO_OK);
}

static void notes(flopinio_instance *self, flopinio_job *job)
{
    (void)self;
    h->progress(job, 1, 3, "one");
    h->progress(job, 1, 3, "not more");
    h->progress(job, 0.0 / 0.0, 3, NULL);
    h->progress(job, 2.5, 3, NULL);
    h->message(job, FLOPINIO_WARNING, "good", "{\"k\":1}");
    h->message(job, FLOPINIO_WARNING, "good", "no json");
    h->log(self->host, FLOPINIO_NOTICE, "a line\nwith a break");
    for (int i = 0; i < 1000; i++)
        h->progress(job, 10 + i, 0, "many");
    for (int i = 0; i < 1000; i++)
        h->log(self->host, FLOPINIO_NOTICE, "many");
    finish(job, "noted");
}

static void refuse(flopinio_instance *self, flopinio_job *job)
{
    int64_t code = 0;
    (void)self;
    if (h->arg_int(job, "/code", &code))
        h->error(job, (int)code, "it is so");
    h->done(job, FLOPINIO_PROTOCOL_ERROR);
}

/* ---- surroundings ---- */

static void configured(flopinio_instance *self, flopinio_job *job)
{
    const char *s = "?";
    size_t n;
    int64_t i = 0;
    int b = 0;
    char text[256];
    h->config_string(self->host, "/word", &s, &n);
    h->config_int(self->host, "/number", &i);
    h->config_bool(self->host, "/yes", &b);
    snprintf(text, sizeof text, "%s %lld %d %s %s", s, (long long)i, b,
             getenv("FL_TEST_KEPT") ? getenv("FL_TEST_KEPT") : "-",
             getenv("FL_TEST_SECRET") ? getenv("FL_TEST_SECRET") : "-");
    finish(job, text);
}

static void touch(flopinio_instance *self, flopinio_job *job)
{
    const char *path = "";
    size_t n;
    (void)self;
    h->arg_string(job, "/path", &path, &n);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    int error = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    finish(job, error ? strerror(error) : "touched");
}

static void preview_touch(flopinio_instance *self, flopinio_job *job)
{
    const char *path = "";
    size_t n;
    (void)self;
    h->arg_string(job, "/path", &path, &n);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    const char *text = fd < 0 ? strerror(errno) : "touched";
    if (fd >= 0)
        close(fd);
    h->preview_text(job, text, strlen(text));
    h->done(job, FLOPINIO_OK);
}

static void read_file(flopinio_instance *self, flopinio_job *job)
{
    const char *path = "";
    size_t n;
    (void)self;
    h->arg_string(job, "/path", &path, &n);
    int fd = open(path, O_RDONLY);
    int error = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    finish(job, error ? strerror(error) : "opened");
}

static void descriptors(flopinio_instance *self, flopinio_job *job)
{
    char text[64] = "";
    (void)self;
    for (int fd = 0; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%d ", fd);
    }
    finish(job, text);
}

static int open_good(const struct flopinio_host *host, flopinio_instance **ret)
{
    const char *why;
    size_t n;
    h = host;
    if (host->config_string(host, "/refuse", &why, &n)) {
        host->log(host, FLOPINIO_ERROR, why);
        return 1;
    }
    if (host->config_string(host, "/dies", &why, &n))
        abort();
    while (host->config_string(host, "/hangs", &why, &n))
        nap(1000);
    flopinio_instance *self = calloc(1, sizeof *self);
    if (!self)
        return 1;
    self->host = host;
    *ret = self;
    return 0;
}

static void close_good(flopinio_instance *self)
{
    free(self);
}

#define SCHEMA "{\"type\": \"object\"}"
#define TOOL(variable, tool_name, tool_effects, run, ...)                                          \
    static const struct flopinio_tool variable = { .size = sizeof(struct flopinio_tool),           \
                                                   .effects = (tool_effects),                      \
                                                   .name = (tool_name),                            \
                                                   .description = "For tests.",                    \
                                                   .input_schema = SCHEMA,                         \
                                                   .start = (run),                                 \
                                                   __VA_ARGS__ }

TOOL(tool_echo, "echo", FLOPINIO_READS, echo, .title = "Echo", .output_schema = SCHEMA,
     .task = FLOPINIO_TASK_NEVER);
TOOL(tool_counter, "counter", FLOPINIO_READS, counter, .title = NULL);
TOOL(tool_arguments, "arguments", FLOPINIO_READS | FLOPINIO_REACHES_OUT, arguments, .title = NULL);
TOOL(tool_later, "later", FLOPINIO_READS, later, .title = NULL);
TOOL(tool_wait, "wait", FLOPINIO_READS, wait_cancelled, .title = NULL);
TOOL(tool_wait_async, "wait_async", FLOPINIO_READS, wait_async, .cancel = cancel_async);
TOOL(tool_write, "write", FLOPINIO_WRITES | FLOPINIO_DESTROYS, write_it, .preview = preview_write,
     .card = "Write {path}");
TOOL(tool_wrong_preview, "wrong_preview", 0, write_it, .preview = preview_wrongly);
TOOL(tool_content, "content", FLOPINIO_READS, content, .title = NULL);
TOOL(tool_big, "big", FLOPINIO_READS, big, .preview = NULL);
TOOL(tool_notes, "notes", FLOPINIO_READS, notes, .title = NULL);
TOOL(tool_refuse, "refuse", FLOPINIO_READS, refuse, .title = NULL);
TOOL(tool_configured, "configured", FLOPINIO_READS, configured, .title = NULL);
TOOL(tool_touch, "touch", FLOPINIO_WRITES | FLOPINIO_IDEMPOTENT, touch, .preview = preview_touch);
TOOL(tool_read, "read", FLOPINIO_READS, read_file, .title = NULL);
TOOL(tool_descriptors, "descriptors", FLOPINIO_READS, descriptors, .title = NULL);

static const struct flopinio_tool *const tools[] = {
    &tool_echo,        &tool_counter, &tool_arguments,     &tool_later,      &tool_wait,
    &tool_wait_async,  &tool_write,   &tool_wrong_preview, &tool_content,    &tool_big,
    &tool_notes,       &tool_refuse,  &tool_touch,         &tool_configured, &tool_read,
    &tool_descriptors, NULL
};

const struct flopinio_plugin *flopinio_plugin(void)
{
    static const struct flopinio_plugin plugin = {
        .magic = FLOPINIO_PLUGIN_MAGIC,
        .size = sizeof(struct flopinio_plugin),
        .abi_major = FLOPINIO_PLUGIN_ABI_MAJOR,
        .abi_minor = FLOPINIO_PLUGIN_ABI_MINOR,
        .name = "good",
        .version = "1.2.3",
        .description = "Behaves.",
        .tools = tools,
        .open = open_good,
        .close = close_good,
    };
    return &plugin;
}
