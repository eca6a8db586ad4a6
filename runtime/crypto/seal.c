/* Sealing values, and keyed digests for finding them. */
#include "runtime/crypto/seal.h"

#include "runtime/crypto/aead.h"
#include "runtime/crypto/keyring_priv.h"

enum { VERSION = 1, HEAD_BYTES = 1 + 4 + FL_AEAD_NONCE_BYTES };

_Static_assert(FL_SEAL_OVERHEAD == HEAD_BYTES + FL_AEAD_TAG_BYTES, "the header says the truth");

static void put_part(struct fl_buf *out, struct fl_str part)
{
    FL_ASSERT(part.n <= UINT32_MAX);
    fl_buf_be32(out, (uint32_t)part.n);
    fl_buf_str(out, part);
}

static void put_aad(struct fl_buf *out, const struct fl_place *place, uint32_t key_id)
{
    put_part(out, FL_STR("flopinio/seal/1"));
    put_part(out, fl_uuid_bytes(&place->organization));
    put_part(out, fl_str_of(place->table));
    put_part(out, fl_str_of(place->column));
    put_part(out, place->row);
    fl_buf_be32(out, 4);
    fl_buf_be32(out, key_id);
}

enum fl_code fl_seal_under(const struct fl_keyring *ring, uint32_t key_id,
                           const struct fl_place *place, struct fl_str plain, struct fl_buf *out,
                           struct fl_err *err)
{
    uint8_t key[FL_KEY_BYTES], nonce[FL_AEAD_NONCE_BYTES];
    if (plain.n > FL_AEAD_MAX_BYTES)
        return fl_err_set(err, FL_TOO_LARGE, "a value of %zu bytes is too large to encrypt",
                          plain.n);
    if (!fl_keyring_org_key(ring, key_id, &place->organization, key))
        return fl_err_set(err, FL_BAD_KEY, "key %u is missing", key_id);
    struct fl_buf aad = FL_BUF_INIT;
    put_aad(&aad, place, key_id);
    size_t before = out->n;
    fl_random(nonce, sizeof nonce);
    fl_buf_reserve(out, HEAD_BYTES + plain.n + FL_AEAD_TAG_BYTES);
    fl_buf_putc(out, VERSION);
    fl_buf_be32(out, key_id);
    fl_buf_put(out, nonce, sizeof nonce);
    enum fl_code code = aad.is_failed ? fl_err_code(err, FL_NOMEM) : fl_buf_code(out, err);
    if (code == FL_OK)
        code = fl_aead_seal(key, nonce, fl_buf_view(&aad), plain, out, err);
    if (code != FL_OK)
        fl_buf_cut(out, before);
    fl_cleanse(key, sizeof key);
    fl_buf_fini(&aad);
    return code;
}

enum fl_code fl_seal(const struct fl_keyring *ring, const struct fl_place *place,
                     struct fl_str plain, struct fl_buf *out, struct fl_err *err)
{
    return fl_seal_under(ring, fl_keyring_active(ring), place, plain, out, err);
}

bool fl_sealed_key(struct fl_str sealed, uint32_t *ret_key_id)
{
    const uint8_t *b = (const uint8_t *)sealed.p;
    if (sealed.n < FL_SEAL_OVERHEAD || b[0] != VERSION)
        return false;
    *ret_key_id = (uint32_t)b[1] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 8 | b[4];
    return true;
}

/* Opens into `out`, which has room for sealed.n - FL_SEAL_OVERHEAD bytes. */
static enum fl_code open_into(const struct fl_keyring *ring, const struct fl_place *place,
                              struct fl_str sealed, uint8_t *out, struct fl_err *err)
{
    uint8_t key[FL_KEY_BYTES];
    uint32_t key_id = 0;
    FL_ASSERT(fl_sealed_key(sealed, &key_id));
    if (!fl_keyring_org_key(ring, key_id, &place->organization, key))
        return fl_err_set(err, FL_BAD_KEY, "key %u, which %s.%s is encrypted with, is missing",
                          key_id, place->table, place->column);
    struct fl_buf aad = FL_BUF_INIT;
    put_aad(&aad, place, key_id);
    enum fl_code code = fl_buf_code(&aad, err);
    if (code == FL_OK) {
        struct fl_str body = { sealed.p + HEAD_BYTES, sealed.n - HEAD_BYTES };
        code = fl_aead_open(key, (const uint8_t *)sealed.p + 5, fl_buf_view(&aad), body, out, err);
    }
    if (code == FL_BAD_KEY)
        fl_err_set(err, FL_BAD_KEY,
                   "a value of %s.%s does not open: it was changed or moved, or key %u is wrong",
                   place->table, place->column, key_id);
    fl_cleanse(key, sizeof key);
    fl_buf_fini(&aad);
    return code;
}

static enum fl_code check_shape(const struct fl_place *place, struct fl_str sealed,
                                struct fl_err *err)
{
    uint32_t key_id;
    if (fl_sealed_key(sealed, &key_id))
        return FL_OK;
    return fl_err_set(err, FL_BAD_KEY, "a value of %s.%s is not an encrypted one", place->table,
                      place->column);
}

enum fl_code fl_unseal(const struct fl_keyring *ring, const struct fl_place *place,
                       struct fl_str sealed, struct fl_buf *out, struct fl_err *err)
{
    enum fl_code code = check_shape(place, sealed, err);
    if (code != FL_OK)
        return code;
    size_t n = sealed.n - FL_SEAL_OVERHEAD;
    if (!fl_buf_reserve(out, n))
        return fl_buf_code(out, err);
    code = open_into(ring, place, sealed, (uint8_t *)out->p + out->n, err);
    if (code == FL_OK)
        out->n += n;
    out->p[out->n] = 0;
    return code;
}

enum fl_code fl_unseal_secret(const struct fl_keyring *ring, const struct fl_place *place,
                              struct fl_str sealed, struct fl_secret *ret, struct fl_err *err)
{
    struct fl_secret secret = { 0 };
    enum fl_code code = check_shape(place, sealed, err);
    if (code == FL_OK)
        code = fl_secret_init(&secret, sealed.n - FL_SEAL_OVERHEAD, err);
    if (code == FL_OK)
        code = open_into(ring, place, sealed, fl_secret_bytes(&secret), err);
    if (code == FL_OK)
        *ret = secret;
    else
        fl_secret_fini(&secret);
    return code;
}

void fl_blind_index(const struct fl_keyring *ring, const struct fl_uuid *organization,
                    const char *table, const char *column, struct fl_str value,
                    uint8_t out[FL_BLIND_INDEX_BYTES])
{
    uint8_t mac[FL_SHA256_BYTES];
    struct fl_hmac h;
    fl_keyring_mac(ring, "flopinio/blind-index/1", &h);
    fl_hmac_part(&h, organization ? fl_uuid_bytes(organization) : FL_STR(""));
    fl_hmac_part(&h, fl_str_of(table));
    fl_hmac_part(&h, fl_str_of(column));
    fl_hmac_part(&h, value);
    fl_hmac_final(&h, mac);
    memcpy(out, mac, FL_BLIND_INDEX_BYTES);
}

void fl_call_fingerprint(const struct fl_keyring *ring, const struct fl_uuid *organization,
                         const struct fl_uuid *agent, struct fl_str tool, struct fl_str arguments,
                         uint8_t out[FL_SHA256_BYTES])
{
    struct fl_hmac h;
    fl_keyring_mac(ring, "flopinio/call/1", &h);
    fl_hmac_part(&h, fl_uuid_bytes(organization));
    fl_hmac_part(&h, fl_uuid_bytes(agent));
    fl_hmac_part(&h, tool);
    fl_hmac_part(&h, arguments);
    fl_hmac_final(&h, out);
}

void fl_card_key(const struct fl_keyring *ring, const struct fl_uuid *organization,
                 uint8_t out[FL_SHA256_BYTES])
{
    struct fl_hmac h;
    fl_keyring_mac(ring, "flopinio/card/1", &h);
    fl_hmac_part(&h, fl_uuid_bytes(organization));
    fl_hmac_final(&h, out);
}
