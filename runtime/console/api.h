/* The REST API, /api/v1: what people and the CLI do. One table of routes; each handler builds its
 * transaction or starts its flow, and writes JSON when that is done. On the main listener people
 * sign in per request (personal token, or name and passphrase); on the control socket the
 * operating-system user that runs the installation is the operator, who is not a person and can
 * never decide. Loop thread only. */
#ifndef FLOPINIO_CONSOLE_API_H
#define FLOPINIO_CONSOLE_API_H

#include "flopinio/base/json.h"
#include "policy/role.h"
#include "runtime/approval/core.h"
#include "runtime/approval/org.h"
#include "runtime/identity/person.h"
#include "runtime/io/http.h"
#include "runtime/store/evidence.h"

struct fl_notify;

struct fl_api_config {
    struct fl_notify *notify;             /* borrowed */
    bool operator_always, operator_never; /* operator_authority; neither: until an admin is there */
};

struct fl_api_server;
enum fl_code fl_api_new(struct fl_core *core, struct fl_people *people,
                        const struct fl_api_config *config, struct fl_api_server **ret,
                        struct fl_err *err) FL_MUST_CHECK;
/* From now on, as a reload of the settings says. */
void fl_api_set_operator(struct fl_api_server *server, bool always, bool never);
/* No request is on its way, not of a client either that is gone. */
bool fl_api_is_idle(const struct fl_api_server *server);
void fl_api_free(struct fl_api_server **server);
/* For the router, path "/api/v1", user a struct fl_api_server. `fl_api_control_http` is for the
 * control socket only. */
extern const struct fl_http_callbacks fl_api_http;
extern const struct fl_http_callbacks fl_api_control_http;

/* ---- for the handlers (inside runtime/console) ---- */
enum fl_api_who { FL_WHO_NOBODY, FL_WHO_OPERATOR, FL_WHO_PERSON };

/* What a route needs of whoever asks. */
enum fl_api_need {
    FL_NEED_ROLE,     /* `action` by their role in {org}; the operator while it has authority */
    FL_NEED_OPERATOR, /* the control socket (installation-wide things, what only the host may do) */
    FL_NEED_PERSON,   /* anybody who proved who they are; the handler decides */
    FL_NEED_DECIDER   /* a person with the scope decide; never the operator */
};

#define FL_API_PARAMS 4

struct fl_api;
struct fl_api_route {
    enum fl_http_method method;
    const char *pattern; /* "/orgs/{org}/agents/{agent}" */
    enum fl_api_need need;
    enum fl_action action; /* for FL_NEED_ROLE */
    void (*start)(struct fl_api *a);
    const char *members; /* that the body may have, or the query of a GET: "name title"; NULL: none.
                            A typing error must not be taken for "leave it as it is" */
};
/* Tables end with a NULL pattern. */
extern const struct fl_api_route fl_api_me[], fl_api_tokens[], fl_api_orgs[], fl_api_groups[],
    fl_api_people[], fl_api_offboard[], fl_api_agents[], fl_api_credentials[], fl_api_tools[],
    fl_api_policy[], fl_api_approvals[], fl_api_decisions[], fl_api_grants[], fl_api_stops[],
    fl_api_audit[], fl_api_incident[], fl_api_apply[], fl_api_export[], fl_api_channels[],
    fl_api_links[], fl_api_alerts[], fl_api_quiet[], fl_api_away[], fl_api_slack[],
    fl_api_canaries[];

/* One request. Lives until it was answered and its operation has ended. */
struct fl_api {
    struct fl_api_server *server;
    struct fl_core *core;
    struct fl_people *people;
    struct fl_http_exchange *ex; /* NULL: the client is gone */
    struct fl_arena *arena;
    const struct fl_api_route *route;
    struct fl_str params[FL_API_PARAMS]; /* by position in the pattern */
    size_t param_count;
    struct fl_str text; /* the body as it came, while `ex` is there */
    json_t *body;       /* an object; NULL when there was none */
    struct fl_str query;
    bool is_nomem; /* something that was said could not be read: nothing is submitted */
    enum fl_api_who who;
    struct fl_person_auth auth; /* of a person */
    enum fl_role role;          /* theirs in the organization */
    bool has_organization;
    struct fl_uuid organization_id;
    struct fl_str organization;
    struct fl_org *org; /* snapshot, when the route has {org} */
    struct fl_org_load org_load;
    struct fl_op op; /* the handler's one operation at a time */
    struct fl_tx tx;
    struct fl_query *q[8];
    void (*done)(struct fl_api *a);    /* after the transaction */
    void (*drained)(struct fl_api *a); /* after a piece of a long answer */
    void *user;                        /* the handler's, in the arena */
    struct fl_change *change;          /* see change.h */
    struct fl_org *fresh;              /* see reach.h: the snapshot after the change, */
    struct fl_str findings;            /* and what it brought; JSON */
    const char *refusal;               /* why not, while the attempt is noted */
    bool is_control, is_answered, tx_is_open, is_freed;
    struct fl_query *q_org;
    struct fl_retired retired;
    struct fl_list link;
};

/* A new transaction of the request's organization (of none, if the route has none). */
struct fl_tx *fl_api_tx(struct fl_api *a);
/* The same for a change of what comes behind the organization in the order of locks (see
 * fl_store_organization_touch): the organization is locked before it. */
struct fl_tx *fl_api_change_tx(struct fl_api *a);
/* The same for what takes authority away: what is being sent by it is sent before it is answered.
 */
struct fl_tx *fl_api_revoke_tx(struct fl_api *a);
/* The same of no organization, for what proves who somebody is: who changes it, or adds to it,
 * still has what they signed in with. */
struct fl_tx *fl_api_own_tx(struct fl_api *a);
/* For changes of servers and tools, behind their statement, which come in front of both. */
void fl_api_pass_gate(struct fl_api *a);
/* Runs it; `done` follows with the results, or the error is answered. Bumps the organization's
 * revision and tells other workers when `is_change`. */
void fl_api_submit(struct fl_api *a, bool is_change, void (*done)(struct fl_api *a));
/* For flows: `op->done` of a->op must call fl_api_flow_done first; false: the client is gone or an
 * error was answered, and the handler must not touch `a` any more. */
bool fl_api_flow_done(struct fl_api *a);
/* The same for a flow whose FL_FORBIDDEN is not in the audit yet: it is noted. */
bool fl_api_flow_may(struct fl_api *a);
/* From here to its commit the person of this request is who they proved to be, and may do what the
 * route needs; else the transaction is refused, and so is the request. In changes of an
 * organization fl_api_submit has it, and fl_change_start something like it. */
void fl_api_hold(struct fl_api *a);
/* After a change of the organization that fl_api_submit did not make. */
void fl_api_changed(struct fl_api *a);
/* Who did it, for audit events. */
void fl_api_event(struct fl_api *a, struct fl_audit_event *event, enum fl_audit_kind kind,
                  const char *subject, const struct fl_uuid *subject_id);
/* 403, once the attempt is in the audit. Inside a change, before anything was appended to it. */
void fl_api_refuse(struct fl_api *a, const char *text);
/* What the person of this request proved it with, for what they decide. */
struct fl_evidence fl_api_evidence(const struct fl_api *a);
/* "alice", or "operator". */
struct fl_str fl_api_by(const struct fl_api *a);

/* For handlers of FL_NEED_PERSON that are no business of the operator's; false: answered. */
bool fl_api_is_person(struct fl_api *a);
/* A person, and not by a token: for what would make more of a token than it is. */
bool fl_api_by_passphrase(struct fl_api *a);
struct fl_notify *fl_api_notify(const struct fl_api *a);
/* operator_authority: always. */
bool fl_api_operator_always(const struct fl_api *a);

/* Members of the body: p NULL when absent. A member of another type is FL_BAD_PARAMS (answered:
 * false). */
bool fl_api_text(struct fl_api *a, const char *name, bool is_required, struct fl_str *ret);
bool fl_api_duration(struct fl_api *a, const char *name, int64_t *ret_ms); /* "4h", seconds */
bool fl_api_flag(struct fl_api *a, const char *name, bool *ret);
/* A list of texts joined with commas, in the arena; items must not contain one. */
bool fl_api_list(struct fl_api *a, const char *name, const char **ret);
/* A required name of a person, group or agent; of an organization without dots and underscores. */
bool fl_api_name(struct fl_api *a, const char *name, bool may_have_dots, struct fl_str *ret);
/* A title, a display name, a mail address: one line. */
bool fl_api_title(struct fl_api *a, const char *name, struct fl_str *ret);
/* Has the body no other members than these ("name title")? false: answered. */
bool fl_api_members(struct fl_api *a, const char *known);
/* The same of the query's parameters. */
bool fl_api_parameters(struct fl_api *a, const char *known);
/* A parameter of the query, decoded; p NULL when absent. */
struct fl_str fl_api_query(struct fl_api *a, const char *name);
/* -1 when it is no number. */
int64_t fl_api_query_int(struct fl_api *a, const char *name, int64_t fallback);
bool fl_api_query_flag(struct fl_api *a, const char *name, bool *ret); /* false: answered */
/* "2h" ago, or an RFC 3339 time; 0 when absent; false: answered. */
bool fl_api_query_since(struct fl_api *a, const char *name, int64_t *ret_utc_ms);

/* Answers. JSON text; stolen buffers are freed. */
void fl_api_ok(struct fl_api *a, struct fl_buf *json);
void fl_api_created(struct fl_api *a, struct fl_buf *json);
void fl_api_answer(struct fl_api *a, int status, struct fl_buf *json);
void fl_api_empty(struct fl_api *a);
void fl_api_error(struct fl_api *a, enum fl_code code, const char *fmt, ...) FL_PRINTF(3, 4);

/* A long answer in pieces. `next` runs when the piece has left, at once or later; not at all when
 * the client went away. fl_api_error before the end breaks the connection, so that the client sees
 * that it has not got everything. */
void fl_api_stream(struct fl_api *a, const char *type, struct fl_str piece,
                   void (*next)(struct fl_api *a));
void fl_api_stream_end(struct fl_api *a);

/* Writing rows as JSON objects: columns by name, in order; "t" text, "i" number, "b" flag, "u" id,
 * "m" time in milliseconds as RFC 3339 or null, "c" comma list as array, "j" JSON as it is,
 * "d" milliseconds as a duration, "-" left out. `spec` is "name:t title:t since:m". */
void fl_api_row(struct fl_buf *out, const struct fl_query *q, int row, const char *spec);
/* {"items":[...]} */
void fl_api_rows(struct fl_buf *out, const struct fl_query *q, const char *spec);

/* An approval in one sentence, from its opened arguments; `content` NULL: its tool's name.
 * Arguments over FL_API_SENTENCE_MAX bytes are not opened for that. */
#define FL_API_SENTENCE_MAX 16384
struct fl_approval_view;
struct fl_str fl_api_sentence(const struct fl_api *a, struct fl_arena *arena,
                              const struct fl_approval_view *view, const struct fl_query *content);

#endif
