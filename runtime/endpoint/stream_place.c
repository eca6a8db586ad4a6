/* Giving back places of GET streams. A place is made before it is taken, so that giving it back
 * needs no memory that might not be there. */
#include "runtime/endpoint/stream_place.h"

#include "flopinio/base/mem.h"
#include "runtime/store/person.h"

#define PLACES_MAX 32768 /* taken, or not given back yet */
#define AT_ONCE    16    /* transactions */
#define AGAIN_MS   250   /* after the first failure; twice as long after the next */
#define AGAIN_MAX  2000

static void go_on(struct fl_endpoint *ep);

struct fl_stream_place *fl_stream_place_new(struct fl_session *session)
{
    struct fl_endpoint *ep = session->endpoint;
    struct fl_stream_place *p = ep->places.count < PLACES_MAX ? fl_calloc(1, sizeof *p) : NULL;
    if (!p)
        return NULL;
    p->take = fl_uuid_new();
    p->organization = session->organization_id;
    memcpy(p->hash, session->hash, sizeof p->hash);
    p->endpoint = ep;
    fl_list_init(&p->link);
    ep->places.count++;
    return p;
}

void fl_stream_place_free(struct fl_stream_place **place)
{
    struct fl_stream_place *p = *place;
    *place = NULL;
    if (!p)
        return;
    fl_list_remove(&p->link);
    if (p->endpoint)
        p->endpoint->places.count--;
    fl_free(p);
}

static void end_tx(struct fl_stream_place *p)
{
    fl_tx_fini(&p->tx);
    fl_arena_free(&p->arena);
}

/* Behind the others: none of them keeps the rest from being tried. */
static void wait(struct fl_endpoint *ep, struct fl_stream_place *p)
{
    fl_list_remove(&p->link);
    fl_list_push_back(&ep->places.waiting, &p->link);
    if (fl_timer_is_armed(&ep->places.again))
        return;
    fl_loop_timer(ep->core->loop, &ep->places.again, ep->places.again_ms);
    if (ep->places.again_ms < AGAIN_MAX)
        ep->places.again_ms *= 2;
}

static void on_told(struct fl_op *op)
{
    struct fl_stream_place *p = FL_CONTAINER(op, struct fl_stream_place, op);
    struct fl_endpoint *ep = p->endpoint;
    end_tx(p);
    if (ep)
        ep->places.at_once--;
    if (ep && op->code) {
        wait(ep, p);
        return;
    }
    fl_stream_place_free(&p);
    if (!ep)
        return;
    ep->places.again_ms = AGAIN_MS;
    go_on(ep);
}

static bool tell(struct fl_endpoint *ep, struct fl_stream_place *p)
{
    p->arena = fl_arena_new(0);
    if (!p->arena)
        return false;
    p->op = (struct fl_op){ .done = on_told };
    fl_tx_init(&p->tx, ep->core->pg, p->arena, &p->organization);
    fl_store_session_stream_drop(&p->tx, fl_bytes(p->hash, sizeof p->hash), &ep->core->worker,
                                 &p->take);
    if (fl_tx_submit(&p->op, &p->tx) == FL_OK)
        return true;
    end_tx(p);
    return false;
}

static void go_on(struct fl_endpoint *ep)
{
    struct fl_stream_places *all = &ep->places;
    while (all->at_once < AT_ONCE && !fl_list_is_empty(&all->waiting) &&
           !fl_timer_is_armed(&all->again)) {
        struct fl_stream_place *p = FL_CONTAINER(all->waiting.next, struct fl_stream_place, link);
        if (!fl_pg_is_up(ep->core->pg, NULL) || !tell(ep, p)) {
            wait(ep, p);
            return;
        }
        fl_list_remove(&p->link);
        fl_list_push_back(&all->telling, &p->link);
        all->at_once++;
    }
}

static void on_again(struct fl_timer *timer)
{
    go_on(FL_CONTAINER(timer, struct fl_endpoint, places.again));
}

void fl_stream_place_give_back(struct fl_stream_place **place)
{
    struct fl_stream_place *p = *place;
    *place = NULL;
    fl_list_push_back(&p->endpoint->places.waiting, &p->link);
    go_on(p->endpoint);
}

void fl_stream_places_init(struct fl_endpoint *ep)
{
    fl_list_init(&ep->places.waiting);
    fl_list_init(&ep->places.telling);
    fl_timer_init(&ep->places.again, on_again);
    ep->places.again_ms = AGAIN_MS;
}

bool fl_stream_places_are_given_back(const struct fl_endpoint *ep)
{
    return ep->places.at_once == 0 &&
           (fl_list_is_empty(&ep->places.waiting) || !fl_pg_is_up(ep->core->pg, NULL));
}

void fl_stream_places_free(struct fl_endpoint *ep)
{
    fl_loop_timer_cancel(ep->core->loop, &ep->places.again);
    FL_LIST_FOREACH_SAFE (link, &ep->places.waiting) {
        struct fl_stream_place *p = FL_CONTAINER(link, struct fl_stream_place, link);
        fl_stream_place_free(&p);
    }
    FL_LIST_FOREACH_SAFE (told, &ep->places.telling) {
        FL_CONTAINER(told, struct fl_stream_place, link)->endpoint = NULL; /* it ends by itself */
        fl_list_remove(told);
    }
}
