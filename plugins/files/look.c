/* list and stat: what is there, without its content. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "call.h"
#include "text.h"
#include "tools.h"
#include "walk.h"

enum { LOOK_MAX = 100000 /* names looked at for one list */ };

static void put_time(struct buf *out, const struct stat *st)
{
    struct tm tm;
    char text[40];
    if (!gmtime_r(&st->st_mtim.tv_sec, &tm) || !strftime(text, sizeof text, "%FT%TZ", &tm))
        text[0] = 0;
    buf_puts(out, text);
}

static void put_json(struct buf *json, const char *path, size_t path_n, enum kind kind,
                     const struct stat *st)
{
    buf_puts(json, "{\"path\":");
    buf_json(json, path, path_n);
    buf_printf(json, ",\"type\":\"%s\"", kind_name(kind));
    if (kind == KIND_FILE)
        buf_printf(json, ",\"size\":%lld", (long long)st->st_size);
    buf_puts(json, ",\"modified\":\"");
    put_time(json, st);
    buf_puts(json, "\"");
}

/* One line and one JSON object an entry. false: the limit is reached. */
static bool put_entry(const struct call *call, const struct walk_entry *e, size_t *count,
                      struct buf *text, struct buf *json)
{
    if (!utf8_is_valid(e->path, e->path_n))
        return true; /* JSON cannot name it; the walk counts it */
    if (*count == call->in->max_results)
        return false;
    buf_puts(json, (*count)++ ? "," : "");
    put_json(json, e->path, e->path_n, e->kind, &e->st);
    buf_puts(json, "}");
    buf_printf(text, "%-9s ", kind_name(e->kind));
    if (e->kind == KIND_FILE)
        buf_printf(text, "%10lld ", (long long)e->st.st_size);
    else
        buf_puts(text, "         - ");
    put_time(text, &e->st);
    buf_puts(text, "  ");
    buf_name(text, e->path, e->path_n);
    buf_puts(text, e->kind == KIND_DIR ? "/\n" : "\n");
    return true;
}

static void put_left_out(const struct walk *walk, bool is_complete, size_t count, struct buf *text,
                         struct buf *json)
{
    buf_printf(json,
               "],\"is_complete\":%s,\"left_out\":{\"hidden\":%zu,\"not_utf8\":%zu,"
               "\"unreadable\":%zu}}",
               is_complete ? "true" : "false", walk->hidden, walk->not_utf8, walk->unreadable);
    if (!is_complete)
        buf_printf(text,
                   "(there are more: stopped after %zu entries; list a directory below, or "
                   "search by name)\n",
                   count);
    if (walk->hidden)
        buf_printf(text, "(left out: %zu hidden names)\n", walk->hidden);
    if (walk->not_utf8)
        buf_printf(text, "(left out: %zu names that are not UTF-8 and cannot be given to a tool)\n",
                   walk->not_utf8);
    if (walk->unreadable)
        buf_printf(text, "(left out: what could not be read in %zu places)\n", walk->unreadable);
}

static int list(struct call *call)
{
    struct path path;
    struct walk_entry e;
    struct buf lines = BUF_INIT, text = BUF_INIT, json = BUF_INIT;
    size_t count = 0;
    bool is_complete = true;
    int rc = -1, step = 0;
    if (call_directory(call, &path) != 0)
        return -1;
    struct walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return problem_memory(&call->problem);
    walk->depth_max = (unsigned)call_int(call, "/depth", 1);
    walk->entries_max = LOOK_MAX;
    walk->is_lenient = true;
    walk->skips_hidden = !call->in->shows_hidden;
    int fd = root_open_dir(&call->in->root, call->in->root.fd, path.text, &call->problem);
    if (fd < 0 || walk_start(walk, &call->in->root, fd, &call->problem) != 0)
        goto out;
    buf_puts(&json, "{\"path\":");
    buf_json(&json, path.text, path.n);
    buf_puts(&json, ",\"entries\":[");
    while (is_complete && (step = walk_next(walk, &e, &call->problem)) == 1)
        is_complete = put_entry(call, &e, &count, &lines, &json) && !call_is_cancelled(call);
    if (step < 0)
        goto out;
    is_complete = is_complete && !walk->is_cut;
    buf_name(&text, path.text, path.n);
    buf_printf(&text, ": %zu %s\n", count, count == 1 ? "entry" : "entries");
    buf_put(&text, lines.n ? lines.p : "", lines.n);
    put_left_out(walk, is_complete, count, &text, &json);
    if (lines.is_failed)
        rc = problem_memory(&call->problem);
    else if (call_put_text(call, &text) == 0)
        rc = call_put_structured(call, &json);
out:
    walk_end(walk);
    free(walk);
    buf_fini(&lines);
    buf_fini(&text);
    buf_fini(&json);
    return rc;
}

static int stat_one(struct call *call)
{
    const struct root *root = &call->in->root;
    struct path path;
    struct stat st;
    enum kind kind;
    struct content content = { 0 };
    struct buf text = BUF_INIT, json = BUF_INIT;
    if (call_path(call, "/path", false, &path) != 0)
        return -1;
    int rc = root_stat(root, root->fd, path.text, &st, &kind);
    if (rc == 0 && kind == KIND_ABSENT)
        rc = -ENOENT;
    if (rc != 0)
        return problem_errno(&call->problem, -rc, "look at", path.text);
    bool has_hash = kind == KIND_FILE && (uint64_t)st.st_size <= call->in->max_file_bytes;
    if (has_hash && content_read(root, root->fd, path.text, path.text, call->in->max_file_bytes,
                                 &content, &call->problem) != 0)
        return -1;
    if (has_hash)
        st = content.st;
    put_json(&json, path.text, path.n, kind, &st);
    buf_printf(&json, ",\"mode\":\"%04o\",\"links\":%lu", st.st_mode & 07777u,
               (unsigned long)st.st_nlink);
    buf_name(&text, path.text, path.n);
    buf_printf(&text, ": %s", kind_name(kind));
    if (kind == KIND_FILE)
        buf_printf(&text, ", %lld bytes", (long long)st.st_size);
    buf_printf(&text, ", mode %04o, modified ", st.st_mode & 07777u);
    put_time(&text, &st);
    if (has_hash) {
        bool is_text = text_is_text(content.p, content.n);
        buf_printf(&json, ",\"sha256\":\"%s\",\"is_text\":%s", content.sha256,
                   is_text ? "true" : "false");
        buf_printf(&text, ", %s, sha256 %s", is_text ? "text" : "binary", content.sha256);
    }
    buf_puts(&json, "}");
    rc = call_put_text(call, &text);
    if (rc == 0)
        rc = call_put_structured(call, &json);
    content_free(&content);
    buf_fini(&text);
    buf_fini(&json);
    return rc;
}

READ_TOOL(list)
READ_TOOL(stat_one)

/* clang-format off */
/* A piece of text of its own: JSON() within JSON() would turn `false` into stdbool.h's 0. */
#define ENTRY_MEMBERS JSON(                                                                        \
    "path": {"type": "string"},                                                                    \
    "type": {"type": "string", "enum": ["file", "directory", "symlink", "other"]},                 \
    "size": {"type": "integer", "minimum": 0, "description": "bytes; files only"},                 \
    "modified": {"type": "string", "description": "UTC"})

const struct flopinio_tool tool_list = {
    .size = sizeof tool_list,
    .effects = FLOPINIO_READS | FLOPINIO_IDEMPOTENT,
    .name = "list",
    .title = "List a directory",
    .description =
        "Lists a directory below the root, sorted by name: kind, size and time of each entry. "
        "Paths are relative to the root, for example \"src/main.c\"; \".\" is the root itself. "
        "Symbolic links are shown but never followed.",
    .input_schema = JSON({
        "type": "object",
        "properties": {
            "path": {"type": "string", "maxLength": 4095, "default": ".",
                     "description": "directory, relative to the root"},
            "depth": {"type": "integer", "minimum": 1, "maximum": 16, "default": 1,
                      "description": "how many levels to show; 1 = only its own entries"}
        },
        "additionalProperties": false
    }),
    .output_schema = JSON({
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "entries": {"type": "array", "items": {
                "type": "object",
                "properties": {) ENTRY_MEMBERS JSON(},
                "required": ["path", "type", "modified"],
                "additionalProperties": false}},
            "is_complete": {"type": "boolean", "description": "false: there is more"},
            "left_out": {"type": "object",
                "properties": {
                    "hidden": {"type": "integer"},
                    "not_utf8": {"type": "integer"},
                    "unreadable": {"type": "integer"}},
                "required": ["hidden", "not_utf8", "unreadable"],
                "additionalProperties": false}
        },
        "required": ["path", "entries", "is_complete", "left_out"],
        "additionalProperties": false
    }),
    .card = "List a directory",
    .start = list_start,
};

const struct flopinio_tool tool_stat = {
    .size = sizeof tool_stat,
    .effects = FLOPINIO_READS | FLOPINIO_IDEMPOTENT,
    .name = "stat",
    .title = "Look at a file or directory",
    .description =
        "Kind, size, mode and time of one path below the root, and of a file that is not too large "
        "the SHA-256 of its content. A symbolic link is described, not followed.",
    .input_schema = JSON({
        "type": "object",
        "properties": {
            "path": {"type": "string", "minLength": 1, "maxLength": 4095,
                     "description": "relative to the root"}
        },
        "required": ["path"],
        "additionalProperties": false
    }),
    .output_schema = JSON({
        "type": "object",
        "properties": {) ENTRY_MEMBERS JSON(,
            "mode": {"type": "string", "description": "octal, for example 0644"},
            "links": {"type": "integer", "description": "names of the same file (hard links)"},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "is_text": {"type": "boolean", "description": "valid UTF-8 without NUL"}
        },
        "required": ["path", "type", "modified", "mode", "links"],
        "additionalProperties": false
    }),
    .card = "Look at {path}",
    .start = stat_one_start,
};
/* clang-format on */
