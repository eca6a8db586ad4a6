/* Time-based one-time codes. */
#include "runtime/crypto/totp.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "flopinio/base/id.h"
#include "runtime/crypto/digest.h"

enum { SHA1_BYTES = 20, MODULUS = 1000000 };

enum fl_code fl_totp_seed(struct fl_secret *ret, struct fl_err *err)
{
    enum fl_code code = fl_secret_init(ret, FL_TOTP_SEED_BYTES, err);
    if (code == FL_OK)
        fl_random(fl_secret_bytes(ret), FL_TOTP_SEED_BYTES);
    return code;
}

/* RFC 3986: everything but unreserved characters. */
static void put_percent(struct fl_buf *out, struct fl_str s)
{
    static const char unreserved[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] && strchr(unreserved, s.p[i]))
            fl_buf_putc(out, s.p[i]);
        else
            fl_buf_printf(out, "%%%02X", (unsigned char)s.p[i]);
    }
}

void fl_totp_uri(struct fl_buf *out, struct fl_str seed, struct fl_str issuer,
                 struct fl_str account)
{
    fl_buf_puts(out, "otpauth://totp/");
    put_percent(out, issuer);
    fl_buf_putc(out, ':');
    put_percent(out, account);
    fl_buf_puts(out, "?secret=");
    fl_b32(out, seed.p, seed.n);
    fl_buf_puts(out, "&issuer=");
    put_percent(out, issuer);
    fl_buf_printf(out, "&algorithm=SHA1&digits=%d&period=%d", FL_TOTP_DIGITS, FL_TOTP_PERIOD_S);
}

enum fl_code fl_totp_code(struct fl_str seed, uint64_t step, char out[FL_TOTP_DIGITS + 1],
                          struct fl_err *err)
{
    uint8_t counter[8], mac[EVP_MAX_MD_SIZE];
    unsigned mac_n = 0;
    for (unsigned i = 0; i < sizeof counter; i++)
        counter[i] = (uint8_t)(step >> (56 - 8 * i));
    if (!HMAC(EVP_sha1(), seed.p, (int)seed.n, counter, sizeof counter, mac, &mac_n) ||
        mac_n != SHA1_BYTES)
        return fl_err_code(err, FL_NOMEM);
    /* RFC 4226 section 5.3: the last nibble says where the 31 bits start. */
    const uint8_t *at = mac + (mac[SHA1_BYTES - 1] & 0x0f);
    uint32_t bits =
        (uint32_t)(at[0] & 0x7f) << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    snprintf(out, FL_TOTP_DIGITS + 1, "%06u", bits % MODULUS);
    fl_cleanse(mac, sizeof mac);
    return FL_OK;
}

/* The six digits of what was typed; false if it is not six digits. */
static bool read_code(struct fl_str typed, char out[FL_TOTP_DIGITS])
{
    size_t n = 0;
    for (size_t i = 0; i < typed.n; i++) {
        if (typed.p[i] == ' ')
            continue;
        if (typed.p[i] < '0' || typed.p[i] > '9' || n == FL_TOTP_DIGITS)
            return false;
        out[n++] = typed.p[i];
    }
    return n == FL_TOTP_DIGITS;
}

enum fl_code fl_totp_verify(struct fl_str seed, struct fl_str code, int64_t at_utc_ms,
                            int64_t last_step, int64_t *ret_step, struct fl_err *err)
{
    char typed[FL_TOTP_DIGITS] = { 0 }, right[FL_TOTP_DIGITS + 1];
    int64_t now = at_utc_ms / 1000 / FL_TOTP_PERIOD_S, found = -1;
    bool is_code = read_code(code, typed);
    /* All three are always computed, so that the time does not tell which one matched. */
    for (int64_t step = now > 0 ? now - 1 : 0; step <= now + 1; step++) {
        enum fl_code rc = fl_totp_code(seed, (uint64_t)step, right, err);
        if (rc != FL_OK)
            return rc;
        bool is_equal = fl_equal_secret(typed, right, FL_TOTP_DIGITS);
        if (is_code && is_equal && step > last_step)
            found = step;
    }
    fl_cleanse(right, sizeof right);
    if (found < 0)
        return fl_err_set(err, FL_UNAUTHENTICATED, "the code is wrong or was used already");
    *ret_step = found;
    return FL_OK;
}
