/* Votes and people as the quorum wants them. */
#include "runtime/approval/ballot.h"

#include "runtime/store/sql.h"

static enum fl_code read_people(struct fl_ballot *b, struct fl_arena *arena,
                                const struct fl_query *q, struct fl_err *err)
{
    int rows = fl_rows(q);
    b->people = fl_arena_array(arena, (size_t)rows + 1, sizeof *b->people);
    b->away_until_ms = fl_arena_array(arena, (size_t)rows + 1, sizeof *b->away_until_ms);
    if (!b->people || !b->away_until_ms)
        return fl_err_code(err, FL_NOMEM);
    for (int i = 0; i < rows; i++) {
        b->away_until_ms[i] = fl_cell_int(q, i, 8);
        struct fl_quorum_person *p = &b->people[b->person_count++];
        struct fl_str groups = fl_cell_copy(q, arena, i, 4);
        size_t count = groups.n ? 1 : 0;
        for (size_t k = 0; k < groups.n; k++)
            count += groups.p[k] == ',';
        struct fl_str *list = fl_arena_array(arena, count + 1, sizeof *list);
        if (!groups.p || !list)
            return fl_err_code(err, FL_NOMEM);
        for (size_t k = 0, from = 0; k < count; k++) {
            size_t to = from;
            while (to < groups.n && groups.p[to] != ',')
                to++;
            list[k] = (struct fl_str){ groups.p + from, to - from };
            from = to + 1;
        }
        *p = (struct fl_quorum_person){ .id = fl_cell_uuid(q, i, 0),
                                        .name = fl_cell_copy(q, arena, i, 1),
                                        .role = fl_role_parse(fl_cell(q, i, 2)),
                                        .is_active = fl_cell_bool(q, i, 3),
                                        .groups = list,
                                        .group_count = count,
                                        .delegate = fl_cell_uuid(q, i, 7) };
    }
    return FL_OK;
}

static void exclude(struct fl_ballot *b, struct fl_uuid person, enum fl_exclusion why)
{
    b->excluded[b->excluded_count++] = (struct fl_quorum_excluded){ person, why };
}

static enum fl_code read_excluded(struct fl_ballot *b, struct fl_arena *arena,
                                  const struct fl_approval *row, struct fl_err *err)
{
    struct fl_str editors = row->earlier_editors;
    struct fl_uuid editor;
    b->excluded = fl_arena_array(arena, 4 + editors.n / FL_UUID_TEXT, sizeof *b->excluded);
    if (!b->excluded)
        return fl_err_code(err, FL_NOMEM);
    /* Who answers for the agent today is no better judge of it than who did when it asked. */
    exclude(b, row->owner_id, FL_EXCLUDED_OWNER);
    if (fl_uuid_cmp(&row->owner_id, &row->agent_owner_id) != 0)
        exclude(b, row->agent_owner_id, FL_EXCLUDED_OWNER);
    if (!fl_uuid_is_zero(&row->editor_id))
        exclude(b, row->editor_id, FL_EXCLUDED_EDITOR);
    /* Nor who changed it before somebody changed it again. */
    for (size_t at = 0; at < editors.n; at += FL_UUID_TEXT) {
        FL_ASSERT(fl_uuid_parse((struct fl_str){ editors.p + at, FL_UUID_TEXT - 1 }, &editor));
        exclude(b, editor, FL_EXCLUDED_EDITOR);
    }
    return FL_OK;
}

enum fl_code fl_ballot_read(struct fl_ballot *b, struct fl_arena *arena,
                            const struct fl_query *people, const struct fl_query *votes,
                            const struct fl_approval *row, struct fl_err *err)
{
    *b = (struct fl_ballot){ 0 };
    enum fl_code code = read_people(b, arena, people, err);
    if (code)
        return code;
    int rows = fl_rows(votes);
    b->voters = fl_arena_array(arena, (size_t)rows + 1, sizeof *b->voters);
    b->votes = fl_arena_array(arena, (size_t)rows + 1, sizeof *b->votes);
    if (!b->voters || !b->votes)
        return fl_err_code(err, FL_NOMEM);
    for (int i = 0; i < rows; i++) {
        struct fl_ballot_vote *v = &b->voters[i];
        v->person = fl_cell_uuid(votes, i, 0);
        v->approves = fl_str_is(fl_cell(votes, i, 1), "approve");
        v->has_second_factor = fl_cell_bool(votes, i, 2);
        v->reason = fl_cell_copy(votes, arena, i, 3);
        v->via = fl_cell_copy(votes, arena, i, 4);
        v->at_ms = fl_cell_int(votes, i, 5);
        v->name = fl_cell_copy(votes, arena, i, 6);
        v->is_owner = fl_cell_bool(votes, i, 7);
        v->for_people = fl_cell_copy(votes, arena, i, 8);
        b->votes[b->vote_count++] =
            (struct fl_quorum_vote){ v->person, v->approves, v->has_second_factor, v->for_people };
    }
    return read_excluded(b, arena, row, err);
}

bool fl_ballot_is_owner(const struct fl_ballot *b, const struct fl_uuid *person)
{
    bool is_owner = false;
    for (size_t i = 0; i < b->excluded_count; i++)
        is_owner |= b->excluded[i].why == FL_EXCLUDED_OWNER &&
                    fl_uuid_cmp(&b->excluded[i].person, person) == 0;
    return is_owner;
}

bool fl_ballot_is_excluded(const struct fl_ballot *b, const struct fl_uuid *person)
{
    for (size_t i = 0; i < b->excluded_count; i++) {
        if (fl_uuid_cmp(&b->excluded[i].person, person) == 0)
            return true;
    }
    return false;
}

void fl_ballot_facts(const struct fl_ballot *b, const struct fl_ask *ask,
                     struct fl_quorum_facts *ret)
{
    *ret = (struct fl_quorum_facts){ .ask = ask,
                                     .people = b->people,
                                     .person_count = b->person_count,
                                     .votes = b->votes,
                                     .vote_count = b->vote_count,
                                     .excluded = b->excluded,
                                     .excluded_count = b->excluded_count };
}

const struct fl_quorum_person *fl_ballot_person(const struct fl_ballot *b, const struct fl_uuid *id)
{
    for (size_t i = 0; i < b->person_count; i++) {
        if (fl_uuid_cmp(&b->people[i].id, id) == 0)
            return &b->people[i];
    }
    return NULL;
}

enum fl_code fl_ballot_stands_in(const struct fl_ballot *b, const struct fl_ask *ask,
                                 const struct fl_quorum_person *person, struct fl_arena *arena,
                                 struct fl_str *ret, struct fl_err *err)
{
    struct fl_quorum_facts facts;
    struct fl_buf names = FL_BUF_INIT;
    enum fl_code code = FL_OK;
    *ret = (struct fl_str){ NULL, 0 };
    fl_ballot_facts(b, ask, &facts);
    for (size_t i = 0; i < b->person_count && !code; i++) {
        bool is_one = false;
        code = fl_quorum_stands_in(&facts, person, &b->people[i], &is_one, err);
        if (!is_one)
            continue;
        fl_buf_puts(&names, names.n ? "," : "");
        fl_buf_str(&names, b->people[i].name);
    }
    if (names.n)
        *ret = fl_arena_str(arena, fl_buf_view(&names));
    if (!code && (names.is_failed || (names.n && !ret->p)))
        code = fl_err_code(err, FL_NOMEM);
    fl_buf_fini(&names);
    return code;
}

void fl_ballot_vote(struct fl_ballot *b, const struct fl_uuid *person, bool approves,
                    bool has_second_factor, struct fl_str for_people)
{
    size_t at = 0;
    while (at < b->vote_count && fl_uuid_cmp(&b->votes[at].person, person) != 0)
        at++;
    b->votes[at] = (struct fl_quorum_vote){ *person, approves, has_second_factor, for_people };
    if (at == b->vote_count)
        b->vote_count++;
}

void fl_ballot_progress(const struct fl_quorum *quorum, struct fl_buf *out)
{
    for (size_t i = 0; i < quorum->threshold_count; i++) {
        if (i)
            fl_buf_puts(out, "; ");
        fl_buf_puts(out, quorum->thresholds[i].text);
    }
}
