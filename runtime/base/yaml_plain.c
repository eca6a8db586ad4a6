/* Plain scalars of YAML. */
#include "yaml_priv.h"

static bool is_one_of(struct fl_str text, const char *const *words)
{
    for (; *words; words++) {
        if (fl_str_is(text, *words))
            return true;
    }
    return false;
}

/* From i on, how many bytes of the set. */
static size_t run(struct fl_str text, size_t i, const char *set)
{
    size_t from = i;
    while (i < text.n && text.p[i] && strchr(set, text.p[i]))
        i++;
    return i - from;
}

#define DECIMAL "0123456789"

/* 0o17, 0x1f, 0b11: numbers in one version of YAML, text in another. */
static bool is_other_base(struct fl_str text, size_t i)
{
    if (text.n - i < 3 || text.p[i] != '0')
        return false;
    const char *digits = text.p[i + 1] == 'x'   ? DECIMAL "abcdefABCDEF"
                         : text.p[i + 1] == 'o' ? "01234567"
                         : text.p[i + 1] == 'b' ? "01"
                                                : "";
    return i + 2 + run(text, i + 2, digits) == text.n && *digits;
}

static enum fl_yaml_plain number(struct fl_str text)
{
    size_t sign = text.p[0] == '-' || text.p[0] == '+';
    struct fl_str word = { text.p + sign, text.n - sign };
    if (is_one_of(word, (const char *const[]){ ".inf", ".Inf", ".INF", NULL }) ||
        is_one_of(text, (const char *const[]){ ".nan", ".NaN", ".NAN", NULL }) ||
        is_other_base(text, sign))
        return FL_YAML_UNCLEAR;
    size_t whole = run(text, sign, DECIMAL), i = sign + whole, fraction = 0;
    if (i == text.n && whole) {
        bool is_led_by_zero = whole > 1 && text.p[sign] == '0';
        return is_led_by_zero ? FL_YAML_UNCLEAR : FL_YAML_INT;
    }
    if (i < text.n && text.p[i] == '.') {
        fraction = run(text, i + 1, DECIMAL);
        i += 1 + fraction;
    }
    if (whole + fraction == 0)
        return FL_YAML_STRING;
    if (i < text.n && (text.p[i] == 'e' || text.p[i] == 'E')) {
        i++;
        i += i < text.n && (text.p[i] == '-' || text.p[i] == '+');
        size_t exponent = run(text, i, DECIMAL);
        i = exponent ? i + exponent : 0;
    }
    return i == text.n ? FL_YAML_FLOAT : FL_YAML_STRING;
}

enum fl_yaml_plain fl_yaml_plain(struct fl_str text)
{
    if (text.n == 0 || is_one_of(text, (const char *const[]){ "~", "null", "Null", "NULL", NULL }))
        return FL_YAML_NULL;
    if (is_one_of(text, (const char *const[]){ "true", "True", "TRUE", NULL }))
        return FL_YAML_TRUE;
    if (is_one_of(text, (const char *const[]){ "false", "False", "FALSE", NULL }))
        return FL_YAML_FALSE;
    return number(text);
}
