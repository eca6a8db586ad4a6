/* write and edit: the content of one file. */
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "save.h"
#include "text.h"
#include "tools.h"

/* The file that a call is about: its directory, its state, what is in it. */
struct target {
    struct path path;
    struct place place;
    struct state state;
    struct content content; /* p NULL: no such file, or too large */
};

static int target_open(struct call *call, bool may_lack_parents, struct target *t)
{
    const struct root *root = &call->in->root;
    char name[TEXT_NAME_BYTES];
    struct stat st;
    enum kind kind;
    t->content = (struct content){ 0 };
    t->place.dir = -1;
    if (call_path(call, "/path", true, &t->path) != 0 ||
        place_open(root, &t->path, may_lack_parents, &t->place, &call->problem) != 0 ||
        place_stat(root, &t->place, &st, &kind, &call->problem) != 0)
        return -1;
    if (kind != KIND_FILE && kind != KIND_ABSENT) {
        if (call_check(call, kind_name(kind), t->path.text) != 0)
            return -1;
        return problem_set(&call->problem, "\"%s\" is %s, not a file",
                           text_name(t->path.text, name),
                           kind == KIND_DIR    ? "a directory"
                           : kind == KIND_LINK ? "a symbolic link (links are not followed)"
                                               : "a device, FIFO or socket");
    }
    return state_of(root, &t->place, call->in->max_file_bytes, &t->state, &t->content,
                    &call->problem);
}

static void target_close(struct target *t)
{
    content_free(&t->content);
    place_close(&t->place);
}

/* Shows or does it: the target gets `bytes`. `done` opens the answer's sentence. */
static int put(struct call *call, struct target *t, const char *bytes, size_t n, const char *done)
{
    const flopinio_instance *in = call->in;
    char name[TEXT_NAME_BYTES], hex[SHA256_HEX_BYTES];
    struct buf json = BUF_INIT;
    bool is_new = t->state.kind == KIND_ABSENT;
    bool is_same = t->content.p && t->content.n == n && memcmp(t->content.p, bytes, n) == 0;
    int rc = 0;
    if (n > in->max_file_bytes)
        return problem_set(&call->problem,
                           "the file would have %zu bytes, more than the limit of "
                           "%zu of this instance",
                           n, in->max_file_bytes);
    if (call->is_preview)
        return call_show_change(call, t->path.text, &t->state, t->content.p ? &t->content : NULL,
                                bytes, n);
    /* The answer is made first: after the change nothing may fail for want of memory. */
    sha256_of(bytes, n, hex);
    buf_puts(&json, "{\"path\":");
    buf_json(&json, t->path.text, t->path.n);
    buf_printf(&json, ",\"bytes\":%zu,\"sha256\":\"%s\",\"is_new\":%s}", n, hex,
               is_new ? "true" : "false");
    if (json.is_failed)
        rc = problem_memory(&call->problem);
    if (rc == 0 && t->place.lacks_parents)
        rc = place_make_parents(&in->root, &t->place, &call->problem);
    if (rc == 0 && !is_same)
        rc = save_file(&in->root, &t->place, &t->state, in->max_file_bytes, bytes, n,
                       call_should_stop, call, &call->problem);
    if (rc == 0) {
        call_say(call, "%s \"%s\": %zu bytes, sha256 %s%s", done, text_name(t->path.text, name), n,
                 hex, is_same ? " (it had this content already)" : "");
        rc = call_put_structured(call, &json);
    }
    buf_fini(&json);
    return rc;
}

static int write_file(struct call *call)
{
    struct target t;
    struct buf decoded = BUF_INIT;
    const char *bytes, *encoding;
    size_t n, encoding_n;
    char name[TEXT_NAME_BYTES];
    int rc = target_open(call, call_flag(call, "/create_parents"), &t);
    if (rc == 0)
        rc = call_text(call, "/content", &bytes, &n);
    if (rc == 0)
        rc = call_check(call, t.state.text, t.path.text);
    if (rc == 0 && t.state.kind == KIND_FILE && !call_flag(call, "/overwrite"))
        rc = problem_set(&call->problem,
                         "\"%s\" exists already; it is replaced only with "
                         "overwrite: true",
                         text_name(t.path.text, name));
    if (rc == 0 && call->host->arg_string(call->job, "/encoding", &encoding, &encoding_n) &&
        strcmp(encoding, "base64") == 0) {
        if (!base64_decode(&decoded, bytes, n))
            rc = decoded.is_failed ? problem_memory(&call->problem)
                                   : problem_set(&call->problem, "the content is not base64");
        bytes = decoded.n ? decoded.p : "";
        n = decoded.n;
    }
    if (rc == 0)
        rc = put(call, &t, bytes, n, t.state.kind == KIND_ABSENT ? "created" : "wrote");
    buf_fini(&decoded);
    target_close(&t);
    return rc;
}

static size_t count_of(const struct content *c, const char *old, size_t old_n)
{
    size_t found = 0;
    for (size_t at = 0; at < c->n; found++) {
        const char *hit = memmem(c->p + at, c->n - at, old, old_n);
        if (!hit)
            break;
        at = (size_t)(hit - c->p) + old_n;
    }
    return found;
}

static void replace(const struct content *c, const char *old, size_t old_n, const char *fresh,
                    size_t fresh_n, struct buf *out)
{
    size_t at = 0;
    for (;;) {
        const char *hit = memmem(c->p + at, c->n - at, old, old_n);
        size_t to = hit ? (size_t)(hit - c->p) : c->n;
        buf_put(out, c->p + at, to - at);
        if (!hit)
            return;
        buf_put(out, fresh, fresh_n);
        at = to + old_n;
    }
}

static int edit_content(struct call *call, struct target *t, struct buf *out)
{
    const char *old, *fresh;
    size_t old_n, fresh_n;
    char name[TEXT_NAME_BYTES];
    const struct content *c = &t->content;
    int64_t count = call_int(call, "/count", 1);
    if (call_text(call, "/old", &old, &old_n) != 0 ||
        call_text(call, "/new", &fresh, &fresh_n) != 0)
        return -1;
    text_name(t->path.text, name);
    if (old_n == 0)
        return problem_set(&call->problem, "old is empty");
    if (old_n == fresh_n && memcmp(old, fresh, old_n) == 0)
        return problem_set(&call->problem, "old and new are the same");
    if (!c->p || !text_is_text(c->p, c->n))
        return problem_set(&call->problem, "\"%s\" is not text; edit works on text", name);
    size_t found = count_of(c, old, old_n);
    bool has_crlf =
        memmem(c->p, c->n, "\r\n", 2) && memchr(old, '\n', old_n) && !memmem(old, old_n, "\r\n", 2);
    if ((int64_t)found != count)
        return problem_set(&call->problem,
                           "old occurs %zu times in \"%s\", not %lld; nothing was "
                           "changed%s",
                           found, name, (long long)count,
                           has_crlf ? " (its lines end in CR LF, those of old in LF)" : "");
    out->max = call->in->max_file_bytes;
    replace(c, old, old_n, fresh, fresh_n, out);
    if (out->is_over)
        return problem_set(&call->problem,
                           "the file would have more than %zu bytes, the limit of "
                           "this instance",
                           call->in->max_file_bytes);
    return out->is_failed ? problem_memory(&call->problem) : 0;
}

static int edit(struct call *call)
{
    struct target t;
    struct buf fresh = BUF_INIT;
    char name[TEXT_NAME_BYTES];
    int rc = target_open(call, false, &t);
    if (rc == 0)
        rc = call_check(call, t.state.text, t.path.text);
    if (rc == 0 && t.state.kind == KIND_ABSENT)
        rc = problem_set(&call->problem, "\"%s\" does not exist", text_name(t.path.text, name));
    if (rc == 0 && !t.content.p)
        rc = problem_set(&call->problem,
                         "\"%s\" has more than %zu bytes, the limit of this "
                         "instance",
                         text_name(t.path.text, name), call->in->max_file_bytes);
    if (rc == 0)
        rc = edit_content(call, &t, &fresh);
    if (rc == 0)
        rc = put(call, &t, fresh.n ? fresh.p : "", fresh.n, "edited");
    buf_fini(&fresh);
    target_close(&t);
    return rc;
}

WRITE_TOOL(write_file)
WRITE_TOOL(edit)

/* clang-format off */
#define PUT_OUTPUT JSON({                                                                          \
    "type": "object",                                                                              \
    "properties": {                                                                                \
        "path": {"type": "string"},                                                                \
        "bytes": {"type": "integer"},                                                              \
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},                                 \
        "is_new": {"type": "boolean", "description": "the file did not exist before"}              \
    },                                                                                             \
    "required": ["path", "bytes", "sha256", "is_new"],                                             \
    "additionalProperties": false                                                                  \
})

const struct flopinio_tool tool_write = {
    .size = sizeof tool_write,
    .effects = FLOPINIO_WRITES | FLOPINIO_DESTROYS | FLOPINIO_IDEMPOTENT,
    .name = "write",
    .title = "Write a file",
    .description =
        "Creates a file below the root, or replaces all of one with overwrite: true. The new "
        "content is there whole or not at all. For a change within a file use edit.",
    .input_schema = JSON({
        "type": "object",
        "properties": {
            "path": {"type": "string", "minLength": 1, "maxLength": 4095,
                     "description": "relative to the root"},
            "content": {"type": "string", "maxLength": 4194304},
            "encoding": {"type": "string", "enum": ["text", "base64"], "default": "text",
                         "description": "how content is written here; base64 for binary files"},
            "overwrite": {"type": "boolean", "default": false,
                          "description": "replace the file if it exists"},
            "create_parents": {"type": "boolean", "default": false,
                               "description": "make the directories that are missing"}
        },
        "required": ["path", "content"],
        "additionalProperties": false
    }),
    .output_schema = PUT_OUTPUT,
    .card = "Write file {path}",
    .start = write_file_start,
    .preview = write_file_preview,
};

const struct flopinio_tool tool_edit = {
    .size = sizeof tool_edit,
    .effects = FLOPINIO_WRITES | FLOPINIO_DESTROYS,
    .name = "edit",
    .title = "Edit a file",
    .description =
        "Replaces an exact piece of text in a file below the root by another. It must occur "
        "exactly count times (once, unless said otherwise), else nothing is changed and the answer "
        "says how often it was found: give more of the text around it to make it unique.",
    .input_schema = JSON({
        "type": "object",
        "properties": {
            "path": {"type": "string", "minLength": 1, "maxLength": 4095,
                     "description": "relative to the root"},
            "old": {"type": "string", "minLength": 1, "maxLength": 4194304,
                    "description": "the text that is there, with its exact blanks and line ends"},
            "new": {"type": "string", "maxLength": 4194304,
                    "description": "what takes its place; empty removes it"},
            "count": {"type": "integer", "minimum": 1, "maximum": 1000000, "default": 1,
                      "description": "how often old occurs; all of them are replaced"}
        },
        "required": ["path", "old", "new"],
        "additionalProperties": false
    }),
    .output_schema = PUT_OUTPUT,
    .card = "Change text in file {path}",
    .start = edit_start,
    .preview = edit_preview,
};
/* clang-format on */
