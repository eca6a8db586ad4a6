/* Questions to a snapshot. */
#include <stdlib.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "flopinio/base/scan.h"
#include "mcp/schema.h"
#include "runtime/approval/org.h"

const struct fl_org_tool *fl_org_tool(const struct fl_org *org, struct fl_str published)
{
    size_t low = 0, high = org->tool_count; /* sorted by the database, in byte order */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        struct fl_str at = org->tools[mid].published;
        size_t n = at.n < published.n ? at.n : published.n;
        int cmp = n ? memcmp(at.p, published.p, n) : 0;
        if (cmp == 0 && at.n == published.n)
            return &org->tools[mid];
        if (cmp < 0 || (cmp == 0 && at.n < published.n))
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct fl_org_server *fl_org_server(const struct fl_org *org, struct fl_str name)
{
    for (size_t i = 0; i < org->server_count; i++) {
        if (fl_str_eq(org->servers[i].name, name))
            return &org->servers[i];
    }
    return NULL;
}

const struct fl_org_person *fl_org_person(const struct fl_org *org, const struct fl_uuid *id)
{
    for (size_t i = 0; i < org->person_count; i++) {
        if (fl_uuid_cmp(&org->people[i].id, id) == 0)
            return &org->people[i];
    }
    return NULL;
}

enum fl_code fl_org_tool_validate(const struct fl_org_tool *const_tool, const json_t *arguments,
                                  struct fl_err *err)
{
    /* The compiled schema is a cache inside the snapshot; everything else in it never changes. */
    struct fl_org_tool *tool = (struct fl_org_tool *)const_tool;
    if (!tool->schema && tool->schema_err.code == FL_OK) {
        json_t *d = fl_json_parse(tool->definition, &tool->schema_err);
        if (d)
            (void)!fl_schema_new(json_object_get(d, "inputSchema"), NULL, &tool->schema,
                                 &tool->schema_err);
        json_decref(d);
    }
    if (!tool->schema) {
        struct fl_err why = tool->schema_err;
        if (why.code == FL_NOMEM)
            tool->schema_err.code = FL_OK; /* the next call may have more luck */
        return fl_err_set(err, FL_INTERNAL, "the tool's input schema cannot be used: %.200s",
                          why.text);
    }
    return fl_schema_validate(tool->schema, arguments, err);
}

bool fl_org_tool_fits(const struct fl_org_tool *tool, struct fl_str arguments)
{
    if (tool->takes_reason && fl_span_get(arguments, FL_REASON_ARGUMENT).p)
        return false;
    return tool->schema && fl_schema_fits_flat(tool->schema, arguments);
}

const struct fl_org_stop *fl_org_stopped(const struct fl_org *org, struct fl_str agent,
                                         const struct fl_uuid *owner,
                                         const struct fl_org_tool *tool)
{
    const struct fl_org_person *person = org->stop_count ? fl_org_person(org, owner) : NULL;
    int64_t now = org->stop_count ? fl_real_ms() : 0;
    for (size_t i = 0; i < org->stop_count; i++) {
        const struct fl_org_stop *s = &org->stops[i];
        bool is_covered = false;
        if (s->until_ms && s->until_ms <= now)
            continue;
        if (fl_str_is(s->scope, "org"))
            is_covered = true;
        else if (fl_str_is(s->scope, "agent"))
            is_covered = fl_str_eq(s->name, agent);
        else if (fl_str_is(s->scope, "server"))
            is_covered = tool && fl_str_eq(s->name, tool->server->name);
        else if (fl_str_is(s->scope, "tool"))
            is_covered = tool && fl_str_eq(s->name, tool->published);
        else if (fl_str_is(s->scope, "person"))
            is_covered = person && fl_str_eq(s->name, person->name);
        for (size_t g = 0; person && fl_str_is(s->scope, "group") && g < person->group_count; g++)
            is_covered |= fl_str_eq(s->name, person->groups[g]);
        if (is_covered)
            return s;
    }
    return NULL;
}

const char *fl_tool_state_text(enum fl_tool_state state)
{
    static const char *const texts[] = { "accepted", "new", "changed", "quarantined", "gone" };
    return texts[state];
}
