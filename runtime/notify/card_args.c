/* The argument block: a walk over the canonical arguments, leaf by leaf, one line each with its
 * whole path, so that no line means something else when others scroll away. */
#include "flopinio/base/id.h"
#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"
#include "runtime/crypto/digest.h"
#include "runtime/notify/card_priv.h"

enum { SUMMARY_MEMBERS = 12, SUMMARY_NAME = 40 };

/* ---- the walk ---- */

struct frame {
    struct fl_str container;
    size_t pos; /* of the scanner */
    bool is_array;
};

/* Goes from leaf to leaf: a scalar, an empty container, or whatever an operator calls secret. */
struct walk {
    const struct fl_card_ctx *ctx;
    struct frame frames[FL_CARD_DEPTH];
    struct fl_card_step path[FL_CARD_DEPTH]; /* path[i]: the child of frames[i] */
    size_t depth;                            /* frames in use */
    bool is_begun, has_no_memory;
    bool is_into_secrets; /* goes down into secret containers too */
    struct fl_str value;  /* the leaf; its path has `depth` steps */
    bool is_secret;
};

static bool is_container(struct fl_str value)
{
    enum fl_span_type type = fl_span_type(value);
    return (type == FL_SPAN_OBJECT || type == FL_SPAN_ARRAY) && value.n > 2;
}

/* Takes a value as the leaf, or goes down into it; true if it is a leaf. */
static bool enter(struct walk *w, struct fl_str value)
{
    w->value = value;
    w->is_secret = fl_card_is_secret(w->ctx->facts, w->path, w->depth);
    if ((w->is_secret && !w->is_into_secrets) || !is_container(value))
        return true;
    FL_ASSERT(w->depth < FL_CARD_DEPTH); /* fl_scan_call saw to it */
    w->frames[w->depth] =
        (struct frame){ .container = value, .is_array = fl_span_type(value) == FL_SPAN_ARRAY };
    w->path[w->depth] =
        (struct fl_card_step){ .is_item = w->frames[w->depth].is_array, .index = (size_t)-1 };
    w->depth++;
    return false;
}

static bool next_leaf(struct walk *w)
{
    if (!w->is_begun) {
        w->is_begun = true;
        if (enter(w, w->ctx->facts->arguments))
            return true;
    }
    while (w->depth && !w->has_no_memory) {
        struct frame *f = &w->frames[w->depth - 1];
        struct fl_card_step *step = &w->path[w->depth - 1];
        struct fl_str key = { NULL, 0 }, value;
        bool has_more = f->is_array ? fl_span_next_item(f->container, &f->pos, &value)
                                    : fl_span_next_member(f->container, &f->pos, &key, &value);
        if (!has_more) {
            w->depth--;
            continue;
        }
        step->index++;
        if (!f->is_array) {
            step->name = fl_span_string(w->ctx->arena, key);
            w->has_no_memory = step->name.p == NULL;
        }
        if (!w->has_no_memory && enter(w, value))
            return true;
    }
    return false;
}

/* ---- lines ---- */

/* Names that stand in a path as they are. */
static bool is_bare_name(struct fl_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '$' || c == '@'))
            return false;
    }
    return name.n > 0;
}

static void put_name(const struct fl_card_ctx *ctx, struct fl_buf *out, struct fl_str name,
                     struct fl_show_notes *notes)
{
    struct fl_buf text;
    fl_buf_init(&text, out->max);
    struct fl_card_shown shown = { .text = name, .flags = FL_SHOW_QUOTED, .cut = name.n };
    fl_card_show(ctx, &text, &shown);
    bool is_bare = is_bare_name(name) && !shown.has_secret;
    fl_buf_puts(out, is_bare ? "" : "\"");
    fl_buf_str(out, fl_buf_view(&text));
    fl_buf_puts(out, is_bare ? "" : "\"");
    notes->mixed |= shown.notes.mixed;
    notes->is_rtl |= shown.notes.is_rtl;
    out->is_failed |= text.is_failed;
    out->is_over |= text.is_over;
    fl_buf_fini(&text);
}

static void put_path(const struct walk *w, struct fl_buf *out, struct fl_show_notes *notes)
{
    if (w->depth == 0)
        fl_buf_puts(out, "(arguments)");
    for (size_t i = 0; i < w->depth && !out->is_failed; i++) {
        if (w->path[i].is_item) {
            fl_buf_printf(out, "[%zu]", w->path[i].index);
        } else {
            fl_buf_puts(out, i ? "." : "");
            put_name(w->ctx, out, w->path[i].name, notes);
        }
    }
}

/* A string stands bare unless it could be taken for something else. */
static bool needs_quotes(struct fl_str shown)
{
    if (shown.n == 0 || fl_str_is(shown, "true") || fl_str_is(shown, "false") ||
        fl_str_is(shown, "null"))
        return true;
    return strchr(" \"(-0123456789", shown.p[0]) != NULL;
}

static enum fl_code put_string(const struct walk *w, struct fl_buf *out,
                               struct fl_show_notes *notes, struct fl_err *err)
{
    struct fl_str value = fl_span_string(w->ctx->arena, w->value);
    if (!value.p)
        return fl_err_code(err, FL_NOMEM);
    struct fl_str name = { NULL, 0 };
    if (w->depth && !w->path[w->depth - 1].is_item)
        name = w->path[w->depth - 1].name;
    struct fl_buf text;
    fl_buf_init(&text, out->max);
    struct fl_card_shown shown = {
        .text = value, .name = name, .has_lines = true, .cut = value.n, .notes = *notes
    };
    fl_card_show(w->ctx, &text, &shown);
    *notes = shown.notes;
    struct fl_str line = fl_buf_view(&text);
    if (shown.line_count > 1) {
        fl_buf_printf(out, "(%zu lines)\n|%s", shown.line_count, value.p[0] == '\n' ? "" : " ");
        fl_buf_str(out, line);
    } else {
        const char *quote = text.is_failed || needs_quotes(line) ? "\"" : "";
        fl_buf_puts(out, quote);
        fl_buf_str(out, line);
        fl_buf_puts(out, quote);
    }
    out->is_failed |= text.is_failed;
    out->is_over |= text.is_over;
    fl_buf_fini(&text);
    return FL_OK;
}

static enum fl_code put_secret(const struct walk *w, struct fl_buf *out, struct fl_err *err)
{
    struct fl_str value = w->value;
    if (fl_span_type(value) == FL_SPAN_STRING)
        value = fl_span_string(w->ctx->arena, value);
    if (!value.p)
        return fl_err_code(err, FL_NOMEM);
    fl_buf_putc(out, '(');
    fl_card_put_secret(w->ctx, out, NULL, value);
    fl_buf_putc(out, ')');
    return FL_OK;
}

static enum fl_code put_leaf(const struct walk *w, struct fl_buf *out, struct fl_err *err)
{
    struct fl_show_notes notes = { 0 };
    enum fl_code code = FL_OK;
    if (out->n)
        fl_buf_putc(out, '\n');
    put_path(w, out, &notes);
    fl_buf_puts(out, ": ");
    enum fl_span_type type = fl_span_type(w->value);
    if (w->is_secret)
        code = put_secret(w, out, err);
    else if (type == FL_SPAN_STRING)
        code = put_string(w, out, &notes, err);
    else if (type == FL_SPAN_OBJECT)
        fl_buf_puts(out, "(empty object)");
    else if (type == FL_SPAN_ARRAY)
        fl_buf_puts(out, "(empty list)");
    else
        fl_buf_str(out, w->value);
    fl_card_notes(out, "\n! ", &notes);
    return code;
}

enum fl_code fl_card_args(const struct fl_card_ctx *ctx, struct fl_buf *out, struct fl_err *err)
{
    struct walk w = { .ctx = ctx };
    enum fl_code code = FL_OK;
    if (fl_str_is(ctx->facts->arguments, "{}")) {
        fl_buf_puts(out, "(no arguments)");
        return FL_OK;
    }
    while (code == FL_OK && !out->is_failed && next_leaf(&w))
        code = put_leaf(&w, out, err);
    return w.has_no_memory ? fl_err_code(err, FL_NOMEM) : code;
}

enum fl_code fl_card_find_needles(struct fl_card_ctx *ctx, struct fl_err *err)
{
    struct walk w = { .ctx = ctx, .is_into_secrets = true };
    if (ctx->facts->secret_count == 0)
        return FL_OK;
    while (next_leaf(&w)) {
        enum fl_span_type type = fl_span_type(w.value);
        if (!w.is_secret || (type != FL_SPAN_STRING && type != FL_SPAN_NUMBER))
            continue;
        struct fl_str value = w.value;
        if (type == FL_SPAN_STRING)
            value = fl_span_string(ctx->arena, value);
        if (!value.p)
            return fl_err_code(err, FL_NOMEM);
        if (value.n < FL_CARD_NEEDLE_BYTES)
            continue;
        if (ctx->needle_count < FL_CARD_NEEDLES)
            ctx->needles[ctx->needle_count++] = value;
        else
            ctx->has_too_many = true;
    }
    return w.has_no_memory ? fl_err_code(err, FL_NOMEM) : FL_OK;
}

/* ---- when they do not fit ---- */

static size_t count_of(struct fl_str container)
{
    size_t count = 0, pos = 0;
    struct fl_str key, value;
    if (fl_span_type(container) == FL_SPAN_ARRAY) {
        while (fl_span_next_item(container, &pos, &value))
            count++;
    } else if (fl_span_type(container) == FL_SPAN_OBJECT) {
        while (fl_span_next_member(container, &pos, &key, &value))
            count++;
    }
    return count;
}

size_t fl_card_arg_count(const struct fl_card_ctx *ctx)
{
    return ctx->is_readable ? count_of(ctx->facts->arguments) : 0;
}

static enum fl_code put_size(const struct fl_card_ctx *ctx, struct fl_str value, struct fl_buf *out,
                             struct fl_err *err)
{
    struct fl_str text;
    switch (fl_span_type(value)) {
    case FL_SPAN_STRING:
        text = fl_span_string(ctx->arena, value);
        if (!text.p)
            return fl_err_code(err, FL_NOMEM);
        fl_buf_printf(out, "(text of %zu characters)", fl_utf8_count(text));
        return FL_OK;
    case FL_SPAN_ARRAY: fl_buf_printf(out, "(list of %zu)", count_of(value)); return FL_OK;
    case FL_SPAN_OBJECT: fl_buf_printf(out, "(object of %zu)", count_of(value)); return FL_OK;
    default: fl_buf_puts(out, "(one value)"); return FL_OK;
    }
}

enum fl_code fl_card_args_summary(const struct fl_card_ctx *ctx, struct fl_buf *out,
                                  struct fl_err *err)
{
    struct fl_str arguments = ctx->facts->arguments, key, value;
    uint8_t digest[FL_SHA256_BYTES];
    char hex[17];
    fl_sha256(arguments, digest);
    fl_buf_printf(out, "(%zu bytes, sha256:%s, not shown here)", arguments.n,
                  fl_hex(digest, 8, hex));
    size_t pos = 0, count = 0, total = fl_card_arg_count(ctx);
    if (fl_span_type(arguments) != FL_SPAN_OBJECT)
        return FL_OK;
    while (count < SUMMARY_MEMBERS && fl_span_next_member(arguments, &pos, &key, &value)) {
        struct fl_show_notes notes = { 0 };
        struct fl_card_step step = { .name = fl_span_string(ctx->arena, key) };
        if (!step.name.p)
            return fl_err_code(err, FL_NOMEM);
        bool is_secret = fl_card_is_secret(ctx->facts, &step, 1);
        struct fl_str name = step.name;
        name.n = fl_utf8_cut(name, SUMMARY_NAME);
        fl_buf_putc(out, '\n');
        put_name(ctx, out, name, &notes);
        fl_buf_puts(out, name.n < step.name.n ? "\xe2\x80\xa6: " : ": ");
        enum fl_code code = FL_OK;
        if (is_secret)
            fl_buf_puts(out, "(secret)");
        else
            code = put_size(ctx, value, out, err);
        if (code != FL_OK)
            return code;
        count++;
    }
    if (total > count)
        fl_buf_printf(out, "\n(%zu more)", total - count);
    return FL_OK;
}
