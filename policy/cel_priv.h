/* Shared inside the expression engine (cel*.c): the tree, the static types, the function table and
 * the evaluation in hand. Nobody else includes this. */
#ifndef FLOPINIO_POLICY_CEL_PRIV_H
#define FLOPINIO_POLICY_CEL_PRIV_H

#include "policy/cel.h"
#include "policy/zone.h"

enum {
    CEL_SOURCE_MAX = 4096,
    CEL_HEIGHT_MAX = 100, /* bounds every recursion over the tree */
    CEL_DEPTH_MAX = 200,  /* of values: the tree of the arguments plus what is built around it */
    CEL_ARGS_MAX = 8,     /* of a call, the target counted */
    CEL_VARS_MAX = 32
};

/* ---- the tree ---- */
enum cel_op {
    CEL_CONST,
    CEL_IDENT,  /* before names are resolved */
    CEL_VAR,    /* slot of env->vars */
    CEL_LOCAL,  /* slot of the run's locals */
    CEL_SELECT, /* kids: operand */
    CEL_CALL,   /* kids: arguments, the target first */
    CEL_LIST,
    CEL_MAP, /* kids: key, value, key, value */
    CEL_AND, /* kids: two or more */
    CEL_OR,
    CEL_COND,
    CEL_LOOP, /* kids: range, body, filter (may be NULL) */
    CEL_BIND, /* kids: value, body */
    CEL_FAIL  /* unchecked only: a name that does not exist; an error when it is evaluated */
};

enum cel_loop {
    CEL_ALL,
    CEL_EXISTS,
    CEL_EXISTS_ONE,
    CEL_MAP_LIST, /* map, filter, transformList */
    CEL_FILTER,
    CEL_TRANSFORM_MAP,
    CEL_OPT_MAP,
    CEL_OPT_FLAT_MAP
};

struct cel_type;
struct cel_fn;
struct cel_regex;

struct cel_node {
    enum cel_op op;
    enum cel_loop loop;
    uint16_t height;
    bool is_test;     /* select: has() */
    bool is_optional; /* select: .? */
    bool is_quoted;   /* select: `field` */
    bool is_absolute; /* ident, global call: leading dot */
    bool is_method;   /* call: the first kid is the target */
    uint16_t slot;    /* var; local, loop, bind: the first local */
    uint32_t at;      /* byte offset in the source */
    uint32_t kid_count;
    struct cel_node **kids;
    const bool *is_kid_optional; /* list, map: `?e`; NULL if none is */
    struct fl_str name;          /* ident, field, function, loop and bind: the variable */
    union {
        struct fl_cel_value value;         /* const */
        struct fl_str name2;               /* loop: the second variable; p NULL if there is none */
        struct {                           /* call */
            const struct cel_fn *fn;       /* the first overload of its name */
            const struct cel_regex *regex; /* of matches */
            const struct fl_zone *zone;    /* of a timestamp's part in a named zone */
        };
    };
};

struct fl_cel {
    struct fl_arena *arena;
    struct fl_str source;
    struct cel_node *root;
    const char *type_text;
    bool may_be_bool;
    uint32_t reads; /* bit per variable */
    uint16_t local_count;
    size_t path_count;
    const char **paths;        /* see fl_cel_path */
    struct cel_regex *regexes; /* freed with the program */
};

/* ---- a compilation ---- */
struct cel_local {
    struct fl_str name;
    const struct cel_type *type;
    struct fl_str path;
};

struct cel_compile {
    struct fl_cel *program;
    struct fl_arena *arena;   /* the program's */
    struct fl_arena *scratch; /* for what only the compilation needs: there are many programs */
    const char *paths[FL_CEL_PATHS_MAX];
    size_t path_count;
    const struct fl_cel_env *env;
    struct fl_err *err;
    enum fl_code code;                           /* the first error; FL_OK so far */
    struct cel_local locals[2 * CEL_HEIGHT_MAX]; /* in scope */
    size_t local_count;
    struct cel_binding *trail; /* type variables bound so far, to undo a failed overload */
    size_t trail_count, trail_cap;
    size_t type_work; /* steps over types so far */
};

/* Keeps the first error, with the place in front; returns NULL for the caller to return. */
void *cel_error(struct cel_compile *c, uint32_t at, const char *fmt, ...) FL_PRINTF(3, 4);
void *cel_nomem(struct cel_compile *c);
struct cel_node *cel_node_new(struct cel_compile *c, enum cel_op op, uint32_t at);
/* Sets the kids (copied) and the height. */
struct cel_node *cel_node_kids(struct cel_compile *c, struct cel_node *node,
                               struct cel_node *const *kids, size_t count);

/* The passes, in order; each returns false with c->code set. */
struct cel_node *cel_parse(struct cel_compile *c, struct fl_str source);
/* Patterns and time zones of a call whose arguments are resolved. */
bool cel_prepare(struct cel_compile *c, struct cel_node *call);
/* A macro call becomes a loop, a bind or a has(); anything else is returned as it is. */
struct cel_node *cel_expand_macro(struct cel_compile *c, struct cel_node *call);
bool cel_resolve(struct cel_compile *c, struct cel_node *root);
bool cel_check(struct cel_compile *c, struct cel_node *root);

/* ---- the lexer ---- */
enum cel_token {
    CEL_T_END,
    CEL_T_IDENT,
    CEL_T_QUOTED, /* `field` */
    CEL_T_INT,    /* digits, decimal or hex: number */
    CEL_T_UINT,
    CEL_T_DOUBLE,
    CEL_T_STRING,
    CEL_T_BYTES,
    CEL_T_PUNCT, /* punct */
    CEL_T_ERROR
};
struct cel_lexer {
    struct cel_compile *c;
    struct fl_str source;
    size_t pos; /* behind the current token */
    enum cel_token token;
    uint32_t at;
    struct fl_str text; /* ident: the name; string, bytes: the value */
    uint64_t number;
    double real;
    char punct[3]; /* "(", "&&", ... */
};
void cel_lex(struct cel_lexer *l); /* to the next token */
bool cel_is_reserved(struct fl_str name);
bool cel_is_keyword(struct fl_str name);

/* ---- static types ---- */
enum cel_static { /* continues enum fl_cel_kind */
                  CEL_TYPE_DYN = FL_CEL_KIND_COUNT,
                  CEL_TYPE_NUMBER, /* parameters only: int, uint or double */
                  CEL_TYPE_VAR
};
struct cel_type {
    int kind;                     /* fl_cel_kind or cel_static */
    const struct cel_type *a, *b; /* list, optional: a; map: a to b */
    const struct cel_type *bound; /* var: what it stands for; NULL: free */
};
extern const struct cel_type cel_dyn;
const struct cel_type *cel_type_simple(int kind);
const struct cel_type *cel_type_new(struct cel_compile *c, int kind, const struct cel_type *a,
                                    const struct cel_type *b);
/* Reads one type's letters at *text and moves it; `vars` are the two type parameters A and B. */
const struct cel_type *cel_type_read(struct cel_compile *c, const char **text,
                                     const struct cel_type **vars);
/* What a bound variable stands for. */
const struct cel_type *cel_type_of(const struct cel_type *type);
bool cel_type_is_dyn(const struct cel_type *type); /* or a free variable */
/* Makes `from` fit `to` by binding variables; false if it cannot, with bindings left over that
 * cel_type_undo takes back to where c->trail_count was before. */
void cel_type_undo(struct cel_compile *c, size_t trail_count);
bool cel_type_fit(struct cel_compile *c, const struct cel_type *to, const struct cel_type *from);
/* The most general of two types that fit; dyn if they do not. */
const struct cel_type *cel_type_join(struct cel_compile *c, const struct cel_type *a,
                                     const struct cel_type *b);
void cel_type_put(struct fl_buf *out, const struct cel_type *type);

/* ---- functions ---- */
struct cel_ev;
typedef struct fl_cel_value cel_impl(struct cel_ev *ev, const struct cel_node *node,
                                     const struct fl_cel_value *args);
struct cel_fn {
    const char *name;
    bool is_method;
    const char *type; /* as in struct fl_cel_var, A and B type parameters, N a number; '>' result */
    cel_impl *impl;
    int param; /* tells entries that share an impl apart */
};
extern const struct cel_fn cel_fns[];
extern const size_t cel_fn_count;
/* The first overload of the name, the others follow it; NULL if there is none. */
const struct cel_fn *cel_fn_find(struct fl_str name, bool is_method);
bool cel_fn_is_same(const struct cel_fn *a, const struct cel_fn *b); /* b may be past the end */
/* Does the entry take these values? Elements of lists and maps are not looked at. */
bool cel_fn_takes(const struct cel_fn *fn, const struct fl_cel_value *args, size_t count);
/* "_+_" -> "+" */
struct fl_str cel_fn_shown(struct fl_str name);

/* ---- evaluation ---- */
struct cel_ev {
    const struct fl_cel *program;
    struct fl_cel_run *run;
    size_t used_before;
    struct fl_cel_value *locals;
    enum fl_code fatal;      /* a bound or no memory: nothing absorbs it */
    const struct cel_fn *fn; /* during an impl */
};
struct fl_cel_value cel_eval(struct cel_ev *ev, const struct cel_node *node);
struct fl_cel_value cel_fail(struct cel_ev *ev, const char *text);
struct fl_cel_value cel_failf(struct cel_ev *ev, const char *fmt, ...) FL_PRINTF(2, 3);
struct fl_cel_value cel_fatal(struct cel_ev *ev, enum fl_code code);
/* Takes steps for work on that many bytes or items; false when there are not so many left. */
bool cel_charge(struct cel_ev *ev, size_t bytes);
/* NULL (and fatal) when there is no memory or the bound is hit. */
void *cel_alloc(struct cel_ev *ev, size_t count, size_t size);
/* The text of a buffer as a string value; frees the buffer. */
struct fl_cel_value cel_take(struct cel_ev *ev, struct fl_buf *buf);
/* An empty buffer that may grow to what is left of the run's memory. */
void cel_buf_init(const struct cel_ev *ev, struct fl_buf *buf);

static inline bool cel_is_error(const struct fl_cel_value *v)
{
    return v->kind == FL_CEL_ERROR;
}

/* Walks the items of a list or the entries of a map; start zeroed but for `of`. */
struct cel_walk {
    const struct fl_cel_value *of;
    size_t at;
    void *iter;
};
bool cel_walk_next(struct cel_walk *w, struct fl_cel_value *ret_key,
                   struct fl_cel_value *ret_value);
/* 1 equal, 0 not, -1 fatal; ev NULL: without bounds. */
int cel_equal(struct cel_ev *ev, const struct fl_cel_value *a, const struct fl_cel_value *b,
              unsigned depth);
/* <0, 0, >0; false if one is NaN. Only for kinds that an overload of '<' takes together. */
bool cel_compare(const struct fl_cel_value *a, const struct fl_cel_value *b, int *ret);
/* The value at a key; false if there is none (or the key cannot be one, or fatal). */
bool cel_map_get(struct cel_ev *ev, const struct fl_cel_value *map, const struct fl_cel_value *key,
                 struct fl_cel_value *ret);
bool cel_is_key(const struct fl_cel_value *key);

/* ---- text forms, shared by conversions and format ---- */
void cel_put_double(struct fl_buf *out, double d);
void cel_put_timestamp(struct fl_buf *out, const struct fl_cel_value *v);
void cel_put_duration(struct fl_buf *out, int64_t ns);

/* "UTC", "", "+01:30", "-02:30", "02:00": seconds east; false for anything else. */
bool cel_zone_fixed(struct fl_str name, int32_t *ret_offset_s);

/* ---- patterns ---- */
struct cel_regex *cel_regex_new(struct cel_compile *c, uint32_t at, struct fl_str pattern);
void cel_regex_free(struct cel_regex **list); /* the whole list */
/* 1 found, 0 not, -1 fatal (set). */
int cel_regex_find(struct cel_ev *ev, const struct cel_regex *regex, struct fl_str subject);

/* Implementations, by file. */
#define CEL_IMPL(name) cel_impl cel_fn_##name
CEL_IMPL(not );
CEL_IMPL(negate);
CEL_IMPL(arith_int);
CEL_IMPL(arith_uint);
CEL_IMPL(arith_double);
CEL_IMPL(concat_text);
CEL_IMPL(concat_list);
CEL_IMPL(equal);
CEL_IMPL(order);
CEL_IMPL(in_list);
CEL_IMPL(in_map);
CEL_IMPL(index);
CEL_IMPL(size);
CEL_IMPL(identity);
CEL_IMPL(type);
CEL_IMPL(to_int);
CEL_IMPL(to_uint);
CEL_IMPL(to_double);
CEL_IMPL(to_string);
CEL_IMPL(to_bytes);
CEL_IMPL(to_bool);
CEL_IMPL(to_timestamp);
CEL_IMPL(to_duration);
CEL_IMPL(arith_time);
CEL_IMPL(time_part);
CEL_IMPL(duration_part);
CEL_IMPL(contains);
CEL_IMPL(starts);
CEL_IMPL(ends);
CEL_IMPL(matches);
CEL_IMPL(char_at);
CEL_IMPL(index_of);
CEL_IMPL(last_index_of);
CEL_IMPL(ascii_case);
CEL_IMPL(replace);
CEL_IMPL(split);
CEL_IMPL(substring);
CEL_IMPL(trim);
CEL_IMPL(join);
CEL_IMPL(reverse);
CEL_IMPL(quote);
CEL_IMPL(format);
CEL_IMPL(opt_of);
CEL_IMPL(opt_none);
CEL_IMPL(opt_of_non_zero);
CEL_IMPL(opt_has);
CEL_IMPL(opt_value);
CEL_IMPL(opt_or);
CEL_IMPL(opt_or_value);

#endif
