/* Floor: what libwebsockets and jansson cost without us. A WebSocket server that reads each message
 * into a jansson tree and answers a tools/call result that echoes its arguments; by
 * lws_callback_on_writable, as its examples do. floor_lws PORT */
#include <jansson.h>
#include <libwebsockets.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct session {
    unsigned char *out; /* LWS_PRE bytes, then the answer */
    size_t n;
    char *in;
    size_t in_len;
};

static char *answer(const char *text, size_t n, size_t *ret)
{
    json_error_t error;
    json_t *message = json_loadb(text, n, 0, &error);
    if (!message)
        return NULL;
    json_t *arguments = json_object_get(json_object_get(message, "params"), "arguments");
    char *inner = json_dumps(arguments, JSON_COMPACT | JSON_ENCODE_ANY);
    json_t *reply = json_pack("{s:s, s:O, s:{s:[{s:s, s:s}], s:b}}", "jsonrpc", "2.0", "id",
                              json_object_get(message, "id"), "result", "content", "type", "text",
                              "text", inner ? inner : "", "isError", 0);
    char *out = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
    *ret = out ? strlen(out) : 0;
    free(inner);
    json_decref(reply);
    json_decref(message);
    return out;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct session *s = user;
    switch (reason) {
    case LWS_CALLBACK_RECEIVE: {
        char *more = realloc(s->in, s->in_len + len + 1);
        if (!more)
            return -1;
        s->in = more;
        memcpy(s->in + s->in_len, in, len);
        s->in_len += len;
        if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
            return 0;
        size_t n;
        char *text = answer(s->in, s->in_len, &n);
        s->in_len = 0;
        if (!text)
            return -1;
        free(s->out);
        s->out = malloc(LWS_PRE + n);
        memcpy(s->out + LWS_PRE, text, n);
        s->n = n;
        free(text);
        lws_callback_on_writable(wsi);
        return 0;
    }
    case LWS_CALLBACK_SERVER_WRITEABLE:
        if (s->n && lws_write(wsi, s->out + LWS_PRE, s->n, LWS_WRITE_TEXT) < 0)
            return -1;
        s->n = 0;
        return 0;
    case LWS_CALLBACK_CLOSED:
        free(s->out);
        free(s->in);
        s->out = NULL;
        s->in = NULL;
        return 0;
    default: return 0;
    }
}

static volatile int is_over;

static void on_signal(int number)
{
    (void)number;
    is_over = 1;
}

int main(int argc, char **argv)
{
    static const struct lws_protocols protocols[] = { { "mcp", on_event, sizeof(struct session),
                                                        65536, 0, NULL, 0 },
                                                      { NULL, NULL, 0, 0, 0, NULL, 0 } };
    struct lws_context_creation_info info = { .port = argc > 1 ? atoi(argv[1]) : 0,
                                              .iface = "127.0.0.1",
                                              .protocols = protocols,
                                              .gid = (gid_t)-1,
                                              .uid = (uid_t)-1,
                                              .fd_limit_per_thread = 20000 };
    lws_set_log_level(LLL_ERR, NULL);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    struct lws_context *context = lws_create_context(&info);
    while (context && !is_over && lws_service(context, 0) >= 0)
        ;
    lws_context_destroy(context);
    return context ? 0 : 1;
}
