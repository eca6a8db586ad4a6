/* The smallest plugin with a preview: few allocations, for the tests that fail each of them. */
#include <string.h>

#include "flopinio/plugin.h"

/* Of the instance opened last: enough for tests, which have one of a plugin in a process. A real
 * plugin keeps it in its instance. */
static const struct flopinio_host *_Atomic h;

static void start(flopinio_instance *self, flopinio_job *job)
{
    const char *path = "?";
    size_t n = 1;
    (void)self;
    h->arg_string(job, "/path", &path, &n);
    h->text(job, path, n);
    h->done(job, FLOPINIO_OK);
}

static void preview(flopinio_instance *self, flopinio_job *job)
{
    (void)self;
    h->preview_text(job, "as it is", 8);
    h->preview_precondition(job, "version 1");
    h->done(job, FLOPINIO_OK);
}

static int open_small(const struct flopinio_host *host, flopinio_instance **ret)
{
    h = host;
    *ret = NULL;
    return 0;
}

static void close_small(flopinio_instance *self)
{
    (void)self;
}

const struct flopinio_plugin *flopinio_plugin(void)
{
    static const struct flopinio_tool write = {
        .size = sizeof(struct flopinio_tool),
        .effects = FLOPINIO_WRITES,
        .name = "write",
        .description = "Writes nothing.",
        .input_schema = "{\"type\":\"object\"}",
        .start = start,
        .preview = preview,
    };
    static const struct flopinio_tool *const tools[] = { &write, NULL };
    static const struct flopinio_plugin plugin = {
        .magic = FLOPINIO_PLUGIN_MAGIC,
        .size = sizeof(struct flopinio_plugin),
        .abi_major = FLOPINIO_PLUGIN_ABI_MAJOR,
        .abi_minor = FLOPINIO_PLUGIN_ABI_MINOR,
        .name = "small",
        .version = "1",
        .description = "Small.",
        .tools = tools,
        .open = open_small,
        .close = close_small,
    };
    return &plugin;
}
