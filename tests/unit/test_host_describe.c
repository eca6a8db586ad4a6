/* Descriptions and definitions: what a plugin says of itself, checked, canonical, and refused with
 * one clear sentence where it is wrong. */
#include <jansson.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "host_fixture.h"
#include "runtime/crypto/digest.h"

struct described {
    struct fl_host_describe describe;
    struct fl_loop *loop;
    bool is_done;
};

static void on_described(struct fl_op *op)
{
    struct described *d = FL_CONTAINER(op, struct described, describe.op);
    d->is_done = true;
    fl_loop_stop(d->loop);
}

static void describe(struct fixture *f, struct described *d, const struct fl_host_config *config)
{
    *d = (struct described){ .describe.op.done = on_described, .loop = &f->loop };
    CHECK_OK(fl_host_describe_start(&d->describe, f->host, config));
    CHECK(!d->is_done);
    while (!d->is_done)
        fl_loop_run(&f->loop);
}

static void test_why_a_described_plugin_does_not_open_is_told(void)
{
    static const struct {
        const char *key;
        bool is_in_process;
        const char *text;
    } cases[] = {
        { "refuse", false, "the plugin did not open: one two" },
        { "dies", false, "the plugin process was ended by signal 6 (Aborted)" },
        { "hangs", false, "the plugin did not open within 1000 ms" },
        { "refuse", true, "" }, /* not tried: what confines the trial does not confine it */
        { "good", false, "" },
    };
    struct fixture f = { 0 };
    fixture_host(&f);
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct described d;
        struct fl_host_config config = fixture_config(PLUGIN("good"));
        config.configuration = json_pack("{s:s}", cases[i].key, "one\ntwo");
        config.is_in_process = cases[i].is_in_process;
        config.limits.start_ms = 1000;
        describe(&f, &d, &config);
        json_decref(config.configuration);
        CHECK_MSG(d.describe.op.code == FL_OK, "%s", d.describe.op.err.text);
        CHECK_STR(d.describe.not_open, cases[i].text);
        CHECK(d.describe.description);
        fl_description_free(&d.describe.description);
    }
    fixture_close(&f);
}

static void test_a_plugin_is_described_though_it_does_not_open(void)
{
    struct fixture f = { 0 };
    struct described d;
    fixture_host(&f);
    struct fl_host_config config = fixture_config(PLUGIN("good"));
    config.configuration = json_pack("{s:s}", "refuse", "not with this");
    describe(&f, &d, &config);
    json_decref(config.configuration);
    CHECK_MSG(d.describe.op.code == FL_OK, "%s", d.describe.op.err.text);
    CHECK_STR(d.describe.not_open, "the plugin did not open: not with this");
    const struct fl_description *got = d.describe.description;
    CHECK_STR(got->name, "good");
    CHECK_STR(got->version, "1.2.3");
    CHECK_STR(got->description, "Behaves.");
    CHECK_INT(got->tool_count, 16);
    CHECK(got->sandbox[0]);
    CHECK_INT(got->is_sandboxed,
              strncmp(got->sandbox, "landlock ", 9) == 0 && strstr(got->sandbox, ", seccomp, "));
    const struct fl_definition *echo = fl_description_tool(got, "echo");
    CHECK(echo && !fl_description_tool(got, "nothing"));
    CHECK_SPAN(echo->json,
               "{\"annotations\":{\"destructiveHint\":false,\"idempotentHint\":false,"
               "\"openWorldHint\":false,\"readOnlyHint\":true},\"description\":\"For tests.\","
               "\"execution\":{\"taskSupport\":\"forbidden\"},\"hasPreview\":false,"
               "\"inputSchema\":{\"type\":\"object\"},\"name\":\"echo\","
               "\"outputSchema\":{\"type\":\"object\"},\"title\":\"Echo\"}");
    uint8_t digest[FL_DEFINITION_DIGEST_BYTES];
    fl_sha256(echo->json, digest);
    CHECK(memcmp(digest, echo->digest, sizeof digest) == 0);
    const struct fl_definition *write = fl_description_tool(got, "write");
    CHECK_SPAN(write->json,
               "{\"annotations\":{\"destructiveHint\":true,\"idempotentHint\":false,"
               "\"openWorldHint\":false,\"readOnlyHint\":false},\"card\":\"Write {path}\","
               "\"description\":\"For tests.\",\"execution\":{\"taskSupport\":\"optional\"},"
               "\"hasPreview\":true,\"inputSchema\":{\"type\":\"object\"},\"name\":\"write\"}");
    CHECK(write->has_preview && !write->has_output_schema && !write->title);
    CHECK_STR(write->card, "Write {path}");
    /* the digest that an instance in hand is held against is the same */
    struct trial t;
    f.config = fixture_config(PLUGIN("good"));
    fixture_instance(&f);
    trial_init(&t, &f, "write", "{}");
    t.call.definition_digest = write->digest;
    trial_run(&t, &f);
    CHECK_ENDED(&t);
    fl_host_call_fini(&t.call);
    fl_description_free(&d.describe.description);
    fixture_close(&f);
}

/* flopinio_plugin() is the plugin's code, too: `server add` runs it before anybody has accepted
 * anything. */
static void test_the_process_that_describes_is_confined_as_the_others(void)
{
    static const char *const names[] = { "FLOPINIO_HOSTILE", NULL };
    char folder[] = "/tmp/flopinio-test-XXXXXX";
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct fixture f = { 0 };
    struct described d;
    CHECK(mkdtemp(folder) && chmod(folder, 0755) == 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s/s", folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    CHECK_INT(listen(fd, 4), 0);
    CHECK_INT(chmod(at.sun_path, 0777), 0);
    CHECK_INT(setenv(names[0], at.sun_path, 1), 0);
    fixture_host(&f);
    struct fl_host_config config = fixture_config(PLUGIN("hostile"));
    config.sandbox.environment = names;
    describe(&f, &d, &config);
    CHECK_MSG(d.describe.op.code == FL_OK, "%s", d.describe.op.err.text);
    bool has_seccomp = strstr(d.describe.description->sandbox, ", seccomp, ") != NULL;
    CHECK_STR(d.describe.description->description,
              has_seccomp ? "connecting: Operation not permitted" : "connecting: it worked");
    fl_description_free(&d.describe.description);
    fixture_close(&f);
    close(fd);
    unlink(at.sun_path);
    rmdir(folder);
}

static void test_effects_become_annotations_and_silence_is_the_worst(void)
{
    static const struct {
        uint32_t effects;
        const char *annotations;
        bool is_read;
    } cases[] = {
        { 0,
          "\"destructiveHint\":true,\"idempotentHint\":false,\"openWorldHint\":false,"
          "\"readOnlyHint\":false",
          false },
        { FLOPINIO_READS,
          "\"destructiveHint\":false,\"idempotentHint\":false,"
          "\"openWorldHint\":false,\"readOnlyHint\":true",
          true },
        { FLOPINIO_READS | FLOPINIO_WRITES,
          "\"destructiveHint\":false,\"idempotentHint\":false,\"openWorldHint\":false,"
          "\"readOnlyHint\":false",
          false },
        { FLOPINIO_READS | FLOPINIO_DESTROYS,
          "\"destructiveHint\":true,\"idempotentHint\":false,\"openWorldHint\":false,"
          "\"readOnlyHint\":false",
          false },
        { FLOPINIO_READS | FLOPINIO_REACHES_OUT,
          "\"destructiveHint\":false,\"idempotentHint\":false,\"openWorldHint\":true,"
          "\"readOnlyHint\":true",
          true },
        { FLOPINIO_WRITES | FLOPINIO_IDEMPOTENT,
          "\"destructiveHint\":false,\"idempotentHint\":true,\"openWorldHint\":false,"
          "\"readOnlyHint\":false",
          false },
        { FLOPINIO_REACHES_OUT,
          "\"destructiveHint\":true,\"idempotentHint\":false,\"openWorldHint\":true,"
          "\"readOnlyHint\":false",
          false },
        { FLOPINIO_READS | FLOPINIO_SLOW, "\"isSlow\":true", true },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        char json[512];
        struct fl_description *d;
        struct fl_err err;
        snprintf(json, sizeof json,
                 "{\"name\":\"p\",\"version\":\"1\",\"description\":\"\",\"tools\":[{\"name\":"
                 "\"t\",\"description\":\"\",\"inputSchema\":\"{\\\"type\\\":\\\"object\\\"}\","
                 "\"effects\":%u,\"task\":0}]}",
                 cases[i].effects);
        CHECK_OK(fl_description_read(fl_str_of(json), &d, &err));
        CHECK_MSG(memmem(d->tools[0].json.p, d->tools[0].json.n, cases[i].annotations,
                         strlen(cases[i].annotations)),
                  "%.*s", FL_STR_ARG(d->tools[0].json));
        CHECK_INT(fl_effects_claim_read(cases[i].effects), cases[i].is_read);
        fl_description_free(&d);
        CHECK(!d);
    }
}

static void test_equal_definitions_have_one_canonical_form(void)
{
    static const char *const schemas[] = {
        "{\\\"type\\\":\\\"object\\\",\\\"maxProperties\\\":10}",
        " {\\n \\\"maxProperties\\\" : 1e1, \\\"ty\\\\u0070e\\\":\\\"object\\\" } ",
    };
    struct fl_description *d[2];
    for (size_t i = 0; i < 2; i++) {
        char json[512];
        struct fl_err err = { 0 };
        snprintf(json, sizeof json,
                 "{\"name\":\"p\",\"version\":\"1\",\"description\":\"\",\"tools\":[{\"name\":"
                 "\"t\",\"description\":\"\",\"inputSchema\":\"%s\",\"effects\":1,\"task\":0}]}",
                 schemas[i]);
        CHECK_MSG(fl_description_read(fl_str_of(json), &d[i], &err) == FL_OK, "%s", err.text);
    }
    CHECK(memcmp(d[0]->tools[0].digest, d[1]->tools[0].digest, FL_DEFINITION_DIGEST_BYTES) == 0);
    fl_description_free(&d[0]);
    fl_description_free(&d[1]);
}

#define BAD(way) PLUGIN("bad_" way)

static void test_wrong_tables_are_refused_with_one_sentence(void)
{
    static const struct {
        const char *plugin, *text;
    } cases[] = {
        { BAD("NO_SYMBOL"), BAD("NO_SYMBOL") " does not export flopinio_plugin" },
        { BAD("NOTHING"), BAD("NOTHING") ": flopinio_plugin() returned nothing" },
        { BAD("MAGIC"), BAD("MAGIC") " is not a flopinio plugin: its magic is 0x12345678" },
        { BAD("SIZE"), BAD("SIZE") ": struct flopinio_plugin has 16 bytes, not 80" },
        { BAD("MAJOR"), BAD("MAJOR") " was built for plugin ABI 2.0, this runtime has 1.0: build "
                                     "it again with this runtime's header" },
        { BAD("MINOR"), BAD("MINOR") " needs plugin ABI 1.1, this runtime has 1.0: it needs a "
                                     "newer runtime" },
        { BAD("NULL_NAME"), "the plugin has no name" },
        { BAD("NAME"), "the plugin's name is not 1 to 32 of a-z, 0-9 and -" },
        { BAD("NULL_TABLE"), "the plugin has no table of tools" },
        { BAD("NO_TOOLS"), "the plugin has 0 tools, not 1 to 512" },
        { BAD("NO_OPEN"), "the plugin has no open function" },
        { BAD("TOOL_SIZE"), "tool 1: struct flopinio_tool has 12 bytes, not 88" },
        { BAD("TOOL_NULL_NAME"), "tool 1 has no name" },
        { BAD("TOOL_NAME"), "the name of tool 1 is not 1 to 64 of A-Z, a-z, 0-9, _ and -" },
        { BAD("NO_DESCRIPTION"), "tool tool has no description" },
        { BAD("NO_SCHEMA"), "tool tool has no input schema" },
        { BAD("NO_START"), "tool tool has no start function" },
        { BAD("DUPLICATE"), "two tools are named tool" },
        { BAD("SCHEMA"), "tool tool: its input schema is not usable JSON: line 1, column 20: "
                         "expected a key in double quotes" },
        { BAD("SCHEMA_ARRAY"), "tool tool: its input schema is not a JSON object" },
        { BAD("SCHEMA_TYPE"), "tool tool: its input schema does not say \"type\": \"object\"" },
        { BAD("SCHEMA_KEYS"), "tool tool: its input schema is not usable JSON: line 1, "
                              "column 20: the same key stands twice in one object" },
        { BAD("SCHEMA_NUMBER"), "tool tool: its definition has no canonical form: cannot keep "
                                "the number exactly at \"/inputSchema/maxProperties\": "
                                "9007199254740993" },
        { BAD("EFFECTS"), "tool tool: its effects value 1073741824 is not known" },
        { BAD("TASK"), "tool tool: its task value 9 is not known" },
        { BAD("CARD"), "tool tool: its card is not one line of 1 to 256 bytes" },
        { BAD("UTF8"), "a description in the plugin's tables is not valid UTF-8" },
        { BAD("DIES_LOADING"), "the plugin process was ended by signal 11 (Segmentation fault)" },
        { "/nonexistent.so", "cannot open /nonexistent.so: No such file or directory" },
        { FL_SOURCE_DIR "/LICENSE", "cannot load the plugin: " FL_SOURCE_DIR "/LICENSE: "
                                    "invalid ELF header" },
    };
    struct fixture f = { 0 };
    struct described d;
    size_t refused = 0;
    fixture_host(&f);
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_host_config config = fixture_config(cases[i].plugin);
        describe(&f, &d, &config);
        CHECK_STR(d.describe.op.err.text, cases[i].text);
        CHECK_INT(d.describe.op.code, FL_PLUGIN);
        CHECK(!d.describe.description);
        refused++;
    }
    CHECK_INT(refused, 30);
    fixture_close(&f);
}

static void test_an_instance_of_a_wrong_plugin_is_not_started(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, BAD("DUPLICATE"));
    fixture_call(&f, &t, "tool", "{}");
    CHECK_NO_OUTCOME(&t, FL_HOST_NOT_STARTED, FL_PLUGIN, "two tools are named tool");
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_a_describe_that_hangs_ends_in_time_or_when_cancelled(void)
{
    struct fixture f = { 0 };
    struct described d;
    struct fl_host_config config = fixture_config(BAD("HANGS_LOADING"));
    fixture_host(&f);
    config.limits.start_ms = 1000;
    describe(&f, &d, &config);
    CHECK_INT(d.describe.op.code, FL_TIMEOUT);
    CHECK_STR(d.describe.op.err.text, "the plugin was not ready within 1000 ms");
    config.limits.start_ms = 0;
    d = (struct described){ .describe.op.done = on_described, .loop = &f.loop };
    CHECK_OK(fl_host_describe_start(&d.describe, f.host, &config));
    fixture_sleep(&f, 50);
    fl_op_cancel(&d.describe.op);
    while (!d.is_done)
        fl_loop_run(&f.loop);
    CHECK_INT(d.describe.op.code, FL_CANCELLED);
    /* as one is that is described, and hangs while it opens */
    config = fixture_config(PLUGIN("good"));
    config.configuration = json_pack("{s:s}", "hangs", "x");
    d = (struct described){ .describe.op.done = on_described, .loop = &f.loop };
    CHECK_OK(fl_host_describe_start(&d.describe, f.host, &config));
    json_decref(config.configuration);
    while (!d.describe.is_trying && !d.is_done)
        fixture_sleep(&f, 10);
    CHECK(!d.is_done);
    fl_op_cancel(&d.describe.op);
    while (!d.is_done)
        fl_loop_run(&f.loop);
    CHECK_INT(d.describe.op.code, FL_CANCELLED);
    CHECK_STR(d.describe.not_open, "");
    CHECK(!d.describe.description);
    fixture_close(&f);
}

/* What a plugin process could write instead of a description. */
static void test_forged_descriptions_are_refused(void)
{
#define HEAD "{\"name\":\"p\",\"version\":\"1\",\"description\":\"\",\"tools\":"
#define REST "\"description\":\"\",\"inputSchema\":\"{\\\"type\\\":\\\"object\\\"}\",\"effects\":1"
    static const struct {
        const char *json, *text;
    } cases[] = {
        { "", "the plugin's description is not a JSON object" },
        { "[]", "the plugin's description is not a JSON object" },
        { "{}", "the plugin's name is not 1 to 32 of a-z, 0-9 and -" },
        { "{\"name\":\"p\"}", "the plugin's version is not one line of 1 to 64 bytes" },
        { "{\"name\":\"p\",\"version\":\"1\\n\"}",
          "the plugin's version is not one line of 1 to 64 bytes" },
        { "{\"name\":\"p\",\"version\":\"1\",\"description\":7}",
          "the plugin's description is missing or larger than 16384 bytes" },
        { HEAD "{}}", "the plugin has 0 tools, not 1 to 512" },
        { HEAD "[7]}", "the name of tool 1 is not 1 to 64 of A-Z, a-z, 0-9, _ and -" },
        { HEAD "[{\"name\":\"t\",\"task\":0}]}",
          "tool t: its description is missing or larger than 16384 bytes" },
        { HEAD "[{\"name\":\"t\",\"task\":-1," REST "}]}",
          "tool t: its task value -1 is not known" },
        { HEAD "[{\"name\":\"t\",\"task\":\"x\"," REST "}]}",
          "tool t: its task value 0 is not known" },
        { HEAD "[{\"name\":\"t\",\"task\":0,\"effects\":1,\"description\":\"\"}]}",
          "tool t has no input schema" },
        { HEAD "[{\"name\":\"t\",\"task\":0,\"title\":\"\"," REST "}]}",
          "tool t: its title is not one line of 1 to 256 bytes" },
        { HEAD "[{\"name\":\"t\",\"task\":0,\"outputSchema\":\"7\"," REST "}]}",
          "tool t: its output schema is not a JSON object" },
        { HEAD "[{\"name\":\"t\",\"task\":0,"
               "\"outputSchema\":\"{\\\"additionalProperties\\\":0}\"," REST "}]}",
          "tool t: its output schema is not valid: /additionalProperties: must be a schema (an object, "
          "true or false)" },
        { HEAD "[{\"name\":\"t\",\"task\":0,\"description\":\"\",\"effects\":1,\"inputSchema\":"
               "\"{\\\"type\\\":\\\"object\\\",\\\"minProperties\\\":-1}\"}]}",
          "tool t: its input schema is not valid: /minProperties: must be a whole number, 0 or more" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_description *d = NULL;
        struct fl_err err = { 0 };
        CHECK_INT(fl_description_read(fl_str_of(cases[i].json), &d, &err), FL_PLUGIN);
        CHECK_STR(err.text, cases[i].text);
        CHECK(!d);
    }
}

static void test_descriptions_survive_failing_allocations(void)
{
    static const char json[] = HEAD "[{\"name\":\"t\",\"task\":0,\"title\":\"T\"," REST "}]}";
    bool has_passed = false;
    for (uint64_t n = 1; !has_passed; n++) {
        struct fl_description *d = NULL;
        struct fl_err err;
        fl_mem_fail_at(n, 1);
        enum fl_code code = fl_description_read(fl_str_of(json), &d, &err);
        has_passed = fl_mem_fail_at(0, 0) < n;
        CHECK_MSG(has_passed ? code == FL_OK : code == FL_NOMEM && !d, "n %d: %s", (int)n,
                  err.text);
        fl_description_free(&d);
    }
}

static const struct fl_test tests[] = {
    T(a_plugin_is_described_though_it_does_not_open),
    T(why_a_described_plugin_does_not_open_is_told),
    T(the_process_that_describes_is_confined_as_the_others),
    T(effects_become_annotations_and_silence_is_the_worst),
    T(equal_definitions_have_one_canonical_form),
    T_LIMIT(wrong_tables_are_refused_with_one_sentence, 60),
    T(an_instance_of_a_wrong_plugin_is_not_started),
    T(a_describe_that_hangs_ends_in_time_or_when_cancelled),
    T(forged_descriptions_are_refused),
    T(descriptions_survive_failing_allocations),
};
TEST_MAIN(tests)
