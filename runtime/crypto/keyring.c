/* Reading, making and checking the installation's keys. */
#include "runtime/crypto/keyring.h"

#include <stdio.h>

#include "flopinio/base/mem.h"
#include "runtime/crypto/keyring_priv.h"
#include "runtime/crypto/secret.h"

/* What stays in memory: of a primary key only what HKDF's extract step made of it. */
struct primary {
    uint32_t id;
    bool is_active;
    uint8_t prk[FL_KEY_BYTES];
};
struct keys {
    struct primary primary[FL_KEYRING_MAX];
    uint8_t index[FL_KEY_BYTES];
};

struct fl_keyring {
    struct fl_secret secret; /* struct keys */
    size_t count;
    uint32_t active;
};

static struct keys *keys_of(const struct fl_keyring *ring)
{
    return (struct keys *)(void *)fl_secret_bytes(&ring->secret);
}

/* ---- the text ---- */

struct line {
    size_t number; /* from 1 */
    struct fl_str words[4];
    size_t count;
};

/* The next line with words in it; false at the end. A fifth word and later ones are only counted.
 */
static bool next_line(struct fl_str text, size_t *pos, struct line *ret)
{
    while (*pos < text.n) {
        const char *from = text.p + *pos;
        const char *end = memchr(from, '\n', text.n - *pos);
        struct fl_str rest = { from, end ? (size_t)(end - from) : text.n - *pos };
        *pos += rest.n + 1;
        ret->number++;
        ret->count = 0;
        if (rest.n && rest.p[rest.n - 1] == '\r')
            rest.n--;
        for (;;) {
            rest = fl_str_trim(rest);
            if (rest.n == 0 || rest.p[0] == '#')
                break;
            size_t n = 0;
            while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != '\t')
                n++;
            if (ret->count < FL_COUNTOF(ret->words))
                ret->words[ret->count] = (struct fl_str){ rest.p, n };
            ret->count++;
            rest = (struct fl_str){ rest.p + n, rest.n - n };
        }
        if (ret->count)
            return true;
    }
    return false;
}

static enum fl_code bad_line(const struct line *line, struct fl_err *err, const char *what)
{
    return fl_err_set(err, FL_CONFIG, "line %zu of the keys: %s", line->number, what);
}

static enum fl_code read_key(const struct line *line, struct fl_str word, uint8_t *out,
                             struct fl_err *err)
{
    struct fl_buf raw = FL_BUF_INIT;
    enum fl_code code = FL_OK;
    if (!fl_buf_reserve(&raw, 2 * FL_KEY_BYTES)) /* at once, so that no copy stays behind */
        code = fl_err_code(err, FL_NOMEM);
    else if (word.n > 2 * FL_KEY_BYTES || !fl_b64_decode(&raw, word) || raw.n != FL_KEY_BYTES)
        code = bad_line(line, err, "a key is 32 bytes in base64 (44 characters)");
    else
        memcpy(out, raw.p, FL_KEY_BYTES);
    if (raw.p)
        fl_cleanse(raw.p, raw.cap);
    fl_buf_fini(&raw);
    return code;
}

/* What a whole text says. `raw` keys lie in the ring's secret until they are derived from. */
struct reading {
    struct keys *keys;
    uint8_t salt[FL_KEY_BYTES];
    bool has_index, has_salt;
    size_t count;
    uint32_t active; /* 0: none */
    uint32_t highest;
};

static enum fl_code read_primary(const struct line *line, struct reading *r, struct fl_err *err)
{
    unsigned long long id;
    if (line->count != 4)
        return bad_line(line, err, "expected: primary ID active|retired KEY");
    if (!fl_str_to_u64(line->words[1], &id) || id == 0 || id > FL_KEY_ID_MAX)
        return bad_line(line, err, "a key id is a number from 1 to 2147483647");
    for (size_t i = 0; i < r->count; i++) {
        if (r->keys->primary[i].id == id)
            return bad_line(line, err, "this key id was used before");
    }
    if (r->count == FL_KEYRING_MAX)
        return bad_line(line, err, "there are more than 64 primary keys");
    struct primary *p = &r->keys->primary[r->count];
    p->id = (uint32_t)id;
    p->is_active = fl_str_is(line->words[2], "active");
    if (!p->is_active && !fl_str_is(line->words[2], "retired"))
        return bad_line(line, err, "the state of a key is active or retired");
    enum fl_code code = read_key(line, line->words[3], p->prk, err);
    if (code != FL_OK)
        return code;
    r->count++;
    if (p->is_active)
        r->active = p->id;
    if (p->id > r->highest)
        r->highest = p->id;
    return FL_OK;
}

static enum fl_code read_single(const struct line *line, bool *has, uint8_t *out,
                                struct fl_err *err)
{
    if (line->count != 2)
        return bad_line(line, err, "expected a name and one key");
    if (*has)
        return bad_line(line, err, "this key stands twice");
    *has = true;
    return read_key(line, line->words[1], out, err);
}

static enum fl_code read_text(struct fl_str text, struct reading *r, struct fl_err *err)
{
    struct line line = { 0 };
    size_t pos = 0;
    while (next_line(text, &pos, &line)) {
        enum fl_code code;
        if (fl_str_is(line.words[0], "primary"))
            code = read_primary(&line, r, err);
        else if (fl_str_is(line.words[0], "index"))
            code = read_single(&line, &r->has_index, r->keys->index, err);
        else if (fl_str_is(line.words[0], "salt"))
            code = read_single(&line, &r->has_salt, r->salt, err);
        else
            code = bad_line(&line, err, "expected primary, index or salt");
        if (code != FL_OK)
            return code;
    }
    if (!r->active)
        return fl_err_set(err, FL_CONFIG, "the keys name no active primary key");
    if (!r->has_index)
        return fl_err_set(err, FL_CONFIG, "the keys name no index key");
    if (!r->has_salt)
        return fl_err_set(err, FL_CONFIG, "the keys name no salt");
    return FL_OK;
}

/* ---- the ring ---- */

enum fl_code fl_keyring_load(struct fl_str text, struct fl_keyring **ret, struct fl_err *err)
{
    struct fl_keyring *ring = fl_calloc(1, sizeof *ring);
    if (!ring)
        return fl_err_code(err, FL_NOMEM);
    struct reading r = { 0 };
    enum fl_code code = fl_secret_init(&ring->secret, sizeof(struct keys), err);
    if (code == FL_OK) {
        r.keys = keys_of(ring);
        code = read_text(text, &r, err);
    }
    if (code == FL_OK) {
        for (size_t i = 0; i < r.count; i++) {
            uint8_t *key = r.keys->primary[i].prk;
            fl_hkdf_extract(fl_bytes(r.salt, sizeof r.salt), fl_bytes(key, FL_KEY_BYTES), key);
        }
        ring->count = r.count;
        ring->active = r.active;
        *ret = ring;
        ring = NULL;
    }
    fl_cleanse(r.salt, sizeof r.salt);
    fl_keyring_free(&ring);
    return code;
}

void fl_keyring_free(struct fl_keyring **ring)
{
    if (!ring || !*ring)
        return;
    fl_secret_fini(&(*ring)->secret);
    fl_free(*ring);
    *ring = NULL;
}

static void put_random_key(struct fl_buf *out, const char *what)
{
    uint8_t key[FL_KEY_BYTES];
    fl_random(key, sizeof key);
    fl_buf_puts(out, what);
    fl_b64(out, key, sizeof key);
    fl_buf_putc(out, '\n');
    fl_cleanse(key, sizeof key);
}

void fl_keyring_generate(struct fl_buf *out)
{
    fl_buf_reserve(out, 512); /* at once, so that no copy of a key stays behind */
    fl_buf_puts(out, "# Keys of a flopinio installation. Whoever has this file can read what the\n"
                     "# database holds encrypted; without it nobody can. Keep a copy apart from\n"
                     "# the database and its backups.\n");
    put_random_key(out, "primary 1 active ");
    put_random_key(out, "index ");
    put_random_key(out, "salt ");
}

enum fl_code fl_keyring_add_primary(struct fl_str text, struct fl_buf *out, struct fl_err *err)
{
    struct fl_secret secret = { 0 };
    struct reading r = { 0 };
    enum fl_code code = fl_secret_init(&secret, sizeof(struct keys), err);
    if (code != FL_OK)
        return code;
    r.keys = (struct keys *)(void *)fl_secret_bytes(&secret);
    code = read_text(text, &r, err);
    if (code == FL_OK && (r.highest == FL_KEY_ID_MAX || r.count == FL_KEYRING_MAX))
        code = fl_err_set(err, FL_CONFIG, "the keys have no room for one more primary key");
    if (code == FL_OK) {
        char what[40];
        snprintf(what, sizeof what, "primary %u active ", r.highest + 1);
        fl_buf_reserve(out, text.n + 128); /* at once, as above */
        fl_buf_str(out, text);
        if (text.p[text.n - 1] != '\n')
            fl_buf_putc(out, '\n');
        put_random_key(out, what);
        code = fl_buf_code(out, err);
    }
    fl_cleanse(r.salt, sizeof r.salt);
    fl_secret_fini(&secret);
    return code;
}

static const struct primary *find(const struct fl_keyring *ring, uint32_t key_id)
{
    const struct keys *keys = keys_of(ring);
    for (size_t i = 0; i < ring->count; i++) {
        if (keys->primary[i].id == key_id)
            return &keys->primary[i];
    }
    return NULL;
}

uint32_t fl_keyring_active(const struct fl_keyring *ring)
{
    return ring->active;
}

size_t fl_keyring_ids(const struct fl_keyring *ring, uint32_t ret_ids[FL_KEYRING_MAX])
{
    for (size_t i = 0; i < ring->count; i++)
        ret_ids[i] = keys_of(ring)->primary[i].id;
    return ring->count;
}

bool fl_keyring_has(const struct fl_keyring *ring, uint32_t key_id)
{
    return find(ring, key_id) != NULL;
}

bool fl_keyring_org_key(const struct fl_keyring *ring, uint32_t key_id,
                        const struct fl_uuid *organization, uint8_t out[FL_KEY_BYTES])
{
    static const char label[] = "flopinio/org-key/1";
    const struct primary *p = find(ring, key_id);
    if (!p)
        return false;
    /* Fixed lengths, so the parts need no length before them. */
    uint8_t info[sizeof label - 1 + sizeof organization->b + 4];
    size_t n = sizeof label - 1;
    memcpy(info, label, n);
    memcpy(info + n, organization->b, sizeof organization->b);
    n += sizeof organization->b;
    for (unsigned i = 0; i < 4; i++)
        info[n++] = (uint8_t)(key_id >> (24 - 8 * i));
    fl_hkdf_expand(p->prk, fl_bytes(info, n), out);
    return true;
}

void fl_keyring_mac(const struct fl_keyring *ring, const char *label, struct fl_hmac *ret)
{
    fl_hmac_init(ret, fl_bytes(keys_of(ring)->index, FL_KEY_BYTES));
    fl_hmac_part(ret, fl_str_of(label));
}

/* ---- check values ---- */

static const char known[] = "flopinio keyring check";

static void index_check(const struct fl_keyring *ring, uint8_t out[FL_SHA256_BYTES])
{
    struct fl_hmac h;
    fl_keyring_mac(ring, "flopinio/index-check/1", &h);
    fl_hmac_final(&h, out);
}

static struct fl_place check_place(uint32_t key_id, char row[16])
{
    snprintf(row, 16, "%u", key_id);
    return (struct fl_place){ .table = "keyring", .column = "check_value", .row = fl_str_of(row) };
}

enum fl_code fl_keyring_check_value(const struct fl_keyring *ring, uint32_t key_id,
                                    struct fl_buf *out, struct fl_err *err)
{
    if (key_id == FL_KEY_ID_INDEX) {
        uint8_t mac[FL_SHA256_BYTES];
        index_check(ring, mac);
        fl_buf_put(out, mac, sizeof mac);
        return fl_buf_code(out, err);
    }
    char row[16];
    struct fl_place place = check_place(key_id, row);
    return fl_seal_under(ring, key_id, &place, FL_STR(known), out, err);
}

enum fl_code fl_keyring_check(const struct fl_keyring *ring, uint32_t key_id, struct fl_str stored,
                              struct fl_err *err)
{
    if (key_id == FL_KEY_ID_INDEX) {
        uint8_t mac[FL_SHA256_BYTES];
        index_check(ring, mac);
        if (fl_str_eq_secret(stored, fl_bytes(mac, sizeof mac)))
            return FL_OK;
        return fl_err_set(err, FL_BAD_KEY,
                          "the index key is not the one that this database was written with");
    }
    if (!fl_keyring_has(ring, key_id))
        return fl_err_set(err, FL_BAD_KEY, "key %u is missing: this database was written with it",
                          key_id);
    char row[16];
    struct fl_place place = check_place(key_id, row);
    struct fl_buf plain = FL_BUF_INIT;
    uint32_t named = 0;
    enum fl_code code = fl_unseal(ring, &place, stored, &plain, err);
    bool is_right = code == FL_OK && fl_sealed_key(stored, &named) && named == key_id &&
                    fl_str_eq(fl_buf_view(&plain), FL_STR(known));
    fl_buf_fini(&plain);
    if (is_right)
        return FL_OK;
    if (code == FL_NOMEM)
        return code;
    return fl_err_set(err, FL_BAD_KEY,
                      "key %u, or the salt, is not the one that this database was written with",
                      key_id);
}
