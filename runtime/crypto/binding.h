/* The digest that binds an approval to what was approved (architecture: promise 2). Made at intake,
 * made again from the stored bytes before anything is sent, and compared. Any thread. */
#ifndef FLOPINIO_CRYPTO_BINDING_H
#define FLOPINIO_CRYPTO_BINDING_H

#include "runtime/crypto/digest.h"

struct fl_binding {
    struct fl_uuid organization, agent;
    struct fl_str server; /* which server, and what it is: its configuration, what cards call it */
    struct fl_str tool;
    uint8_t definition_digest[FL_SHA256_BYTES]; /* of the pinned tool definition */
    struct fl_str arguments;                    /* canonical (RFC 8785) */
    uint64_t policy_version;                    /* evidence: which policy asked */
    struct fl_str precondition;                 /* empty: none */
    uint8_t salt[FL_SALT_BYTES];                /* random, one for each approval */
};

/* SHA-256 over parts (u32be length before each): "flopinio/binding/1", organization, agent, server,
 * tool, definition digest, arguments, policy version (u64be), precondition, salt. */
void fl_binding_digest(const struct fl_binding *binding, uint8_t out[FL_SHA256_BYTES]);

#endif
