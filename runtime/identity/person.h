/* A person proves who they are: name and passphrase, with a code of their authenticator when they
 * have one, or a personal token. Wrong answers lock the person for growing times; unknown names
 * cost the same work and get the same answer. Loop thread; hashing runs on the thread pool, two at
 * a time. */
#ifndef FLOPINIO_IDENTITY_PERSON_H
#define FLOPINIO_IDENTITY_PERSON_H

#include "flopinio/base/flow.h"
#include "runtime/crypto/keyring.h"
#include "runtime/crypto/password.h"
#include "runtime/io/pg.h"

/* What a personal token may be used for. X(NAME, text) */
#define FL_SCOPES(X)                                                                               \
    X(READ, "read")     /* look at what the person may see */                                      \
    X(DECIDE, "decide") /* approve, reject, stop; at most 24 h */                                  \
    X(ADMIN, "admin")   /* everything else that the person's role allows */

enum fl_scope_at {
#define X(name, text) FL_SCOPE_AT_##name,
    FL_SCOPES(X)
#undef X
        FL_SCOPE_COUNT
};
enum fl_scope {
#define X(name, text) FL_SCOPE_##name = 1 << FL_SCOPE_AT_##name,
    FL_SCOPES(X)
#undef X
        FL_SCOPE_ALL = (1 << FL_SCOPE_COUNT) - 1
};
/* "read,decide" -> bits; 0 if one is none of ours or the list is empty. */
unsigned fl_scopes_parse(struct fl_str csv);
#define FL_TOKEN_DECIDE_MAX_MS INT64_C(86400000)   /* 24 h */
#define FL_TOKEN_MAX_MS        INT64_C(7776000000) /* 90 d */

struct fl_people;
enum fl_code fl_people_new(struct fl_loop *loop, struct fl_pg *pg, const struct fl_keyring *keys,
                           struct fl_people **ret, struct fl_err *err) FL_MUST_CHECK;
void fl_people_free(struct fl_people **people);

struct fl_person_auth {
    struct fl_flow flow;
    /* ---- inputs; copied by the start ---- */
    struct fl_people *people;
    struct fl_str token;                  /* p NULL: by passphrase */
    struct fl_str name, passphrase, totp; /* totp n 0: none given */
    bool by_code;     /* somebody else vouches for `name`: only the code is asked, and is needed */
    const char *from; /* address or "control socket", for the audit */
    struct fl_str organization; /* looked up beside the token, to save a round trip; p NULL: none.
                                 * Borrowed until it ends */
    /* ---- outputs; texts live until fl_person_auth_fini ---- */
    struct fl_uuid id;
    struct fl_str person, display;
    unsigned scopes; /* of the token; FL_SCOPE_ALL by passphrase */
    bool has_second_factor;
    struct fl_uuid token_id;       /* zero: by passphrase */
    struct fl_str passphrase_hash; /* that was proved; p NULL: none was */
    struct fl_query *q_org;        /* fl_store_organization_named; NULL: not looked up */
    bool has_totp;                 /* of by_code: they have an authenticator */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q;
    struct fl_pass_job *job;
    struct fl_work work;
    struct fl_list waiting;
    struct fl_post post;
    int64_t step, last_step;
    bool is_active, is_locked, is_known;
    bool is_counted; /* as a wrong answer, before it was looked at */
    struct fl_str totp_sealed;
    struct fl_err refusal;
};

/* FL_UNAUTHENTICATED (one sentence, the same for unknown names), FL_TOO_MANY (locked for a while,
 * or too many at once), FL_UNAVAILABLE. Of by_code also FL_FORBIDDEN (they left) and FL_CONFLICT
 * (they have no authenticator: the sentence says how to get one); without a code nothing counts,
 * and `has_totp` says whether there is one to ask. */
enum fl_code fl_person_auth_start(struct fl_op *op, struct fl_person_auth *auth) FL_MUST_CHECK;
void fl_person_auth_fini(struct fl_person_auth *auth);

/* A new passphrase's PHC string, off the loop: FL_BAD_PARAMS when it may not be used. */
struct fl_person_hash {
    struct fl_op *op;
    struct fl_people *people;
    struct fl_pass_job job;
    struct fl_work work;
};
enum fl_code fl_person_hash_start(struct fl_op *op, struct fl_person_hash *hash,
                                  struct fl_people *people, struct fl_str passphrase) FL_MUST_CHECK;

/* The place of a person's TOTP seed, for fl_seal. `text` holds the id. */
struct fl_place fl_person_totp_place(const struct fl_uuid *person, char text[FL_UUID_TEXT]);

#endif
