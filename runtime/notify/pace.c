/* Pace of a place, and rests of a channel. */
#include "runtime/notify/pace.h"

#define BURST    8.0 /* messages that a place takes at once */
#define KEPT_MS  500 /* how long the next message is kept for who was refused first */
#define REST_MS  1000
#define AWAY_MAX 30000
#define REST_MAX 300000

#define DIGEST UINT64_MAX

static uint64_t hash_of(struct fl_str place)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < place.n; i++)
        hash = (hash ^ (unsigned char)place.p[i]) * 0x100000001b3ULL;
    return hash;
}

int64_t fl_pace_take(struct fl_pace *pace, struct fl_str place, uint64_t who, int64_t now)
{
    who = who ? who : DIGEST;
    uint64_t hash = hash_of(place);
    size_t at = hash % FL_PACE_PLACES;
    if (pace->places[at].hash != hash) {
        pace->places[at].hash = hash;
        pace->places[at].tokens = BURST;
        pace->places[at].at_ms = now;
        pace->places[at].next = 0;
    }
    double each_ms = place.n && place.p[0] == '-' ? 3000 : 1000;
    double more = pace->places[at].tokens + (double)(now - pace->places[at].at_ms) / each_ms;
    pace->places[at].tokens = more > BURST ? BURST : more;
    pace->places[at].at_ms = now;
    bool is_kept = pace->places[at].next && now < pace->places[at].next_until_ms;
    if (pace->places[at].tokens < 1) {
        int64_t wait_ms = (int64_t)((1 - pace->places[at].tokens) * each_ms) + 1;
        if (!is_kept || who == DIGEST || who == pace->places[at].next) {
            pace->places[at].next = who;
            pace->places[at].next_until_ms = now + wait_ms + KEPT_MS;
        }
        return wait_ms;
    }
    if (is_kept && who != DIGEST && who != pace->places[at].next)
        return pace->places[at].next_until_ms - now;
    if (!is_kept || who == pace->places[at].next)
        pace->places[at].next = 0;
    pace->places[at].tokens -= 1;
    return 0;
}

void fl_pace_give_back(struct fl_pace *pace, struct fl_str place)
{
    uint64_t hash = hash_of(place);
    size_t at = hash % FL_PACE_PLACES;
    if (pace->places[at].hash == hash && pace->places[at].tokens <= BURST - 1)
        pace->places[at].tokens += 1;
}

int64_t fl_pace_rest_ms(enum fl_code code, int failures, bool is_mail)
{
    bool is_away = code == FL_UNAVAILABLE || code == FL_TIMEOUT || code == FL_AMBIGUOUS;
    int64_t most = is_away && !is_mail ? AWAY_MAX : REST_MAX, ms = REST_MS;
    if (code == FL_UNAUTHENTICATED)
        return REST_MAX;
    for (int i = 1; i < failures && ms < most; i++)
        ms *= 2;
    return ms < most ? ms : most;
}
