/* Open requests and the handshake of a stdio client. */
#include "runtime/cli/stdio_traffic.h"

#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"

static void forget(struct fl_traffic *t, size_t at)
{
    fl_free(t->open[at].id);
    t->open[at] = t->open[--t->count];
}

void fl_traffic_fini(struct fl_traffic *t)
{
    while (t->count)
        forget(t, t->count - 1);
    fl_free(t->open);
    fl_buf_fini(&t->initialize);
    fl_buf_fini(&t->initialize_id);
    *t = (struct fl_traffic){ 0 };
}

static bool find(const struct fl_traffic *t, struct fl_str id, size_t *ret)
{
    for (size_t i = 0; i < t->count; i++) {
        if (fl_str_eq((struct fl_str){ t->open[i].id, t->open[i].n }, id)) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool note(struct fl_traffic *t, struct fl_str id)
{
    size_t at;
    if (find(t, id, &at))
        return true; /* the runtime refuses the second one and answers both */
    if (t->count == t->capacity) {
        size_t more = t->capacity ? t->capacity * 2 : 16;
        struct fl_traffic_request *p = fl_realloc(t->open, more * sizeof *p);
        if (!p)
            return false;
        t->open = p;
        t->capacity = more;
    }
    char *copy = fl_malloc(id.n + 1);
    if (!copy)
        return false;
    memcpy(copy, id.p, id.n);
    t->open[t->count++] = (struct fl_traffic_request){ copy, id.n };
    return true;
}

static bool keep(struct fl_buf *buf, struct fl_str text)
{
    fl_buf_reset(buf);
    fl_buf_str(buf, text);
    return !buf->is_failed;
}

bool fl_traffic_from_client(struct fl_traffic *t, struct fl_str line)
{
    static const struct fl_scan_pick picks[] = { { { "id" } },
                                                 { { "method" } },
                                                 { { "params", "requestId" } } };
    struct fl_str found[3];
    struct fl_err err;
    size_t at;
    if (fl_scan(line, &fl_scan_grammar, picks, FL_COUNTOF(picks), found, &err) != FL_OK)
        return err.code != FL_NOMEM;
    struct fl_str id = found[0], method = found[1];
    if (!method.p)
        return true;
    if (!id.p) {
        if (fl_span_is(method, "notifications/initialized"))
            t->is_initialized = true;
        /* A cancelled request is never answered. */
        if (fl_span_is(method, "notifications/cancelled") && found[2].p && find(t, found[2], &at))
            forget(t, at);
        return true;
    }
    if (fl_span_is(method, "initialize") &&
        !(keep(&t->initialize, line) && keep(&t->initialize_id, id)))
        return false;
    return note(t, id);
}

enum fl_traffic_line fl_traffic_from_runtime(struct fl_traffic *t, struct fl_str line)
{
    static const struct fl_scan_pick picks[] = {
        { { "id" } }, { { "method" } }, { { "error" } }, { { "leaving" } }, { { "jsonrpc" } }
    };
    struct fl_str found[FL_COUNTOF(picks)];
    struct fl_err err;
    size_t at;
    if (fl_scan(line, &fl_scan_grammar, picks, FL_COUNTOF(picks), found, &err) != FL_OK)
        return FL_TRAFFIC_PASS;
    if (found[3].p && !found[4].p)
        return FL_TRAFFIC_LEAVING;
    if (!found[0].p || found[1].p)
        return FL_TRAFFIC_PASS;
    if (t->is_replaying && fl_str_eq(found[0], fl_buf_view(&t->initialize_id))) {
        t->is_replaying = false;
        return found[2].p ? FL_TRAFFIC_REFUSED : FL_TRAFFIC_OURS;
    }
    if (find(t, found[0], &at))
        forget(t, at);
    return FL_TRAFFIC_PASS;
}

void fl_traffic_lost(struct fl_traffic *t, const char *why, struct fl_buf *out)
{
    t->is_replaying = false;
    for (size_t i = t->count; i-- > 0;) {
        struct fl_str id = { t->open[i].id, t->open[i].n };
        if (t->initialize_id.n && fl_str_eq(id, fl_buf_view(&t->initialize_id)))
            continue;
        fl_buf_puts(out, "{\"jsonrpc\":\"2.0\",\"id\":");
        fl_buf_str(out, id);
        fl_buf_puts(out, ",\"error\":{\"code\":-32603,\"message\":");
        fl_buf_json_str(out, fl_str_of(why));
        fl_buf_puts(out, "}}\n");
        forget(t, i);
    }
}

void fl_traffic_again(struct fl_traffic *t, struct fl_buf *to_runtime, struct fl_buf *to_client)
{
    size_t at;
    if (!t->initialize.n)
        return;
    fl_buf_str(to_runtime, fl_buf_view(&t->initialize));
    fl_buf_putc(to_runtime, '\n');
    t->is_replaying = !find(t, fl_buf_view(&t->initialize_id), &at);
    if (!t->is_initialized)
        return;
    fl_buf_puts(to_runtime, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    /* Whatever was announced meanwhile was not heard. */
    fl_buf_puts(to_client,
                "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n");
}
