/* The conformance plugin, as the shared object that a host loads. */
#include <dlfcn.h>

#include "fake_host.h"
#include "harness.h"

static const struct flopinio_plugin *plugin;
static struct fake_host host;
static flopinio_instance *in;

static void load(void)
{
    void *so = dlopen(FL_BUILD_DIR "/plugins/conformance.so", RTLD_NOW | RTLD_LOCAL);
    CHECK_MSG(so, "%s", dlerror());
    const struct flopinio_plugin *(*entry)(void);
    *(void **)&entry = dlsym(so, "flopinio_plugin");
    CHECK(entry);
    plugin = entry();
    fake_host_init(&host, "{}");
    CHECK(plugin->open(&host.table, &in) == 0);
}

static void unload(void)
{
    plugin->close(in);
    fake_host_fini(&host);
}

static struct flopinio_job *call(const char *tool, const char *args)
{
    struct flopinio_job *job = fake_start(fake_tool(plugin, tool), in, args, NULL);
    fake_wait(job);
    return job;
}

static void test_every_fixture_of_this_part_is_there_and_nothing_else(void)
{
    static const struct {
        const char *name;
        enum flopinio_task task;
    } want[] = {
        { "test_simple_text", FLOPINIO_TASK_NEVER },
        { "test_image_content", FLOPINIO_TASK_NEVER },
        { "test_audio_content", FLOPINIO_TASK_NEVER },
        { "test_embedded_resource", FLOPINIO_TASK_NEVER },
        { "test_multiple_content_types", FLOPINIO_TASK_NEVER },
        { "test_tool_with_logging", FLOPINIO_TASK_NEVER },
        { "test_error_handling", FLOPINIO_TASK_NEVER },
        { "test_tool_with_progress", FLOPINIO_TASK_NEVER },
        { "test_logging_tool", FLOPINIO_TASK_NEVER },
        { "test_reconnection", FLOPINIO_TASK_NEVER },
        { "json_schema_2020_12_tool", FLOPINIO_TASK_NEVER },
        { "test_x_mcp_header", FLOPINIO_TASK_NEVER },
        { "greet", FLOPINIO_TASK_NEVER },
        { "slow_compute", FLOPINIO_TASK_OPTIONAL },
        { "failing_job", FLOPINIO_TASK_REQUIRED },
        { "protocol_error_job", FLOPINIO_TASK_REQUIRED },
    };
    load();
    CHECK_INT(fake_check_plugin(plugin), FL_COUNTOF(want));
    for (size_t i = 0; i < FL_COUNTOF(want); i++) {
        CHECK_STR(plugin->tools[i]->name, want[i].name);
        CHECK_INT(plugin->tools[i]->task, want[i].task);
        CHECK_INT(plugin->tools[i]->effects & ~(uint32_t)FLOPINIO_SLOW, FLOPINIO_READS);
    }
    CHECK(strstr(plugin->tools[0]->input_schema, "required") == NULL);
    unload();
}

static void item_is(const struct flopinio_job *job, size_t n, const char *json)
{
    json_t *want = json_loads(json, 0, NULL);
    CHECK(want);
    char *got = json_dumps(json_array_get(job->content, n), JSON_ENCODE_ANY);
    CHECK_MSG(json_equal(json_array_get(job->content, n), want), "%s, not %s", got, json);
    free(got);
    json_decref(want);
}

static void test_contents_are_what_the_suite_describes(void)
{
    load();
    struct flopinio_job *job = call("test_simple_text", "{}");
    CHECK_STR(fake_text(job, 0), "This is a simple text response for testing.");
    fake_job_free(&job);
    job = call("test_image_content", "{}");
    item_is(job, 0, "{\"type\": \"image\", \"mimeType\": \"image/png\"}");
    CHECK(job->media.n > 60 && memcmp(job->media.p, "\x89PNG\r\n\x1a\n", 8) == 0);
    fake_job_free(&job);
    job = call("test_audio_content", "{}");
    item_is(job, 0, "{\"type\": \"audio\", \"mimeType\": \"audio/wav\"}");
    CHECK(job->media.n == 52 && memcmp(job->media.p + 8, "WAVEfmt ", 8) == 0);
    fake_job_free(&job);
    job = call("test_embedded_resource", "{}");
    item_is(job, 0,
            "{\"type\": \"resource\", \"resource\": {\"uri\": \"test://embedded-resource\", "
            "\"mimeType\": \"text/plain\", \"text\": \"This is an embedded resource content.\"}}");
    fake_job_free(&job);
    job = call("test_multiple_content_types", "{}");
    CHECK_INT(json_array_size(job->content), 3);
    CHECK_STR(fake_text(job, 0), "Multiple content types test:");
    item_is(job, 1, "{\"type\": \"image\", \"mimeType\": \"image/png\"}");
    item_is(job, 2,
            "{\"type\": \"resource\", \"resource\": {\"uri\": \"test://mixed-content-resource\", "
            "\"mimeType\": \"application/json\", "
            "\"text\": \"{\\\"test\\\":\\\"data\\\",\\\"value\\\":123}\"}}");
    fake_job_free(&job);
    job = call("test_error_handling", "{}");
    CHECK_INT(job->outcome, FLOPINIO_TOOL_ERROR);
    CHECK_STR(fake_text(job, 0), "This tool intentionally returns an error for testing");
    fake_job_free(&job);
    job = call("greet", "{\"name\": \"World\"}");
    CHECK_STR(fake_text(job, 0), "Hello, World!");
    fake_job_free(&job);
    job = call("json_schema_2020_12_tool", "{\"email\":\"a@b\"}");
    CHECK_STR(fake_text(job, 0), "{\"email\":\"a@b\"}");
    fake_job_free(&job);
    unload();
}

static void test_schemas_carry_the_keywords_that_are_looked_for(void)
{
    load();
    json_t *s = json_loads(fake_tool(plugin, "json_schema_2020_12_tool")->input_schema, 0, NULL);
    json_t *address = json_object_get(json_object_get(s, "$defs"), "address");
    CHECK_STR(json_string_value(json_object_get(s, "$schema")),
              "https://json-schema.org/draft/2020-12/schema");
    CHECK_STR(json_string_value(json_object_get(address, "$anchor")), "addressDef");
    CHECK(json_is_false(json_object_get(s, "additionalProperties")));
    CHECK(json_object_get(json_array_get(json_object_get(s, "allOf"), 0), "anyOf"));
    CHECK(json_object_get(s, "if") && json_object_get(s, "then") && json_object_get(s, "else"));
    CHECK_INT(json_object_size(json_object_get(s, "properties")), 5);
    json_decref(s);
    s = json_loads(fake_tool(plugin, "test_x_mcp_header")->input_schema, 0, NULL);
    json_t *region = json_object_get(json_object_get(s, "properties"), "region");
    CHECK_STR(json_string_value(json_object_get(region, "x-mcp-header")), "Region");
    CHECK_STR(json_string_value(json_object_get(region, "type")), "string");
    json_decref(s);
    unload();
}

static void test_logging_and_progress_come_in_order(void)
{
    load();
    struct flopinio_job *job = call("test_tool_with_logging", "{}");
    static const char *const lines[] = { "Tool execution started", "Tool processing data",
                                         "Tool execution completed" };
    CHECK_INT(json_array_size(job->messages), 3);
    for (size_t i = 0; i < 3; i++) {
        json_t *m = json_array_get(job->messages, i);
        CHECK_INT(json_integer_value(json_object_get(m, "level")), FLOPINIO_INFO);
        CHECK_STR(json_string_value(json_object_get(m, "data")), lines[i]);
    }
    CHECK(*fake_text(job, 0));
    fake_job_free(&job);
    job = call("test_tool_with_progress", "{}");
    CHECK_INT(json_array_size(job->progress), 3);
    for (size_t i = 0; i < 3; i++) {
        CHECK(json_number_value(json_array_get(json_array_get(job->progress, i), 0)) ==
              50.0 * (double)i);
        CHECK(json_number_value(json_array_get(json_array_get(job->progress, i), 1)) == 100.0);
    }
    fake_job_free(&job);
    job = call("test_logging_tool", "{}");
    CHECK_INT(json_array_size(job->messages), 1);
    fake_job_free(&job);
    job = call("test_reconnection", "{}");
    CHECK_INT(job->outcome, FLOPINIO_OK);
    fake_job_free(&job);
    unload();
}

static void test_jobs_fail_in_their_two_ways(void)
{
    load();
    struct flopinio_job *failing = fake_start(fake_tool(plugin, "failing_job"), in, "{}", NULL);
    struct flopinio_job *broken =
        fake_start(fake_tool(plugin, "protocol_error_job"), in, "{}", NULL);
    fake_wait(failing);
    fake_wait(broken);
    CHECK_INT(failing->outcome, FLOPINIO_TOOL_ERROR);
    CHECK(*fake_text(failing, 0));
    CHECK_INT(broken->outcome, FLOPINIO_PROTOCOL_ERROR);
    CHECK_INT(broken->error_code, -32603);
    CHECK(broken->error.n > 0);
    fake_job_free(&failing);
    fake_job_free(&broken);
    unload();
}

static void test_slow_calls_leave_the_instance_free_and_can_be_cancelled(void)
{
    load();
    const struct flopinio_tool *slow = fake_tool(plugin, "slow_compute");
    struct flopinio_job *long_one = fake_start(slow, in, "{\"seconds\": 600}", NULL);
    struct flopinio_job *told = fake_start(slow, in, "{\"seconds\": 600}", NULL);
    struct flopinio_job *at_close = fake_start(slow, in, "{\"seconds\": 600}", NULL);
    struct flopinio_job *job = call("slow_compute", "{\"seconds\": 0, \"label\": \"x\"}");
    CHECK_STR(fake_text(job, 0), "Computed for 0.0 seconds");
    fake_job_free(&job);
    slow->cancel(in, long_one);
    fake_wait(long_one);
    CHECK_INT(long_one->outcome, FLOPINIO_TOOL_ERROR);
    CHECK_STR(fake_text(long_one, 0), "cancelled");
    slow->cancel(in, long_one); /* too late: nothing */
    slow->cancel(in, told);
    fake_wait(told);
    unload();
    fake_wait(at_close);
    CHECK_INT(at_close->outcome, FLOPINIO_TOOL_ERROR);
    fake_job_free(&long_one);
    fake_job_free(&told);
    fake_job_free(&at_close);
}

static const struct fl_test tests[] = {
    T(every_fixture_of_this_part_is_there_and_nothing_else),
    T(contents_are_what_the_suite_describes),
    T(schemas_carry_the_keywords_that_are_looked_for),
    T(logging_and_progress_come_in_order),
    T(jobs_fail_in_their_two_ways),
    T(slow_calls_leave_the_instance_free_and_can_be_cancelled),
};
TEST_MAIN(tests)
