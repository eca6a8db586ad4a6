/* A mail that came back. fl_bounce_read takes out of a delivery status notification (RFC 3464)
 * whether one of our mails failed for good; fl_mail_id_* says which of ours it was. Pure; any
 * thread.
 *
 * Everybody may write to the mailbox that bounces go to. So nothing in a notification is believed
 * but a Message-ID of ours that comes back in it: it has a MAC over the one address that this mail
 * went to, and nobody but that address's server has seen it. */
#ifndef FLOPINIO_NOTIFY_BOUNCE_H
#define FLOPINIO_NOTIFY_BOUNCE_H

#include "flopinio/base/str.h"
#include "runtime/crypto/keyring.h"

#define FL_BOUNCE_SAID_CHARS 160
#define FL_MAIL_MAC_CHARS    32

struct fl_bounce {
    struct fl_str message_id;            /* of what came back, without < and >; in the mail */
    char status[12];                     /* "5.1.1" */
    char said[FL_BOUNCE_SAID_CHARS + 1]; /* what the other server said, printable ASCII */
};

/* Did a mail fail for good (action "failed", a status 5.x.x)? The first such recipient, as each of
 * our mails has one. False: it is no such notification, or it does not name the mail that it is
 * about. */
bool fl_bounce_read(struct fl_str mail, struct fl_bounce *ret);

/* Does the status say that there is no such mailbox (any more)? The others are about this one mail
 * (its content, its size, who sent it), which an agent can have a hand in, or about the server. */
bool fl_bounce_is_of_mailbox(const struct fl_bounce *bounce);

/* Our Message-IDs are TAG.MAC@DOMAIN: the MAC, in hex, of a mail's tag (what is the same mail has
 * the same one) and of the address that it goes to. A tag begins with the id of what the mail is
 * about: of a card, of an event; or with a fresh one. */
void fl_mail_id_mac(const struct fl_keyring *keys, const struct fl_uuid *organization,
                    struct fl_str address, struct fl_str tag, char out[FL_MAIL_MAC_CHARS + 1]);
/* Is it the Message-ID of one of this organization's mails to this address? With or without what is
 * behind the @. */
bool fl_mail_id_is(const struct fl_keyring *keys, const struct fl_uuid *organization,
                   struct fl_str address, struct fl_str message_id);
/* With which id it begins, and when that was made (milliseconds since 1970): not after the mail.
 * False: with none. */
bool fl_mail_id_about(struct fl_str message_id, struct fl_uuid *ret, int64_t *ret_ms);

#endif
