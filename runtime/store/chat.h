/* Tables chat_identity, chat_link, chat_prompt: who somebody is in a chat. Loop thread. */
#ifndef FLOPINIO_STORE_CHAT_H
#define FLOPINIO_STORE_CHAT_H

#include "runtime/io/pg.h"

/* Active people and accounts only. Columns: person_id, name. */
struct fl_query *fl_store_chat_person(struct fl_tx *tx, const char *kind, struct fl_str external);
/* Every active account that is linked for this kind of channel, but for mail addresses that are
 * dead. Columns: person_id, external_id, for how many ms they are not to be disturbed now. */
struct fl_query *fl_store_chat_identities(struct fl_tx *tx, const char *kind);
/* Columns: person name, kind, external_id, display, linked_at ms, dead_at ms (null: it
 * is not), why. person NULL: of all. */
struct fl_query *fl_store_chat_links(struct fl_tx *tx, const struct fl_uuid *person);
/* A one-time code; earlier ones of the same person and channel are void. */
void fl_store_chat_code(struct fl_tx *tx, struct fl_str code_hash, const struct fl_uuid *channel,
                        const struct fl_uuid *person, int64_t for_ms);
/* Uses the code up and links whoever sent it. Columns: person_id, name, was it linked (false: the
 * account is another person's). No row: no such code, used, too old, or of somebody who left. */
struct fl_query *fl_store_chat_link(struct fl_tx *tx, struct fl_str code_hash,
                                    const struct fl_uuid *channel, const char *kind,
                                    struct fl_str external, struct fl_str display);
/* The chat says that the accounts whose id is like `pattern` are not to be believed, or are again.
 * Columns of those that changed: person_id, name, external_id. */
struct fl_query *fl_store_chat_disable(struct fl_tx *tx, const char *kind, struct fl_str pattern,
                                       bool is_disabled);
/* Cards in the person's own chats are looked at again. */
void fl_store_chat_withdraw(struct fl_tx *tx, const struct fl_uuid *person);
/* kind p NULL: all of them. Returns a row each. Cards in the person's own chats are to be
 * withdrawn. The accounts are locked first, as by fl_store_chat_disable. */
struct fl_query *fl_store_chat_unlink(struct fl_tx *tx, const struct fl_uuid *person,
                                      struct fl_str kind);

void fl_store_chat_prompt_put(struct fl_tx *tx, const struct fl_uuid *channel, struct fl_str place,
                              struct fl_str message, struct fl_str external,
                              const struct fl_uuid *card, int64_t for_ms, bool is_words);
/* Takes it away. Columns: card_id, is_words. */
struct fl_query *fl_store_chat_prompt_take(struct fl_tx *tx, const struct fl_uuid *channel,
                                           struct fl_str place, struct fl_str message,
                                           struct fl_str external);

#endif
