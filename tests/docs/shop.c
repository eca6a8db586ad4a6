/* The server `shop` of docs/policy.md: a tool for its first policy to be about. */
#include "flopinio/plugin.h"

static const struct flopinio_host *h;

static void refund(flopinio_instance *self, flopinio_job *job)
{
    (void)self;
    h->text(job, "refunded", 8);
    h->done(job, FLOPINIO_OK);
}

static int open_shop(const struct flopinio_host *host, flopinio_instance **ret)
{
    h = host;
    *ret = NULL;
    return 0;
}

static void close_shop(flopinio_instance *self)
{
    (void)self;
}

const struct flopinio_plugin *flopinio_plugin(void)
{
    static const struct flopinio_tool tool = {
        .size = sizeof(struct flopinio_tool),
        .effects = FLOPINIO_WRITES,
        .name = "refund",
        .description = "Pays an amount back.",
        .input_schema = "{\"type\":\"object\",\"properties\":{\"amount\":{\"type\":\"number\"}}}",
        .start = refund,
    };
    static const struct flopinio_tool *const tools[] = { &tool, NULL };
    static const struct flopinio_plugin plugin = {
        .magic = FLOPINIO_PLUGIN_MAGIC,
        .size = sizeof(struct flopinio_plugin),
        .abi_major = FLOPINIO_PLUGIN_ABI_MAJOR,
        .abi_minor = FLOPINIO_PLUGIN_ABI_MINOR,
        .name = "shop",
        .version = "1",
        .description = "A shop.",
        .tools = tools,
        .open = open_shop,
        .close = close_shop,
    };
    return &plugin;
}
