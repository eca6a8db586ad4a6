/* The way of every call: check, lock, do, answer. */
#include "call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"
#include "text.h"

enum { PREVIEW_MAX = 128 * 1024 }; /* bytes of a diff; a larger change is summed up, and says so */

/* The precondition of a call whose preview could only say that it would fail. */
#define FAILING "would-fail"

static void end(struct call *c, int rc)
{
    if (rc == 0) {
        c->host->done(c->job, FLOPINIO_OK);
        return;
    }
    c->host->text(c->job, c->problem.text, strlen(c->problem.text));
    c->host->done(c->job, c->problem.outcome);
}

void call_read(flopinio_instance *in, flopinio_job *job, call_fn *fn)
{
    struct call c = { .host = in->host, .job = job, .in = in };
    end(&c, fn(&c));
}

static void end_preview(struct call *c, int rc)
{
    if (rc != 0) {
        char text[sizeof c->problem.text + 64];
        int n = snprintf(text, sizeof text, "As things stand this call would fail: %s.",
                         c->problem.text);
        c->host->preview_text(c->job, text, (size_t)n);
        snprintf(c->precondition, sizeof c->precondition, FAILING);
    }
    if (c->precondition[0])
        c->host->preview_precondition(c->job, c->precondition);
    c->host->done(c->job, FLOPINIO_OK);
}

void call_write(flopinio_instance *in, flopinio_job *job, bool is_preview, call_fn *fn)
{
    struct call c = { .host = in->host, .job = job, .in = in, .is_preview = is_preview };
    const char *bound = is_preview ? NULL : in->host->precondition(job);
    int rc = -1;
    if (in->is_read_only)
        problem_set(&c.problem, "this instance is read-only; nothing was changed");
    else if (bound && strcmp(bound, FAILING) == 0)
        problem_changed(&c.problem, "the preview could only show that this call would fail, so "
                                    "nobody saw what it does; ask again");
    else if (is_preview)
        rc = fn(&c);
    else if (root_lock(&in->root, &c.problem) == 0) {
        rc = call_is_cancelled(&c) ? problem_set(&c.problem, "cancelled; nothing was changed")
                                   : fn(&c);
        root_unlock(&in->root);
    }
    if (is_preview)
        end_preview(&c, rc);
    else
        end(&c, rc);
}

/* ---- arguments ---- */
int call_text(struct call *call, const char *pointer, const char **ret, size_t *ret_n)
{
    if (call->host->arg_string(call->job, pointer, ret, ret_n))
        return 0;
    return problem_set(&call->problem, "the argument %s is missing or not a string", pointer + 1);
}

int call_path(struct call *call, const char *pointer, bool is_new, struct path *ret)
{
    const char *text;
    size_t n;
    if (call_text(call, pointer, &text, &n) != 0)
        return -1;
    return path_parse(ret, text, n, is_new, &call->problem);
}

int call_directory(struct call *call, struct path *ret)
{
    const char *text;
    size_t n;
    if (!call->host->arg_string(call->job, "/path", &text, &n))
        return path_parse(ret, ".", 1, false, &call->problem);
    return path_parse(ret, text, n, false, &call->problem);
}

bool call_flag(const struct call *call, const char *pointer)
{
    int value = 0;
    return call->host->arg_bool(call->job, pointer, &value) && value;
}

int64_t call_int(const struct call *call, const char *pointer, int64_t otherwise)
{
    int64_t value;
    return call->host->arg_int(call->job, pointer, &value) ? value : otherwise;
}

bool call_is_cancelled(const struct call *call)
{
    return call->host->is_cancelled(call->job) != 0;
}

int call_should_stop(void *call)
{
    return call_is_cancelled(call);
}

int call_check(struct call *call, const char *state, const char *shown)
{
    char name[TEXT_NAME_BYTES];
    if (call->is_preview) {
        snprintf(call->precondition, sizeof call->precondition, "%s", state);
        return 0;
    }
    const char *bound = call->host->precondition(call->job);
    if (!bound || strcmp(bound, state) == 0)
        return 0;
    return problem_changed(&call->problem,
                           "\"%s\" is not as it was shown (then %s, now %s); nothing was changed",
                           text_name(shown, name), bound, state);
}

/* ---- results ---- */
int call_put_text(struct call *call, const struct buf *text)
{
    if (text->is_failed)
        return problem_memory(&call->problem);
    call->host->text(call->job, text->n ? text->p : "", text->n);
    return 0;
}

int call_put_structured(struct call *call, const struct buf *json)
{
    if (json->is_failed)
        return problem_memory(&call->problem);
    call->host->structured(call->job, json->p, json->n);
    return 0;
}

int call_say(struct call *call, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    call->host->text(call->job, text, strlen(text));
    return 0;
}

int call_show_text(struct call *call, const struct buf *text)
{
    if (text->is_failed)
        return problem_memory(&call->problem);
    call->host->preview_text(call->job, text->n ? text->p : "", text->n);
    return 0;
}

static void sum_up(struct buf *out, const char *why, const struct state *was, const char *bytes,
                   size_t n)
{
    char hex[SHA256_HEX_BYTES];
    buf_printf(out, "%s\nbefore: ", why);
    state_describe(was, out);
    buf_puts(out, "\nafter:  ");
    if (bytes) {
        sha256_of(bytes, n, hex);
        buf_printf(out, "file, %zu bytes, sha256:%s\n", n, hex);
    } else {
        buf_puts(out, "does not exist\n");
    }
}

int call_show_change(struct call *call, const char *path, const struct state *was,
                     const struct content *old, const char *bytes, size_t n)
{
    struct buf diff = { .max = PREVIEW_MAX }, text = BUF_INIT;
    struct diff_count count = { 0 };
    char why[160];
    int rc = -1;
    bool is_binary = (old && !text_is_text(old->p, old->n)) || (bytes && !text_is_text(bytes, n));
    if (!old && was->kind == KIND_FILE) {
        snprintf(why, sizeof why, "The file is too large to show what changes in it.");
    } else if (is_binary) {
        snprintf(why, sizeof why, "This is not text; its bytes are not shown.");
    } else {
        struct diff_text from = { old ? path : NULL, old ? old->p : "", old ? old->n : 0 };
        struct diff_text to = { bytes ? path : NULL, bytes ? bytes : "", bytes ? n : 0 };
        enum diff_result result = diff_unified(&diff, &from, &to, &count);
        if (result == DIFF_NO_MEMORY || (diff.is_failed && !diff.is_over)) {
            problem_memory(&call->problem);
            goto out;
        }
        if (result == DIFF_DONE && !diff.is_failed && diff.n) {
            call->host->preview_diff(call->job, diff.p, diff.n);
            rc = 0;
            goto out;
        }
        if (result == DIFF_TOO_MANY_LINES)
            snprintf(why, sizeof why, "The change is too large to show: over %d lines.",
                     DIFF_LINES_MAX);
        else if (diff.is_over)
            snprintf(why, sizeof why,
                     "The change is too large to show: %zu lines removed, %zu lines added.",
                     count.removed, count.added);
        else if (old && bytes)
            snprintf(why, sizeof why, "Nothing changes: the content is the same.");
        else
            snprintf(why, sizeof why, "The file is empty.");
    }
    sum_up(&text, why, was, bytes, n);
    rc = call_show_text(call, &text);
out:
    buf_fini(&diff);
    buf_fini(&text);
    return rc;
}
