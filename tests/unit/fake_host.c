/* The host table over jansson trees. */
#include "fake_host.h"

#include "flopinio/base/utf8.h"
#include "harness.h"

/* RFC 6901; borrowed, or NULL. */
static json_t *resolve(json_t *tree, const char *pointer)
{
    while (tree && *pointer) {
        char key[128];
        size_t n = 0;
        CHECK(*pointer++ == '/');
        for (; *pointer && *pointer != '/'; pointer++) {
            CHECK(n < sizeof key - 1);
            if (*pointer == '~' && (pointer[1] == '0' || pointer[1] == '1'))
                key[n++] = *++pointer == '0' ? '~' : '/';
            else
                key[n++] = *pointer;
        }
        key[n] = 0;
        tree = json_is_array(tree) ? json_array_get(tree, strtoul(key, NULL, 10))
                                   : json_object_get(tree, key);
    }
    return tree;
}

static int as_string(json_t *value, const char **ret, size_t *ret_n)
{
    if (!json_is_string(value))
        return 0;
    *ret = json_string_value(value);
    *ret_n = json_string_length(value);
    return 1;
}

static int as_int(json_t *value, int64_t *ret)
{
    if (!json_is_integer(value))
        return 0;
    *ret = json_integer_value(value);
    return 1;
}

static int as_bool(json_t *value, int *ret)
{
    if (!json_is_boolean(value))
        return 0;
    *ret = json_is_true(value);
    return 1;
}

static int arg_string(flopinio_job *job, const char *pointer, const char **ret, size_t *ret_n)
{
    return as_string(resolve(job->args, pointer), ret, ret_n);
}

static int arg_int(flopinio_job *job, const char *pointer, int64_t *ret)
{
    return as_int(resolve(job->args, pointer), ret);
}

static int arg_number(flopinio_job *job, const char *pointer, double *ret)
{
    json_t *value = resolve(job->args, pointer);
    if (!json_is_number(value))
        return 0;
    *ret = json_number_value(value);
    return 1;
}

static int arg_bool(flopinio_job *job, const char *pointer, int *ret)
{
    return as_bool(resolve(job->args, pointer), ret);
}

static int arg_count(flopinio_job *job, const char *pointer, size_t *ret)
{
    json_t *value = resolve(job->args, pointer);
    if (!json_is_array(value) && !json_is_object(value))
        return 0;
    *ret = json_is_array(value) ? json_array_size(value) : json_object_size(value);
    return 1;
}

static int arg_json(flopinio_job *job, const char *pointer, const char **ret, size_t *ret_n)
{
    json_t *value = resolve(job->args, pointer);
    if (!value)
        return 0;
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    CHECK(text);
    json_t *kept = json_string(text);
    free(text);
    pthread_mutex_lock(&job->lock);
    json_array_append_new(job->borrowed, kept);
    pthread_mutex_unlock(&job->lock);
    return as_string(kept, ret, ret_n);
}

static const char *precondition(flopinio_job *job)
{
    return job->precondition;
}

static int is_cancelled(flopinio_job *job)
{
    pthread_mutex_lock(&job->lock);
    int value = job->is_cancelled;
    pthread_mutex_unlock(&job->lock);
    return value;
}

/* ---- results ---- */
static void begin(flopinio_job *job)
{
    pthread_mutex_lock(&job->lock);
    CHECK_MSG(job->done == 0, "the job was touched after done()");
}

static void finish(flopinio_job *job)
{
    pthread_mutex_unlock(&job->lock);
}

static void put_text(flopinio_job *job, const char *text, size_t n)
{
    begin(job);
    json_t *item = json_pack("{s:s, s:s%}", "type", "text", "text", text, n);
    CHECK_MSG(item, "a text is not UTF-8");
    json_array_append_new(job->content, item);
    finish(job);
}

static void put_media(flopinio_job *job, const char *kind, const char *mime_type, const void *bytes,
                      size_t n)
{
    begin(job);
    CHECK(strcmp(kind, "image") == 0 || strcmp(kind, "audio") == 0);
    fl_buf_reset(&job->media);
    fl_buf_put(&job->media, bytes, n);
    json_array_append_new(job->content,
                          json_pack("{s:s, s:s}", "type", kind, "mimeType", mime_type));
    finish(job);
}

static void put_resource(flopinio_job *job, const char *uri, const char *mime_type,
                         const char *text, size_t n)
{
    begin(job);
    json_array_append_new(job->content,
                          json_pack("{s:s, s:{s:s, s:s, s:s%}}", "type", "resource", "resource",
                                    "uri", uri, "mimeType", mime_type, "text", text, n));
    finish(job);
}

static void put_structured(flopinio_job *job, const char *json, size_t n)
{
    json_error_t e;
    begin(job);
    CHECK_MSG(!job->structured, "structured() was called twice");
    job->structured = json_loadb(json, n, JSON_REJECT_DUPLICATES, &e);
    CHECK_MSG(job->structured, "structuredContent is not JSON: %s in %.*s", e.text, (int)n, json);
    finish(job);
}

static void put_error(flopinio_job *job, int code, const char *message)
{
    begin(job);
    job->error_code = code;
    fl_buf_reset(&job->error);
    fl_buf_puts(&job->error, message);
    finish(job);
}

static void put_progress(flopinio_job *job, double progress, double total, const char *message)
{
    begin(job);
    size_t n = json_array_size(job->progress);
    if (n)
        CHECK(json_number_value(json_array_get(json_array_get(job->progress, n - 1), 0)) <
              progress);
    json_array_append_new(job->progress, json_pack("[f, f, s?]", progress, total, message));
    finish(job);
}

static void put_message(flopinio_job *job, enum flopinio_level level, const char *logger,
                        const char *data_json)
{
    begin(job);
    json_t *data = json_loads(data_json, JSON_DECODE_ANY, NULL);
    CHECK_MSG(data, "a log message is not JSON: %s", data_json);
    json_array_append_new(job->messages, json_pack("{s:i, s:s?, s:o}", "level", (int)level,
                                                   "logger", logger, "data", data));
    void (*hook)(struct flopinio_job *) = job->on_message;
    finish(job);
    if (hook)
        hook(job);
}

static void preview_text(flopinio_job *job, const char *text, size_t n)
{
    begin(job);
    CHECK(job->preview_text.n == 0 && job->preview_diff.n == 0);
    CHECK_MSG(fl_utf8_is_valid((struct fl_str){ text, n }), "a preview is not UTF-8");
    fl_buf_put(&job->preview_text, text, n);
    finish(job);
}

static void preview_diff(flopinio_job *job, const char *diff, size_t n)
{
    begin(job);
    CHECK(job->preview_text.n == 0 && job->preview_diff.n == 0);
    CHECK_MSG(fl_utf8_is_valid((struct fl_str){ diff, n }), "a diff is not UTF-8");
    fl_buf_put(&job->preview_diff, diff, n);
    finish(job);
}

static void preview_precondition(flopinio_job *job, const char *text)
{
    begin(job);
    CHECK(strlen(text) <= FLOPINIO_PRECONDITION_MAX);
    snprintf(job->bound, sizeof job->bound, "%s", text);
    finish(job);
}

static void put_done(flopinio_job *job, enum flopinio_outcome outcome)
{
    begin(job);
    job->outcome = outcome;
    job->done++;
    pthread_cond_signal(&job->ended);
    finish(job);
}

/* ---- the instance ---- */
static struct fake_host *host_of(const struct flopinio_host *host)
{
    return (struct fake_host *)host; /* table is the first member */
}

static int config_string(const struct flopinio_host *host, const char *pointer, const char **ret,
                         size_t *ret_n)
{
    return as_string(resolve(host_of(host)->config, pointer), ret, ret_n);
}

static int config_int(const struct flopinio_host *host, const char *pointer, int64_t *ret)
{
    return as_int(resolve(host_of(host)->config, pointer), ret);
}

static int config_bool(const struct flopinio_host *host, const char *pointer, int *ret)
{
    return as_bool(resolve(host_of(host)->config, pointer), ret);
}

static void put_log(const struct flopinio_host *host, enum flopinio_level level, const char *text)
{
    (void)level;
    CHECK(!strchr(text, '\n'));
    fl_buf_printf(&host_of(host)->log, "%s\n", text);
}

void fake_host_init(struct fake_host *host, const char *config)
{
    memset(host, 0, sizeof *host);
    host->table = (struct flopinio_host){
        .size = sizeof host->table,
        .abi_major = FLOPINIO_PLUGIN_ABI_MAJOR,
        .abi_minor = FLOPINIO_PLUGIN_ABI_MINOR,
        .arg_string = arg_string,
        .arg_int = arg_int,
        .arg_number = arg_number,
        .arg_bool = arg_bool,
        .arg_count = arg_count,
        .arg_json = arg_json,
        .precondition = precondition,
        .is_cancelled = is_cancelled,
        .text = put_text,
        .media = put_media,
        .resource = put_resource,
        .structured = put_structured,
        .error = put_error,
        .progress = put_progress,
        .message = put_message,
        .preview_text = preview_text,
        .preview_diff = preview_diff,
        .preview_precondition = preview_precondition,
        .done = put_done,
        .config_string = config_string,
        .config_int = config_int,
        .config_bool = config_bool,
        .log = put_log,
    };
    host->config = json_loads(config, 0, NULL);
    CHECK(host->config);
}

void fake_host_fini(struct fake_host *host)
{
    json_decref(host->config);
    fl_buf_fini(&host->log);
}

struct flopinio_job *fake_job_new(const char *args, const char *bound)
{
    struct flopinio_job *job = calloc(1, sizeof *job);
    CHECK(job);
    pthread_mutex_init(&job->lock, NULL);
    pthread_cond_init(&job->ended, NULL);
    json_error_t e;
    job->args = json_loads(args, JSON_REJECT_DUPLICATES, &e);
    CHECK_MSG(job->args, "the test's arguments are not JSON: %s in %s", e.text, args);
    job->borrowed = json_array();
    job->content = json_array();
    job->progress = json_array();
    job->messages = json_array();
    job->precondition = bound;
    return job;
}

void fake_job_free(struct flopinio_job **job)
{
    if (!*job)
        return;
    json_decref((*job)->args);
    json_decref((*job)->borrowed);
    json_decref((*job)->content);
    json_decref((*job)->structured);
    json_decref((*job)->progress);
    json_decref((*job)->messages);
    fl_buf_fini(&(*job)->media);
    fl_buf_fini(&(*job)->error);
    fl_buf_fini(&(*job)->preview_text);
    fl_buf_fini(&(*job)->preview_diff);
    pthread_cond_destroy(&(*job)->ended);
    pthread_mutex_destroy(&(*job)->lock);
    free(*job);
    *job = NULL;
}

void fake_wait(struct flopinio_job *job)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    pthread_mutex_lock(&job->lock);
    while (job->done == 0)
        CHECK_MSG(pthread_cond_timedwait(&job->ended, &job->lock, &until) == 0,
                  "done() was not called");
    pthread_mutex_unlock(&job->lock);
}

struct flopinio_job *fake_start(const struct flopinio_tool *tool, flopinio_instance *in,
                                const char *args, const char *bound)
{
    struct flopinio_job *job = fake_job_new(args, bound);
    tool->start(in, job);
    return job;
}

struct flopinio_job *fake_preview(const struct flopinio_tool *tool, flopinio_instance *in,
                                  const char *args)
{
    struct flopinio_job *job = fake_job_new(args, NULL);
    CHECK(tool->preview);
    tool->preview(in, job);
    return job;
}

const char *fake_text(const struct flopinio_job *job, size_t n)
{
    const char *text = json_string_value(json_object_get(json_array_get(job->content, n), "text"));
    return text ? text : "";
}

const struct flopinio_tool *fake_tool(const struct flopinio_plugin *plugin, const char *name)
{
    for (size_t i = 0; plugin->tools[i]; i++) {
        if (strcmp(plugin->tools[i]->name, name) == 0)
            return plugin->tools[i];
    }
    fl_test_fail(__FILE__, __LINE__, "the plugin has no tool %s", name);
}

static void check_schema(const char *tool, const char *text)
{
    json_error_t e;
    json_t *schema = json_loads(text, JSON_REJECT_DUPLICATES, &e);
    CHECK_MSG(schema, "%s: a schema is not JSON: %s near %d", tool, e.text, e.position);
    CHECK_MSG(json_is_object(schema), "%s: a schema is not an object", tool);
    const char *type = json_string_value(json_object_get(schema, "type"));
    CHECK_MSG(type && strcmp(type, "object") == 0, "%s: a schema's type is not object", tool);
    json_decref(schema);
}

size_t fake_check_plugin(const struct flopinio_plugin *plugin)
{
    size_t n = 0;
    CHECK(plugin->magic == FLOPINIO_PLUGIN_MAGIC && plugin->size == sizeof *plugin);
    CHECK(plugin->abi_major == FLOPINIO_PLUGIN_ABI_MAJOR &&
          plugin->abi_minor <= FLOPINIO_PLUGIN_ABI_MINOR);
    CHECK(plugin->name && plugin->version && plugin->description && plugin->open && plugin->close);
    for (; plugin->tools[n]; n++) {
        const struct flopinio_tool *t = plugin->tools[n];
        CHECK(t->size == sizeof *t && t->name && t->start && t->description && t->input_schema);
        CHECK(strlen(t->name) <= 64 &&
              strspn(t->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno"
                              "pqrstuvwxyz0123456789_-") == strlen(t->name));
        check_schema(t->name, t->input_schema);
        if (t->output_schema)
            check_schema(t->name, t->output_schema);
        CHECK_MSG(t->effects & FLOPINIO_READS || t->preview, "%s writes without a preview",
                  t->name);
        for (size_t i = 0; i < n; i++)
            CHECK(strcmp(plugin->tools[i]->name, t->name) != 0);
    }
    return n;
}

static bool has_type(const json_t *value, const char *type)
{
    return strcmp(type, "object") == 0    ? json_is_object(value)
           : strcmp(type, "array") == 0   ? json_is_array(value)
           : strcmp(type, "string") == 0  ? json_is_string(value)
           : strcmp(type, "integer") == 0 ? json_is_integer(value)
           : strcmp(type, "number") == 0  ? json_is_number(value)
           : strcmp(type, "boolean") == 0 ? json_is_boolean(value)
                                          : false;
}

bool fake_conforms(const json_t *schema, const json_t *value)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    const json_t *members = json_object_get(schema, "properties");
    const json_t *items = json_object_get(schema, "items");
    const json_t *allowed = json_object_get(schema, "enum");
    json_t *member;
    const char *key;
    size_t i;
    bool is_allowed = !allowed;
    if (type && !has_type(value, type))
        return false;
    json_array_foreach (allowed, i, member)
        is_allowed |= json_equal(member, value);
    json_array_foreach (json_object_get(schema, "required"), i, member) {
        if (!json_object_get(value, json_string_value(member)))
            return false;
    }
    json_object_foreach ((json_t *)value, key, member) {
        const json_t *of = json_object_get(members, key);
        if (of ? !fake_conforms(of, member)
               : json_is_false(json_object_get(schema, "additionalProperties")))
            return false;
    }
    json_array_foreach (value, i, member) {
        if (items && !fake_conforms(items, member))
            return false;
    }
    return is_allowed;
}

void fake_check_structured(const struct flopinio_tool *tool, const struct flopinio_job *job)
{
    if (job->outcome != FLOPINIO_OK || !tool->output_schema)
        return;
    json_t *schema = json_loads(tool->output_schema, 0, NULL);
    CHECK(schema);
    CHECK_MSG(job->structured, "%s has an output schema and gave nothing for it", tool->name);
    char *text = json_dumps(job->structured, 0);
    CHECK_MSG(fake_conforms(schema, job->structured), "%s gave what its schema does not allow: %s",
              tool->name, text);
    free(text);
    json_decref(schema);
}
