/* The request that asks for a WebSocket (RFC 6455 4.2.1): checked here, before libwebsockets sees
 * anything of it. */
#include "runtime/io/http_priv.h"
#include "runtime/io/ws_priv.h"

static bool offers_mcp(const struct fl_http_exchange *ex)
{
    size_t pos = 0;
    struct fl_str list;
    while (fl_http_header_next(ex, "Sec-WebSocket-Protocol", &pos, &list)) {
        size_t from = 0;
        for (size_t i = 0; i <= list.n; i++) {
            if (i < list.n && list.p[i] != ',')
                continue;
            /* Names of subprotocols are case-sensitive. */
            if (fl_str_is(fl_str_trim((struct fl_str){ list.p + from, i - from }), "mcp"))
                return true;
            from = i + 1;
        }
    }
    return false;
}

/* 16 bytes in base64: 22 digits, of which the last carries four bits of nothing, and "==". */
static bool is_key_valid(const struct fl_http_exchange *ex, struct fl_str *ret_key)
{
    struct fl_str key = fl_http_header_get(ex, "Sec-WebSocket-Key");
    if (fl_http_header_count(ex, "Sec-WebSocket-Key") != 1 || key.n != 24)
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '+' || c == '/'))
            return false;
    }
    *ret_key = key;
    return strchr("AQgw", key.p[21]) && key.p[22] == '=' && key.p[23] == '=';
}

enum fl_code fl_ws_refuse(struct fl_http_exchange *ex, enum fl_code code, const char *text,
                          struct fl_err *err)
{
    const struct fl_http_header upgrade[] = {
        { FL_STR("Upgrade"), FL_STR("websocket") },
        { FL_STR("Sec-WebSocket-Version"), FL_STR("13") },
    };
    size_t count = code == FL_UPGRADE_REQUIRED ? 2 : 0;
    /* What follows may be frames of a peer that did not wait. */
    fl_http_exchange_of(ex)->head.keeps_alive = false;
    enum fl_code answered = fl_http_respond_error(ex, fl_code_http(code), text, upgrade, count);
    return fl_err_set(err, answered == FL_CLOSED ? FL_CLOSED : code, "%s", text);
}

enum fl_code fl_ws_check_request(struct fl_http_exchange *ex, struct fl_str *ret_key,
                                 struct fl_err *err)
{
    if (ex->method != FL_HTTP_GET || ex->is_http10 || !fl_http_exchange_of(ex)->is_body_whole)
        return fl_ws_refuse(ex, FL_BAD_REQUEST, "a websocket begins with a plain http/1.1 get",
                            err);
    if (!fl_http_header_has_token(ex, "Upgrade", "websocket") ||
        !fl_http_header_has_token(ex, "Connection", "upgrade"))
        return fl_ws_refuse(ex, FL_UPGRADE_REQUIRED, "only websocket is spoken here", err);
    if (fl_http_header_count(ex, "Sec-WebSocket-Version") != 1 ||
        !fl_str_is(fl_http_header_get(ex, "Sec-WebSocket-Version"), "13"))
        return fl_ws_refuse(ex, FL_UPGRADE_REQUIRED, "only version 13 of websocket is spoken here",
                            err);
    if (!is_key_valid(ex, ret_key))
        return fl_ws_refuse(ex, FL_BAD_REQUEST, "the websocket key is not 16 bytes in base64", err);
    if (!offers_mcp(ex))
        return fl_ws_refuse(ex, FL_BAD_REQUEST, "the websocket subprotocol \"mcp\" is not offered",
                            err);
    return FL_OK;
}
