/* The table of functions: names, overloads and who implements them. The checker picks overloads by
 * static types, the evaluator by the kinds of the values.
 * Source: cel-spec, Language Definition, "List of Standard Definitions"; extension strings;
 * extension optional values. Called by the resolver, the checker and the evaluator. */
#include "policy/cel_priv.h"

#define F(name, type, impl, param)                                                                 \
    {                                                                                              \
        name, false, type, cel_fn_##impl, param                                                    \
    }
#define M(name, type, impl, param)                                                                 \
    {                                                                                              \
        name, true, type, cel_fn_##impl, param                                                     \
    }

/* Overloads of one name and style stand together. */
const struct cel_fn cel_fns[] = {
    F("!_", "b>b", not, 0),
    F("-_", "i>i", negate, 0),
    F("-_", "d>d", negate, 0),
    F("_+_", "ii>i", arith_int, '+'),
    F("_+_", "uu>u", arith_uint, '+'),
    F("_+_", "dd>d", arith_double, '+'),
    F("_+_", "ss>s", concat_text, 0),
    F("_+_", "yy>y", concat_text, 0),
    F("_+_", "[A[A>[A", concat_list, 0),
    F("_+_", "tD>t", arith_time, '+'),
    F("_+_", "Dt>t", arith_time, '+'),
    F("_+_", "DD>D", arith_time, '+'),
    F("_-_", "ii>i", arith_int, '-'),
    F("_-_", "uu>u", arith_uint, '-'),
    F("_-_", "dd>d", arith_double, '-'),
    F("_-_", "tt>D", arith_time, '-'),
    F("_-_", "tD>t", arith_time, '-'),
    F("_-_", "DD>D", arith_time, '-'),
    F("_*_", "ii>i", arith_int, '*'),
    F("_*_", "uu>u", arith_uint, '*'),
    F("_*_", "dd>d", arith_double, '*'),
    F("_/_", "ii>i", arith_int, '/'),
    F("_/_", "uu>u", arith_uint, '/'),
    F("_/_", "dd>d", arith_double, '/'),
    F("_%_", "ii>i", arith_int, '%'),
    F("_%_", "uu>u", arith_uint, '%'),
    F("_==_", "AA>b", equal, true),
    F("_!=_", "AA>b", equal, false),
#define ORDER(name, param)                                                                         \
    F(name, "NN>b", order, param), F(name, "ss>b", order, param), F(name, "yy>b", order, param),   \
        F(name, "bb>b", order, param), F(name, "tt>b", order, param),                              \
        F(name, "DD>b", order, param)
    ORDER("_<_", '<'),
    ORDER("_<=_", 'l'),
    ORDER("_>_", '>'),
    ORDER("_>=_", 'g'),
    F("@in", "A[A>b", in_list, 0),
    F("@in", "A{AB}>b", in_map, 0),
    F("_[_]", "[AN>A", index, 0),
    F("_[_]", "{AB}A>B", index, 0),
    F("_[_]", "?[AN>?A", index, 0),
    F("_[_]", "?{AB}A>?B", index, 0),
    F("_[?_]", "[AN>?A", index, true),
    F("_[?_]", "{AB}A>?B", index, true),
    F("_[?_]", "?[AN>?A", index, true),
    F("_[?_]", "?{AB}A>?B", index, true),
#define SIZE(X)                                                                                    \
    X("size", "s>i", size, 0), X("size", "y>i", size, 0), X("size", "[A>i", size, 0),              \
        X("size", "{AB}>i", size, 0)
    SIZE(F),
    SIZE(M),
    F("dyn", "A>*", identity, 0),
    F("type", "A>T", type, 0),
    F("int", "i>i", identity, 0),
    F("int", "u>i", to_int, 0),
    F("int", "d>i", to_int, 0),
    F("int", "s>i", to_int, 0),
    F("int", "t>i", to_int, 0),
    F("uint", "u>u", identity, 0),
    F("uint", "i>u", to_uint, 0),
    F("uint", "d>u", to_uint, 0),
    F("uint", "s>u", to_uint, 0),
    F("double", "d>d", identity, 0),
    F("double", "i>d", to_double, 0),
    F("double", "u>d", to_double, 0),
    F("double", "s>d", to_double, 0),
    F("string", "s>s", identity, 0),
    F("string", "b>s", to_string, 0),
    F("string", "i>s", to_string, 0),
    F("string", "u>s", to_string, 0),
    F("string", "d>s", to_string, 0),
    F("string", "y>s", to_string, 0),
    F("string", "t>s", to_string, 0),
    F("string", "D>s", to_string, 0),
    F("bytes", "y>y", identity, 0),
    F("bytes", "s>y", to_bytes, 0),
    F("bool", "b>b", identity, 0),
    F("bool", "s>b", to_bool, 0),
    F("timestamp", "t>t", identity, 0),
    F("timestamp", "s>t", to_timestamp, 0),
    F("timestamp", "i>t", to_timestamp, 0),
    F("duration", "D>D", identity, 0),
    F("duration", "s>D", to_duration, 0),
#define PART(name, param) M(name, "t>i", time_part, param), M(name, "ts>i", time_part, param)
    PART("getFullYear", 'Y'),
    PART("getMonth", 'm'),
    PART("getDate", 'd'),
    PART("getDayOfMonth", 'e'),
    PART("getDayOfWeek", 'w'),
    PART("getDayOfYear", 'j'),
    PART("getHours", 'H'),
    M("getHours", "D>i", duration_part, 'H'),
    PART("getMinutes", 'M'),
    M("getMinutes", "D>i", duration_part, 'M'),
    PART("getSeconds", 'S'),
    M("getSeconds", "D>i", duration_part, 'S'),
    PART("getMilliseconds", 'f'),
    M("getMilliseconds", "D>i", duration_part, 'f'),
    M("contains", "ss>b", contains, 0),
    M("startsWith", "ss>b", starts, 0),
    M("endsWith", "ss>b", ends, 0),
    M("matches", "ss>b", matches, 0),
    F("matches", "ss>b", matches, 0),
    M("charAt", "si>s", char_at, 0),
    M("indexOf", "ss>i", index_of, 0),
    M("indexOf", "ssi>i", index_of, 0),
    M("lastIndexOf", "ss>i", last_index_of, 0),
    M("lastIndexOf", "ssi>i", last_index_of, 0),
    M("lowerAscii", "s>s", ascii_case, 'A'),
    M("upperAscii", "s>s", ascii_case, 'a'),
    M("replace", "sss>s", replace, 0),
    M("replace", "sssi>s", replace, 0),
    M("split", "ss>[s", split, 0),
    M("split", "ssi>[s", split, 0),
    M("substring", "si>s", substring, 0),
    M("substring", "sii>s", substring, 0),
    M("trim", "s>s", trim, 0),
    M("join", "[s>s", join, 0),
    M("join", "[ss>s", join, 0),
    M("reverse", "s>s", reverse, 0),
    M("format", "s[*>s", format, 0),
    F("strings.quote", "s>s", quote, 0),
    F("optional.of", "A>?A", opt_of, 0),
    F("optional.none", ">?A", opt_none, 0),
    F("optional.ofNonZeroValue", "A>?A", opt_of_non_zero, 0),
    M("hasValue", "?A>b", opt_has, 0),
    M("value", "?A>A", opt_value, 0),
    M("or", "?A?A>?A", opt_or, 0),
    M("orValue", "?AA>A", opt_or_value, 0),
};
const size_t cel_fn_count = FL_COUNTOF(cel_fns);

const struct cel_fn *cel_fn_find(struct fl_str name, bool is_method)
{
    for (size_t i = 0; i < cel_fn_count; i++) {
        if (cel_fns[i].is_method == is_method && fl_str_is(name, cel_fns[i].name))
            return &cel_fns[i];
    }
    return NULL;
}

bool cel_fn_is_same(const struct cel_fn *a, const struct cel_fn *b)
{
    return b < cel_fns + cel_fn_count && a->is_method == b->is_method &&
           strcmp(a->name, b->name) == 0;
}

/* Behind one type's letters. */
static const char *skip(const char *type)
{
    switch (*type) {
    case '[':
    case '?': return skip(type + 1);
    case '{': return skip(skip(type + 1)) + 1;
    default: return type + 1;
    }
}

static bool is_of(const char *type, const struct fl_cel_value *v)
{
    static const struct {
        char letter;
        enum fl_cel_kind kind;
    } kinds[] = {
        { '[', FL_CEL_LIST },     { '{', FL_CEL_MAP },   { 'b', FL_CEL_BOOL },
        { 'i', FL_CEL_INT },      { 'u', FL_CEL_UINT },  { 'd', FL_CEL_DOUBLE },
        { 's', FL_CEL_STRING },   { 'y', FL_CEL_BYTES }, { 't', FL_CEL_TIMESTAMP },
        { 'D', FL_CEL_DURATION },
    };
    switch (*type) {
    case 'A':
    case 'B':
    case '*': return true;
    case 'N': return v->kind == FL_CEL_INT || v->kind == FL_CEL_UINT || v->kind == FL_CEL_DOUBLE;
    case '?': /* an optional without a value fits them all */
        return v->kind == FL_CEL_OPTIONAL && (!v->some || is_of(type + 1, v->some));
    default: break;
    }
    for (size_t i = 0; i < FL_COUNTOF(kinds); i++) {
        if (kinds[i].letter == *type)
            return v->kind == kinds[i].kind;
    }
    FL_NEVER("a letter of the table");
}

bool cel_fn_takes(const struct cel_fn *fn, const struct fl_cel_value *args, size_t count)
{
    const char *type = fn->type;
    for (size_t i = 0; i < count; i++) {
        if (*type == '>' || !is_of(type, &args[i]))
            return false;
        type = skip(type);
    }
    return *type == '>';
}

struct fl_str cel_fn_shown(struct fl_str name)
{
    while (name.n && strchr("_@", name.p[0])) {
        name.p++;
        name.n--;
    }
    while (name.n && name.p[name.n - 1] == '_')
        name.n--;
    return name;
}
