/* A plugin to copy: `hello` reads; `set_greeting` writes, and shows before what it will change. */
#include <flopinio/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flopinio_instance {
    const struct flopinio_host *host;
    char greeting[101];
};

static void hello(flopinio_instance *in, flopinio_job *job)
{
    in->host->text(job, in->greeting, strlen(in->greeting));
    in->host->done(job, FLOPINIO_OK);
}

static void set_greeting(flopinio_instance *in, flopinio_job *job)
{
    const char *text, *bound = in->host->precondition(job);
    size_t n;
    if (bound && strcmp(bound, in->greeting) != 0) { /* not what the approver saw: do nothing */
        in->host->done(job, FLOPINIO_TARGET_CHANGED);
        return;
    }
    in->host->arg_string(job, "/text", &text, &n); /* is there: the schema says so, */
    memcpy(in->greeting, text, n + 1);             /* and fits: 25 characters are 100 bytes */
    hello(in, job);
}

static void preview_greeting(flopinio_instance *in, flopinio_job *job)
{
    const char *text;
    char change[256];
    size_t n;
    in->host->arg_string(job, "/text", &text, &n);
    n = (size_t)snprintf(change, sizeof change, "\"%s\" becomes \"%s\"", in->greeting, text);
    in->host->preview_text(job, change, n);
    in->host->preview_precondition(job, in->greeting);
    in->host->done(job, FLOPINIO_OK);
}

static int open_instance(const struct flopinio_host *host, flopinio_instance **ret)
{
    static const flopinio_instance fresh = { NULL, "Hello, world!" };
    if (!(*ret = (flopinio_instance *)malloc(sizeof fresh)))
        return -1;
    **ret = fresh;
    (*ret)->host = host;
    return 0;
}

static void close_instance(flopinio_instance *in)
{
    free(in);
}

/* clang-format off */
static const struct flopinio_tool tool_hello = {
    .size = sizeof(struct flopinio_tool), .effects = FLOPINIO_READS,
    .name = "hello", .title = "Greet", .description = "Says the greeting.",
    .input_schema = "{\"type\": \"object\", \"additionalProperties\": false}",
    .start = hello };

static const struct flopinio_tool tool_set_greeting = {
    .size = sizeof(struct flopinio_tool), .effects = FLOPINIO_WRITES,
    .name = "set_greeting", .title = "Change the greeting",
    .description = "Changes what hello says.",
    .input_schema = "{\"type\": \"object\", \"required\": [\"text\"], \"properties\": {\"text\":"
                    "{\"type\": \"string\", \"minLength\": 1, \"maxLength\": 25}},"
                    "\"additionalProperties\": false}",
    .card = "Change the greeting to {text}",
    .start = set_greeting, .preview = preview_greeting };

static const struct flopinio_tool *const tools[] = { &tool_hello, &tool_set_greeting, NULL };

static const struct flopinio_plugin plugin = {
    .magic = FLOPINIO_PLUGIN_MAGIC, .size = sizeof(struct flopinio_plugin),
    .abi_major = FLOPINIO_PLUGIN_ABI_MAJOR, .abi_minor = FLOPINIO_PLUGIN_ABI_MINOR,
    .name = "hello", .version = "1.0.0", .description = "Greets", .tools = tools,
    .open = open_instance, .close = close_instance };
/* clang-format on */

const struct flopinio_plugin *flopinio_plugin(void)
{
    return &plugin;
}
