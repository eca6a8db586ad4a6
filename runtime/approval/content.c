/* Sealed contents and the binding digest. */
#include "runtime/approval/content.h"

#include "runtime/crypto/binding.h"

enum fl_code fl_content_seal(const struct fl_core *core, const struct fl_uuid *organization,
                             const struct fl_uuid *approval, const char *column,
                             struct fl_str plain, struct fl_arena *arena, struct fl_str *ret,
                             struct fl_err *err)
{
    char id[FL_UUID_TEXT];
    struct fl_place place = fl_core_place(organization, approval, column, id);
    struct fl_buf out = FL_BUF_INIT;
    enum fl_code code = fl_seal(core->keys, &place, plain, &out, err);
    if (code == FL_OK) {
        *ret = fl_arena_str(arena, fl_buf_view(&out));
        if (!ret->p)
            code = fl_err_code(err, FL_NOMEM);
    }
    fl_buf_fini(&out);
    return code;
}

enum fl_code fl_content_open(const struct fl_core *core, const struct fl_uuid *organization,
                             const struct fl_uuid *approval, const char *column,
                             struct fl_str sealed, struct fl_arena *arena, struct fl_str *ret,
                             struct fl_err *err)
{
    char id[FL_UUID_TEXT];
    struct fl_place place = fl_core_place(organization, approval, column, id);
    struct fl_buf out = FL_BUF_INIT;
    *ret = (struct fl_str){ NULL, 0 };
    if (!sealed.p)
        return FL_OK;
    enum fl_code code = fl_unseal(core->keys, &place, sealed, &out, err);
    if (code == FL_OK) {
        *ret = fl_arena_str(arena, fl_buf_view(&out));
        if (!ret->p)
            code = fl_err_code(err, FL_NOMEM);
    }
    if (out.p)
        fl_cleanse(out.p, out.n);
    fl_buf_fini(&out);
    return code;
}

/* The server goes in by its id, as a name could be given to another one, and by what it is: the
 * same arguments mean another thing in another folder, or under another account. */
static void digest_of(const struct fl_uuid *organization, const struct fl_uuid *agent,
                      const struct fl_uuid *server, const uint8_t server_digest[FL_DIGEST_BYTES],
                      struct fl_str tool, struct fl_str definition, struct fl_str arguments,
                      int64_t policy_version, struct fl_str precondition, struct fl_str salt,
                      uint8_t out[FL_DIGEST_BYTES])
{
    uint8_t place[sizeof server->b + FL_DIGEST_BYTES];
    memcpy(place, server->b, sizeof server->b);
    memcpy(place + sizeof server->b, server_digest, FL_DIGEST_BYTES);
    struct fl_binding b = { .organization = *organization,
                            .agent = *agent,
                            .server = fl_bytes(place, sizeof place),
                            .tool = tool,
                            .arguments = arguments,
                            .policy_version = (uint64_t)policy_version,
                            .precondition = precondition };
    FL_ASSERT(definition.n == sizeof b.definition_digest && salt.n == sizeof b.salt);
    memcpy(b.definition_digest, definition.p, definition.n);
    memcpy(b.salt, salt.p, salt.n);
    fl_binding_digest(&b, out);
}

/* What is sealed: binding digest, server digest, canonical arguments. */
#define HEAD_BYTES (2 * FL_DIGEST_BYTES)

enum fl_code fl_content_bind(const struct fl_core *core, struct fl_approval_new *row,
                             struct fl_str arguments, struct fl_arena *arena, struct fl_err *err)
{
    char *salt = fl_arena_alloc(arena, FL_BINDING_SALT);
    char *plain = fl_arena_alloc(arena, HEAD_BYTES + arguments.n + 1);
    if (!salt || !plain)
        return fl_err_code(err, FL_NOMEM);
    FL_ASSERT(row->server_digest.n == FL_DIGEST_BYTES);
    fl_random(salt, FL_BINDING_SALT);
    row->binding_salt = (struct fl_str){ salt, FL_BINDING_SALT };
    memcpy(plain + FL_DIGEST_BYTES, row->server_digest.p, FL_DIGEST_BYTES);
    memcpy(plain + HEAD_BYTES, arguments.p, arguments.n);
    digest_of(&row->organization, &row->agent_id, &row->server_id,
              (const uint8_t *)row->server_digest.p, row->tool, row->definition_digest, arguments,
              row->policy_version, row->precondition, row->binding_salt, (uint8_t *)plain);
    row->binding_digest = (struct fl_str){ plain, FL_DIGEST_BYTES };
    row->arguments_bytes = (int64_t)arguments.n;
    enum fl_code code = fl_content_seal(core, &row->organization, &row->id, "arguments",
                                        (struct fl_str){ plain, HEAD_BYTES + arguments.n }, arena,
                                        &row->arguments, err);
    fl_cleanse(plain + HEAD_BYTES, arguments.n);
    return code;
}

enum fl_code fl_content_arguments(const struct fl_core *core, const struct fl_uuid *organization,
                                  const struct fl_approval *row, struct fl_str sealed,
                                  struct fl_arena *arena, struct fl_content_call *ret,
                                  struct fl_err *err)
{
    uint8_t digest[FL_DIGEST_BYTES];
    struct fl_str plain;
    enum fl_code code =
        fl_content_open(core, organization, &row->id, "arguments", sealed, arena, &plain, err);
    if (code)
        return code;
    if (!plain.p || plain.n < HEAD_BYTES || row->definition_digest.n != FL_DIGEST_BYTES ||
        row->binding_digest.n != FL_DIGEST_BYTES || row->binding_salt.n != FL_BINDING_SALT)
        return fl_err_set(err, FL_CONFLICT, "the stored approval is not whole");
    struct fl_str arguments = { plain.p + HEAD_BYTES, plain.n - HEAD_BYTES };
    memcpy(ret->server, plain.p + FL_DIGEST_BYTES, FL_DIGEST_BYTES);
    digest_of(organization, &row->agent_id, &row->server_id, ret->server, row->tool,
              row->definition_digest, arguments, row->policy_version, row->precondition,
              row->binding_salt, digest);
    if (!fl_equal_secret(digest, row->binding_digest.p, sizeof digest) ||
        !fl_equal_secret(digest, plain.p, sizeof digest)) {
        fl_cleanse((char *)plain.p, plain.n);
        return fl_err_set(err, FL_CONFLICT,
                          "the stored approval was changed: it does not match its digest");
    }
    ret->arguments = arguments;
    return FL_OK;
}
