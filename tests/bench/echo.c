/* The benchmarks' tools: `echo` reads and gives its arguments back, `put` writes (so that it is
 * held) and does nothing. */
#include <flopinio/plugin.h>
#include <stddef.h>

struct flopinio_instance {
    const struct flopinio_host *host;
};

static void echo(flopinio_instance *in, flopinio_job *job)
{
    const char *text;
    size_t n;
    if (in->host->arg_string(job, "/text", &text, &n))
        in->host->text(job, text, n);
    in->host->done(job, FLOPINIO_OK);
}

static int open_instance(const struct flopinio_host *host, flopinio_instance **ret)
{
    static struct flopinio_instance only;
    only.host = host;
    *ret = &only;
    return 0;
}

static void close_instance(flopinio_instance *in)
{
    (void)in;
}

#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}},\"required\":[\"text\"]}"

static const struct flopinio_tool tool_echo = { .size = sizeof(struct flopinio_tool),
                                                .effects = FLOPINIO_READS,
                                                .name = "echo",
                                                .description = "Says its text.",
                                                .input_schema = SCHEMA,
                                                .start = echo };
static const struct flopinio_tool tool_put = { .size = sizeof(struct flopinio_tool),
                                               .effects = FLOPINIO_WRITES,
                                               .name = "put",
                                               .description = "Writes nothing, but is held.",
                                               .input_schema = SCHEMA,
                                               .start = echo };
static const struct flopinio_tool *const tools[] = { &tool_echo, &tool_put, NULL };

static const struct flopinio_plugin plugin = { .magic = FLOPINIO_PLUGIN_MAGIC,
                                               .size = sizeof(struct flopinio_plugin),
                                               .abi_major = FLOPINIO_PLUGIN_ABI_MAJOR,
                                               .abi_minor = FLOPINIO_PLUGIN_ABI_MINOR,
                                               .name = "echo",
                                               .version = "1.0.0",
                                               .description = "For benchmarks",
                                               .tools = tools,
                                               .open = open_instance,
                                               .close = close_instance };

const struct flopinio_plugin *flopinio_plugin(void)
{
    return &plugin;
}
