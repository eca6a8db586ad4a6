/* What people and groups come to. */
#include "runtime/console/apply.h"

#define NOTHING ((struct fl_str){ NULL, 0 })

void fl_apply_detail(struct fl_buf *detail, const char *key, struct fl_str from, struct fl_str to)
{
    if (detail->n)
        fl_buf_puts(detail, "; ");
    fl_buf_printf(detail, "%s %.*s -> %.*s", key, FL_STR_ARG(from), FL_STR_ARG(to));
}

void fl_apply_note(struct fl_api *a, const char *what, struct fl_str name, const char *change,
                   struct fl_buf *detail)
{
    struct fl_apply *ap = a->user;
    struct fl_apply_change *c = FL_ARENA_NEW(a->arena, struct fl_apply_change);
    char *text = detail ? fl_arena_strndup(a->arena, detail->n ? detail->p : "", detail->n) : NULL;
    a->tx.is_nomem |= !c || (detail && (!text || detail->is_failed));
    if (detail)
        fl_buf_fini(detail);
    if (!c)
        return; /* the transaction fails for it */
    *c = (struct fl_apply_change){
        .what = what, .name = name, .change = change, .detail = text ? text : ""
    };
    if (ap->last)
        ap->last->next = c;
    else
        ap->first = c;
    ap->last = c;
}

static struct fl_apply_person *person_of(const struct fl_apply *ap, struct fl_str name)
{
    for (size_t i = 0; i < ap->person_count; i++) {
        if (fl_str_eq(ap->people[i].name, name))
            return &ap->people[i];
    }
    return NULL;
}

bool fl_apply_leaves(const struct fl_apply *ap, const struct fl_uuid *person)
{
    for (size_t i = 0; i < ap->leaving_count; i++) {
        if (fl_uuid_cmp(&ap->leaving[i].id, person) == 0)
            return true;
    }
    return false;
}

bool fl_apply_will_be_here(const struct fl_api *a, struct fl_str name, struct fl_uuid *ret_id)
{
    const struct fl_apply *ap = a->user;
    const struct fl_apply_person *p = person_of(ap, name);
    const struct fl_member *m = fl_change_member(a, name);
    if (p)
        *ret_id = p->id;
    else if (m && m->is_active && !fl_apply_leaves(ap, &m->id))
        *ret_id = m->id;
    else
        return false;
    return true;
}

/* ---------------------------------------------------------------- those in the document */
static bool may_alter(struct fl_api *a, const struct fl_apply_person *p,
                      const struct fl_member *target)
{
    const struct fl_apply *ap = a->user;
    if (fl_change_is_self(a, target))
        return true;
    if (!p->q_theirs)
        return fl_apply_refuse(a, FL_CONFLICT, "person", p->name,
                               "somebody changed it at this moment; try again");
    a->change->q_theirs = p->q_theirs;
    a->change->q_mine = ap->q_mine;
    return fl_change_may_alter(a, target);
}

static bool plan_here(struct fl_api *a, struct fl_apply_person *p, const struct fl_member *m)
{
    struct fl_buf detail = FL_BUF_INIT;
    bool is_about_owner = p->role == FL_ROLE_OWNER || m->role == FL_ROLE_OWNER;
    p->id = m->id;
    p->sets_role = p->role != FL_ROLE_NONE && p->role != m->role;
    bool is_renamed = p->display.p && !fl_str_eq(p->display, m->display);
    bool has_moved = p->email.p && !fl_str_eq(p->email, m->email);
    p->describes = is_renamed || has_moved;
    if ((p->sets_role && is_about_owner && !fl_change_may(a, FL_ACTION_MANAGE_OWNERS)) ||
        (p->describes && !may_alter(a, p, m)))
        return false;
    if (p->sets_role)
        fl_apply_detail(&detail, "role", fl_str_of(fl_role_name(m->role)),
                        fl_str_of(fl_role_name(p->role)));
    if (is_renamed)
        fl_apply_detail(&detail, "display_name", m->display, p->display);
    if (has_moved)
        fl_apply_detail(&detail, "email", m->email, p->email);
    if (p->sets_role || p->describes)
        fl_apply_note(a, "person", p->name, "changed", &detail);
    return true;
}

/* Who exists already is added on the host only: nobody else's consent is asked (people.c). */
static bool plan_joining(struct fl_api *a, struct fl_apply_person *p)
{
    struct fl_buf detail = FL_BUF_INIT;
    struct fl_member there = { .id = p->id, .name = p->name };
    p->joins = true;
    p->is_new = fl_uuid_is_zero(&p->id);
    if (p->role == FL_ROLE_NONE)
        return fl_apply_refuse(a, FL_BAD_PARAMS, "person", p->name,
                               "somebody who is new here needs a 'role'");
    if (p->role == FL_ROLE_OWNER && !fl_change_may(a, FL_ACTION_MANAGE_OWNERS))
        return false;
    if (!p->is_new && !a->is_control)
        return fl_apply_refuse(a, FL_CONFLICT, "person", p->name,
                               "the name is taken in this installation; who exists already is "
                               "added on the host only (control socket)");
    p->describes = !p->is_new && (p->display.p || p->email.p);
    if (p->describes && !may_alter(a, p, &there))
        return false;
    if (p->is_new)
        p->id = fl_uuid_new();
    fl_buf_printf(&detail, "role %s%s", fl_role_name(p->role),
                  p->is_new ? "; no passphrase yet" : "; existed in this installation");
    fl_apply_note(a, "person", p->name, "created", &detail);
    return true;
}

/* ---------------------------------------------------------------- those who go */
static bool plan_leaving(struct fl_api *a, const struct fl_member *m)
{
    struct fl_apply *ap = a->user;
    const struct fl_query *theirs = NULL;
    for (size_t i = 0; i < a->org->person_count; i++) {
        if (fl_uuid_cmp(&a->org->people[i].id, &m->id) == 0)
            theirs = ap->q_leaving[i];
    }
    if (!theirs)
        return fl_apply_refuse(a, FL_CONFLICT, "person", m->name,
                               "somebody changed it at this moment; try again");
    if (m->role == FL_ROLE_OWNER && !fl_change_may(a, FL_ACTION_MANAGE_OWNERS))
        return false;
    if (fl_change_is_self(a, m))
        return fl_apply_refuse(a, FL_CONFLICT, "person", m->name,
                               "nobody removes themselves; the document must have whoever applies "
                               "it");
    ap->leaving[ap->leaving_count++] =
        (struct fl_leaving){ .name = m->name, .id = m->id, .is_elsewhere = fl_rows(theirs) > 1 };
    fl_apply_note(a, "person", m->name, "removed", NULL);
    return true;
}

/* ---------------------------------------------------------------- who is left to decide */
static bool can_sign_in(const struct fl_apply *ap, struct fl_str name)
{
    const struct fl_apply_person *p = person_of(ap, name);
    for (size_t i = 0; !p && i < ap->admin_count; i++) {
        if (fl_str_eq(ap->admins[i], name))
            return ap->admin_has_secret[i];
    }
    return p && p->has_secret;
}

struct tally {
    int64_t before, after, sign_in;
    struct fl_str last; /* who is one no longer */
};

static bool is_one(enum fl_role role, bool only_owners)
{
    return role == FL_ROLE_OWNER || (role == FL_ROLE_ADMIN && !only_owners);
}

static void count(const struct fl_api *a, bool only_owners, struct tally *t)
{
    const struct fl_apply *ap = a->user;
    for (size_t i = 0; i < a->change->member_count; i++) {
        const struct fl_member *m = &a->change->members[i];
        const struct fl_apply_person *p = person_of(ap, m->name);
        bool was = m->is_active && is_one(m->role, only_owners);
        bool stays = m->is_active && !fl_apply_leaves(ap, &m->id);
        bool is = stays && is_one(p && p->sets_role ? p->role : m->role, only_owners);
        int64_t sign_in = can_sign_in(ap, m->name);
        t->before += was;
        t->after += is;
        t->sign_in += was && !is ? -sign_in : !was && is ? sign_in : 0;
        if (was && !is)
            t->last = m->name;
    }
    for (size_t i = 0; i < ap->person_count; i++) {
        const struct fl_apply_person *p = &ap->people[i];
        t->after += p->joins && is_one(p->role, only_owners);
        t->sign_in += p->joins && is_one(p->role, only_owners) && p->has_secret;
    }
}

/* An organization that had somebody who could set things right must not lose the last of them. */
static bool keeps_somebody(struct fl_api *a)
{
    const struct fl_apply *ap = a->user;
    for (int only_owners = 1; only_owners >= 0; only_owners--) {
        struct tally t = { 0 };
        int64_t could = fl_cell_int(only_owners ? ap->q_owners : ap->q_admins, 0, 0);
        count(a, only_owners, &t);
        bool is_none = t.before > 0 && t.after == 0;
        if (!t.last.p || (!is_none && (could == 0 || could + t.sign_in > 0)))
            continue;
        return fl_apply_refuse(a, FL_CONFLICT, "person", t.last, "is the %s%s",
                               only_owners ? "last owner" : "only administrator",
                               is_none ? "" : " who can sign in");
    }
    return true;
}

bool fl_apply_plan_people(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    if (!ap->has_people)
        return true;
    for (size_t i = 0; i < ap->person_count; i++) {
        struct fl_apply_person *p = &ap->people[i];
        const struct fl_member *m = fl_change_member(a, p->name);
        if (!(m && m->is_active ? plan_here(a, p, m) : plan_joining(a, p)))
            return false;
    }
    ap->leaving = fl_arena_array(a->arena, a->change->member_count + 1, sizeof *ap->leaving);
    if (!ap->leaving)
        return fl_apply_no_memory(a);
    for (size_t i = 0; ap->prunes && i < a->change->member_count; i++) {
        const struct fl_member *m = &a->change->members[i];
        if (m->is_active && !person_of(ap, m->name) && !plan_leaving(a, m))
            return false;
    }
    return keeps_somebody(a);
}

/* ---------------------------------------------------------------- groups */
static int group_row(const struct fl_query *groups, struct fl_str name)
{
    for (int i = 0; i < fl_rows(groups); i++) {
        if (fl_str_eq(fl_cell(groups, i, 1), name))
            return i;
    }
    return -1;
}

static bool is_listed(const struct fl_apply_group *g, struct fl_str name)
{
    for (size_t i = 0; i < g->member_count; i++) {
        if (fl_str_eq(g->members[i], name))
            return true;
    }
    return false;
}

static void put_sign(struct fl_buf *detail, const char *sign, struct fl_str name)
{
    fl_buf_printf(detail, "%s%s%.*s", detail->n ? " " : "", sign, FL_STR_ARG(name));
}

/* From those who are in it to those asked for. */
static bool plan_members(struct fl_api *a, struct fl_apply_group *g, struct fl_buf *detail)
{
    const struct fl_apply *ap = a->user;
    struct fl_str each;
    g->add = fl_arena_array(a->arena, g->member_count + 1, sizeof *g->add);
    g->remove = fl_arena_array(a->arena, a->change->member_count + 1, sizeof *g->remove);
    if (!g->add || !g->remove)
        return fl_apply_no_memory(a);
    for (size_t i = 0; i < g->member_count; i++) {
        struct fl_uuid id;
        if (!fl_apply_will_be_here(a, g->members[i], &id))
            return fl_apply_refuse(a, FL_BAD_PARAMS, "group", g->name,
                                   "'%.*s' is no active person here", FL_STR_ARG(g->members[i]));
        if (fl_list_has(g->were, g->members[i]))
            continue;
        g->add[g->add_count++] = id;
        put_sign(detail, "+", g->members[i]);
    }
    for (size_t pos = 0; fl_list_next(g->were, &pos, &each);) {
        const struct fl_member *m = fl_change_member(a, each);
        if (is_listed(g, each) || !m || fl_apply_leaves(ap, &m->id))
            continue;
        g->remove[g->remove_count++] = m->id;
        put_sign(detail, "-", each);
    }
    return true;
}

static bool plan_group(struct fl_api *a, struct fl_apply_group *g)
{
    const struct fl_apply *ap = a->user;
    struct fl_buf detail = FL_BUF_INIT;
    int row = group_row(ap->q_groups, g->name);
    g->is_new = row < 0;
    g->were = g->is_new ? NOTHING : fl_arena_str(a->arena, fl_cell(ap->q_groups, row, 3));
    if (g->has_members && !plan_members(a, g, &detail)) {
        fl_buf_fini(&detail);
        return false;
    }
    g->describes = !g->is_new && g->title.p && !fl_str_eq(g->title, fl_cell(ap->q_groups, row, 2));
    if (g->describes)
        fl_apply_detail(&detail, "title", fl_cell(ap->q_groups, row, 2), g->title);
    if (g->is_new || g->describes || g->add_count || g->remove_count)
        fl_apply_note(a, "group", g->name, g->is_new ? "created" : "changed", &detail);
    return true;
}

bool fl_apply_plan_groups(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    if (!ap->has_groups)
        return true;
    for (size_t i = 0; i < ap->group_count; i++) {
        if (!plan_group(a, &ap->groups[i]))
            return false;
    }
    size_t rows = (size_t)fl_rows(ap->q_groups);
    ap->gone_groups = fl_arena_array(a->arena, rows + 1, sizeof *ap->gone_groups);
    if (!ap->gone_groups)
        return fl_apply_no_memory(a);
    for (size_t i = 0; ap->prunes && i < rows; i++) {
        struct fl_str name = fl_arena_str(a->arena, fl_cell(ap->q_groups, (int)i, 1));
        bool is_kept = false;
        for (size_t k = 0; k < ap->group_count; k++)
            is_kept |= fl_str_eq(ap->groups[k].name, name);
        if (is_kept)
            continue;
        ap->gone_groups[ap->gone_group_count++] = (struct fl_apply_gone){ .name = name };
        fl_apply_note(a, "group", name, "removed", NULL);
    }
    return true;
}
