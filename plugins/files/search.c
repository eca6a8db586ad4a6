/* search: names and lines. It is bounded in time, files and matches, and says when it stopped. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "call.h"
#include "text.h"
#include "tools.h"
#include "walk.h"

enum { ENTRIES_MAX = 1000000, EXCERPT_BYTES = 300 };

struct search {
    struct call *call;
    const char *name, *text; /* NULL = not asked for */
    size_t text_n;
    int64_t end_ms;
    size_t matches, limit;
    size_t files, binary, too_large, unreadable;
    const char *stopped; /* why, or NULL */
    struct buf lines, json;
};

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool may_go_on(struct search *s)
{
    if (!s->stopped && now_ms() >= s->end_ms)
        s->stopped = "time";
    if (!s->stopped && call_is_cancelled(s->call))
        s->stopped = "cancelled";
    return !s->stopped;
}

/* A match of the name alone has line 0. */
static void put_match(struct search *s, const struct walk_entry *e, const char *start, size_t line,
                      const char *p, size_t n)
{
    if (s->matches == s->limit) {
        s->stopped = "results";
        return;
    }
    buf_puts(&s->json, s->matches++ ? ",{\"path\":" : "{\"path\":");
    buf_json(&s->json, start, strlen(start));
    buf_printf(&s->json, ",\"type\":\"%s\"", kind_name(e->kind));
    buf_name(&s->lines, start, strlen(start));
    if (line) {
        bool is_cut = n > EXCERPT_BYTES;
        if (is_cut)
            n = text_tail(p, 0, EXCERPT_BYTES);
        buf_printf(&s->json, ",\"line\":%zu,\"is_cut\":%s,\"text\":", line,
                   is_cut ? "true" : "false");
        buf_json(&s->json, p, n);
        buf_printf(&s->lines, ":%zu: ", line);
        buf_put(&s->lines, p, n);
        buf_puts(&s->lines, is_cut ? " (the line goes on)" : "");
    } else if (e->kind == KIND_DIR) {
        buf_puts(&s->lines, "/");
    }
    buf_puts(&s->json, "}");
    buf_puts(&s->lines, "\n");
}

/* Every line of the content that holds the text, once. */
static void search_lines(struct search *s, const struct walk_entry *e, const char *path,
                         const struct content *c)
{
    size_t line = 1, counted = 0;
    for (size_t at = 0; at < c->n && !s->stopped;) {
        const char *hit = memmem(c->p + at, c->n - at, s->text, s->text_n);
        if (!hit)
            return;
        size_t from = (size_t)(hit - c->p);
        const char *nl = memrchr(c->p, '\n', from);
        size_t start = nl ? (size_t)(nl - c->p) + 1 : 0;
        for (; counted < start; counted++)
            line += c->p[counted] == '\n';
        nl = memchr(c->p + from, '\n', c->n - from);
        size_t stop = nl ? (size_t)(nl - c->p) : c->n;
        put_match(s, e, path, line, c->p + start, stop - start);
        at = stop + 1;
    }
}

static void look_into(struct search *s, const struct walk_entry *e, const char *path)
{
    struct content c = { 0 };
    struct problem why = { 0 };
    const flopinio_instance *in = s->call->in;
    if ((uint64_t)e->st.st_size > in->max_file_bytes) {
        s->too_large++;
        return;
    }
    if (content_read(&in->root, e->dir, e->name, path, in->max_file_bytes, &c, &why) != 0) {
        s->unreadable++;
        return;
    }
    s->files++;
    if (text_is_text(c.p, c.n))
        search_lines(s, e, path, &c);
    else
        s->binary++;
    content_free(&c);
}

/* A pattern with a slash looks at the whole path, else at the last part. */
static bool is_named(const struct search *s, const struct walk_entry *e, const char *path)
{
    if (!s->name)
        return true;
    return text_glob(s->name, strchr(s->name, '/') ? path : e->name);
}

static int run(struct search *s, struct walk *walk, const struct path *start)
{
    struct walk_entry e;
    struct buf path = BUF_INIT;
    int step = 0;
    while (may_go_on(s) && (step = walk_next(walk, &e, &s->call->problem)) == 1) {
        if (!utf8_is_valid(e.path, e.path_n))
            continue;
        path.n = 0;
        if (!path_is_root(start))
            buf_printf(&path, "%s/", start->text);
        buf_put(&path, e.path, e.path_n);
        if (path.is_failed)
            break;
        if (!is_named(s, &e, path.p))
            continue;
        if (!s->text)
            put_match(s, &e, path.p, 0, NULL, 0);
        else if (e.kind == KIND_FILE)
            look_into(s, &e, path.p);
    }
    bool is_failed = path.is_failed;
    buf_fini(&path);
    if (step < 0)
        return -1;
    if (is_failed)
        return problem_memory(&s->call->problem);
    if (!s->stopped && walk->is_cut)
        s->stopped = "entries";
    return 0;
}

static int tell(struct search *s, const struct walk *walk)
{
    struct buf text = BUF_INIT;
    size_t unreadable = s->unreadable + walk->unreadable;
    buf_printf(&text, "%zu %s", s->matches, s->matches == 1 ? "match" : "matches");
    if (s->text)
        buf_printf(&text, " in %zu files", s->files);
    if (s->stopped)
        buf_printf(&text, "; NOT complete (stopped by: %s)", s->stopped);
    buf_puts(&text, "\n");
    buf_put(&text, s->lines.n ? s->lines.p : "", s->lines.n);
    if (s->binary + s->too_large + unreadable + walk->not_utf8 + walk->hidden)
        buf_printf(&text,
                   "(not searched: %zu binary, %zu too large, %zu unreadable, %zu with a name that "
                   "is not UTF-8, %zu hidden)\n",
                   s->binary, s->too_large, unreadable, walk->not_utf8, walk->hidden);
    buf_printf(&s->json,
               "],\"stopped_by\":\"%s\",\"files_searched\":%zu,\"not_searched\":{\"binary\":%zu,"
               "\"too_large\":%zu,\"unreadable\":%zu,\"not_utf8\":%zu,\"hidden\":%zu}}",
               s->stopped ? s->stopped : "nothing", s->files, s->binary, s->too_large, unreadable,
               walk->not_utf8, walk->hidden);
    int rc = s->lines.is_failed ? problem_memory(&s->call->problem) : call_put_text(s->call, &text);
    buf_fini(&text);
    return rc == 0 ? call_put_structured(s->call, &s->json) : rc;
}

static int search(struct call *call)
{
    const flopinio_instance *in = call->in;
    struct search s = { .call = call, .end_ms = now_ms() + in->search_timeout_ms };
    struct path path;
    size_t n;
    int rc = -1;
    if (call_directory(call, &path) != 0)
        return -1;
    call->host->arg_string(call->job, "/name", &s.name, &n);
    call->host->arg_string(call->job, "/text", &s.text, &s.text_n);
    if (!s.name && !s.text)
        return problem_set(&call->problem, "give a name pattern, a text, or both");
    int64_t limit = call_int(call, "/limit", INT64_MAX);
    s.limit = limit > 0 && (uint64_t)limit < in->max_results ? (size_t)limit : in->max_results;
    struct walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return problem_memory(&call->problem);
    walk->depth_max = WALK_DEPTH_MAX;
    walk->entries_max = ENTRIES_MAX;
    walk->is_lenient = true;
    walk->skips_hidden = !in->shows_hidden;
    buf_puts(&s.json, "{\"matches\":[");
    int fd = root_open_dir(&in->root, in->root.fd, path.text, &call->problem);
    if (fd >= 0 && walk_start(walk, &in->root, fd, &call->problem) == 0 &&
        run(&s, walk, &path) == 0)
        rc = tell(&s, walk);
    walk_end(walk);
    free(walk);
    buf_fini(&s.lines);
    buf_fini(&s.json);
    return rc;
}

READ_TOOL(search)

/* clang-format off */
const struct flopinio_tool tool_search = {
    .size = sizeof tool_search,
    .effects = FLOPINIO_READS | FLOPINIO_IDEMPOTENT,
    .name = "search",
    .title = "Search files",
    .description =
        "Finds files and directories by name (`*` and `?`; a pattern with a slash is held against "
        "the whole path) and lines by literal text, below a directory. With both, only files of "
        "that name are searched. The answer says whether it is complete: time, matches and the "
        "size of files are limited. Symbolic links are not followed.",
    .input_schema = JSON({
        "type": "object",
        "properties": {
            "path": {"type": "string", "maxLength": 4095, "default": ".",
                     "description": "directory to start in, relative to the root"},
            "name": {"type": "string", "minLength": 1, "maxLength": 255,
                     "description": "for example *.c or src/*/test_?.py"},
            "text": {"type": "string", "minLength": 1, "maxLength": 1000,
                     "description": "literal, case matters"},
            "limit": {"type": "integer", "minimum": 1, "description": "matches at most"}
        },
        "anyOf": [{"required": ["name"]}, {"required": ["text"]}],
        "additionalProperties": false
    }),
    .output_schema = JSON({
        "type": "object",
        "properties": {
            "matches": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "path": {"type": "string"},
                    "type": {"type": "string"},
                    "line": {"type": "integer"},
                    "text": {"type": "string", "description": "the line"},
                    "is_cut": {"type": "boolean", "description": "the line goes on"}},
                "required": ["path", "type"],
                "additionalProperties": false}},
            "stopped_by": {"type": "string",
                           "enum": ["nothing", "results", "time", "entries", "cancelled"]},
            "files_searched": {"type": "integer"},
            "not_searched": {"type": "object",
                "properties": {
                    "binary": {"type": "integer"},
                    "too_large": {"type": "integer"},
                    "unreadable": {"type": "integer"},
                    "not_utf8": {"type": "integer"},
                    "hidden": {"type": "integer"}},
                "required": ["binary", "too_large", "unreadable", "not_utf8", "hidden"],
                "additionalProperties": false}
        },
        "required": ["matches", "stopped_by", "files_searched", "not_searched"],
        "additionalProperties": false
    }),
    .card = "Search files",
    .start = search_start,
};
/* clang-format on */
