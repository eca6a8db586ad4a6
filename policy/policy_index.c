/* Which rules a tool's call has to look at: those that name it, those with a pattern for its
 * server, those with any other pattern. So the rules of other tools cost nothing. */
#include <stdlib.h>

#include "flopinio/base/mem.h"
#include "policy/policy_priv.h"

bool policy_is_pattern(struct fl_str entry)
{
    return entry.n && memchr(entry.p, '*', entry.n) != NULL;
}

struct fl_str policy_server_prefix(struct fl_str name)
{
    for (size_t i = 0; i + 1 < name.n && name.p[i] != '*'; i++) {
        if (name.p[i] == '_' && name.p[i + 1] == '_')
            return (struct fl_str){ name.p, i + 2 };
    }
    return (struct fl_str){ name.p, 0 };
}

/* Goes back to the last '*' only: that is enough, and bounds the work by pattern times text. */
bool fl_policy_glob(struct fl_str pattern, struct fl_str text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_t = 0;
    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            star_t = t;
        } else if (p < pattern.n && pattern.p[p] == text.p[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_t;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

bool policy_rule_names_tool(const struct policy_rule *rule, struct fl_str tool)
{
    for (size_t i = 0; i < rule->shown.tool_count; i++) {
        if (fl_policy_glob(rule->shown.tools[i], tool))
            return true;
    }
    return false;
}

/* ---- building ---- */
struct pair {
    struct fl_str key;
    uint16_t rule;
};

static int compare_keys(struct fl_str a, struct fl_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int by_key_and_rule(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int order = compare_keys(x->key, y->key);
    return order ? order : (x->rule > y->rule) - (x->rule < y->rule);
}

/* Sorted pairs become lists, a key each, without repeats. */
static bool make_lists(struct fl_policy *policy, struct pair *pairs, size_t n,
                       struct policy_list **ret, size_t *ret_count)
{
    if (n)
        qsort(pairs, n, sizeof *pairs, by_key_and_rule);
    struct policy_list *lists = fl_arena_array(policy->arena, n, sizeof *lists);
    uint16_t *rules = fl_arena_array(policy->arena, n, sizeof *rules);
    size_t count = 0, used = 0;
    if (!lists || !rules)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool is_new = i == 0 || !fl_str_eq(pairs[i].key, pairs[i - 1].key);
        if (!is_new && pairs[i].rule == pairs[i - 1].rule)
            continue;
        if (is_new)
            lists[count++] = (struct policy_list){ .key = pairs[i].key, .rules = rules + used };
        rules[used++] = pairs[i].rule;
        lists[count - 1].count++;
    }
    *ret = lists;
    *ret_count = count;
    return true;
}

bool policy_index(struct fl_policy *policy)
{
    size_t total = 0, exact = 0, server = 0, other = 0, other_count;
    struct policy_list *others;
    for (size_t i = 0; i < policy->rule_count; i++)
        total += policy->rules[i].shown.tool_count;
    struct pair *pairs = fl_calloc(3 * total, sizeof *pairs); /* each kind has a third */
    if (!pairs)
        return false;
    for (size_t i = 0; i < policy->rule_count; i++) {
        const struct fl_policy_rule *rule = &policy->rules[i].shown;
        for (size_t k = 0; k < rule->tool_count; k++) {
            struct fl_str entry = rule->tools[k], prefix = policy_server_prefix(entry);
            if (!policy_is_pattern(entry))
                pairs[exact++] = (struct pair){ entry, (uint16_t)i };
            else if (prefix.n)
                pairs[total + server++] = (struct pair){ prefix, (uint16_t)i };
            else
                pairs[2 * total + other++] = (struct pair){ FL_STR(""), (uint16_t)i };
        }
    }
    bool is_ok =
        make_lists(policy, pairs, exact, &policy->by_tool, &policy->by_tool_count) &&
        make_lists(policy, pairs + total, server, &policy->by_server, &policy->by_server_count) &&
        make_lists(policy, pairs + 2 * total, other, &others, &other_count);
    if (is_ok && other_count)
        policy->others = others[0];
    fl_free(pairs);
    return is_ok;
}

const struct policy_list *policy_list_find(const struct policy_list *lists, size_t count,
                                           struct fl_str key)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_keys(lists[middle].key, key);
        if (order == 0)
            return &lists[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
