/* What changes between two documents, by rule: a reviewer of a policy change reads this. */
#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "policy/policy_priv.h"

/* "key: old -> new" for each member that differs, each line behind `indent`. */
static void put_changes(const json_t *from, const json_t *to, const char *indent,
                        struct fl_buf *out)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)from, key, value) {
        const json_t *now = json_object_get(to, key);
        if (now && json_equal(value, now))
            continue;
        fl_buf_printf(out, "%s%s: ", indent, key);
        fl_json_put(out, value);
        fl_buf_puts(out, " -> ");
        if (now)
            fl_json_put(out, now);
        else
            fl_buf_puts(out, "(removed)");
        fl_buf_putc(out, '\n');
    }
    json_object_foreach ((json_t *)to, key, value) {
        if (json_object_get(from, key))
            continue;
        fl_buf_printf(out, "%s%s: (new) ", indent, key);
        fl_json_put(out, value);
        fl_buf_putc(out, '\n');
    }
}

static void put_rule(const char *sign, const json_t *rule, size_t at, struct fl_buf *out)
{
    struct fl_str name = fl_json_get_str(rule, "name"), effect = fl_json_get_str(rule, "effect");
    fl_buf_printf(out, "%s rule %zu '%.*s': %.*s ", sign, at + 1, FL_STR_ARG(name),
                  FL_STR_ARG(effect));
    fl_json_put(out, json_object_get(rule, "tools"));
    fl_buf_putc(out, '\n');
}

/* For each rule: where the one of the same name stands in the other document; SIZE_MAX: nowhere. */
static void find_all(const json_t *rules, const json_t *others, size_t *ret)
{
    for (size_t i = 0; i < json_array_size(rules); i++) {
        struct fl_str name = fl_json_get_str(json_array_get(rules, i), "name");
        ret[i] = SIZE_MAX;
        for (size_t k = 0; k < json_array_size(others) && ret[i] == SIZE_MAX; k++) {
            if (fl_str_eq(fl_json_get_str(json_array_get(others, k), "name"), name))
                ret[i] = k;
        }
    }
}

/* A rule moved if it is not in the longest run of rules that kept their order: so one that went
 * from the top to the end is one move, and those that only shifted are none. */
static void find_moves(const size_t *was, size_t n, size_t *length, size_t *before, bool *ret_moved)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        ret_moved[i] = was[i] != SIZE_MAX;
        length[i] = 1;
        before[i] = SIZE_MAX;
        for (size_t k = 0; k < i && was[i] != SIZE_MAX; k++) {
            if (was[k] != SIZE_MAX && was[k] < was[i] && length[k] >= length[i]) {
                length[i] = length[k] + 1;
                before[i] = k;
            }
        }
        if (was[i] != SIZE_MAX && (best == SIZE_MAX || length[i] > length[best]))
            best = i;
    }
    for (; best != SIZE_MAX; best = before[best])
        ret_moved[best] = false;
}

static void put_rules(const json_t *from, const json_t *to, const size_t *was, const bool *is_moved,
                      struct fl_buf *out)
{
    for (size_t i = 0; i < json_array_size(to); i++) {
        const json_t *rule = json_array_get(to, i), *old = json_array_get(from, was[i]);
        if (!old) {
            put_rule("+", rule, i, out);
            continue;
        }
        if (json_equal(old, rule) && !is_moved[i])
            continue;
        fl_buf_printf(out, "~ rule %zu '%.*s'", i + 1, FL_STR_ARG(fl_json_get_str(rule, "name")));
        if (is_moved[i])
            fl_buf_printf(out, ", moved from %zu", was[i] + 1);
        fl_buf_putc(out, '\n');
        put_changes(old, rule, "    ", out);
    }
}

enum fl_code fl_policy_diff(const json_t *from, const json_t *to, struct fl_buf *out,
                            struct fl_err *err)
{
    const json_t *old_rules = json_object_get(from, "rules");
    const json_t *new_rules = json_object_get(to, "rules");
    const json_t *old_defaults = json_object_get(from, "defaults");
    const json_t *new_defaults = json_object_get(to, "defaults");
    size_t new_count = json_array_size(new_rules), old_count = json_array_size(old_rules);
    size_t *places = fl_calloc(3 * new_count + old_count, sizeof *places);
    bool *is_moved = fl_calloc(new_count, sizeof *is_moved);
    enum fl_code code = FL_NOMEM;
    if (!places || !is_moved) {
        fl_err_code(err, FL_NOMEM);
        goto out;
    }
    size_t *was = places, *now = places + 3 * new_count; /* and two for find_moves between them */
    find_all(new_rules, old_rules, was);
    find_all(old_rules, new_rules, now);
    find_moves(was, new_count, was + new_count, was + 2 * new_count, is_moved);
    if (!json_equal(old_defaults, new_defaults) && (old_defaults || new_defaults)) {
        fl_buf_puts(out, "~ defaults\n");
        put_changes(old_defaults, new_defaults, "    ", out);
    }
    put_rules(old_rules, new_rules, was, is_moved, out);
    for (size_t i = 0; i < old_count; i++) {
        if (now[i] == SIZE_MAX)
            put_rule("-", json_array_get(old_rules, i), i, out);
    }
    code = fl_buf_code(out, err);
out:
    fl_free(places);
    fl_free(is_moved);
    return code;
}
