/* The opening sentence. A template that cannot be filled whole gives way to the plain title: the
 * card then says less, and never something else. */
#include "runtime/notify/card_title.h"

#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/card_priv.h"

enum { VALUE_CHARS = 60, PATH_STEPS = 16, TOOL_CHARS = 60 };

static const char ellipsis[] = "\xe2\x80\xa6";

/* ---- templates ---- */

enum piece_type { PIECE_END, PIECE_TEXT, PIECE_VALUE, PIECE_BAD };

/* The next literal text or placeholder (without its braces). */
static enum piece_type next_piece(struct fl_str sentence, size_t *pos, struct fl_str *ret)
{
    size_t at = *pos;
    if (at >= sentence.n)
        return PIECE_END;
    char c = sentence.p[at];
    bool is_doubled = at + 1 < sentence.n && sentence.p[at + 1] == c;
    if ((c == '{' || c == '}') && is_doubled) {
        *ret = (struct fl_str){ sentence.p + at, 1 };
        *pos = at + 2;
        return PIECE_TEXT;
    }
    if (c == '}')
        return PIECE_BAD;
    bool is_value = c == '{';
    size_t from = at + (is_value ? 1 : 0);
    for (at = from; at < sentence.n && sentence.p[at] != '{' && sentence.p[at] != '}'; at++)
        ;
    *ret = (struct fl_str){ sentence.p + from, at - from };
    if (!is_value) {
        *pos = at;
        return PIECE_TEXT;
    }
    *pos = at + 1;
    return at < sentence.n && sentence.p[at] == '}' && at > from ? PIECE_VALUE : PIECE_BAD;
}

/* A pointer's tildes must be ~0 or ~1 (RFC 6901 section 3). */
static bool is_pointer_right(struct fl_str placeholder)
{
    if (placeholder.p[0] != '/')
        return true;
    for (size_t i = 0; i < placeholder.n; i++) {
        if (placeholder.p[i] == '~' && (i + 1 == placeholder.n || (placeholder.p[i + 1] != '0' &&
                                                                   placeholder.p[i + 1] != '1')))
            return false;
    }
    return true;
}

enum fl_code fl_sentence_check(struct fl_str sentence, struct fl_err *err)
{
    if (sentence.n > FL_SENTENCE_MAX_BYTES)
        return fl_err_set(err, FL_CONFIG, "a sentence has at most %d bytes, not %zu",
                          FL_SENTENCE_MAX_BYTES, sentence.n);
    if (!fl_utf8_is_valid(sentence))
        return fl_err_set(err, FL_CONFIG, "a sentence is not valid UTF-8");
    size_t pos = 0, at = 0;
    struct fl_str piece = { NULL, 0 };
    for (;;) {
        at = pos;
        switch (next_piece(sentence, &pos, &piece)) {
        case PIECE_END: return FL_OK;
        case PIECE_TEXT:
            for (size_t i = 0; i < piece.n; i++) {
                if ((unsigned char)piece.p[i] < 0x20)
                    return fl_err_set(err, FL_CONFIG, "a sentence is one line of text");
            }
            break;
        case PIECE_VALUE:
            if (!is_pointer_right(piece))
                return fl_err_set(err, FL_CONFIG, "{%.*s} is not a JSON pointer",
                                  FL_STR_ARG(piece));
            break;
        case PIECE_BAD:
            return fl_err_set(err, FL_CONFIG,
                              "the brace at byte %zu of the sentence is not closed, not opened, or "
                              "empty (write {{ or }} for a brace itself)",
                              at + 1);
        }
    }
}

/* ---- values ---- */

/* A segment of a pointer, decoded, NUL-terminated; NULL on no memory. */
static char *decode_segment(struct fl_arena *arena, struct fl_str segment)
{
    char *name = fl_arena_strndup(arena, segment.p ? segment.p : "", segment.n);
    size_t n = 0;
    for (size_t i = 0; name && i < segment.n; i++) {
        char c = segment.p[i];
        if (c == '~' && i + 1 < segment.n)
            c = segment.p[++i] == '0' ? '~' : '/';
        name[n++] = c;
    }
    if (name)
        name[n] = 0;
    return name;
}

static struct fl_str item_at(struct fl_str array, struct fl_str number, size_t *ret_index)
{
    struct fl_str value = { NULL, 0 }, none = { NULL, 0 };
    unsigned long long index;
    size_t pos = 0;
    if (!fl_str_to_u64(number, &index) || (number.n > 1 && number.p[0] == '0'))
        return none;
    for (unsigned long long i = 0; i <= index; i++) {
        if (!fl_span_next_item(array, &pos, &value))
            return none;
    }
    *ret_index = (size_t)index;
    return value;
}

/* A placeholder's value and whether it is secret. p NULL: there is none (or no memory). */
static struct fl_str resolve(const struct fl_card_ctx *ctx, struct fl_str placeholder,
                             bool *ret_secret, bool *ret_nomem)
{
    struct fl_card_step path[PATH_STEPS];
    struct fl_str value = ctx->facts->arguments, none = { NULL, 0 }, rest = placeholder;
    bool is_pointer = placeholder.p[0] == '/';
    size_t depth = 0;
    while (rest.p) {
        if (is_pointer)
            rest = (struct fl_str){ rest.p + 1, rest.n - 1 };
        const char *slash = is_pointer && rest.n ? memchr(rest.p, '/', rest.n) : NULL;
        struct fl_str segment = { rest.p, slash ? (size_t)(slash - rest.p) : rest.n };
        rest = slash ? (struct fl_str){ slash, rest.n - segment.n } : none;
        char *name = is_pointer ? decode_segment(ctx->arena, segment)
                                : fl_arena_strndup(ctx->arena, segment.p, segment.n);
        *ret_nomem |= name == NULL;
        if (!name || depth == PATH_STEPS)
            return none;
        struct fl_card_step *step = &path[depth++];
        *step = (struct fl_card_step){ .name = fl_str_of(name) };
        if (fl_span_type(value) == FL_SPAN_ARRAY) {
            step->is_item = true;
            value = item_at(value, segment, &step->index);
        } else if (fl_span_type(value) == FL_SPAN_OBJECT) {
            value = fl_span_get(value, name);
        } else {
            return none;
        }
        if (!value.p)
            return none;
    }
    *ret_secret = fl_card_is_secret(ctx->facts, path, depth);
    return value;
}

/* What needs no quotes to be seen as one value: no blanks, and no punctuation of other scripts. */
static bool is_one_word(struct fl_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || (c && strchr("._/@:+-#", c));
        if (!is_plain)
            return false;
    }
    return text.n > 0;
}

static void put_text(const struct fl_card_ctx *ctx, struct fl_buf *out, struct fl_str text,
                     bool is_below, struct fl_show_notes *notes)
{
    struct fl_card_shown shown = {
        .text = text, .flags = FL_SHOW_COMPOSED | FL_SHOW_QUOTED, .cut = text.n, .notes = *notes
    };
    size_t count = 0;
    for (size_t pos = 0; pos < text.n; count++) {
        if (count == VALUE_CHARS)
            shown.cut = pos;
        if (fl_utf8_next(text, &pos) == -1)
            break;
    }
    struct fl_buf value = FL_BUF_INIT;
    fl_card_show(ctx, &value, &shown);
    if (shown.has_secret) {
        fl_buf_puts(out, "(secret)");
    } else {
        const char *quote = is_one_word(text) ? "" : "\"";
        fl_buf_puts(out, quote);
        fl_buf_str(out, fl_buf_view(&value));
        if (shown.cut < text.n)
            fl_buf_puts(out, ellipsis);
        fl_buf_puts(out, quote);
        if (shown.cut < text.n)
            fl_buf_printf(out, " (%zu characters%s)", count, is_below ? ", whole below" : "");
        *notes = shown.notes;
    }
    out->is_failed |= value.is_failed;
    fl_buf_fini(&value);
}

/* False if the placeholder has no value. */
static bool put_value(const struct fl_card_ctx *ctx, struct fl_buf *out, struct fl_str placeholder,
                      bool is_below, struct fl_show_notes *notes, bool *ret_nomem)
{
    bool is_secret = false;
    struct fl_str value = resolve(ctx, placeholder, &is_secret, ret_nomem);
    if (!value.p)
        return false;
    if (is_secret) {
        fl_buf_puts(out, "(secret)");
        return true;
    }
    switch (fl_span_type(value)) {
    case FL_SPAN_STRING: {
        struct fl_str text = fl_span_string(ctx->arena, value);
        *ret_nomem |= text.p == NULL;
        if (text.p)
            put_text(ctx, out, text, is_below, notes);
        return text.p != NULL;
    }
    case FL_SPAN_OBJECT: fl_buf_puts(out, "(object)"); return true;
    case FL_SPAN_ARRAY: fl_buf_puts(out, "(list)"); return true;
    default: fl_buf_str(out, value); return true;
    }
}

/* ---- titles ---- */

void fl_card_plain_title(const struct fl_card_ctx *ctx, struct fl_buf *out)
{
    struct fl_str tool = ctx->facts->tool;
    tool.n = fl_utf8_cut(tool, TOOL_CHARS);
    if (tool.n)
        fl_card_name(ctx, out, tool, FL_SHOW_ASCII);
    else
        fl_buf_puts(out, "(a tool without a name)");
    if (tool.n < ctx->facts->tool.n)
        fl_buf_puts(out, ellipsis);
    size_t count = fl_card_arg_count(ctx);
    if (!ctx->is_readable)
        fl_buf_puts(out, ", its arguments cannot be read");
    else if (count == 0)
        fl_buf_puts(out, " with no arguments");
    else
        fl_buf_printf(out, " with %zu argument%s", count, count == 1 ? "" : "s");
}

enum fl_code fl_card_title(const struct fl_card_ctx *ctx, bool is_below, struct fl_buf *out,
                           struct fl_err *err)
{
    struct fl_str sentence = ctx->facts->sentence, piece = { NULL, 0 };
    struct fl_show_notes notes = { 0 };
    struct fl_buf text = FL_BUF_INIT;
    size_t pos = 0;
    bool has_no_memory = false,
         is_right = sentence.n && ctx->is_readable && fl_sentence_check(sentence, NULL) == FL_OK;
    for (bool is_end = false; is_right && !is_end;) {
        switch (next_piece(sentence, &pos, &piece)) {
        case PIECE_TEXT: fl_show(&text, piece, FL_SHOW_COMPOSED | FL_SHOW_OPEN, &notes); break;
        case PIECE_VALUE:
            is_right = put_value(ctx, &text, piece, is_below, &notes, &has_no_memory);
            break;
        default: is_end = true; break;
        }
    }
    if (is_right) {
        fl_buf_str(out, fl_buf_view(&text));
        fl_card_notes(out, " ", &notes);
    } else {
        fl_card_plain_title(ctx, out);
    }
    has_no_memory |= text.is_failed;
    fl_buf_fini(&text);
    return has_no_memory ? fl_err_code(err, FL_NOMEM) : FL_OK;
}
