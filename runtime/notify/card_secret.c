/* Secrets on cards: which values are secret, and text with its secrets replaced. */
#include <stdio.h>

#include "flopinio/base/id.h"
#include "flopinio/base/utf8.h"
#include "runtime/crypto/digest.h"
#include "runtime/notify/card_priv.h"
#include "runtime/notify/detect.h"

void fl_card_put_secret(const struct fl_card_ctx *ctx, struct fl_buf *out, const char *what,
                        struct fl_str value)
{
    fl_buf_puts(out, "secret, ");
    if (what) {
        fl_buf_puts(out, what);
        fl_buf_puts(out, ", ");
    }
    /* Keyed: an unkeyed digest would let whoever reads the channel try out short secrets. */
    if (ctx->facts->secret_key) {
        uint8_t mac[FL_SHA256_BYTES];
        char hex[9];
        struct fl_hmac h;
        fl_hmac_init(&h, fl_bytes(ctx->facts->secret_key, FL_SHA256_BYTES));
        fl_hmac_put(&h, value.p, value.n);
        fl_hmac_final(&h, mac);
        fl_buf_printf(out, "hmac-sha256:%s, ", fl_hex(mac, 4, hex));
    }
    size_t count = fl_utf8_count(value);
    fl_buf_printf(out, "%zu character%s", count, count == 1 ? "" : "s");
}

/* ---- an operator's pointers ---- */

/* Takes one segment off a JSON pointer and says whether it names this step. */
static bool take_segment(struct fl_str *pointer, const struct fl_card_step *step)
{
    struct fl_str rest = *pointer;
    const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
    struct fl_str segment = { rest.p, slash ? (size_t)(slash - rest.p) : rest.n };
    *pointer =
        slash ? (struct fl_str){ slash + 1, rest.n - segment.n - 1 } : (struct fl_str){ NULL, 0 };
    char number[24];
    struct fl_str name = step->name;
    if (step->is_item) {
        int n = snprintf(number, sizeof number, "%zu", step->index);
        name = (struct fl_str){ number, (size_t)n };
    }
    if (segment.n == 1 && segment.p[0] == '*')
        return true;
    size_t at = 0;
    for (size_t i = 0; i < segment.n; i++, at++) {
        char c = segment.p[i];
        if (c == '~' && i + 1 < segment.n && (segment.p[i + 1] == '0' || segment.p[i + 1] == '1'))
            c = segment.p[++i] == '0' ? '~' : '/';
        if (at >= name.n || name.p[at] != c)
            return false;
    }
    return at == name.n;
}

static bool is_at_or_above(struct fl_str pointer, const struct fl_card_step *path, size_t depth)
{
    if (pointer.n == 0)
        return true;         /* the root */
    if (pointer.p[0] == '/') /* "token" is taken for "/token": rather too much hidden */
        pointer = (struct fl_str){ pointer.p + 1, pointer.n - 1 };
    else if (pointer.p[0] == '#')
        return true; /* no pointer at all: hide everything */
    for (size_t i = 0; i < depth; i++) {
        if (!take_segment(&pointer, &path[i]))
            return false;
        if (!pointer.p)
            return true;
    }
    return false;
}

bool fl_card_is_secret(const struct fl_card_facts *facts, const struct fl_card_step *path,
                       size_t depth)
{
    for (size_t i = 0; i < facts->secret_count; i++) {
        if (is_at_or_above(facts->secrets[i], path, depth))
            return true;
    }
    return false;
}

/* ---- secrets within a text ---- */

/* Where each kind of find comes next; one that lies behind is looked for again. */
struct finder {
    const struct fl_card_ctx *ctx;
    struct fl_card_shown *shown;
    /* [0] the detectors, [1] lines of secrets of several lines; from = text.n: no more */
    struct fl_detected next[2 + FL_CARD_NEEDLES];
    size_t count;
};

/* Does the line stand in a secret argument that has several? */
static bool is_line_of_secret(const struct fl_card_ctx *ctx, struct fl_str line)
{
    for (size_t i = 0; i < ctx->needle_count && line.n >= FL_CARD_NEEDLE_BYTES; i++) {
        struct fl_str needle = ctx->needles[i];
        if (memchr(needle.p, '\n', needle.n) && memmem(needle.p, needle.n, line.p, line.n))
            return true;
    }
    return false;
}

/* A diff takes a text apart: each of its lines has a mark in front, and others between them. */
static struct fl_detected next_line(const struct finder *f, size_t pos)
{
    struct fl_str text = f->shown->text;
    while (pos < text.n) {
        const char *end = memchr(text.p + pos, '\n', text.n - pos);
        size_t to = end ? (size_t)(end - text.p) : text.n;
        struct fl_str line = fl_str_trim((struct fl_str){ text.p + pos, to - pos });
        if (line.n && (line.p[0] == '+' || line.p[0] == '-') && !is_line_of_secret(f->ctx, line))
            line = fl_str_trim((struct fl_str){ line.p + 1, line.n - 1 });
        if (is_line_of_secret(f->ctx, line))
            return (struct fl_detected){ (size_t)(line.p - text.p),
                                         (size_t)(line.p - text.p) + line.n, "an argument" };
        pos = to + 1;
    }
    return (struct fl_detected){ text.n, text.n, NULL };
}

static void look(struct finder *f, size_t i, size_t pos)
{
    struct fl_str text = f->shown->text;
    struct fl_detected none = { text.n, text.n, NULL };
    if (i == 0) {
        if (!fl_detect_secret(text, f->shown->name, pos, &f->next[0]))
            f->next[0] = none;
        return;
    }
    if (i == 1) {
        f->next[1] = next_line(f, pos);
        return;
    }
    struct fl_str needle = f->ctx->needles[i - 2];
    const char *at = pos < text.n ? memmem(text.p + pos, text.n - pos, needle.p, needle.n) : NULL;
    f->next[i] = none;
    if (at)
        f->next[i] = (struct fl_detected){ (size_t)(at - text.p), (size_t)(at - text.p) + needle.n,
                                           "an argument" };
}

static void finder_init(struct finder *f, const struct fl_card_ctx *ctx,
                        struct fl_card_shown *shown)
{
    *f = (struct finder){ .ctx = ctx, .shown = shown, .count = 1 };
    if (shown->has_needles)
        f->count += 1 + ctx->needle_count;
    for (size_t i = 0; i < f->count; i++)
        look(f, i, 0);
}

/* The next secret at or behind `pos`, with what overlaps it; from = text.n at the end. */
static struct fl_detected find(struct finder *f, size_t pos)
{
    size_t first = 0;
    for (size_t i = 0; i < f->count; i++) {
        if (f->next[i].from < pos)
            look(f, i, pos);
        if (f->next[i].from < f->next[first].from)
            first = i;
    }
    struct fl_detected hit = f->next[first];
    for (bool has_grown = true; has_grown;) {
        has_grown = false;
        for (size_t i = 0; i < f->count; i++) {
            if (f->next[i].from < hit.to && f->next[i].to > hit.to) {
                hit.to = f->next[i].to;
                has_grown = true;
            }
        }
    }
    return hit;
}

/* Shows the text [from, to), which has no secrets. */
static void put_plain(struct fl_buf *out, struct fl_card_shown *shown, size_t from, size_t to)
{
    while (from < to) {
        struct fl_str piece = { shown->text.p + from, to - from };
        const char *end = shown->has_lines ? memchr(piece.p, '\n', piece.n) : NULL;
        if (end)
            piece.n = (size_t)(end - piece.p);
        bool is_open = !end && to < shown->text.n; /* a secret follows on this line */
        fl_show(out, piece, shown->flags | (is_open ? FL_SHOW_OPEN : 0), &shown->notes);
        if (!end)
            return;
        from += piece.n + 1;
        shown->line_count++;
        fl_buf_puts(out, "\n|");
        if (from < shown->text.n && shown->text.p[from] != '\n')
            fl_buf_putc(out, ' ');
    }
}

void fl_card_show(const struct fl_card_ctx *ctx, struct fl_buf *out, struct fl_card_shown *shown)
{
    struct finder f;
    size_t pos = 0, cut = shown->cut < shown->text.n ? shown->cut : shown->text.n;
    shown->has_secret = false;
    shown->line_count = 1;
    finder_init(&f, ctx, shown);
    while (pos < cut && !out->is_failed) {
        struct fl_detected hit = find(&f, pos);
        size_t to = hit.from < cut ? hit.from : cut;
        put_plain(out, shown, pos, to);
        pos = to;
        if (to == hit.from && to < cut) {
            fl_buf_puts(out, "\\(");
            fl_card_put_secret(ctx, out, hit.what,
                               (struct fl_str){ shown->text.p + hit.from, hit.to - hit.from });
            fl_buf_putc(out, ')');
            shown->has_secret = true;
            pos = hit.to;
        }
    }
    shown->end = pos;
}

void fl_card_notes(struct fl_buf *out, const char *before, const struct fl_show_notes *notes)
{
    if (notes->mixed) {
        fl_buf_puts(out, before);
        fl_buf_puts(out, "(mixed scripts: ");
        fl_show_scripts(out, notes->mixed);
        fl_buf_putc(out, ')');
    }
    if (notes->is_rtl) {
        fl_buf_puts(out, before);
        fl_buf_puts(out, "(right-to-left text)");
    }
}

void fl_card_name(const struct fl_card_ctx *ctx, struct fl_buf *out, struct fl_str text,
                  unsigned flags)
{
    struct fl_card_shown shown = {
        .text = text, .flags = flags | FL_SHOW_COMPOSED, .has_needles = true, .cut = text.n
    };
    fl_card_show(ctx, out, &shown);
    fl_card_notes(out, " ", &shown.notes);
}
