/* AES-256-GCM by OpenSSL's EVP. */
#include "runtime/crypto/aead.h"

#include <openssl/evp.h>

#include "runtime/crypto/secret.h"

/* Keyed and fed with the additional data; NULL on no memory. */
static EVP_CIPHER_CTX *begin(const uint8_t *key, const uint8_t *nonce, struct fl_str aad,
                             int is_sealing)
{
    FL_ASSERT(aad.n <= FL_AEAD_MAX_BYTES);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;
    if (c && EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce, is_sealing) == 1 &&
        (aad.n == 0 ||
         EVP_CipherUpdate(c, NULL, &n, (const unsigned char *)aad.p, (int)aad.n) == 1))
        return c;
    EVP_CIPHER_CTX_free(c);
    return NULL;
}

/* Runs the text through; the lengths of a stream mode never change. */
static bool run(EVP_CIPHER_CTX *c, const char *from, size_t n, uint8_t *to)
{
    int got = 0;
    return n == 0 || (EVP_CipherUpdate(c, to, &got, (const unsigned char *)from, (int)n) == 1 &&
                      (size_t)got == n);
}

enum fl_code fl_aead_seal(const uint8_t key[FL_AEAD_KEY_BYTES],
                          const uint8_t nonce[FL_AEAD_NONCE_BYTES], struct fl_str aad,
                          struct fl_str plain, struct fl_buf *out, struct fl_err *err)
{
    FL_ASSERT(plain.n <= FL_AEAD_MAX_BYTES);
    if (!fl_buf_reserve(out, plain.n + FL_AEAD_TAG_BYTES))
        return fl_buf_code(out, err);
    EVP_CIPHER_CTX *c = begin(key, nonce, aad, 1);
    uint8_t *at = (uint8_t *)out->p + out->n;
    int n = 0;
    bool is_done =
        c && run(c, plain.p, plain.n, at) && EVP_CipherFinal_ex(c, at + plain.n, &n) == 1 &&
        n == 0 &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, FL_AEAD_TAG_BYTES, at + plain.n) == 1;
    EVP_CIPHER_CTX_free(c);
    if (!is_done) {
        out->p[out->n] = 0;
        return fl_err_code(err, FL_NOMEM);
    }
    out->n += plain.n + FL_AEAD_TAG_BYTES;
    out->p[out->n] = 0;
    return FL_OK;
}

enum fl_code fl_aead_open(const uint8_t key[FL_AEAD_KEY_BYTES],
                          const uint8_t nonce[FL_AEAD_NONCE_BYTES], struct fl_str aad,
                          struct fl_str sealed, uint8_t *out, struct fl_err *err)
{
    if (sealed.n < FL_AEAD_TAG_BYTES || sealed.n - FL_AEAD_TAG_BYTES > FL_AEAD_MAX_BYTES)
        return fl_err_set(err, FL_BAD_KEY, "an encrypted value of %zu bytes cannot be one of ours",
                          sealed.n);
    size_t n = sealed.n - FL_AEAD_TAG_BYTES;
    uint8_t tag[FL_AEAD_TAG_BYTES]; /* a copy: OpenSSL's parameter is not const */
    memcpy(tag, sealed.p + n, sizeof tag);
    EVP_CIPHER_CTX *c = begin(key, nonce, aad, 0);
    int rest = 0;
    bool is_run = c && run(c, sealed.p, n, out) &&
                  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1;
    bool is_genuine = is_run && EVP_CipherFinal_ex(c, tag, &rest) == 1 && rest == 0;
    EVP_CIPHER_CTX_free(c);
    if (is_genuine)
        return FL_OK;
    fl_cleanse(out, n);
    if (!is_run)
        return fl_err_code(err, FL_NOMEM);
    return fl_err_set(err, FL_BAD_KEY, "the value was changed or moved, or the key is wrong");
}
