/* read: the content of a file, whole or a range of its bytes or lines. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "text.h"
#include "tools.h"

/* What one answer gives, in bytes of the file. */
struct range {
    size_t from, to;
    size_t first_line, lines; /* 0 = asked by bytes */
    size_t lines_in_all;
};

struct request {
    bool by_lines, by_bytes, is_base64;
    int64_t offset, length, line, lines; /* length, lines: 0 = as much as fits */
};

static int ask(struct call *call, struct request *r)
{
    const char *encoding;
    size_t n;
    *r = (struct request){ .line = 1 };
    if (call->host->arg_int(call->job, "/offset", &r->offset))
        r->by_bytes = true;
    if (call->host->arg_int(call->job, "/length", &r->length))
        r->by_bytes = true;
    if (call->host->arg_int(call->job, "/line", &r->line))
        r->by_lines = true;
    if (call->host->arg_int(call->job, "/lines", &r->lines))
        r->by_lines = true;
    r->is_base64 = call->host->arg_string(call->job, "/encoding", &encoding, &n) &&
                   strcmp(encoding, "base64") == 0;
    if (r->by_lines && r->by_bytes)
        return problem_set(&call->problem, "a range is given in bytes (offset, length) or in lines "
                                           "(line, lines), not both");
    if (r->by_lines && r->is_base64)
        return problem_set(&call->problem, "base64 goes with bytes (offset, length), not lines");
    if (r->offset < 0 || r->length < 0 || r->line < 1 || r->lines < 0)
        return problem_set(&call->problem, "the range is not valid: offset, length and lines are "
                                           "not negative, line counts from 1");
    return 0;
}

/* Cuts the request out of a file of `size` bytes. */
static int cut_bytes(struct call *call, const struct request *r, uint64_t size, uint64_t *from,
                     size_t *n)
{
    uint64_t left;
    if ((uint64_t)r->offset > size)
        return problem_set(&call->problem, "offset %lld is behind the end of the file (%llu bytes)",
                           (long long)r->offset, (unsigned long long)size);
    *from = (uint64_t)r->offset;
    left = size - *from;
    *n = left < call->in->max_read_bytes ? (size_t)left : call->in->max_read_bytes;
    if (r->length && (uint64_t)r->length < *n)
        *n = (size_t)r->length;
    return 0;
}

static size_t line_end(const struct content *c, size_t from)
{
    const char *nl = memchr(c->p + from, '\n', c->n - from);
    return nl ? (size_t)(nl - c->p) + 1 : c->n;
}

static int cut_lines(struct call *call, const struct request *r, const struct content *c,
                     struct range *ret)
{
    size_t at = 0, line = 1;
    for (size_t i = 0; i < c->n; i = line_end(c, i))
        ret->lines_in_all++;
    while (at < c->n && line < (uint64_t)r->line) {
        at = line_end(c, at);
        line++;
    }
    if (line < (uint64_t)r->line || (at == c->n && r->line > 1))
        return problem_set(&call->problem, "line %lld is behind the last line (%zu)",
                           (long long)r->line, ret->lines_in_all);
    ret->from = ret->to = at;
    ret->first_line = (size_t)r->line;
    while (ret->to < c->n && (r->lines == 0 || ret->lines < (uint64_t)r->lines)) {
        size_t end = line_end(c, ret->to);
        if (end - at > call->in->max_read_bytes) {
            /* Whole lines; only a single line that is too long is cut within. */
            if (ret->lines == 0) {
                ret->to = at + call->in->max_read_bytes;
                ret->lines = 1;
            }
            break;
        }
        ret->to = end;
        ret->lines++;
    }
    return 0;
}

static void put_head(struct buf *out, const struct path *path, const struct range *g, uint64_t from,
                     size_t n, uint64_t size, const char *note)
{
    buf_name(out, path->text, path->n);
    if (n == size)
        buf_printf(out, ": all %llu bytes", (unsigned long long)size);
    else if (n == 0)
        buf_printf(out, ": no bytes at %llu of %llu", (unsigned long long)from,
                   (unsigned long long)size);
    else
        buf_printf(out, ": bytes %llu-%llu of %llu", (unsigned long long)from,
                   (unsigned long long)(from + n - 1), (unsigned long long)size);
    if (g->lines)
        buf_printf(out, ", lines %zu-%zu of %zu", g->first_line, g->first_line + g->lines - 1,
                   g->lines_in_all);
    buf_printf(out, "%s\n", note);
}

/* The answer. `bytes` are the n bytes at `from` of a file of `size` bytes. */
static int answer(struct call *call, const struct path *path, const struct request *r,
                  const struct range *g, const char *bytes, uint64_t from, size_t n, uint64_t size,
                  const char *sha256)
{
    struct buf head = BUF_INIT, body = BUF_INIT, json = BUF_INIT;
    char name[TEXT_NAME_BYTES];
    const char *kind = NULL, *mime = NULL;
    const char *encoding = r->is_base64 ? "base64" : "text";
    int rc = -1;
    if (!r->is_base64) {
        /* A range may start or end within a character: only whole ones are given. */
        size_t a = from > 0 ? text_head(bytes, 0, n) : 0;
        size_t b = from + n < size ? text_tail(bytes, a, n) : n;
        bool is_text = text_is_text(bytes + a, b - a);
        if (is_text) {
            bytes += a;
            from += a;
            n = b - a;
        } else if (n == size && (mime = text_media_type(bytes, n, &kind))) {
            encoding = "media";
        } else {
            return problem_set(&call->problem,
                               "\"%s\" is not text here (%llu bytes in all); ask "
                               "with encoding \"base64\"",
                               text_name(path->text, name), (unsigned long long)size);
        }
    }
    put_head(&head, path, g, from, n, size, mime ? ", given as media" : "");
    buf_puts(&json, "{\"path\":");
    buf_json(&json, path->text, path->n);
    buf_printf(&json, ",\"size\":%llu,\"offset\":%llu,\"length\":%zu,\"is_whole\":%s",
               (unsigned long long)size, (unsigned long long)from, n, n == size ? "true" : "false");
    if (sha256)
        buf_printf(&json, ",\"sha256\":\"%s\"", sha256);
    if (g->lines_in_all)
        buf_printf(&json, ",\"first_line\":%zu,\"lines\":%zu,\"lines_in_all\":%zu", g->first_line,
                   g->lines, g->lines_in_all);
    buf_printf(&json, ",\"encoding\":\"%s\"", encoding);
    if (!mime) {
        if (r->is_base64)
            base64_put(&body, bytes, n);
        else
            buf_put(&body, bytes, n);
        buf_puts(&json, ",\"content\":");
        buf_json(&json, body.n ? body.p : "", body.n);
    }
    buf_puts(&json, "}");
    if (body.is_failed || json.is_failed)
        rc = problem_memory(&call->problem);
    else if (call_put_text(call, &head) == 0) {
        if (mime)
            call->host->media(call->job, kind, mime, bytes, n);
        else
            call_put_text(call, &body);
        rc = call_put_structured(call, &json);
    }
    buf_fini(&head);
    buf_fini(&body);
    buf_fini(&json);
    return rc;
}

/* A file over max_file_bytes: ranges of bytes only, and no hash. */
static int read_large(struct call *call, const struct path *path, const struct request *r)
{
    const struct root *root = &call->in->root;
    const struct range none = { 0 };
    struct stat st;
    uint64_t from = 0;
    size_t n = 0, got = 0;
    char *bytes = NULL, name[TEXT_NAME_BYTES];
    if (r->by_lines)
        return problem_set(&call->problem,
                           "\"%s\" has more than %zu bytes, the limit for lines; "
                           "read it by bytes (offset, length)",
                           text_name(path->text, name), call->in->max_file_bytes);
    int fd = root_open_file(root, root->fd, path->text, path->text, &st, &call->problem), rc = -1;
    if (fd < 0)
        return -1;
    if (cut_bytes(call, r, (uint64_t)st.st_size, &from, &n) != 0)
        goto out;
    bytes = malloc(n + 1);
    if (!bytes) {
        problem_memory(&call->problem);
        goto out;
    }
    while (got < n) {
        ssize_t more = pread(fd, bytes + got, n - got, (off_t)(from + got));
        if (more < 0 && errno == EINTR)
            continue;
        if (more < 0) {
            problem_errno(&call->problem, errno, "read", path->text);
            goto out;
        }
        if (more == 0)
            break; /* it became shorter */
        got += (size_t)more;
    }
    rc = answer(call, path, r, &none, bytes, from, got, (uint64_t)st.st_size, NULL);
out:
    close(fd);
    free(bytes);
    return rc;
}

static int read_file(struct call *call)
{
    const struct root *root = &call->in->root;
    struct path path;
    struct request r;
    struct content c = { 0 };
    struct range g = { 0 };
    struct stat st;
    enum kind kind;
    if (call_path(call, "/path", false, &path) != 0 || ask(call, &r) != 0)
        return -1;
    if (root_stat(root, root->fd, path.text, &st, &kind) == 0 && kind == KIND_FILE &&
        (uint64_t)st.st_size > call->in->max_file_bytes)
        return read_large(call, &path, &r);
    if (content_read(root, root->fd, path.text, path.text, call->in->max_file_bytes, &c,
                     &call->problem) != 0)
        return -1;
    int rc;
    if (r.by_lines) {
        rc = cut_lines(call, &r, &c, &g);
    } else {
        uint64_t from = 0;
        size_t n = 0;
        rc = cut_bytes(call, &r, c.n, &from, &n);
        g.from = (size_t)from;
        g.to = g.from + n;
    }
    if (rc == 0)
        rc = answer(call, &path, &r, &g, c.p + g.from, g.from, g.to - g.from, c.n, c.sha256);
    content_free(&c);
    return rc;
}

READ_TOOL(read_file)

/* clang-format off */
const struct flopinio_tool tool_read = {
    .size = sizeof tool_read,
    .effects = FLOPINIO_READS | FLOPINIO_IDEMPOTENT,
    .name = "read",
    .title = "Read a file",
    .description =
        "Reads a file below the root: all of it, or a range of bytes (offset, length) or of lines "
        "(line, lines). The first line of the answer says which bytes of how many were given; a "
        "large file comes in pieces, so look there and ask for the next one. Binary files need "
        "encoding \"base64\"; whole images and sounds come as media.",
    .input_schema = JSON({
        "type": "object",
        "properties": {
            "path": {"type": "string", "minLength": 1, "maxLength": 4095,
                     "description": "relative to the root"},
            "offset": {"type": "integer", "minimum": 0, "description": "first byte, from 0"},
            "length": {"type": "integer", "minimum": 1, "description": "bytes at most"},
            "line": {"type": "integer", "minimum": 1, "description": "first line, from 1"},
            "lines": {"type": "integer", "minimum": 1, "description": "lines at most"},
            "encoding": {"type": "string", "enum": ["text", "base64"], "default": "text"}
        },
        "required": ["path"],
        "additionalProperties": false
    }),
    .output_schema = JSON({
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "size": {"type": "integer", "description": "bytes of the whole file"},
            "offset": {"type": "integer"},
            "length": {"type": "integer", "description": "bytes given here"},
            "is_whole": {"type": "boolean"},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$",
                       "description": "of the whole file; absent when it is too large"},
            "first_line": {"type": "integer"},
            "lines": {"type": "integer"},
            "lines_in_all": {"type": "integer"},
            "encoding": {"type": "string", "enum": ["text", "base64", "media"]},
            "content": {"type": "string"}
        },
        "required": ["path", "size", "offset", "length", "is_whole", "encoding"],
        "additionalProperties": false
    }),
    .card = "Read {path}",
    .start = read_file_start,
};
/* clang-format on */
