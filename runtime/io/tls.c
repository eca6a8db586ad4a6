/* The certificates of a listener and the keys of its session tickets. */
#include "runtime/io/tls.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/id.h"
#include "flopinio/base/mem.h"
#include "runtime/io/tls_conn.h"

#define TICKET_KEY_MS                                                                              \
    (12 * 3600 * 1000LL) /* a key encrypts so long, and decrypts as long again                     \
                          */

struct ticket_key {
    uint8_t name[16], cipher[32], mac[32];
    int64_t born_ms; /* 0: none */
};

struct fl_tls {
    unsigned refs;
    size_t count;
    struct fl_tls_files *files;  /* owned copies, for the reload */
    SSL_CTX **contexts;          /* `count` of them, replaced as a whole */
    struct ticket_key ticket[2]; /* the one in use, and the one before */
};

/* Why OpenSSL refused, as one clause; empties its queue. */
static const char *reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    ERR_clear_error();
    return text ? text : "unknown reason";
}

/* An encrypted key would otherwise be asked for on the terminal. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
    FL_UNUSED(buf);
    FL_UNUSED(size);
    FL_UNUSED(rwflag);
    FL_UNUSED(arg);
    return -1;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                       const unsigned char *in, unsigned in_n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    FL_UNUSED(ssl);
    FL_UNUSED(arg);
    if (SSL_select_next_proto(&chosen, out_n, ours, sizeof ours - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool has_name(const SSL_CTX *ctx, const char *name)
{
    return X509_check_host(SSL_CTX_get0_certificate(ctx), name, strlen(name),
                           X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                           NULL) == 1;
}

/* A connection that began before a reload may be given a new certificate here: all contexts are
 * set up alike. */
static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
    struct fl_tls *tls = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    FL_UNUSED(alert);
    for (size_t i = 0; name && i < tls->count; i++) {
        if (has_name(tls->contexts[i], name)) {
            SSL_set_SSL_CTX(ssl, tls->contexts[i]);
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static void rotate_tickets(struct fl_tls *tls)
{
    int64_t now = fl_mono_ms();
    if (tls->ticket[0].born_ms && now - tls->ticket[0].born_ms < TICKET_KEY_MS)
        return;
    bool is_recent = tls->ticket[0].born_ms && now - tls->ticket[0].born_ms < 2 * TICKET_KEY_MS;
    if (is_recent)
        tls->ticket[1] = tls->ticket[0];
    else
        OPENSSL_cleanse(&tls->ticket[1], sizeof tls->ticket[1]);
    fl_random(&tls->ticket[0], offsetof(struct ticket_key, born_ms));
    tls->ticket[0].born_ms = now > 0 ? now : 1;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 0 no ticket, 1 as it is, 2 renew, -1 failure. */
static int ticket_keys(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac, int encrypts)
{
    struct fl_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    size_t i = 0;
    rotate_tickets(tls);
    if (encrypts) {
        memcpy(name, tls->ticket[0].name, 16);
        fl_random(iv, (size_t)EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()));
    } else {
        while (i < 2 && (!tls->ticket[i].born_ms || memcmp(name, tls->ticket[i].name, 16) != 0))
            i++;
        if (i == 2)
            return 0;
    }
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, tls->ticket[i].mac,
                                          sizeof tls->ticket[i].mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, tls->ticket[i].cipher, iv, encrypts) !=
            1 ||
        EVP_MAC_CTX_set_params(mac, params) != 1)
        return -1;
    return i == 0 ? 1 : 2;
}

static SSL_CTX *new_context(struct fl_tls *tls)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return NULL;
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only */
    SSL_CTX_set_timeout(ctx, TICKET_KEY_MS / 1000);
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(ctx, tls);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_keys);
    SSL_CTX_set_app_data(ctx, tls);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
        SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"flopinio", 8) != 1 ||
        SSL_CTX_set_num_tickets(ctx, 1) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static enum fl_code load_context(struct fl_tls *tls, const struct fl_tls_files *files,
                                 SSL_CTX **ret, struct fl_err *err)
{
    ERR_clear_error();
    SSL_CTX *ctx = *ret = new_context(tls); /* the caller frees it on failure, too */
    if (!ctx)
        return fl_err_set(err, FL_NOMEM, "could not set up tls: %s", reason());
    if (SSL_CTX_use_certificate_chain_file(ctx, files->certificate) != 1)
        return fl_err_set(err, FL_CONFIG, "the certificate %s cannot be used: %s",
                          files->certificate, reason());
    if (SSL_CTX_use_PrivateKey_file(ctx, files->key, SSL_FILETYPE_PEM) != 1)
        return fl_err_set(err, FL_CONFIG, "the key %s cannot be used: %s", files->key, reason());
    if (SSL_CTX_check_private_key(ctx) != 1)
        return fl_err_set(err, FL_CONFIG, "the key %s does not belong to the certificate %s",
                          files->key, files->certificate);
    return FL_OK;
}

static void free_contexts(SSL_CTX **contexts, size_t count)
{
    for (size_t i = 0; contexts && i < count; i++)
        SSL_CTX_free(contexts[i]);
    fl_free(contexts);
}

enum fl_code fl_tls_reload(struct fl_tls *tls, struct fl_err *err)
{
    SSL_CTX **contexts = fl_calloc(tls->count, sizeof *contexts);
    if (!contexts)
        return fl_err_code(err, FL_NOMEM);
    for (size_t i = 0; i < tls->count; i++) {
        enum fl_code code = load_context(tls, &tls->files[i], &contexts[i], err);
        if (code != FL_OK) {
            free_contexts(contexts, tls->count);
            return code;
        }
    }
    free_contexts(tls->contexts, tls->count);
    tls->contexts = contexts;
    return FL_OK;
}

enum fl_code fl_tls_new(const struct fl_tls_files *files, size_t count, struct fl_tls **ret,
                        struct fl_err *err)
{
    FL_ASSERT(count > 0);
    struct fl_tls *tls = fl_calloc(1, sizeof *tls);
    if (!tls)
        return fl_err_code(err, FL_NOMEM);
    enum fl_code code = FL_NOMEM;
    tls->refs = 1;
    tls->files = fl_calloc(count, sizeof *tls->files);
    if (!tls->files) {
        fl_err_code(err, FL_NOMEM);
        goto out;
    }
    tls->count = count;
    for (size_t i = 0; i < count; i++) {
        tls->files[i].certificate = fl_strdup(files[i].certificate);
        tls->files[i].key = fl_strdup(files[i].key);
        if (!tls->files[i].certificate || !tls->files[i].key) {
            fl_err_code(err, FL_NOMEM);
            goto out;
        }
    }
    code = fl_tls_reload(tls, err);
out:
    if (code == FL_OK)
        *ret = tls;
    else
        fl_tls_free(&tls);
    return code;
}

void fl_tls_free(struct fl_tls **tls)
{
    if (*tls)
        fl_tls_unref(*tls);
    *tls = NULL;
}

void fl_tls_ref(struct fl_tls *tls)
{
    tls->refs++;
}

void fl_tls_unref(struct fl_tls *tls)
{
    if (--tls->refs)
        return;
    for (size_t i = 0; tls->files && i < tls->count; i++) {
        fl_free((char *)tls->files[i].certificate);
        fl_free((char *)tls->files[i].key);
    }
    fl_free(tls->files);
    free_contexts(tls->contexts, tls->count);
    OPENSSL_cleanse(tls->ticket, sizeof tls->ticket);
    fl_free(tls);
}

struct ssl_ctx_st *fl_tls_context(struct fl_tls *tls)
{
    return tls->contexts[0];
}

enum fl_code fl_tls_expiry(const char *certificate, int64_t *ret_utc_ms, struct fl_err *err)
{
    BIO *file = BIO_new_file(certificate, "r");
    X509 *x = file ? PEM_read_bio_X509(file, NULL, no_password, NULL) : NULL;
    ASN1_TIME *epoch = x ? ASN1_TIME_set(NULL, 0) : NULL;
    int days = 0, seconds = 0;
    bool is_fine = epoch && ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(x)) == 1;
    enum fl_code code = is_fine ? FL_OK
                                : fl_err_set(err, FL_CONFIG, "cannot read the certificate %s: %s",
                                             certificate, reason());
    if (is_fine)
        *ret_utc_ms = ((int64_t)days * 86400 + seconds) * 1000;
    ASN1_TIME_free(epoch);
    X509_free(x);
    BIO_free(file);
    return code;
}
