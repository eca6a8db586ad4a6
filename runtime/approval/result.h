/* A tool's outcome as it is kept on the approval's row and handed to whoever collects it. Kept as
 * canonical member order JSON: {"content":[..],"isError":..,"structuredContent":..} or
 * {"error":{"code":..,"message":..}}, sealed. */
#ifndef FLOPINIO_APPROVAL_RESULT_H
#define FLOPINIO_APPROVAL_RESULT_H

#include "runtime/approval/core.h"
#include "runtime/store/states.h"

struct fl_call_result {
    struct fl_str content;    /* JSON array; p NULL: none */
    struct fl_str structured; /* JSON; p NULL: none */
    bool is_error;
    bool is_protocol_error;
    int error_code;
    struct fl_str error_message;
    bool is_kept;  /* false: it ran and its result was too large to keep */
    int64_t bytes; /* of the whole result */
};

/* What the host gave, as a result and as the state that it means. Texts are borrowed. `ret_reason`
 * is a clause for failed and unknown ones, from `text`. */
enum fl_approval_state fl_result_of_call(const struct fl_host_call *call, char *text,
                                         size_t text_size, struct fl_call_result *ret);
void fl_result_encode(struct fl_buf *out, const struct fl_call_result *result);
/* Texts in the arena. FL_BAD_JSON, FL_NOMEM. */
enum fl_code fl_result_decode(struct fl_arena *arena, struct fl_str json,
                              struct fl_call_result *ret, struct fl_err *err) FL_MUST_CHECK;

#endif
