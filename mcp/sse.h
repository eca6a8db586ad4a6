/* Server-sent events: the encoder, and for legacy streams a memory of what was sent, so that a
 * client can resume with Last-Event-ID (2025-11-25 transports, "Resumability and Redelivery";
 * modern streams have neither ids nor resumption). Owned by runtime/endpoint. Loop thread only. */
#ifndef FL_MCP_SSE_H
#define FL_MCP_SSE_H

#include <stdint.h>

#include "flopinio/base/buf.h"

/* An event with one message as data; `id` may be empty. Line ends in data become data lines. */
void fl_sse_put(struct fl_buf *out, struct fl_str id, struct fl_str data);
/* A comment: keeps proxies and clients from giving up. */
void fl_sse_put_comment(struct fl_buf *out);
/* Priming: an id, how soon to come back, no data. Only for versions with
 * FL_MCP_HAS_SSE_PRIMING. */
void fl_sse_put_priming(struct fl_buf *out, struct fl_str id, int64_t retry_ms);

#define FL_SSE_KEEP_EVENTS 256
#define FL_SSE_KEEP_BYTES  (1024 * 1024)
#define FL_SSE_ID_BYTES    96

struct fl_sse_event; /* opaque */

/* One legacy stream. Its name is unique in its session: [A-Za-z0-9-]{1,64}. */
struct fl_sse_stream {
    char name[65];
    uint64_t next_seq;         /* of the next event; the first is 0 */
    struct fl_sse_event *ring; /* owned; grows, most streams carry one answer */
    size_t cap, kept, first;   /* of the ring: its size, events kept, where the oldest is */
    size_t bytes;              /* of data in them */
};

void fl_sse_stream_init(struct fl_sse_stream *stream, struct fl_str name);
void fl_sse_stream_fini(struct fl_sse_stream *stream);
/* Numbers the message, keeps it, and appends the event to `out` (NULL: nobody is connected, keep
 * it for later). FL_NOMEM and FL_TOO_LARGE (of `out`): nothing was numbered or kept. An event
 * larger than FL_SSE_KEEP_BYTES is written but not kept: a client that missed it cannot resume. */
enum fl_code fl_sse_send(struct fl_sse_stream *stream, struct fl_str data, struct fl_buf *out,
                         struct fl_err *err) FL_MUST_CHECK;
/* The priming event: takes a number too. */
enum fl_code fl_sse_prime(struct fl_sse_stream *stream, int64_t retry_ms, struct fl_buf *out,
                          struct fl_err *err) FL_MUST_CHECK;
/* Appends every event after `seq`, in order. FL_NOT_FOUND (answer 400) if that one was never sent,
 * or what followed is not all kept any more. */
enum fl_code fl_sse_replay(const struct fl_sse_stream *stream, uint64_t seq, struct fl_buf *out,
                           struct fl_err *err) FL_MUST_CHECK;
/* "<stream>_<seq>" into out; and back: false if it is not one. */
char *fl_sse_id_format(const struct fl_sse_stream *stream, uint64_t seq, char out[FL_SSE_ID_BYTES]);
bool fl_sse_id_parse(struct fl_str id, struct fl_str *ret_name, uint64_t *ret_seq);

#endif
