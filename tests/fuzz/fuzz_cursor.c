/* Short texts that come from outside and are decoded: cursors, tokens, identifiers, encodings,
 * times, durations, addresses. What is accepted and has one form, written again, is the same text.
 */
#include "flopinio/base/clock.h"
#include "flopinio/base/id.h"
#include "fuzz.h"
#include "mcp/headers.h"
#include "mcp/reply.h"
#include "runtime/crypto/token.h"
#include "runtime/io/http_server.h"

static void lower(char *out, struct fl_str text)
{
    for (size_t i = 0; i < text.n; i++)
        out[i] = (char)(text.p[i] >= 'A' && text.p[i] <= 'Z' ? text.p[i] + 32 : text.p[i]);
}

static void cursor(struct fl_str text)
{
    static const uint64_t versions[] = { 0, 1, UINT64_MAX };
    struct fl_err err;
    for (size_t i = 0; i < FL_COUNTOF(versions); i++) {
        size_t from = 0;
        struct fl_buf out = FL_BUF_INIT;
        if (fl_mcp_cursor_read(text, versions[i], 1000, &from, &err) == FL_OK) {
            FL_ASSERT(from > 0 && from < 1000);
            fl_mcp_cursor_put(&out, versions[i], from);
            FL_ASSERT(fl_str_eq(fl_buf_view(&out), text));
        }
        fl_buf_fini(&out);
    }
    /* And the way there: the first bytes as a position. */
    uint64_t version = 0;
    struct fl_buf out = FL_BUF_INIT;
    size_t at = text.n ? (unsigned char)text.p[0] + 1u : 1, from = 0;
    memcpy(&version, text.p, text.n < 8 ? text.n : 8);
    fl_mcp_cursor_put(&out, version, at);
    FL_ASSERT(fl_mcp_cursor_read(fl_buf_view(&out), version, 1000, &from, &err) == FL_OK &&
              from == at);
    FL_ASSERT(fl_mcp_cursor_read(fl_buf_view(&out), version + 1, 1000, &from, &err) ==
              FL_BAD_PARAMS);
    fl_buf_fini(&out);
}

typedef bool decoder(struct fl_buf *out, struct fl_str text);
typedef void encoder(struct fl_buf *out, const void *bytes, size_t n);

static void encoding(decoder *decode, encoder *encode, struct fl_str text)
{
    struct fl_buf bytes = FL_BUF_INIT, back = FL_BUF_INIT;
    if (decode(&bytes, text)) {
        encode(&back, bytes.p, bytes.n);
        FL_ASSERT(fl_str_eq(fl_buf_view(&back), text));
    }
    fl_buf_reset(&bytes);
    fl_buf_reset(&back);
    encode(&back, text.p, text.n);
    FL_ASSERT(decode(&bytes, fl_buf_view(&back)) && fl_str_eq(fl_buf_view(&bytes), text));
    fl_buf_fini(&bytes);
    fl_buf_fini(&back);
}

static void identifiers(struct fl_str text)
{
    struct fl_uuid id;
    char form[FL_UUID_TEXT], wanted[FL_UUID_TEXT] = "";
    enum fl_token_kind kind;
    if (fl_uuid_parse(text, &id)) {
        FL_ASSERT(text.n == FL_UUID_TEXT - 1);
        lower(wanted, text);
        FL_ASSERT(strcmp(fl_uuid_format(&id, form), wanted) == 0);
    }
    if (fl_token_parse(text, &kind))
        FL_ASSERT(text.n == FL_TOKEN_CHARS && kind < FL_TOKEN_KIND_COUNT);
    uint8_t digest[FL_SHA256_BYTES];
    (void)fl_recovery_digest(text, digest);
}

static void times(struct fl_str text)
{
    int64_t ms = 0, again = 0;
    char form[FL_TIME_BYTES];
    if (fl_time_parse(text, &ms)) {
        FL_ASSERT(fl_time_parse(fl_str_of(fl_time_format(ms, form)), &again) && again == ms);
    }
    if (fl_duration_parse(text, &ms)) {
        FL_ASSERT(ms >= 0);
        FL_ASSERT(fl_duration_parse(fl_str_of(fl_duration_format(ms, form)), &again) &&
                  again == ms);
    }
    unsigned long long u;
    long long i;
    if (fl_str_to_u64(text, &u) && u <= INT64_MAX)
        FL_ASSERT(fl_str_to_i64(text, &i) && (unsigned long long)i == u);
}

static void web(struct fl_str text)
{
    struct fl_err err;
    struct fl_cidr cidr;
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_str name, value, decoded;
    size_t pos = 0, rounds = 0;
    if (fl_cidr_parse(text, &cidr, &err) == FL_OK)
        FL_ASSERT(cidr.bits <= 128);
    if (fl_mcp_header_decode(arena, text, &decoded) == FL_OK)
        FL_ASSERT(decoded.p);
    while (fl_http_form_next(arena, text, &pos, &name, &value, &err) == FL_OK)
        FL_ASSERT(++rounds <= text.n);
    fl_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fl_str text = fuzz_copy(data, n);
    cursor(text);
    encoding(fl_b64url_decode, fl_b64url, text);
    encoding(fl_b64_decode, fl_b64, text);
    encoding(fl_b32_decode, fl_b32, text);
    identifiers(text);
    times(text);
    web(text);
    free((char *)text.p);
    return 0;
}
