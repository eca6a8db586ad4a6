/* Giving back places of GET streams. A place is made before it is taken, so that none is forgotten
 * for want of memory. Those that ended in one turn of the loop, as at a drain, go together: many of
 * an organization are one statement. */
#include "runtime/endpoint/stream_place.h"

#include "flopinio/base/mem.h"
#include "runtime/store/person.h"

#define PLACES_MAX 32768 /* taken, or not given back yet */
#define TOGETHER   256   /* in one statement */
#define LOOKED_AT  1024  /* how far others of the same organization are looked for */
#define AT_ONCE    4     /* statements */
#define AGAIN_MS   250   /* after the first failure; twice as long after the next */
#define AGAIN_MAX  2000

/* Places that are told together. */
struct telling {
    struct fl_op op;
    struct fl_tx tx;
    struct fl_arena *arena;       /* holds this struct, too */
    struct fl_endpoint *endpoint; /* NULL: it was freed meanwhile, and the places with it */
    struct fl_list link;          /* fl_stream_places.telling */
    struct fl_list places;        /* fl_stream_place.link */
    unsigned count;
};

static void go_on(struct fl_endpoint *ep);

static struct fl_stream_place *place_of(struct fl_list *link)
{
    return FL_CONTAINER(link, struct fl_stream_place, link);
}

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
    p->together = TOGETHER;
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
    p->endpoint->places.count--;
    fl_free(p);
}

static void free_all(struct fl_list *places)
{
    FL_LIST_FOREACH_SAFE (link, places) {
        struct fl_stream_place *p = place_of(link);
        fl_stream_place_free(&p);
    }
}

/* They wait for a while; others do not. */
static void later(struct fl_endpoint *ep, struct fl_list *places)
{
    struct fl_stream_places *all = &ep->places;
    fl_list_splice(&all->failed, places);
    if (fl_timer_is_armed(&all->again))
        return;
    fl_loop_timer(ep->core->loop, &all->again, all->again_ms);
    if (all->again_ms < AGAIN_MAX)
        all->again_ms *= 2;
}

/* What ails one of them keeps the others back no longer than it takes to find it: in fewer and
 * fewer, in the end alone. */
static void on_told(struct fl_op *op)
{
    struct telling *t = FL_CONTAINER(op, struct telling, op);
    struct fl_endpoint *ep = t->endpoint;
    struct fl_arena *arena = t->arena;
    unsigned together = t->count > 4 ? t->count / 4 : 1;
    enum fl_code code = op->code;
    struct fl_list places;
    fl_list_init(&places);
    fl_list_splice(&places, &t->places);
    fl_list_remove(&t->link);
    fl_tx_fini(&t->tx);
    fl_arena_free(&arena);
    if (!ep)
        return;
    ep->places.at_once--;
    if (code) {
        FL_LIST_FOREACH (link, &places)
            place_of(link)->together = together;
        later(ep, &places);
    } else {
        free_all(&places);
        ep->places.again_ms = AGAIN_MS;
    }
    go_on(ep);
}

/* The first that waits, and those that may go with it. */
static void gather(struct fl_list *waiting, struct telling *t)
{
    const struct fl_stream_place *first = place_of(waiting->next);
    unsigned looked = 0;
    FL_LIST_FOREACH_SAFE (link, waiting) {
        struct fl_stream_place *p = place_of(link);
        if (t->count == first->together || looked++ == LOOKED_AT)
            break;
        if (p->together != first->together ||
            fl_uuid_cmp(&p->organization, &first->organization) != 0)
            continue;
        fl_list_remove(link);
        fl_list_push_back(&t->places, link);
        t->count++;
    }
}

static void put_places(struct fl_endpoint *ep, struct telling *t)
{
    struct fl_array hashes, takes;
    fl_array_init(&hashes, FL_ARRAY_BYTES);
    fl_array_init(&takes, FL_ARRAY_UUID);
    FL_LIST_FOREACH (link, &t->places) {
        const struct fl_stream_place *p = place_of(link);
        fl_array_put(&hashes, p->hash, sizeof p->hash);
        fl_array_put(&takes, p->take.b, sizeof p->take.b);
    }
    fl_store_session_streams_drop(&t->tx, &hashes, &takes, &ep->core->worker);
}

/* False: not now, and all of them wait still. */
static bool tell(struct fl_endpoint *ep)
{
    struct fl_stream_places *all = &ep->places;
    struct fl_arena *arena = fl_arena_new(0);
    struct telling *t = arena ? FL_ARENA_NEW(arena, struct telling) : NULL;
    if (!t) {
        fl_arena_free(&arena);
        return false;
    }
    t->arena = arena;
    t->endpoint = ep;
    t->op.done = on_told;
    fl_list_init(&t->link);
    fl_list_init(&t->places);
    gather(&all->waiting, t);
    fl_tx_init(&t->tx, ep->core->pg, arena, &place_of(t->places.next)->organization);
    put_places(ep, t);
    if (fl_tx_submit(&t->op, &t->tx) == FL_OK) {
        fl_list_push_back(&all->telling, &t->link);
        all->at_once++;
        return true;
    }
    fl_list_splice(&all->waiting, &t->places);
    fl_tx_fini(&t->tx);
    fl_arena_free(&arena);
    return false;
}

static void go_on(struct fl_endpoint *ep)
{
    struct fl_stream_places *all = &ep->places;
    while (all->at_once < AT_ONCE && !fl_list_is_empty(&all->waiting)) {
        if (!fl_pg_is_up(ep->core->pg, NULL) || !tell(ep))
            later(ep, &all->waiting);
    }
}

static void on_turn(struct fl_post *post)
{
    go_on(FL_CONTAINER(post, struct fl_endpoint, places.turn));
}

static void on_again(struct fl_timer *timer)
{
    struct fl_endpoint *ep = FL_CONTAINER(timer, struct fl_endpoint, places.again);
    fl_list_splice(&ep->places.waiting, &ep->places.failed);
    go_on(ep);
}

void fl_stream_place_give_back(struct fl_stream_place **place)
{
    struct fl_stream_place *p = *place;
    struct fl_endpoint *ep = p->endpoint;
    *place = NULL;
    fl_list_push_back(&ep->places.waiting, &p->link);
    fl_loop_at_turn_end(ep->core->loop, &ep->places.turn);
}

void fl_stream_places_init(struct fl_endpoint *ep)
{
    fl_list_init(&ep->places.waiting);
    fl_list_init(&ep->places.failed);
    fl_list_init(&ep->places.telling);
    fl_timer_init(&ep->places.again, on_again);
    ep->places.turn.run = on_turn;
    ep->places.again_ms = AGAIN_MS;
}

bool fl_stream_places_are_given_back(const struct fl_endpoint *ep)
{
    const struct fl_stream_places *all = &ep->places;
    bool is_empty = fl_list_is_empty(&all->waiting) && fl_list_is_empty(&all->failed);
    return all->at_once == 0 && (is_empty || !fl_pg_is_up(ep->core->pg, NULL));
}

void fl_stream_places_free(struct fl_endpoint *ep)
{
    fl_loop_timer_cancel(ep->core->loop, &ep->places.again);
    fl_loop_post_cancel(ep->core->loop, &ep->places.turn);
    free_all(&ep->places.waiting);
    free_all(&ep->places.failed);
    FL_LIST_FOREACH_SAFE (link, &ep->places.telling) {
        struct telling *t = FL_CONTAINER(link, struct telling, link);
        t->endpoint = NULL; /* it ends by itself */
        fl_list_remove(link);
        free_all(&t->places);
    }
}
