/* Tokens of an expression: identifiers, numbers, texts with their escapes, punctuation.
 * Source: cel-spec, Language Definition, "Syntax". Called by the parser. Any thread. */
#include <math.h>
#include <stdlib.h>

#include "flopinio/base/utf8.h"
#include "policy/cel_priv.h"

static const char *const keywords[] = { "false", "in", "null", "true" };
static const char *const reserved[] = { "as",   "break",    "const",     "continue", "else",
                                        "for",  "function", "if",        "import",   "let",
                                        "loop", "package",  "namespace", "return",   "var",
                                        "void", "while" };

bool cel_is_keyword(struct fl_str name)
{
    for (size_t i = 0; i < FL_COUNTOF(keywords); i++) {
        if (fl_str_is(name, keywords[i]))
            return true;
    }
    return false;
}

bool cel_is_reserved(struct fl_str name)
{
    for (size_t i = 0; i < FL_COUNTOF(reserved); i++) {
        if (fl_str_is(name, reserved[i]))
            return true;
    }
    return false;
}

static int peek(const struct cel_lexer *l, size_t ahead)
{
    return l->pos + ahead < l->source.n ? (unsigned char)l->source.p[l->pos + ahead] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int hex(int c)
{
    return is_digit(c)            ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static void fail(struct cel_lexer *l, size_t at, const char *text)
{
    cel_error(l->c, (uint32_t)at, "%s", text);
    l->token = CEL_T_ERROR;
}

static void skip_blank(struct cel_lexer *l)
{
    for (;;) {
        int c = peek(l, 0);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
            l->pos++;
        } else if (c == '/' && peek(l, 1) == '/') {
            while (peek(l, 0) >= 0 && peek(l, 0) != '\n')
                l->pos++;
        } else {
            return;
        }
    }
}

static bool skip_digits(struct cel_lexer *l)
{
    size_t from = l->pos;
    while (is_digit(peek(l, 0)))
        l->pos++;
    return l->pos > from;
}

/* The digits before l->pos; whether an int may have them depends on its sign, so that is checked
 * by the parser. */
static void lex_integer(struct cel_lexer *l, size_t from, unsigned base)
{
    uint64_t value = 0;
    bool is_over = false;
    for (size_t i = from; i < l->pos; i++) {
        is_over |= __builtin_mul_overflow(value, base, &value);
        is_over |=
            __builtin_add_overflow(value, (uint64_t)hex((unsigned char)l->source.p[i]), &value);
    }
    l->number = value;
    l->token = CEL_T_INT;
    if (peek(l, 0) == 'u' || peek(l, 0) == 'U') {
        l->pos++;
        l->token = CEL_T_UINT;
    }
    if (is_over)
        fail(l, l->at, "the number does not fit 64 bits");
    else if (is_letter(peek(l, 0)) || is_digit(peek(l, 0)))
        fail(l, l->at, "a number ends in a letter");
}

static void lex_number(struct cel_lexer *l)
{
    if (peek(l, 0) == '0' && (peek(l, 1) == 'x' || peek(l, 1) == 'X') && hex(peek(l, 2)) >= 0) {
        l->pos += 2;
        size_t from = l->pos;
        while (hex(peek(l, 0)) >= 0)
            l->pos++;
        lex_integer(l, from, 16);
        return;
    }
    size_t from = l->pos;
    bool is_real = false;
    skip_digits(l);
    if (peek(l, 0) == '.' && is_digit(peek(l, 1))) {
        l->pos++;
        skip_digits(l);
        is_real = true;
    }
    if (peek(l, 0) == 'e' || peek(l, 0) == 'E') {
        size_t before = l->pos++;
        if (peek(l, 0) == '+' || peek(l, 0) == '-')
            l->pos++;
        if (skip_digits(l))
            is_real = true;
        else
            l->pos = before;
    }
    if (!is_real) {
        lex_integer(l, from, 10);
        return;
    }
    char *text = fl_arena_strndup(l->c->scratch, l->source.p + from, l->pos - from);
    if (!text) {
        cel_nomem(l->c);
        l->token = CEL_T_ERROR;
        return;
    }
    l->token = CEL_T_DOUBLE;
    l->real = strtod(text, NULL);
    if (isinf(l->real))
        fail(l, l->at, "the number does not fit a double");
    else if (is_letter(peek(l, 0)))
        fail(l, l->at, "a number ends in a letter");
}

/* Exactly `count` digits of the base; -1 if they are not there. */
static int64_t escape_digits(struct cel_lexer *l, unsigned count, unsigned base)
{
    int64_t value = 0;
    for (unsigned i = 0; i < count; i++, l->pos++) {
        int digit = hex(peek(l, 0));
        if (digit < 0 || (unsigned)digit >= base)
            return -1;
        value = value * base + (unsigned)digit;
    }
    return value;
}

/* One escape, the backslash taken. In a text \x and \0 name code points, in bytes octets. */
static bool lex_escape(struct cel_lexer *l, struct fl_buf *out, bool is_bytes)
{
    static const char from[] = "\\?\"'`abfnrtv", to[] = "\\?\"'`\a\b\f\n\r\t\v";
    size_t at = l->pos - 1;
    int c = peek(l, 0);
    const char *simple = c > 0 ? strchr(from, c) : NULL;
    if (simple) {
        l->pos++;
        fl_buf_putc(out, to[simple - from]);
        return true;
    }
    int64_t value = -1;
    if (c >= '0' && c <= '3') {
        value = escape_digits(l, 3, 8);
    } else if (c == 'x' || c == 'X') {
        l->pos++;
        value = escape_digits(l, 2, 16);
    } else if ((c == 'u' || c == 'U') && !is_bytes) {
        l->pos++;
        value = escape_digits(l, c == 'u' ? 4 : 8, 16);
    }
    if (value < 0 || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        fail(l, at, "no such escape in a text");
        return false;
    }
    if (is_bytes)
        fl_buf_putc(out, (char)value);
    else
        fl_utf8_put(out, (uint32_t)value);
    return true;
}

static bool at_quote(const struct cel_lexer *l, int quote, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (peek(l, i) != quote)
            return false;
    }
    return true;
}

/* At the opening quote. */
static void lex_text(struct cel_lexer *l, bool is_raw, bool is_bytes)
{
    int quote = peek(l, 0);
    unsigned quotes = at_quote(l, quote, 3) ? 3 : 1;
    struct fl_buf out;
    fl_buf_init(&out, CEL_SOURCE_MAX);
    l->pos += quotes;
    bool is_ended = false, is_ok = true;
    while (is_ok && !is_ended) {
        int c = peek(l, 0);
        if (c < 0 || (quotes == 1 && (c == '\n' || c == '\r'))) {
            fail(l, l->at, "the text has no end");
            is_ok = false;
        } else if (at_quote(l, quote, quotes)) {
            l->pos += quotes;
            is_ended = true;
        } else if (c == '\\' && !is_raw) {
            l->pos++;
            is_ok = lex_escape(l, &out, is_bytes);
        } else {
            fl_buf_putc(&out, (char)c);
            l->pos++;
        }
    }
    if (is_ok) {
        struct fl_str value = { NULL, 0 };
        if (!out.is_failed)
            value = fl_arena_str(l->c->arena, fl_buf_view(&out));
        l->token = is_bytes ? CEL_T_BYTES : CEL_T_STRING;
        l->text = value;
        if (!value.p) {
            cel_nomem(l->c);
            l->token = CEL_T_ERROR;
        }
    }
    fl_buf_fini(&out);
}

/* A text with its prefix (r, b, rb, br in either case); false if there is none here. */
static bool lex_prefixed_text(struct cel_lexer *l)
{
    bool is_raw = false, is_bytes = false;
    size_t n = 0;
    for (; n < 2; n++) {
        int c = peek(l, n) | 0x20;
        if (c == 'r' && !is_raw)
            is_raw = true;
        else if (c == 'b' && !is_bytes)
            is_bytes = true;
        else
            break;
    }
    if (peek(l, n) != '"' && peek(l, n) != '\'')
        return false;
    l->pos += n;
    lex_text(l, is_raw, is_bytes);
    return true;
}

static void lex_quoted_field(struct cel_lexer *l)
{
    size_t from = ++l->pos;
    for (;; l->pos++) {
        int c = peek(l, 0);
        if (c == '`')
            break;
        if (!is_letter(c) && !is_digit(c) && !(c > 0 && strchr(".-/ ", c))) {
            fail(l, l->at, "a quoted field has letters, digits and _.-/ only, and ends in `");
            return;
        }
    }
    l->text = (struct fl_str){ l->source.p + from, l->pos++ - from };
    if (l->text.n == 0)
        fail(l, l->at, "a quoted field is empty");
    else
        l->token = CEL_T_QUOTED;
}

static void lex_punct(struct cel_lexer *l)
{
    static const char *const two[] = { "&&", "||", "==", "!=", "<=", ">=" };
    l->token = CEL_T_PUNCT;
    memset(l->punct, 0, sizeof l->punct);
    l->punct[0] = (char)peek(l, 0);
    for (size_t i = 0; i < FL_COUNTOF(two); i++) {
        if (peek(l, 0) == two[i][0] && peek(l, 1) == two[i][1]) {
            l->punct[1] = two[i][1];
            l->pos += 2;
            return;
        }
    }
    if (!l->punct[0] || !strchr("()[]{}.,:?+-*/%<>!", l->punct[0])) {
        fail(l, l->at,
             l->punct[0] == '='                         ? "'=' is not an operator; '==' compares"
             : l->punct[0] == '&' || l->punct[0] == '|' ? "'&' and '|' are written twice"
                                                        : "a character that no expression has");
        return;
    }
    l->pos++;
}

void cel_lex(struct cel_lexer *l)
{
    skip_blank(l);
    l->at = (uint32_t)l->pos;
    int c = peek(l, 0);
    if (c < 0) {
        l->token = CEL_T_END;
    } else if (c == '"' || c == '\'') {
        lex_text(l, false, false);
    } else if (is_letter(c)) {
        if (lex_prefixed_text(l))
            return;
        while (is_letter(peek(l, 0)) || is_digit(peek(l, 0)))
            l->pos++;
        l->text = (struct fl_str){ l->source.p + l->at, l->pos - l->at };
        l->token = CEL_T_IDENT;
    } else if (is_digit(c) || (c == '.' && is_digit(peek(l, 1)))) {
        lex_number(l);
    } else if (c == '`') {
        lex_quoted_field(l);
    } else {
        lex_punct(l);
    }
}
