/* An organization as a document that apply.c takes: what is in force, in a fixed order, so that two
 * exports differ only where the organization does. Without secrets: passphrases, credentials and
 * channels' tokens are not in it. */
#include "runtime/console/api.h"
#include "runtime/store/canary.h"
#include "runtime/store/channel.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"
#include "runtime/store/tool.h"
#include "runtime/store/vote.h"

enum { Q_PEOPLE, Q_GROUPS, Q_AGENTS, Q_SERVERS, Q_TOOLS, Q_POLICY, Q_CHANNELS, Q_CANARIES };

/* Rows that `takes` wants, as a list. */
static void put_list(struct fl_buf *out, const char *key, const struct fl_query *q,
                     const char *spec, bool (*takes)(const struct fl_query *q, int row))
{
    bool is_next = false;
    fl_buf_json_key(out, key);
    fl_buf_putc(out, '[');
    for (int i = 0; i < fl_rows(q); i++) {
        if (takes && !takes(q, i))
            continue;
        if (is_next)
            fl_buf_putc(out, ',');
        fl_api_row(out, q, i, spec);
        is_next = true;
    }
    fl_buf_puts(out, "],");
}

static bool is_active_person(const struct fl_query *q, int row)
{
    return fl_cell_bool(q, row, 3);
}

static bool is_no_revoked_agent(const struct fl_query *q, int row)
{
    return !fl_str_is(fl_cell(q, row, 4), "revoked");
}

/* Column of fl_store_canaries: its agent is not revoked, and so in the document. */
static bool is_canary_of_an_agent(const struct fl_query *q, int row)
{
    return fl_cell_bool(q, row, 16);
}

/* ---------------------------------------------------------------- pins */
static struct fl_str server_name(const struct fl_query *servers, struct fl_str id)
{
    for (int i = 0; i < fl_rows(servers); i++) {
        if (fl_str_eq(fl_cell(servers, i, 0), id))
            return fl_cell(servers, i, 1);
    }
    return FL_STR("");
}

static void put_text(struct fl_buf *out, const char *key, struct fl_str value)
{
    fl_buf_json_key(out, key);
    fl_buf_json_str(out, value);
    fl_buf_putc(out, ',');
}

/* The digest's cell is "\x" and its hexadecimal digits. */
static void put_pin(struct fl_buf *out, const struct fl_api *a, int row)
{
    const struct fl_query *q = a->q[Q_TOOLS];
    struct fl_str digest = fl_cell(q, row, 6);
    fl_buf_putc(out, '{');
    put_text(out, "name", fl_cell(q, row, 2));
    put_text(out, "server", server_name(a->q[Q_SERVERS], fl_cell(q, row, 0)));
    put_text(out, "effects", fl_cell(q, row, 7));
    fl_buf_printf(out, "\"digest\":\"sha256:%.*s\",", (int)digest.n - 2, digest.p + 2);
    fl_buf_json_key(out, "secrets");
    fl_buf_str(out, fl_cell(q, row, 8));
    fl_buf_putc(out, ',');
    fl_buf_json_key(out, "definition");
    fl_buf_json_str(out, fl_cell(q, row, 5));
    fl_buf_putc(out, '}');
}

static void put_pins(struct fl_buf *out, const struct fl_api *a)
{
    const struct fl_query *q = a->q[Q_TOOLS];
    bool is_next = false;
    fl_buf_puts(out, "\"tools\":[");
    for (int i = 0; i < fl_rows(q); i++) {
        if (fl_cell_is_null(q, i, 6) || fl_cell_bool(q, i, 9))
            continue;
        if (is_next)
            fl_buf_putc(out, ',');
        put_pin(out, a, i);
        is_next = true;
    }
    fl_buf_putc(out, ']');
}

/* ---------------------------------------------------------------- the document */
static void on_read(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_putc(&out, '{');
    put_list(&out, "people", a->q[Q_PEOPLE], "- name:t role:t - - display_name:t email:t",
             is_active_person);
    put_list(&out, "groups", a->q[Q_GROUPS], "- name:t title:t members:c", NULL);
    put_list(&out, "agents", a->q[Q_AGENTS], "- name:t title:t owner:t state:t labels:j -",
             is_no_revoked_agent);
    put_list(&out, "servers", a->q[Q_SERVERS],
             "- name:t - plugin:t config:j environment:t account:t is_enabled:b -", NULL);
    put_list(&out, "channels", a->q[Q_CHANNELS], "- name:t kind:t config:j disclose:t is_enabled:b",
             NULL);
    put_list(&out, "canaries", a->q[Q_CANARIES],
             "name:t agent:t tool:t arguments:j per_week:i days:c from:t to:t zone:t",
             is_canary_of_an_agent);
    put_pins(&out, a);
    if (fl_rows(a->q[Q_POLICY]) == 1) {
        fl_buf_puts(&out, ",\"policy\":");
        fl_buf_json_str(&out, fl_cell(a->q[Q_POLICY], 0, 1));
    }
    fl_buf_putc(&out, '}');
    fl_api_ok(a, &out);
}

static void start(struct fl_api *a)
{
    struct fl_tx *tx = fl_api_tx(a);
    a->q[Q_PEOPLE] = fl_store_people(tx);
    a->q[Q_GROUPS] = fl_store_groups(tx);
    a->q[Q_AGENTS] = fl_store_agents(tx);
    a->q[Q_SERVERS] = fl_store_servers(tx);
    a->q[Q_TOOLS] = fl_store_tools(tx, NULL);
    a->q[Q_POLICY] = fl_store_policy_get(tx, 0);
    a->q[Q_CHANNELS] = fl_store_channels(tx);
    a->q[Q_CANARIES] = fl_store_canaries(tx, 0);
    fl_api_submit(a, false, on_read);
}

const struct fl_api_route fl_api_export[] = { { FL_HTTP_GET, "/orgs/{org}/export", FL_NEED_ROLE,
                                                FL_ACTION_MANAGE_TOOLS, start },
                                              { .pattern = NULL } };
