/* The binding digest. */
#include "runtime/crypto/binding.h"

void fl_binding_digest(const struct fl_binding *b, uint8_t out[FL_SHA256_BYTES])
{
    struct fl_sha256 s;
    fl_sha256_init(&s);
    fl_sha256_part(&s, FL_STR("flopinio/binding/1"));
    fl_sha256_part(&s, fl_uuid_bytes(&b->organization));
    fl_sha256_part(&s, fl_uuid_bytes(&b->agent));
    fl_sha256_part(&s, b->server);
    fl_sha256_part(&s, b->tool);
    fl_sha256_part(&s, fl_bytes(b->definition_digest, sizeof b->definition_digest));
    fl_sha256_part(&s, b->arguments);
    fl_sha256_part_u64(&s, b->policy_version);
    fl_sha256_part(&s, b->precondition);
    fl_sha256_part(&s, fl_bytes(b->salt, sizeof b->salt));
    fl_sha256_final(&s, out);
}
