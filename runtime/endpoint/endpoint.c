/* The endpoint of a worker: what all transports share. */
#include "runtime/endpoint/endpoint.h"

#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/approval/hub.h"
#include "runtime/endpoint/http.h"
#include "runtime/endpoint/stream_place.h"

#define ANNOUNCE_MS 500

static void on_org_change(struct fl_orgs_listener *listener, const struct fl_org *org,
                          bool tools_changed);
static void on_announce(struct fl_timer *timer);
static void on_refused(void *ctx, struct fl_principal *principal);
static void on_session_ended(void *ctx, const struct fl_uuid *hash_prefix);
static void cut_stopped(struct fl_endpoint *ep, const struct fl_org *org);

enum fl_code fl_endpoint_new(struct fl_core *core, struct fl_principals *principals,
                             const struct fl_endpoint_config *config, struct fl_endpoint **ret,
                             struct fl_err *err)
{
    struct fl_endpoint *ep = fl_calloc(1, sizeof *ep);
    if (!ep)
        return fl_err_code(err, FL_NOMEM);
    ep->core = core;
    ep->principals = principals;
    ep->config = *config;
    if (!ep->config.sessions_ended)
        ep->config.sessions_ended = &ep->own_sessions_ended;
    ep->server = (struct fl_mcp_server){
        .name = FL_STR("flopinio"),
        .title = FL_STR("Flopinio"),
        .version = FL_STR(FL_VERSION),
        .instructions = FL_STR(
            "Tools that change something are held until a person approves. A call may be answered "
            "with \"Not executed yet\" and the id of an approval: then wait with approval_wait, or "
            "go on with other work; do not call the tool again. A rejection says why."),
        .serves = FL_MCP_SERVES_TOOLS | FL_MCP_SERVES_LOGGING | FL_MCP_SERVES_TASKS,
        .list_ttl_ms = config->list_ttl_ms,
    };
    fl_list_init(&ep->conns);
    fl_list_init(&ep->talks);
    fl_list_init(&ep->streams);
    fl_list_init(&ep->kept);
    fl_sessions_init(ep);
    fl_stream_places_init(ep);
    fl_mcp_listens_init(&ep->listens, config->listens_max);
    fl_timer_init(&ep->announce, on_announce);
    enum fl_code code = fl_ws_hub_new(core->loop, &fl_ws_limits_default, &ep->hub, err);
    if (code) {
        fl_free(ep);
        return code;
    }
    ep->org_listener.on_change = on_org_change;
    fl_orgs_listen(core->orgs, &ep->org_listener);
    fl_principals_on_refused(principals, on_refused, ep);
    fl_hub_on_session_ended(core->hub, on_session_ended, ep);
    *ret = ep;
    return FL_OK;
}

/* ---- changes ---- */
static void on_org_change(struct fl_orgs_listener *listener, const struct fl_org *org,
                          bool tools_changed)
{
    struct fl_endpoint *ep = FL_CONTAINER(listener, struct fl_endpoint, org_listener);
    fl_principals_recheck(ep->principals, &org->id, org->revision);
    if (org->stop_count)
        cut_stopped(ep, org);
    if (!tools_changed || ep->changed_count == FL_COUNTOF(ep->changed))
        return;
    ep->changed[ep->changed_count++] = org->id;
    if (!fl_timer_is_armed(&ep->announce))
        fl_loop_timer(ep->core->loop, &ep->announce, ANNOUNCE_MS);
}

static void announce_listen(struct fl_talk *t)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_mcp_put_list_changed(&out, FL_MCP_LIST_TOOLS, t->listen.id);
    fl_talk_tell(t, &out);
    fl_buf_fini(&out);
}

static void announce(struct fl_endpoint *ep, const struct fl_uuid *organization)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_mcp_put_list_changed(&out, FL_MCP_LIST_TOOLS, (struct fl_str){ NULL, 0 });
    FL_LIST_FOREACH_SAFE (link, &ep->talks) {
        struct fl_talk *t = FL_CONTAINER(link, struct fl_talk, link);
        if (t->is_listening && fl_mcp_listen_hears_list(&t->listen, FL_MCP_LIST_TOOLS) &&
            fl_uuid_cmp(&t->principal->organization_id, organization) == 0)
            announce_listen(t);
    }
    FL_LIST_FOREACH_SAFE (link2, &ep->conns) {
        struct fl_conn *conn = FL_CONTAINER(link2, struct fl_conn, link);
        if (fl_mcp_conn_is_ready(&conn->mcp) && !out.is_failed &&
            fl_uuid_cmp(&conn->principal->organization_id, organization) == 0)
            conn->send(conn, fl_buf_view(&out));
    }
    FL_LIST_FOREACH_SAFE (link3, &ep->streams) {
        struct fl_http_stream *s = FL_CONTAINER(link3, struct fl_http_stream, link);
        if (!out.is_failed && fl_uuid_cmp(&s->session->organization_id, organization) == 0)
            fl_stream_event(s, fl_buf_view(&out));
    }
    fl_buf_fini(&out);
}

static void on_announce(struct fl_timer *timer)
{
    struct fl_endpoint *ep = FL_CONTAINER(timer, struct fl_endpoint, announce);
    for (size_t i = 0; i < ep->changed_count; i++)
        announce(ep, &ep->changed[i]);
    ep->changed_count = 0;
}

/* ---- cutting off: what an agent has open is closed, within a second ---- */
struct cut {
    const struct fl_principal *principal; /* this one, whose credential stopped working; or NULL: */
    const struct fl_org *org;             /* those whom a stop of the organization covers */
    enum fl_code code;
    char why[200];
};

static bool is_cut(struct cut *cut, const struct fl_principal *p)
{
    const struct fl_org *org = cut->org;
    if (cut->principal)
        return p == cut->principal;
    if (!org->stop_count || fl_uuid_cmp(&p->organization_id, &org->id) != 0)
        return false;
    const struct fl_org_stop *stop = fl_org_stopped(org, p->agent, &p->owner_id, NULL);
    if (stop)
        snprintf(cut->why, sizeof cut->why, "stopped: %.*s", (int)fl_utf8_cut(stop->reason, 150),
                 stop->reason.p);
    return stop != NULL;
}

static struct fl_talk *find_talk(struct fl_endpoint *ep, struct cut *cut)
{
    FL_LIST_FOREACH (link, &ep->talks) {
        struct fl_talk *t = FL_CONTAINER(link, struct fl_talk, link);
        if (!t->is_over && is_cut(cut, t->principal))
            return t;
    }
    return NULL;
}

static void cut_talk(struct fl_talk *t, const struct cut *cut)
{
    struct fl_call *call = t->call;
    if (t->is_listening) {
        fl_listen_end(t, false);
        return;
    }
    t->call = NULL;
    if (t->is_wait)
        t->principal->holds--;
    t->is_wait = false;
    if (call)
        fl_call_leave(call, FL_LEAVE_GONE);
    fl_op_cancel(&t->op);
    fl_talk_error(t, cut->code, cut->why);
}

static void cut_off(struct fl_endpoint *ep, struct cut *cut)
{
    for (struct fl_talk *t; (t = find_talk(ep, cut)) != NULL;)
        cut_talk(t, cut);
    FL_LIST_FOREACH_SAFE (link, &ep->conns) {
        struct fl_conn *conn = FL_CONTAINER(link, struct fl_conn, link);
        if (!conn->is_closing && is_cut(cut, conn->principal))
            conn->close(conn, cut->why);
    }
    FL_LIST_FOREACH_SAFE (link2, &ep->streams) {
        struct fl_http_stream *s = FL_CONTAINER(link2, struct fl_http_stream, link);
        if (is_cut(cut, s->principal))
            fl_stream_end(s);
    }
}

/* Another worker ended it. */
static void on_session_ended(void *ctx, const struct fl_uuid *hash_prefix)
{
    struct fl_session *session = fl_session_by_prefix(ctx, hash_prefix);
    if (session)
        fl_legacy_session_ended(session);
}

static void on_refused(void *ctx, struct fl_principal *principal)
{
    struct cut cut = { .principal = principal, .code = FL_UNAUTHENTICATED };
    snprintf(cut.why, sizeof cut.why, "%s", principal->why);
    cut_off(ctx, &cut);
}

/* An agent that is stopped as a whole. It may connect again: each of its calls is denied with the
 * reason then, and it can ask what became of those that were held. */
static void cut_stopped(struct fl_endpoint *ep, const struct fl_org *org)
{
    struct cut cut = { .org = org, .code = FL_FORBIDDEN };
    cut_off(ep, &cut);
}

/* ---- ends ---- */
void fl_endpoint_drain(struct fl_endpoint *ep)
{
    ep->is_draining = true;
    FL_LIST_FOREACH_SAFE (link, &ep->talks) {
        struct fl_talk *t = FL_CONTAINER(link, struct fl_talk, link);
        if (t->is_listening)
            fl_listen_end(t, true);
    }
    FL_LIST_FOREACH_SAFE (link2, &ep->streams) {
        fl_stream_end(FL_CONTAINER(link2, struct fl_http_stream, link));
    }
    while (!fl_list_is_empty(&ep->kept)) /* nobody can come back to them here */
        fl_stream_free(FL_CONTAINER(ep->kept.next, struct fl_http_stream, kept));
    FL_LIST_FOREACH_SAFE (link4, &ep->conns) {
        struct fl_conn *conn = FL_CONTAINER(link4, struct fl_conn, link);
        conn->drain(conn);
    }
    /* Calls that wait for people go on elsewhere: their rows stay, their clients come back. */
    FL_LIST_FOREACH_SAFE (link3, &ep->talks) {
        struct fl_talk *t = FL_CONTAINER(link3, struct fl_talk, link);
        if (t->call && t->has_opened)
            fl_call_hold_over(t->call);
    }
}

void fl_endpoint_reload(struct fl_endpoint *ep, int64_t progress_ms, int64_t keepalive_ms)
{
    ep->config.progress_ms = progress_ms;
    ep->config.keepalive_ms = keepalive_ms;
}

bool fl_endpoint_is_idle(const struct fl_endpoint *ep)
{
    return fl_list_is_empty(&ep->conns) && ep->talk_count == 0 && ep->core->call_count == 0 &&
           ep->core->run_count == 0 && fl_list_is_empty(&ep->telling) &&
           fl_stream_places_are_given_back(ep);
}

void fl_endpoint_free(struct fl_endpoint **endpoint)
{
    struct fl_endpoint *ep = *endpoint;
    if (!ep)
        return;
    fl_loop_timer_cancel(ep->core->loop, &ep->announce);
    fl_hub_on_session_ended(ep->core->hub, NULL, NULL);
    fl_list_remove(&ep->org_listener.link);
    fl_ws_hub_free(&ep->hub);
    FL_LIST_FOREACH_SAFE (link, &ep->conns) {
        struct fl_conn *conn = FL_CONTAINER(link, struct fl_conn, link);
        conn->close(conn, "the runtime is stopping");
    }
    fl_stream_places_free(ep);
    fl_sessions_free(ep);
    fl_buf_fini(&ep->answer);
    fl_free(ep);
    *endpoint = NULL;
}

void fl_endpoint_counts(const struct fl_endpoint *ep, struct fl_endpoint_counts *ret)
{
    *ret = (struct fl_endpoint_counts){ .websockets = fl_ws_hub_count(ep->hub),
                                        .talks = ep->talk_count,
                                        .listens = ep->listens.count,
                                        .sessions = ep->session_count };
    FL_LIST_FOREACH (link, &ep->conns)
        ret->stdio++;
    ret->stdio -= ret->websockets < ret->stdio ? ret->websockets : ret->stdio;
}
