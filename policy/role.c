/* The table of roles and actions. */
#include "policy/role.h"

#include <stdio.h>

static const struct {
    const char *name;
    const char *with_article;
} roles[FL_ROLE_COUNT] = { [FL_ROLE_NONE] = { "none", NULL },
#define X(name, text, a) [FL_ROLE_##name] = { text, a },
                           FL_ROLES(X)
#undef X
};

static const struct {
    const char *text;
    bool may[FL_ROLE_COUNT];
} actions[FL_ACTION_COUNT] = {
#define X(name, text, o, a, p, u, m) [FL_ACTION_##name] = { text, { false, o, a, p, u, m } },
    FL_ACTIONS(X)
#undef X
};

bool fl_role_may(enum fl_role role, enum fl_action action)
{
    /* Read from a row or a wire, either may be anything. */
    if ((unsigned)role >= FL_ROLE_COUNT || (unsigned)action >= FL_ACTION_COUNT)
        return false;
    return actions[action].may[role];
}

/* "owner, admin or approver" */
static void who_may(enum fl_action action, char *out, size_t size)
{
    size_t n = 0;
    unsigned left = 0;
    for (unsigned r = 0; r < FL_ROLE_COUNT; r++)
        left += actions[action].may[r];
    out[0] = 0;
    for (unsigned r = 0; r < FL_ROLE_COUNT && n < size; r++) {
        if (!actions[action].may[r])
            continue;
        left--;
        n += (size_t)snprintf(out + n, size - n, "%s%s", roles[r].name,
                              left > 1    ? ", "
                              : left == 1 ? " or "
                                          : "");
    }
}

enum fl_code fl_role_require(enum fl_role role, enum fl_action action, struct fl_err *err)
{
    char who[100];
    if (fl_role_may(role, action))
        return FL_OK;
    if ((unsigned)action >= FL_ACTION_COUNT)
        return fl_err_code(err, FL_FORBIDDEN);
    who_may(action, who, sizeof who);
    if (role == FL_ROLE_NONE || (unsigned)role >= FL_ROLE_COUNT)
        return fl_err_set(err, FL_FORBIDDEN, "without a role nobody may %s (%s may)",
                          actions[action].text, who);
    return fl_err_set(err, FL_FORBIDDEN, "%s may not %s (%s may)", roles[role].with_article,
                      actions[action].text, who);
}

void fl_role_list(enum fl_action action, char ret[FL_ROLES_BYTES])
{
    size_t n = 0;
    ret[0] = 0;
    for (unsigned r = 0; r < FL_ROLE_COUNT; r++) {
        if (fl_role_may((enum fl_role)r, action))
            n += (size_t)snprintf(ret + n, FL_ROLES_BYTES - n, "%s%s", n ? "," : "", roles[r].name);
        FL_ASSERT(n < FL_ROLES_BYTES);
    }
}

const char *fl_role_name(enum fl_role role)
{
    return roles[(unsigned)role < FL_ROLE_COUNT ? role : FL_ROLE_NONE].name;
}

enum fl_role fl_role_parse(struct fl_str text)
{
    for (unsigned r = FL_ROLE_NONE + 1; r < FL_ROLE_COUNT; r++) {
        if (fl_str_is(text, roles[r].name))
            return (enum fl_role)r;
    }
    return FL_ROLE_NONE;
}

const char *fl_action_text(enum fl_action action)
{
    FL_ASSERT((unsigned)action < FL_ACTION_COUNT);
    return actions[action].text;
}
