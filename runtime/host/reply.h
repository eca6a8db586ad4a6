/* The result frame, both directions. */
#ifndef FLOPINIO_HOST_REPLY_H
#define FLOPINIO_HOST_REPLY_H

#include "flopinio/base/scan.h"
#include "runtime/host/frame.h"
#include "runtime/host/host.h"

/* What any JSON that a plugin gives must obey. */
extern const struct fl_scan_limits fl_reply_limits;

/* The plugin's side. Appends the frame up to its last field, the content, of which only the
 * length is written: result->content.n bytes (the items, without the array's brackets) are to
 * follow. */
void fl_reply_put(struct fl_buf *out, uint64_t job, const struct fl_host_result *result,
                  bool wants_replacement);

enum fl_reply {
    FL_REPLY_OUTCOME,         /* *ret is filled */
    FL_REPLY_UNKNOWN_OUTCOME, /* as well, but the plugin ended a job with a number that is none */
    FL_REPLY_GARBAGE          /* nothing that our part of the plugin process would have written */
};
#define FL_REPLY_MESSAGE_MAX 1024

/* The worker's side, for untrusted bytes. The texts of *ret live in *ret_memory (fl_free). On no
 * memory the outcome stands and the texts are lost; a preview without its texts is an error. */
enum fl_reply fl_reply_read(struct fl_str payload, enum fl_host_kind kind, uint64_t output_bytes,
                            struct fl_host_result *ret, char **ret_memory,
                            bool *ret_wants_replacement);

#endif
