/* What an agent is told about a call that did not simply run: one table of words, so that each
 * transport, era and task says the same. Agents read these texts as instructions, therefore each
 * says first whether the call was executed. Words of people (reasons, names) are quoted, without
 * control and invisible characters, and cut. Used by runtime/endpoint and tasks.h. Any thread.
 * Source: docs/protocol.md, "What the agent is told". */
#ifndef FL_MCP_OUTCOME_H
#define FL_MCP_OUTCOME_H

#include <stdint.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/buf.h"
#include "mcp/result.h"

#define FL_MCP_WAIT_TOOL   "approval_wait"
#define FL_MCP_STATUS_TOOL "approval_status"
#define FL_MCP_REASON_MAX  500 /* code points of a person's reason */
#define FL_MCP_NAME_MAX    100 /* code points of a person's or a place's name */

/* Texts: %a approval, %t tool, %b decided by, %r reason (quoted), %w where people are asked, %e
 * expiry, %n bytes, %u that nobody could be told yet, if it is so; [ ... ] stands only when
 * everything in it is known. X(name, decision, executed: false, true, null = not known; text) */
#define FL_MCP_OUTCOMES(X)                                                                         \
    X(PENDING, "pending", "false",                                                                 \
      "Not executed yet: approval %a is still pending[ in %w][ (expires %e)]%u. Call "             \
      "approval_wait "                                                                             \
      "with {\"approval_id\":\"%a\"} to wait for the outcome, or continue with other work. Do "    \
      "not call %t again.")                                                                        \
    X(APPROVED, "approved", "false",                                                               \
      "Not executed yet: approval %a was approved[ by %b][ (expires %e)]. Call approval_wait "     \
      "with {\"approval_id\":\"%a\"} to get its outcome; a call that nobody waits for runs then. " \
      "Do not call %t again.")                                                                     \
    X(REJECTED, "rejected", "false",                                                               \
      "Not executed: approval %a was rejected[ by %b][: %r]. Do not retry the same call.")         \
    X(EXPIRED, "expired", "false",                                                                 \
      "Not executed: approval %a expired[ at %e]. Call %t again only if it is still needed.")      \
    X(CANCELLED, "cancelled", "false", "Not executed: approval %a was cancelled[: %r].")           \
    X(VOIDED, "voided", "false",                                                                   \
      "Not executed: approval %a was approved[ by %b], but a check failed before it ran[: %r].")   \
    X(UNKNOWN, "unknown", "null",                                                                  \
      "Outcome unknown: %t was started under approval %a and no answer came back[: %r]. It may "   \
      "have happened. Verify before you call it again.")                                           \
    X(DENIED, "denied", "false",                                                                   \
      "Not executed: the policy does not allow this call of %t[: %r]. Do not retry the same "      \
      "call.")                                                                                     \
    X(NOT_KEPT, "executed", "true",                                                                \
      "Executed: %t ran under approval %a[, approved by %b]; its result of %n bytes was not "      \
      "kept.")                                                                                     \
    X(ERROR_NOT_KEPT, "executed", "true",                                                          \
      "Executed: %t ran under approval %a[, approved by %b] and reported an error; its result of " \
      "%n bytes was not kept.")

enum fl_mcp_outcome_kind {
#define X(name, decision, executed, text) FL_MCP_OUTCOME_##name,
    FL_MCP_OUTCOMES(X)
#undef X
        FL_MCP_OUTCOME_COUNT
};

struct fl_mcp_outcome {
    enum fl_mcp_outcome_kind kind;
    struct fl_str approval_id; /* n 0 = none (a denied call has none) */
    struct fl_str tool;        /* as published */
    struct fl_str by;          /* who decided, as people call them */
    struct fl_str reason;
    struct fl_str where;       /* "#ops" */
    int64_t expires_at_utc_ms; /* 0 = not known */
    uint64_t size_bytes;       /* of the result that was not kept */
    struct fl_str changed;     /* who changed its arguments, and to what; n 0: nobody did */
    bool is_unreached;         /* nobody could be told of it yet */
    bool has_output_schema;    /* the tool declares one: then nothing structured is sent, because
                                  SDK 1.x checks it against the schema even in an error */
};

/* The text alone. */
void fl_mcp_outcome_text(struct fl_buf *out, const struct fl_mcp_outcome *outcome);
/* {"approvalId","decision","decidedBy","reason","expiresAt","executed"}: what is known of it. */
void fl_mcp_outcome_json(struct fl_buf *out, const struct fl_mcp_outcome *outcome);
/* The whole result, in arena memory: text, structured form or the same in _meta, isError. An
 * execution whose result was not kept is no error, except where the tool has an output schema. */
enum fl_code fl_mcp_outcome_result(struct fl_arena *arena, const struct fl_mcp_outcome *outcome,
                                   struct fl_mcp_result *ret, struct fl_err *err) FL_MUST_CHECK;

/* Appends `text` as people wrote it, made safe to stand inside a sentence: invalid UTF-8, control,
 * bidirectional and zero-width characters dropped, white space runs as one blank, at most
 * `max_code_points`; quoted: between double quotes, with \" and \\ inside. */
void fl_mcp_put_words(struct fl_buf *out, struct fl_str text, size_t max_code_points,
                      bool is_quoted);

#endif
