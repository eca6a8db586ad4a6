/* Plugins whose tables are wrong in one way each: built once for each BAD_... of CMakeLists.txt. */
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "flopinio/plugin.h"

#if defined(BAD_NO_SYMBOL)
#define ENTRY another_name
const struct flopinio_plugin *another_name(void);
#else
#define ENTRY flopinio_plugin
#endif

#if defined(BAD_DIES_LOADING)
__attribute__((constructor)) static void die(void)
{
    raise(SIGSEGV);
}
#elif defined(BAD_HANGS_LOADING)
__attribute__((constructor)) static void hang(void)
{
    for (;;)
        pause();
}
#endif

#if defined(BAD_SCHEMA)
#define SCHEMA "{\"type\": \"object\", }"
#elif defined(BAD_SCHEMA_ARRAY)
#define SCHEMA " [] "
#elif defined(BAD_SCHEMA_TYPE)
#define SCHEMA "{\"type\": \"string\"}"
#elif defined(BAD_SCHEMA_KEYS)
#define SCHEMA "{\"type\": \"object\", \"type\": \"object\"}"
#elif defined(BAD_SCHEMA_NUMBER)
#define SCHEMA "{\"type\": \"object\", \"maxProperties\": 9007199254740993}"
#else
#define SCHEMA "{\"type\": \"object\"}"
#endif

static void start(flopinio_instance *self, flopinio_job *job)
{
    (void)self;
    (void)job;
}

static int open_bad(const struct flopinio_host *host, flopinio_instance **ret)
{
    (void)host;
    *ret = NULL;
    return 0;
}

static void close_bad(flopinio_instance *self)
{
    (void)self;
}

static const struct flopinio_tool tool = {
#if defined(BAD_TOOL_SIZE)
    .size = 12,
#else
    .size = sizeof(struct flopinio_tool),
#endif
#if defined(BAD_EFFECTS)
    .effects = 1u << 30,
#endif
#if defined(BAD_TOOL_NULL_NAME)
    .name = NULL,
#elif defined(BAD_TOOL_NAME)
    .name = "a/b",
#else
    .name = "tool",
#endif
#if defined(BAD_CARD)
    .card = "two\nlines",
#endif
#if defined(BAD_TASK)
    .task = (enum flopinio_task)9,
#endif
#if defined(BAD_UTF8)
    .description = "\xff",
#elif !defined(BAD_NO_DESCRIPTION)
    .description = "A tool.",
#endif
#if !defined(BAD_NO_SCHEMA)
    .input_schema = SCHEMA,
#endif
#if !defined(BAD_NO_START)
    .start = start,
#endif
};

#if !defined(BAD_NULL_TABLE)
static const struct flopinio_tool *const tools[] = {
#if !defined(BAD_NO_TOOLS)
    &tool,
#endif
#if defined(BAD_DUPLICATE)
    &tool,
#endif
    NULL
};
#endif

const struct flopinio_plugin *ENTRY(void)
{
    static const struct flopinio_plugin plugin = {
#if defined(BAD_MAGIC)
        .magic = 0x12345678,
#else
        .magic = FLOPINIO_PLUGIN_MAGIC,
#endif
#if defined(BAD_SIZE)
        .size = 16,
#else
        .size = sizeof(struct flopinio_plugin),
#endif
#if defined(BAD_MAJOR)
        .abi_major = FLOPINIO_PLUGIN_ABI_MAJOR + 1,
#else
        .abi_major = FLOPINIO_PLUGIN_ABI_MAJOR,
#endif
#if defined(BAD_MINOR)
        .abi_minor = FLOPINIO_PLUGIN_ABI_MINOR + 1,
#else
        .abi_minor = FLOPINIO_PLUGIN_ABI_MINOR,
#endif
#if defined(BAD_NULL_NAME)
        .name = NULL,
#elif defined(BAD_NAME)
        .name = "Bad Name",
#else
        .name = "bad",
#endif
        .version = "1.0",
        .description = "Wrong in one way.",
#if !defined(BAD_NULL_TABLE)
        .tools = tools,
#endif
#if !defined(BAD_NO_OPEN)
        .open = open_bad,
#endif
        .close = close_bad,
    };
    (void)tool;
    (void)start;
    (void)open_bad;
#if defined(BAD_NOTHING)
    (void)plugin;
    return NULL;
#else
    return &plugin;
#endif
}
