/* Server-sent events (WHATWG HTML, 9.2.5 and 9.2.6). Loop thread. */
#include "mcp/sse.h"

#include <stdio.h>

#include "flopinio/base/mem.h"

struct fl_sse_event {
    char *data; /* owned; NULL: a priming event, without data */
    size_t n;
};

#define RING_FIRST 2 /* doubles up to FL_SSE_KEEP_EVENTS */

/* ---- the encoder ---- */
static void put_line(struct fl_buf *out, const char *field, struct fl_str value)
{
    fl_buf_puts(out, field);
    fl_buf_puts(out, ": ");
    fl_buf_str(out, value);
    fl_buf_putc(out, '\n');
}

void fl_sse_put(struct fl_buf *out, struct fl_str id, struct fl_str data)
{
    if (id.n)
        put_line(out, "id", id);
    /* CR, LF and CRLF each end a line for the reader, so each begins a data line here. */
    for (size_t from = 0, at = 0;; at++) {
        bool is_end = at == data.n;
        if (!is_end && data.p[at] != '\n' && data.p[at] != '\r')
            continue;
        put_line(out, "data", (struct fl_str){ data.p + from, at - from });
        if (is_end)
            break;
        at += data.p[at] == '\r' && at + 1 < data.n && data.p[at + 1] == '\n';
        from = at + 1;
    }
    fl_buf_putc(out, '\n');
}

void fl_sse_put_comment(struct fl_buf *out)
{
    fl_buf_puts(out, ":\n\n");
}

void fl_sse_put_priming(struct fl_buf *out, struct fl_str id, int64_t retry_ms)
{
    put_line(out, "id", id);
    fl_buf_puts(out, "retry: ");
    fl_buf_i64(out, retry_ms);
    fl_buf_puts(out, "\ndata: \n\n");
}

/* ---- event ids ---- */
static bool is_stream_name(struct fl_str name)
{
    return name.n <= 64 && fl_str_is_word(name, "-");
}

char *fl_sse_id_format(const struct fl_sse_stream *stream, uint64_t seq, char out[FL_SSE_ID_BYTES])
{
    snprintf(out, FL_SSE_ID_BYTES, "%s_%llu", stream->name, (unsigned long long)seq);
    return out;
}

bool fl_sse_id_parse(struct fl_str id, struct fl_str *ret_name, uint64_t *ret_seq)
{
    const char *mark = id.n ? memchr(id.p, '_', id.n) : NULL;
    unsigned long long seq;
    if (!mark)
        return false;
    struct fl_str name = { id.p, (size_t)(mark - id.p) };
    struct fl_str digits = { mark + 1, id.n - name.n - 1 };
    if (!is_stream_name(name) || !fl_str_to_u64(digits, &seq) ||
        (digits.n > 1 && digits.p[0] == '0'))
        return false;
    *ret_name = name;
    *ret_seq = seq;
    return true;
}

/* ---- what was sent ---- */
void fl_sse_stream_init(struct fl_sse_stream *stream, struct fl_str name)
{
    FL_ASSERT(is_stream_name(name));
    *stream = (struct fl_sse_stream){ 0 };
    memcpy(stream->name, name.p, name.n);
}

static struct fl_sse_event *event_at(const struct fl_sse_stream *stream, size_t i)
{
    FL_ASSERT(stream->cap > 0);
    return &stream->ring[(stream->first + i) % stream->cap];
}

static void drop_oldest(struct fl_sse_stream *stream)
{
    struct fl_sse_event *event = event_at(stream, 0);
    stream->bytes -= event->n;
    fl_free(event->data);
    *event = (struct fl_sse_event){ 0 };
    stream->first = (stream->first + 1) % stream->cap;
    stream->kept--;
}

void fl_sse_stream_fini(struct fl_sse_stream *stream)
{
    while (stream->kept)
        drop_oldest(stream);
    fl_free(stream->ring);
    stream->ring = NULL;
    stream->cap = 0;
}

/* Takes over `data` (NULL: priming). Everything after a dropped event must stay, so that one which
 * is too large to keep empties the ring. */
static void keep(struct fl_sse_stream *stream, char *data, size_t n)
{
    while (stream->kept &&
           (stream->kept == FL_SSE_KEEP_EVENTS || stream->bytes + n > FL_SSE_KEEP_BYTES))
        drop_oldest(stream);
    if (n <= FL_SSE_KEEP_BYTES) {
        *event_at(stream, stream->kept) = (struct fl_sse_event){ data, n };
        stream->kept++;
        stream->bytes += n;
    } else {
        fl_free(data);
    }
    stream->next_seq++;
}

/* Room for one more event, or the ring has its full size already. */
static bool has_room(struct fl_sse_stream *stream)
{
    if (stream->kept < stream->cap || stream->cap == FL_SSE_KEEP_EVENTS)
        return true;
    size_t cap = stream->cap ? 2 * stream->cap : RING_FIRST;
    struct fl_sse_event *ring = fl_calloc(cap, sizeof *ring);
    if (!ring)
        return false;
    for (size_t i = 0; i < stream->kept; i++)
        ring[i] = *event_at(stream, i);
    fl_free(stream->ring);
    stream->ring = ring;
    stream->cap = cap;
    stream->first = 0;
    return true;
}

enum fl_code fl_sse_send(struct fl_sse_stream *stream, struct fl_str data, struct fl_buf *out,
                         struct fl_err *err)
{
    char id[FL_SSE_ID_BYTES], *copy = NULL;
    if (has_room(stream))
        copy = fl_strndup(data.p, data.n);
    if (!copy)
        return fl_err_code(err, FL_NOMEM);
    if (out) {
        fl_sse_put(out, fl_str_of(fl_sse_id_format(stream, stream->next_seq, id)), data);
        enum fl_code code = fl_buf_code(out, err);
        if (code != FL_OK) {
            fl_free(copy);
            return code;
        }
    }
    keep(stream, copy, data.n);
    return FL_OK;
}

enum fl_code fl_sse_prime(struct fl_sse_stream *stream, int64_t retry_ms, struct fl_buf *out,
                          struct fl_err *err)
{
    char id[FL_SSE_ID_BYTES];
    if (!has_room(stream))
        return fl_err_code(err, FL_NOMEM);
    fl_sse_put_priming(out, fl_str_of(fl_sse_id_format(stream, stream->next_seq, id)), retry_ms);
    enum fl_code code = fl_buf_code(out, err);
    if (code == FL_OK)
        keep(stream, NULL, 0);
    return code;
}

enum fl_code fl_sse_replay(const struct fl_sse_stream *stream, uint64_t seq, struct fl_buf *out,
                           struct fl_err *err)
{
    uint64_t oldest = stream->next_seq - stream->kept; /* kept, or the next one to come */
    if (seq >= stream->next_seq || seq + 1 < oldest)
        return fl_err_set(err, FL_NOT_FOUND, "unknown event id, or too old to resume from");
    for (uint64_t s = seq + 1; s < stream->next_seq; s++) {
        const struct fl_sse_event *event = event_at(stream, (size_t)(s - oldest));
        char id[FL_SSE_ID_BYTES];
        fl_sse_id_format(stream, s, id);
        if (event->data)
            fl_sse_put(out, fl_str_of(id), (struct fl_str){ event->data, event->n });
    }
    return fl_buf_code(out, err);
}
