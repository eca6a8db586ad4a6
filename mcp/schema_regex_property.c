/* The names of Unicode properties: ECMA-262 (tables 68 to 70) has long names for general
 * categories, PCRE2 only the short ones. For schema_regex.c, any thread. */
#include "mcp/schema_regex_priv.h"

static const struct {
    const char *code; /* PCRE2's */
    const char *name;
    const char *other; /* a further name, or NULL */
} categories[] = {
    { "L", "Letter", NULL },
    { "L&", "Cased_Letter", "LC" },
    { "Lu", "Uppercase_Letter", NULL },
    { "Ll", "Lowercase_Letter", NULL },
    { "Lt", "Titlecase_Letter", NULL },
    { "Lm", "Modifier_Letter", NULL },
    { "Lo", "Other_Letter", NULL },
    { "M", "Mark", "Combining_Mark" },
    { "Mn", "Nonspacing_Mark", NULL },
    { "Mc", "Spacing_Mark", NULL },
    { "Me", "Enclosing_Mark", NULL },
    { "N", "Number", NULL },
    { "Nd", "Decimal_Number", "digit" },
    { "Nl", "Letter_Number", NULL },
    { "No", "Other_Number", NULL },
    { "P", "Punctuation", "punct" },
    { "Pc", "Connector_Punctuation", NULL },
    { "Pd", "Dash_Punctuation", NULL },
    { "Ps", "Open_Punctuation", NULL },
    { "Pe", "Close_Punctuation", NULL },
    { "Pi", "Initial_Punctuation", NULL },
    { "Pf", "Final_Punctuation", NULL },
    { "Po", "Other_Punctuation", NULL },
    { "S", "Symbol", NULL },
    { "Sm", "Math_Symbol", NULL },
    { "Sc", "Currency_Symbol", NULL },
    { "Sk", "Modifier_Symbol", NULL },
    { "So", "Other_Symbol", NULL },
    { "Z", "Separator", NULL },
    { "Zs", "Space_Separator", NULL },
    { "Zl", "Line_Separator", NULL },
    { "Zp", "Paragraph_Separator", NULL },
    { "C", "Other", NULL },
    { "Cc", "Control", "cntrl" },
    { "Cf", "Format", NULL },
    { "Cs", "Surrogate", NULL },
    { "Co", "Private_Use", NULL },
    { "Cn", "Unassigned", NULL },
};

static const char *category(struct fl_str name)
{
    for (size_t i = 0; i < FL_COUNTOF(categories); i++) {
        if (fl_str_is(name, categories[i].name) || fl_str_is(name, categories[i].code) ||
            (categories[i].other && fl_str_is(name, categories[i].other)))
            return categories[i].code;
    }
    return NULL;
}

/* A name that PCRE2 cannot read as anything else. */
static bool is_word(struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return s.n > 0;
}

bool fl_schema_regex_put_property(struct fl_buf *out, struct fl_str name, bool is_negated)
{
    const char *equals = name.n ? memchr(name.p, '=', name.n) : NULL;
    const char *prefix = "", *code = NULL;
    struct fl_str value = name;
    if (equals) {
        struct fl_str key = { name.p, (size_t)(equals - name.p) };
        value = (struct fl_str){ equals + 1, name.n - key.n - 1 };
        if (fl_str_is(key, "Script") || fl_str_is(key, "sc"))
            prefix = "sc:";
        else if (fl_str_is(key, "Script_Extensions") || fl_str_is(key, "scx"))
            prefix = "scx:";
        else if (!fl_str_is(key, "General_Category") && !fl_str_is(key, "gc"))
            return false;
    }
    if (!*prefix)
        code = category(value);
    if (!equals && fl_str_is(value, "Assigned")) {
        code = "Cn";
        is_negated = !is_negated;
    }
    if (!code && ((equals && !*prefix) || !is_word(value)))
        return false;
    fl_buf_printf(out, "\\%c{%s", is_negated ? 'P' : 'p', prefix);
    if (code)
        fl_buf_puts(out, code);
    else
        fl_buf_str(out, value);
    fl_buf_putc(out, '}');
    return true;
}
