/* The tasks extension (io.modelcontextprotocol/tasks, draft in modelcontextprotocol/ext-tasks):
 * how an approval looks as a task. All of its field names are in this pair of files. Used by
 * runtime/endpoint. Any thread, no clock: times are parameters. */
#ifndef FL_MCP_TASKS_H
#define FL_MCP_TASKS_H

#include "mcp/outcome.h"
#include "mcp/reply.h"

/* The states of an approval (design.md 5) as an agent sees them; %-fields as in outcome.h.
 * X(name, task status, statusMessage) */
#define FL_MCP_STATES(X)                                                                           \
    X(PENDING, "working", "Waiting for human approval %a[ in %w][, expires %e]")                   \
    X(APPROVED, "working", "Approval %a: approved[ by %b], about to run")                          \
    X(CLAIMED, "working", "Approval %a: approved[ by %b], about to run")                           \
    X(DISPATCHED, "working", "Approval %a: approved[ by %b], running")                             \
    X(SUCCEEDED, "completed", "Approval %a: executed")                                             \
    X(FAILED, "completed", "Approval %a: executed, the tool reported an error")                    \
    X(UNKNOWN, "completed", "Approval %a: outcome unknown, it may have happened")                  \
    X(REJECTED, "completed", "Approval %a: rejected[ by %b][: %r]")                                \
    X(EXPIRED, "completed", "Approval %a: expired, not executed")                                  \
    X(CANCELLED, "cancelled", "Approval %a: cancelled, not executed")                              \
    X(VOIDED, "completed", "Approval %a: not executed, a check failed before it ran[: %r]")

enum fl_mcp_state {
#define X(name, status, text) FL_MCP_STATE_##name,
    FL_MCP_STATES(X)
#undef X
        FL_MCP_STATE_COUNT
};

struct fl_mcp_task {
    struct fl_str id; /* at least 128 random bits; the caller checks who may see it */
    enum fl_mcp_state state;
    struct fl_mcp_outcome words; /* the fields for the texts; `kind` is set from the state */
    int64_t created_at_utc_ms;
    int64_t updated_at_utc_ms; /* of the last change of state */
    int64_t now_utc_ms;        /* for pollIntervalMs */
    int64_t ttl_ms;            /* from created_at; at most 0 = no limit (null) */
    /* In SUCCEEDED and FAILED, the stored result; NULL: it was not kept (words.size_bytes). */
    const struct fl_mcp_result *result;
    /* In FAILED, a JSON-RPC error of the upstream (object with code and message): the task has
     * failed rather than completed. p NULL = none. */
    struct fl_str error;
};

/* tasks/get's answer, tools/call's answer that a task was made, and notifications/tasks (with the
 * subscription's id, as spanned in the listen request). The arena is for the texts of a result;
 * FL_NOMEM, and FL_TOO_LARGE from `out`. A task just made must be committed before this is sent;
 * an approval already over when it is made (a grant that failed) is PENDING no more: then answer
 * with its result instead. */
enum fl_code fl_mcp_put_task(struct fl_buf *out, struct fl_arena *arena,
                             const struct fl_mcp_server *server, const struct fl_mcp_to *to,
                             const struct fl_mcp_task *task, struct fl_err *err) FL_MUST_CHECK;
void fl_mcp_put_task_created(struct fl_buf *out, const struct fl_mcp_server *server,
                             const struct fl_mcp_to *to, const struct fl_mcp_task *task);
enum fl_code fl_mcp_put_task_changed(struct fl_buf *out, struct fl_arena *arena,
                                     struct fl_str subscription_id, const struct fl_mcp_task *task,
                                     struct fl_err *err) FL_MUST_CHECK;
/* tasks/update and tasks/cancel answer with fl_mcp_put_empty (reply.h). */

/* The words of a waiting call (progress messages, statusMessage). */
void fl_mcp_state_text(struct fl_buf *out, enum fl_mcp_state state,
                       const struct fl_mcp_outcome *words);
/* The result of a call whose approval is in this final state, made of words: REJECTED, EXPIRED,
 * CANCELLED, VOIDED, UNKNOWN, and SUCCEEDED or FAILED whose result was not kept. */
enum fl_code fl_mcp_state_result(struct fl_arena *arena, enum fl_mcp_state state,
                                 const struct fl_mcp_outcome *words, struct fl_mcp_result *ret,
                                 struct fl_err *err) FL_MUST_CHECK;

/* 2 s in the first 2 minutes, then 5 s, after 10 minutes 15 s. */
int64_t fl_mcp_task_poll_ms(int64_t age_ms);
/* How long the task can be asked for: until the approval expires, runs, and its result has been
 * kept (at least 30 minutes); never overflows. */
int64_t fl_mcp_task_ttl_ms(int64_t approval_ttl_ms, int64_t execution_limit_ms,
                           int64_t retention_ms);

#endif
