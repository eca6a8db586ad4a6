/* What `flopinio recover` changes, in one transaction over all organizations, as the app role: what
 * the database has forgotten may have happened, so everything open is ended, and nobody gets in by
 * what it remembers. Blocking; each call is a statement or two of the transaction. */
#ifndef FLOPINIO_STORE_RECOVER_H
#define FLOPINIO_STORE_RECOVER_H

#include "runtime/io/pg_admin.h"
#include "runtime/store/audit.h"

/* Begins: the next epoch, no workers, no leases. Two at once wait for one another. */
enum fl_code fl_recover_begin(struct pg_conn *pg, struct fl_err *err) FL_MUST_CHECK;
/* organization_id, name */
enum fl_code fl_recover_organizations(struct pg_conn *pg, struct pg_result **ret,
                                      struct fl_err *err) FL_MUST_CHECK;
/* From here on the statements are about this organization. */
enum fl_code fl_recover_enter(struct pg_conn *pg, const char *organization,
                              struct fl_err *err) FL_MUST_CHECK;
/* Its agents ("ORG/NAME") and people ("NAME"): name */
enum fl_code fl_recover_names(struct pg_conn *pg, const char *organization_name,
                              struct pg_result **ret, struct fl_err *err) FL_MUST_CHECK;
/* Its rows are those of this database from now on (table origin). */
enum fl_code fl_recover_origin(struct pg_conn *pg, struct fl_err *err) FL_MUST_CHECK;
/* Ends what is open: approval_id, state before, state after */
enum fl_code fl_recover_approvals(struct pg_conn *pg, struct pg_result **ret,
                                  struct fl_err *err) FL_MUST_CHECK;
/* Revokes credentials but those of `kept`, a JSON list of names as above, or "all":
 * credential_id, agent, name. Sessions end, and what workers cached of it is old. */
enum fl_code fl_recover_credentials(struct pg_conn *pg, const char *organization_name,
                                    const char *kept, struct pg_result **ret,
                                    struct fl_err *err) FL_MUST_CHECK;
/* Revokes every grant, as how often it was used is forgotten: grant_id, whose, tool. */
enum fl_code fl_recover_grants(struct pg_conn *pg, struct pg_result **ret,
                               struct fl_err *err) FL_MUST_CHECK;
/* Ends every delegation, as one that was ended since would hold again: person_id, whose, delegate
 */
enum fl_code fl_recover_delegations(struct pg_conn *pg, struct pg_result **ret,
                                    struct fl_err *err) FL_MUST_CHECK;
/* Unlinks chat accounts but those of people of `kept`; codes and questions in chats end:
 * person_id, name, kind of chat */
enum fl_code fl_recover_identities(struct pg_conn *pg, const char *kept, struct pg_result **ret,
                                   struct fl_err *err) FL_MUST_CHECK;
/* Passphrases, second factors and tokens, all organizations: person_id, name, "t" if there was a
 * passphrase, how many tokens */
enum fl_code fl_recover_people(struct pg_conn *pg, const char *kept, struct pg_result **ret,
                               struct fl_err *err) FL_MUST_CHECK;
enum fl_code fl_recover_audit(struct pg_conn *pg, const struct fl_audit_row *row,
                              struct fl_err *err) FL_MUST_CHECK;
/* Commits, or takes it all back. */
enum fl_code fl_recover_end(struct pg_conn *pg, bool commits, struct fl_err *err) FL_MUST_CHECK;

#endif
