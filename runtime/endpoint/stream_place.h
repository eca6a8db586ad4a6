/* The place of a session's one GET stream, in the session's row: taken by legacy.c, and given back
 * when the stream has ended, as often as it takes until the database is known to know it. Loop
 * thread only. */
#ifndef FLOPINIO_ENDPOINT_STREAM_PLACE_H
#define FLOPINIO_ENDPOINT_STREAM_PLACE_H

#include "runtime/endpoint/endpoint_priv.h"

struct fl_stream_place {
    struct fl_uuid take; /* of this taking and no other, so that giving it back may be repeated */
    struct fl_uuid organization;
    uint8_t hash[FL_SHA256_BYTES]; /* the session's */
    /* ---- private ---- */
    struct fl_endpoint *endpoint;
    struct fl_list link; /* fl_stream_places.waiting or .failed, or what is told together */
    unsigned together;   /* with how many others; fewer after each failure */
};

/* NULL: no memory, or more are taken and not given back than a worker has streams. */
struct fl_stream_place *fl_stream_place_new(struct fl_session *session);
/* Of one that was not taken, or whose session has ended; NULL is fine. */
void fl_stream_place_free(struct fl_stream_place **place);
/* It was taken, or may have been, and its stream is over. Takes the place. */
void fl_stream_place_give_back(struct fl_stream_place **place);

void fl_stream_places_init(struct fl_endpoint *endpoint);
/* True also while the database is away: in ten seconds from the end of this worker on nobody takes
 * its places for taken (fl_store_session_stream). */
bool fl_stream_places_are_given_back(const struct fl_endpoint *endpoint);
void fl_stream_places_free(struct fl_endpoint *endpoint);

#endif
