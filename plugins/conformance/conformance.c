/* The fixtures that the MCP conformance suite (@modelcontextprotocol/conformance 0.2.0-alpha.12)
 * calls by name, as far as a plugin with tools alone can serve them; docs/conformance-plugin.md
 * lists them and those that wait. For tests: it is not installed, and no configuration of ours
 * names it. The first tool can be called without arguments, because the suite does that with the
 * first one of the list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

#define JSON(...)    #__VA_ARGS__
#define NO_ARGUMENTS JSON({ "type" : "object", "properties" : {}, "additionalProperties" : false })

/* A red pixel. */
static const unsigned char png[] = { 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00,
                                     0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x01,
                                     0x00, 0x00, 0x00, 0x01, 0x08, 0x02, 0x00, 0x00, 0x00, 0x90,
                                     0x77, 0x53, 0xde, 0x00, 0x00, 0x00, 0x0c, 0x49, 0x44, 0x41,
                                     0x54, 0x78, 0xda, 0x63, 0xf8, 0xcf, 0xc0, 0x00, 0x00, 0x03,
                                     0x01, 0x01, 0x00, 0xf7, 0x03, 0x41, 0x43, 0x00, 0x00, 0x00,
                                     0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82 };

/* A millisecond of silence, 8 bit mono at 8 kHz. */
static const unsigned char wav[] = { 0x52, 0x49, 0x46, 0x46, 0x2c, 0x00, 0x00, 0x00, 0x57,
                                     0x41, 0x56, 0x45, 0x66, 0x6d, 0x74, 0x20, 0x10, 0x00,
                                     0x00, 0x00, 0x01, 0x00, 0x01, 0x00, 0x40, 0x1f, 0x00,
                                     0x00, 0x40, 0x1f, 0x00, 0x00, 0x01, 0x00, 0x08, 0x00,
                                     0x64, 0x61, 0x74, 0x61, 0x08, 0x00, 0x00, 0x00, 0x80,
                                     0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80 };

static void say(const struct flopinio_host *host, flopinio_job *job, const char *text)
{
    host->text(job, text, strlen(text));
}

static void answer(const struct flopinio_host *host, flopinio_job *job, const char *text)
{
    say(host, job, text);
    host->done(job, FLOPINIO_OK);
}

static void put_resource(const struct flopinio_host *host, flopinio_job *job, const char *uri,
                         const char *mime_type, const char *text)
{
    host->resource(job, uri, mime_type, text, strlen(text));
}

/* ---- at once ---- */
static void simple_text(flopinio_instance *in, flopinio_job *job)
{
    answer(script_host(in), job, "This is a simple text response for testing.");
}

static void image_content(flopinio_instance *in, flopinio_job *job)
{
    script_host(in)->media(job, "image", "image/png", png, sizeof png);
    script_host(in)->done(job, FLOPINIO_OK);
}

static void audio_content(flopinio_instance *in, flopinio_job *job)
{
    script_host(in)->media(job, "audio", "audio/wav", wav, sizeof wav);
    script_host(in)->done(job, FLOPINIO_OK);
}

static void embedded_resource(flopinio_instance *in, flopinio_job *job)
{
    put_resource(script_host(in), job, "test://embedded-resource", "text/plain",
                 "This is an embedded resource content.");
    script_host(in)->done(job, FLOPINIO_OK);
}

static void multiple_content_types(flopinio_instance *in, flopinio_job *job)
{
    const struct flopinio_host *host = script_host(in);
    say(host, job, "Multiple content types test:");
    host->media(job, "image", "image/png", png, sizeof png);
    put_resource(host, job, "test://mixed-content-resource", "application/json",
                 "{\"test\":\"data\",\"value\":123}");
    host->done(job, FLOPINIO_OK);
}

static void error_handling(flopinio_instance *in, flopinio_job *job)
{
    say(script_host(in), job, "This tool intentionally returns an error for testing");
    script_host(in)->done(job, FLOPINIO_TOOL_ERROR);
}

static void logging_tool(flopinio_instance *in, flopinio_job *job)
{
    script_host(in)->message(job, FLOPINIO_INFO, "conformance", "\"A log message for testing\"");
    answer(script_host(in), job, "One log message was sent.");
}

static void echo_arguments(flopinio_instance *in, flopinio_job *job)
{
    const char *args;
    size_t n;
    if (script_host(in)->arg_json(job, "", &args, &n))
        script_host(in)->text(job, args, n);
    script_host(in)->done(job, FLOPINIO_OK);
}

static void greet(flopinio_instance *in, flopinio_job *job)
{
    const struct flopinio_host *host = script_host(in);
    const char *name = "";
    size_t n = 0;
    host->arg_string(job, "/name", &name, &n);
    char *text = malloc(n + sizeof "Hello, !");
    if (!text) {
        say(host, job, "out of memory");
        host->done(job, FLOPINIO_TOOL_ERROR);
        return;
    }
    memcpy(text, "Hello, ", 7); /* NOLINT(bugprone-not-null-terminated-result): two more follow */
    memcpy(text + 7, name, n);
    memcpy(text + 7 + n, "!", 2);
    answer(host, job, text);
    free(text);
}

/* ---- over time ---- */
static int with_logging(const struct flopinio_host *host, flopinio_job *job, unsigned n)
{
    static const char *const lines[] = { "\"Tool execution started\"", "\"Tool processing data\"",
                                         "\"Tool execution completed\"" };
    host->message(job, FLOPINIO_INFO, "conformance", lines[n]);
    if (n < 2)
        return 50;
    answer(host, job, "Tool with logging executed successfully");
    return SCRIPT_END;
}

static int with_progress(const struct flopinio_host *host, flopinio_job *job, unsigned n)
{
    host->progress(job, n * 50.0, 100, NULL);
    if (n < 2)
        return 50;
    answer(host, job, "Tool with progress executed successfully");
    return SCRIPT_END;
}

/* Long enough for a server that polls (SEP-1699) to close the stream before the answer is there. */
static int reconnection(const struct flopinio_host *host, flopinio_job *job, unsigned n)
{
    if (n == 0)
        return 300;
    answer(host, job, "Reconnection test completed successfully");
    return SCRIPT_END;
}

static int slow_compute(const struct flopinio_host *host, flopinio_job *job, unsigned n)
{
    double seconds = 0;
    char text[80];
    host->arg_number(job, "/seconds", &seconds);
    if (n == 0 && seconds > 0)
        return (int)(seconds * 1000);
    snprintf(text, sizeof text, "Computed for %.1f seconds", seconds);
    answer(host, job, text);
    return SCRIPT_END;
}

static int failing_job(const struct flopinio_host *host, flopinio_job *job, unsigned n)
{
    if (n == 0)
        return 1000;
    say(host, job, "This job always fails");
    host->done(job, FLOPINIO_TOOL_ERROR);
    return SCRIPT_END;
}

static int protocol_error_job(const struct flopinio_host *host, flopinio_job *job, unsigned n)
{
    if (n == 0)
        return 1000;
    host->error(job, -32603, "this job ends in a protocol error");
    host->done(job, FLOPINIO_PROTOCOL_ERROR);
    return SCRIPT_END;
}

#define SCRIPT(name)                                                                               \
    static void name##_start(flopinio_instance *in, flopinio_job *job)                             \
    {                                                                                              \
        script_start(in, job, name);                                                               \
    }
SCRIPT(with_logging)
SCRIPT(with_progress)
SCRIPT(reconnection)
SCRIPT(slow_compute)
SCRIPT(failing_job)
SCRIPT(protocol_error_job)

/* ---- the table ---- */
/* X(name, schema, task, start, cancel, description) */
/* clang-format off */
#define TOOLS(X)                                                                                   \
    X(test_simple_text, NO_ARGUMENTS, NEVER, simple_text, NULL, "Returns a text")                  \
    X(test_image_content, NO_ARGUMENTS, NEVER, image_content, NULL, "Returns an image")            \
    X(test_audio_content, NO_ARGUMENTS, NEVER, audio_content, NULL, "Returns a sound")             \
    X(test_embedded_resource, NO_ARGUMENTS, NEVER, embedded_resource, NULL, "Returns a resource")  \
    X(test_multiple_content_types, NO_ARGUMENTS, NEVER, multiple_content_types, NULL,              \
      "Returns a text, an image and a resource")                                                   \
    X(test_tool_with_logging, NO_ARGUMENTS, NEVER, with_logging_start, script_cancel,              \
      "Sends three log messages, 50 ms apart")                                                     \
    X(test_error_handling, NO_ARGUMENTS, NEVER, error_handling, NULL, "Fails")                     \
    X(test_tool_with_progress, NO_ARGUMENTS, NEVER, with_progress_start, script_cancel,            \
      "Reports progress three times, 50 ms apart")                                                 \
    X(test_logging_tool, NO_ARGUMENTS, NEVER, logging_tool, NULL, "Sends one log message")         \
    X(test_reconnection, NO_ARGUMENTS, SLOW, reconnection_start, script_cancel,                    \
      "Answers after 300 ms")                                                                      \
    X(json_schema_2020_12_tool, SCHEMA_2020_12, NEVER, echo_arguments, NULL,                       \
      "Tool with JSON Schema 2020-12 features")                                                    \
    X(test_x_mcp_header, SCHEMA_HEADER, NEVER, echo_arguments, NULL,                               \
      "Has an argument that is mirrored in a header")                                              \
    X(greet, SCHEMA_GREET, NEVER, greet, NULL, "Greets by name")                                   \
    X(slow_compute, SCHEMA_SLOW, OPTIONAL, slow_compute_start, script_cancel,                      \
      "Takes the given time")                                                                      \
    X(failing_job, NO_ARGUMENTS, REQUIRED, failing_job_start, script_cancel,                       \
      "Fails after a second")                                                                      \
    X(protocol_error_job, NO_ARGUMENTS, REQUIRED, protocol_error_job_start, script_cancel,         \
      "Ends in a JSON-RPC error after a second")

#define SCHEMA_2020_12 JSON({                                                                      \
    "$schema": "https://json-schema.org/draft/2020-12/schema",                                     \
    "type": "object",                                                                              \
    "$defs": {"address": {                                                                         \
        "$anchor": "addressDef",                                                                   \
        "type": "object",                                                                          \
        "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},                \
    "properties": {                                                                                \
        "name": {"type": "string"},                                                                \
        "address": {"$ref": "#/$defs/address"},                                                    \
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},                           \
        "phone": {"type": "string"},                                                               \
        "email": {"type": "string"}},                                                              \
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],                      \
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},    \
    "then": {"required": ["phone"]},                                                               \
    "else": {"required": ["email"]},                                                               \
    "additionalProperties": false                                                                  \
})
#define SCHEMA_HEADER JSON({                                                                       \
    "type": "object",                                                                              \
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},                        \
    "required": ["region"],                                                                        \
    "additionalProperties": false                                                                  \
})
#define SCHEMA_GREET JSON({                                                                        \
    "type": "object",                                                                              \
    "properties": {"name": {"type": "string"}},                                                    \
    "required": ["name"],                                                                          \
    "additionalProperties": false                                                                  \
})
#define SCHEMA_SLOW JSON({                                                                         \
    "type": "object",                                                                              \
    "properties": {                                                                                \
        "seconds": {"type": "number", "minimum": 0, "maximum": 600},                               \
        "label": {"type": "string"}},                                                              \
    "required": ["seconds"],                                                                       \
    "additionalProperties": false                                                                  \
})
/* clang-format on */

/* Whatever may be a task takes its time; so does what a stream may break under. */
#define FLOPINIO_TASK_SLOW FLOPINIO_TASK_NEVER
#define EFFECTS_SLOW       (FLOPINIO_READS | FLOPINIO_SLOW)
#define EFFECTS_NEVER      FLOPINIO_READS
#define EFFECTS_OPTIONAL   (FLOPINIO_READS | FLOPINIO_SLOW)
#define EFFECTS_REQUIRED   (FLOPINIO_READS | FLOPINIO_SLOW)
/* NOLINTBEGIN(bugprone-macro-parentheses): initializers */
#define TOOL(tool, schema, task_, start_, cancel_, text)                                           \
    static const struct flopinio_tool tool_##tool = { .size = sizeof tool_##tool,                  \
                                                      .effects = EFFECTS_##task_,                  \
                                                      .name = #tool,                               \
                                                      .description = text,                         \
                                                      .input_schema = schema,                      \
                                                      .task = FLOPINIO_TASK_##task_,               \
                                                      .start = start_,                             \
                                                      .cancel = cancel_ };
/* NOLINTEND(bugprone-macro-parentheses) */
#define LISTED(tool, schema, task_, start_, cancel_, text) &tool_##tool,
TOOLS(TOOL)
static const struct flopinio_tool *const tools[] = { TOOLS(LISTED) NULL };

FLOPINIO_EXPORT const struct flopinio_plugin *flopinio_plugin(void)
{
    static const struct flopinio_plugin plugin = {
        .magic = FLOPINIO_PLUGIN_MAGIC,
        .size = sizeof plugin,
        .abi_major = FLOPINIO_PLUGIN_ABI_MAJOR,
        .abi_minor = FLOPINIO_PLUGIN_ABI_MINOR,
        .name = "conformance",
        .version = "1.0.0",
        .description = "Fixtures of the MCP conformance suite; for tests only",
        .tools = tools,
        .open = script_open,
        .close = script_close,
    };
    return &plugin;
}
