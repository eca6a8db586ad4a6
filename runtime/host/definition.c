/* Descriptions and definitions: checks what a plugin says of itself and brings each tool into its
 * canonical form. */
#include "runtime/host/definition.h"

#include <jansson.h>
#include <string.h>

#include "flopinio/base/jcs.h"
#include "flopinio/base/json.h"
#include "flopinio/base/scan.h"
#include "mcp/schema.h"
#include "runtime/crypto/digest.h"

#define TOOLS_MAX        512
#define NAME_MAX_BYTES   64
#define LINE_MAX_BYTES   256 /* title, card */
#define TEXT_MAX_BYTES   (16 * 1024)
#define SCHEMA_MAX_BYTES (256 * 1024)
#define EFFECTS_KNOWN                                                                              \
    (FLOPINIO_READS | FLOPINIO_WRITES | FLOPINIO_DESTROYS | FLOPINIO_REACHES_OUT |                 \
     FLOPINIO_IDEMPOTENT | FLOPINIO_SLOW)

bool fl_effects_claim_read(uint32_t effects)
{
    return (effects & FLOPINIO_READS) && !(effects & (FLOPINIO_WRITES | FLOPINIO_DESTROYS));
}

static bool is_name(struct fl_str s, size_t max, const char *extra, bool allows_upper)
{
    if (s.n == 0 || s.n > max)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                        (allows_upper && c >= 'A' && c <= 'Z');
        if (!is_alnum && (c == 0 || !strchr(extra, c)))
            return false;
    }
    return true;
}

static bool is_one_line(struct fl_str s, size_t max)
{
    if (s.n == 0 || s.n > max)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    }
    return true;
}

/* ---- one tool ---- */

struct tool_reader {
    struct fl_arena *arena;
    const json_t *tool;
    const char *name; /* for texts */
    struct fl_err *err;
    enum fl_code code;
};

/* A member's text in the arena, NULL when it is absent. */
static const char *read_text(struct tool_reader *r, const char *key)
{
    struct fl_str s = fl_json_get_str(r->tool, key);
    if (!s.p || r->code)
        return NULL;
    char *copy = fl_arena_strndup(r->arena, s.p, s.n);
    if (!copy)
        r->code = fl_err_code(r->err, FL_NOMEM);
    return copy;
}

/* Optional, one line, for people. */
static const char *read_line(struct tool_reader *r, const char *key)
{
    const char *text = read_text(r, key);
    if (text && !is_one_line(fl_str_of(text), LINE_MAX_BYTES))
        r->code = fl_err_set(r->err, FL_PLUGIN, "tool %s: its %s is not one line of 1 to %d bytes",
                             r->name, key, LINE_MAX_BYTES);
    return text;
}

static uint32_t read_u32(struct tool_reader *r, const char *key, uint32_t max)
{
    const json_t *value = json_object_get(r->tool, key);
    json_int_t number = json_integer_value(value);
    if (!r->code && (!json_is_integer(value) || number < 0 || number > (json_int_t)max))
        r->code = fl_err_set(r->err, FL_PLUGIN, "tool %s: its %s value %lld is not known", r->name,
                             key, (long long)number);
    return (uint32_t)number;
}

/* Clients compile what they are shown and refuse the whole list for one schema that is none. */
static enum fl_code check_compiles(struct tool_reader *r, struct fl_str text, const char *which)
{
    struct fl_schema *schema = NULL;
    struct fl_err why;
    json_t *tree = fl_json_parse(text, &why);
    enum fl_code code = tree ? fl_schema_new(tree, NULL, &schema, &why) : why.code;
    json_decref(tree);
    fl_schema_free(&schema);
    if (code == FL_OK)
        return FL_OK;
    return code == FL_NOMEM ? fl_err_code(r->err, FL_NOMEM)
                            : fl_err_set(r->err, FL_PLUGIN, "tool %s: its %s is not valid: %s",
                                         r->name, which, why.text);
}

static struct fl_str read_schema(struct tool_reader *r, const char *key, const char *which,
                                 bool is_input)
{
    static const struct fl_scan_pick pick = { { "type" } };
    struct fl_err why;
    const char *text = read_text(r, key);
    struct fl_str schema = fl_str_of(text), type;
    if (!text || r->code)
        return schema;
    if (schema.n > SCHEMA_MAX_BYTES) {
        r->code = fl_err_set(r->err, FL_PLUGIN, "tool %s: its %s is larger than %d bytes", r->name,
                             which, SCHEMA_MAX_BYTES);
        return schema;
    }
    enum fl_code code = fl_scan(schema, &fl_scan_call, &pick, 1, &type, &why);
    if (code == FL_NOMEM)
        r->code = fl_err_code(r->err, FL_NOMEM);
    else if (code)
        r->code = fl_err_set(r->err, FL_PLUGIN, "tool %s: its %s is not usable JSON: %s", r->name,
                             which, why.text);
    else if (schema.p[strspn(schema.p, " \t\r\n")] != '{')
        r->code =
            fl_err_set(r->err, FL_PLUGIN, "tool %s: its %s is not a JSON object", r->name, which);
    else if (is_input && !fl_span_is(type, "object"))
        r->code = fl_err_set(r->err, FL_PLUGIN, "tool %s: its %s does not say \"type\": \"object\"",
                             r->name, which);
    else
        r->code = check_compiles(r, schema, which);
    return schema;
}

static void put_hint(struct fl_buf *out, const char *key, bool value)
{
    fl_buf_json_key(out, key);
    fl_buf_puts(out, value ? "true," : "false,");
}

static void put_text(struct fl_buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    fl_buf_json_key(out, key);
    fl_buf_json_str(out, fl_str_of(value));
    fl_buf_putc(out, ',');
}

/* Any order: the canonical form sorts. */
static void put_definition(struct fl_buf *out, const struct fl_definition *d,
                           struct fl_str output_schema)
{
    static const char *const support[] = { "optional", "forbidden", "required" };
    bool says_nothing = !(d->effects & (FLOPINIO_READS | FLOPINIO_WRITES | FLOPINIO_DESTROYS));
    fl_buf_putc(out, '{');
    put_text(out, "name", d->name);
    put_text(out, "title", d->title);
    put_text(out, "description", d->description);
    put_text(out, "card", d->card);
    put_hint(out, "hasPreview", d->has_preview);
    if (d->effects & FLOPINIO_SLOW)
        put_hint(out, "isSlow", true);
    fl_buf_json_key(out, "inputSchema");
    fl_buf_str(out, d->input_schema);
    fl_buf_putc(out, ',');
    if (output_schema.p) {
        fl_buf_json_key(out, "outputSchema");
        fl_buf_str(out, output_schema);
        fl_buf_putc(out, ',');
    }
    fl_buf_printf(out, "\"execution\":{\"taskSupport\":\"%s\"},\"annotations\":{",
                  support[d->task]);
    put_hint(out, "readOnlyHint", fl_effects_claim_read(d->effects));
    put_hint(out, "destructiveHint", says_nothing || (d->effects & FLOPINIO_DESTROYS));
    put_hint(out, "idempotentHint", (d->effects & FLOPINIO_IDEMPOTENT) != 0);
    fl_buf_json_key(out, "openWorldHint");
    fl_buf_puts(out, d->effects & FLOPINIO_REACHES_OUT ? "true}}" : "false}}");
}

static enum fl_code make_canonical(struct tool_reader *r, struct fl_definition *d,
                                   struct fl_str output_schema)
{
    struct fl_buf text = FL_BUF_INIT, canonical = FL_BUF_INIT;
    struct fl_err why;
    put_definition(&text, d, output_schema);
    enum fl_code code = fl_buf_code(&text, r->err);
    if (!code) {
        code = fl_jcs(fl_buf_view(&text), &canonical, &why);
        if (code == FL_NOMEM)
            fl_err_code(r->err, FL_NOMEM);
        else if (code)
            code =
                fl_err_set(r->err, FL_PLUGIN, "tool %s: its definition has no canonical form: %s",
                           r->name, why.text);
    }
    if (!code) {
        d->json = fl_arena_str(r->arena, fl_buf_view(&canonical));
        if (!d->json.p)
            code = fl_err_code(r->err, FL_NOMEM);
        else
            fl_sha256(d->json, d->digest);
    }
    fl_buf_fini(&text);
    fl_buf_fini(&canonical);
    return code;
}

static enum fl_code read_tool(struct fl_arena *arena, const json_t *tool, size_t i,
                              struct fl_definition *ret, struct fl_err *err)
{
    struct tool_reader r = { .arena = arena, .tool = tool, .err = err };
    struct fl_definition d = { 0 };
    d.name = r.name = read_text(&r, "name");
    if (r.code)
        return r.code;
    if (!d.name || !is_name(fl_str_of(d.name), NAME_MAX_BYTES, "_-", true))
        return fl_err_set(err, FL_PLUGIN,
                          "the name of tool %zu is not 1 to %d of A-Z, a-z, 0-9, _ and -", i + 1,
                          NAME_MAX_BYTES);
    d.title = read_line(&r, "title");
    d.card = read_line(&r, "card");
    d.description = read_text(&r, "description");
    if (!r.code && (!d.description || strlen(d.description) > TEXT_MAX_BYTES))
        return fl_err_set(err, FL_PLUGIN,
                          "tool %s: its description is missing or larger than %d "
                          "bytes",
                          d.name, TEXT_MAX_BYTES);
    d.effects = read_u32(&r, "effects", EFFECTS_KNOWN);
    d.task = (enum flopinio_task)read_u32(&r, "task", FLOPINIO_TASK_REQUIRED);
    d.has_preview = json_is_true(json_object_get(tool, "hasPreview"));
    d.input_schema = read_schema(&r, "inputSchema", "input schema", true);
    struct fl_str output_schema = read_schema(&r, "outputSchema", "output schema", false);
    d.has_output_schema = output_schema.p != NULL;
    if (r.code)
        return r.code;
    if (!d.input_schema.p)
        return fl_err_set(err, FL_PLUGIN, "tool %s has no input schema", d.name);
    enum fl_code code = make_canonical(&r, &d, output_schema);
    if (!code)
        *ret = d;
    return code;
}

/* ---- the whole ---- */

static enum fl_code read_head(struct fl_description *d, const json_t *root, struct fl_err *err)
{
    struct fl_str name = fl_json_get_str(root, "name"), version = fl_json_get_str(root, "version"),
                  text = fl_json_get_str(root, "description"),
                  sandbox = fl_json_get_str(root, "sandbox");
    if (!is_name(name, 32, "-", false))
        return fl_err_set(err, FL_PLUGIN, "the plugin's name is not 1 to 32 of a-z, 0-9 and -");
    if (!is_one_line(version, 64))
        return fl_err_set(err, FL_PLUGIN, "the plugin's version is not one line of 1 to 64 bytes");
    if (!text.p || text.n > TEXT_MAX_BYTES)
        return fl_err_set(err, FL_PLUGIN,
                          "the plugin's description is missing or larger than %d bytes",
                          TEXT_MAX_BYTES);
    if (!sandbox.p || sandbox.n > LINE_MAX_BYTES)
        sandbox = FL_STR("");
    d->name = fl_arena_strndup(d->arena, name.p, name.n);
    d->version = fl_arena_strndup(d->arena, version.p, version.n);
    d->description = fl_arena_strndup(d->arena, text.p, text.n);
    d->sandbox = fl_arena_strndup(d->arena, sandbox.p, sandbox.n);
    d->is_sandboxed = json_is_true(json_object_get(root, "isSandboxed"));
    if (!d->name || !d->version || !d->description || !d->sandbox)
        return fl_err_code(err, FL_NOMEM);
    return FL_OK;
}

static enum fl_code read_tools(struct fl_description *d, const json_t *list, struct fl_err *err)
{
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count == 0 || count > TOOLS_MAX)
        return fl_err_set(err, FL_PLUGIN, "the plugin has %zu tools, not 1 to %d", count,
                          TOOLS_MAX);
    struct fl_definition *tools = fl_arena_array(d->arena, count, sizeof *tools);
    if (!tools)
        return fl_err_code(err, FL_NOMEM);
    d->tools = tools;
    for (size_t i = 0; i < count; i++) {
        struct fl_definition *tool = &tools[i];
        enum fl_code code = read_tool(d->arena, json_array_get(list, i), i, tool, err);
        if (code)
            return code;
        if (fl_description_tool(d, tool->name))
            return fl_err_set(err, FL_PLUGIN, "two tools are named %s", tool->name);
        d->tool_count = i + 1;
    }
    return FL_OK;
}

enum fl_code fl_description_read(struct fl_str json, struct fl_description **ret,
                                 struct fl_err *err)
{
    struct fl_err why;
    json_t *root = fl_json_parse(json, &why);
    if (!root && why.code == FL_NOMEM)
        return fl_err_code(err, FL_NOMEM);
    if (!json_is_object(root)) {
        json_decref(root);
        return fl_err_set(err, FL_PLUGIN, "the plugin's description is not a JSON object");
    }
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_description *d = arena ? FL_ARENA_NEW(arena, struct fl_description) : NULL;
    if (!d) {
        json_decref(root);
        fl_arena_free(&arena);
        return fl_err_code(err, FL_NOMEM);
    }
    d->arena = arena;
    enum fl_code code = read_head(d, root, err);
    if (!code)
        code = read_tools(d, json_object_get(root, "tools"), err);
    json_decref(root);
    if (code)
        fl_arena_free(&arena);
    else
        *ret = d;
    return code;
}

void fl_description_free(struct fl_description **description)
{
    if (!*description)
        return;
    struct fl_arena *arena = (*description)->arena;
    *description = NULL;
    fl_arena_free(&arena);
}

const struct fl_definition *fl_description_tool(const struct fl_description *description,
                                                const char *name)
{
    for (size_t i = 0; i < description->tool_count; i++) {
        if (strcmp(description->tools[i].name, name) == 0)
            return &description->tools[i];
    }
    return NULL;
}
