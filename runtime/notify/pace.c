/* Pace of a place. */
#include "runtime/notify/pace.h"

#include "flopinio/base/clock.h"

#define BURST 8.0 /* messages that a place takes at once */

int64_t fl_pace_take(struct fl_pace *pace, struct fl_str place)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    int64_t now = fl_mono_ms();
    for (size_t i = 0; i < place.n; i++)
        hash = (hash ^ (unsigned char)place.p[i]) * 0x100000001b3ULL;
    size_t at = hash % FL_PACE_PLACES;
    if (pace->places[at].hash != hash) {
        pace->places[at].hash = hash;
        pace->places[at].tokens = BURST;
        pace->places[at].at_ms = now;
    }
    double each_ms = place.n && place.p[0] == '-' ? 3000 : 1000;
    double more = pace->places[at].tokens + (double)(now - pace->places[at].at_ms) / each_ms;
    pace->places[at].tokens = more > BURST ? BURST : more;
    pace->places[at].at_ms = now;
    if (pace->places[at].tokens < 1)
        return (int64_t)((1 - pace->places[at].tokens) * each_ms) + 1;
    pace->places[at].tokens -= 1;
    return 0;
}
