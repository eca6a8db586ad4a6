/* Bodies of senders that nothing is known of: how much they hold and how many are on their way at a
 * time. Where there is no room for another one, the address that has most makes it, with the one
 * that came first: what is sent at once, as chats do, is read whatever others send slowly. */
#include <arpa/inet.h>

#include "runtime/io/http_priv.h"

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

/* Who makes room for `ex`: of the address that has most, with it, the one that came first; NULL:
 * there is none. `of_bytes`: one that holds some. */
static struct exchange *longest(struct fl_http_budget *b, const struct exchange *ex, bool of_bytes)
{
    struct exchange *found = NULL;
    uint64_t most = 0;
    FL_LIST_FOREACH (link, &b->reading) {
        struct exchange *r = FL_CONTAINER(link, struct exchange, in_budget);
        if (r == ex || weight(r, of_bytes) == 0 || (found && found->sender == r->sender))
            continue;
        uint64_t has = r->sender == ex->sender ? weight(ex, of_bytes) : 0;
        for (struct fl_list *l = link; l != &b->reading; l = l->next) {
            struct exchange *other = FL_CONTAINER(l, struct exchange, in_budget);
            if (other != ex && other->sender == r->sender)
                has += weight(other, of_bytes);
        }
        if (has > most) {
            found = r;
            most = has;
        }
    }
    return found;
}

static void turn_away(struct exchange *ex, const char *text)
{
    static const struct fl_http_header later = { { "Retry-After", 11 }, { "5", 1 } };
    ex->conn->server->counts.bad_requests++;
    fl_http_known(&ex->pub);
    fl_http_respond_error(&ex->pub, 503, text, &later, 1);
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

void fl_http_budget_leave(struct exchange *ex)
{
    if (!fl_list_is_linked(&ex->in_budget))
        return;
    fl_list_remove(&ex->in_budget);
    ex->budget->readers--;
}

void fl_http_known(struct fl_http_exchange *pub)
{
    struct exchange *ex = fl_http_exchange_of(pub);
    fl_http_budget_leave(ex);
    if (ex->budget)
        ex->budget->used -= ex->counted;
    ex->budget = NULL;
    ex->counted = 0;
}
