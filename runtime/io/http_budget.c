/* Bodies of senders that nothing is known of: how much they hold, also whole ones while it is found
 * out who sent them, and how many are on their way at a time. Where there is no room for another
 * one, the address that has most makes it, with the one that came first: what is sent at once, as
 * chats do, is read whatever others send slowly. */
#include <arpa/inet.h>

#include "runtime/io/http_priv.h"

#define AMONG 256 /* of those on their way, and of whole ones, so many are looked at */

/* What an address counts as: IPv6 by its /64, which one host has whole. */
static uint64_t sender_of(const struct fl_http_exchange *ex)
{
    struct in_addr v4;
    struct in6_addr v6;
    uint64_t sender = 0; /* a unix socket's */
    if (inet_pton(AF_INET, ex->client, &v4) == 1)
        return v4.s_addr;
    if (inet_pton(AF_INET6, ex->client, &v6) == 1)
        memcpy(&sender, &v6, sizeof sender);
    return sender;
}

static uint64_t weight(const struct exchange *ex, bool of_bytes)
{
    return of_bytes ? ex->counted : 1;
}

/* Of a list, those that came first; behind the `n` that there are. */
static size_t put(struct fl_list *list, const struct exchange *but, bool of_bytes,
                  struct exchange **among, size_t n)
{
    size_t most = n + AMONG;
    FL_LIST_FOREACH (link, list) {
        struct exchange *r = FL_CONTAINER(link, struct exchange, in_budget);
        if (n == most)
            break;
        if (r != but && r->state <= FL_HTTP_S_OWED && weight(r, of_bytes))
            among[n++] = r;
    }
    return n;
}

/* Who makes room for `ex`: of the address that has most, with it, the one that came first, those
 * that are whole behind the others; NULL: there is none. `of_bytes`: one that holds some. */
static struct exchange *longest(struct fl_http_budget *b, const struct exchange *ex, bool of_bytes)
{
    struct exchange *among[2 * AMONG], *found = NULL;
    uint64_t most = 0;
    size_t n = put(&b->reading, ex, of_bytes, among, 0);
    if (of_bytes)
        n = put(&b->whole, ex, true, among, n);
    for (size_t i = 0; i < n; i++) {
        uint64_t sender = among[i]->sender, has = sender == ex->sender ? weight(ex, of_bytes) : 0;
        for (size_t j = 0; j < n; j++) {
            if (among[j]->sender == sender)
                has += weight(among[j], of_bytes);
        }
        if (has > most) {
            found = among[i];
            most = has;
        }
    }
    return found;
}

/* An endpoint that has it already is told as if the peer had gone. */
static void turn_away(struct exchange *ex, const char *text)
{
    static const struct fl_http_header later = { { "Retry-After", 11 }, { "5", 1 } };
    const struct fl_http_callbacks *callbacks = ex->conn->server->config.callbacks;
    bool is_owed = ex->state == FL_HTTP_S_OWED;
    ex->conn->server->counts.bad_requests++;
    fl_http_known(&ex->pub);
    if (fl_http_respond_error(&ex->pub, 503, text, &later, 1) != FL_OK || !is_owed)
        return;
    ex->is_gone = true;
    if (callbacks->on_gone)
        callbacks->on_gone(&ex->pub);
}

bool fl_http_budget_count(struct exchange *ex)
{
    struct fl_http_budget *b = ex->budget;
    uint64_t size = ex->body.bytes > FL_HTTP_FREE_BYTES ? ex->body.bytes - FL_HTTP_FREE_BYTES : 0;
    if (!b || size <= ex->counted)
        return true;
    if (!ex->sender)
        ex->sender = sender_of(&ex->pub);
    while (size - ex->counted > b->max - b->used) {
        struct exchange *slow = longest(b, ex, true);
        turn_away(slow ? slow : ex, "too many large requests are being read");
        if (!slow)
            return false;
    }
    b->used += size - ex->counted;
    ex->counted = size;
    return true;
}

void fl_http_budget_enter(struct exchange *ex)
{
    struct fl_http_budget *b = ex->budget;
    if (!b || fl_list_is_linked(&ex->in_budget))
        return;
    ex->sender = sender_of(&ex->pub);
    struct exchange *slow = b->readers >= b->readers_max ? longest(b, ex, false) : NULL;
    if (slow)
        turn_away(slow, "too many slow requests are being read");
    fl_list_push_back(&b->reading, &ex->in_budget);
    b->readers++;
}

static void take_out(struct exchange *ex)
{
    if (!fl_list_is_linked(&ex->in_budget))
        return;
    fl_list_remove(&ex->in_budget);
    ex->budget->readers -= !ex->is_whole_in_budget;
}

void fl_http_budget_leave(struct exchange *ex)
{
    take_out(ex);
    ex->is_whole_in_budget = true;
    if (ex->budget && ex->counted)
        fl_list_push_back(&ex->budget->whole, &ex->in_budget);
}

void fl_http_known(struct fl_http_exchange *pub)
{
    struct exchange *ex = fl_http_exchange_of(pub);
    take_out(ex);
    if (ex->budget)
        ex->budget->used -= ex->counted;
    ex->budget = NULL;
    ex->counted = 0;
}
