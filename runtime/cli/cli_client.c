/* Requests to the REST API, and signing in. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flopinio/base/assert.h"
#include "flopinio/base/clock.h"
#include "flopinio/base/id.h"
#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/cli_secret.h"
#include "runtime/cli/place.h"
#include "runtime/crypto/secret.h"
#include "runtime/io/http_fetch.h"

#define TIMEOUT_MS  60000
#define HEADER_MAX  2200
#define NEEDS_CODE  "authenticator"
#define NEEDS_ADMIN "operator_authority"

struct fl_client {
    struct fl_fetcher *fetcher;
    char *base;             /* "https://host" or "http://control" */
    const char *token;      /* FLOPINIO_TOKEN; NULL: none, or --as is used instead */
    const char *read_token; /* the same, with --as too: reading needs no passphrase then */
    const char *as;         /* --as */
    bool is_control;
    int secret_fd; /* --passphrase-fd; -1: the terminal */
    bool has_passphrase;
    char passphrase[FL_SECRET_LINE_MAX], code[FL_SECRET_LINE_MAX];
};

void fl_client_free(struct fl_client **client)
{
    struct fl_client *c = *client;
    if (!c)
        return;
    fl_fetcher_free(&c->fetcher);
    fl_cleanse(c->passphrase, sizeof c->passphrase);
    fl_cleanse(c->code, sizeof c->code);
    fl_free(c->base);
    fl_free(c);
    *client = NULL;
}

/* ---------------------------------------------------------------- where to */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static enum fl_code control_socket(struct fl_cli *cli, char *path, size_t size, struct fl_err *err)
{
    struct fl_config config;
    char dir[512];
    enum fl_code code = fl_cli_config(cli, &config, err);
    if (code)
        return code;
    fl_place_await(&config);
    code = fl_config_run_dir_of_owner(config.data_dir, dir, sizeof dir, err);
    fl_config_fini(&config);
    if (code && code != FL_NOT_FOUND) /* what is not there is said by the connect */
        return code;
    snprintf(path, size, "%s/control.sock", dir);
    return FL_OK;
}

static enum fl_code read_secret_fd(struct fl_cli *cli, struct fl_client *c, struct fl_err *err)
{
    const char *text = fl_cli_flag(cli, "passphrase-fd");
    unsigned long long fd;
    c->secret_fd = -1;
    if (!text)
        return FL_OK;
    if (!fl_str_to_u64(fl_str_of(text), &fd) || fd > 1023)
        return fl_err_set(err, FL_BAD_PARAMS, "--passphrase-fd must be a descriptor's number");
    c->secret_fd = (int)fd;
    return FL_OK;
}

/* Nothing else may get into a header. */
static bool is_token(const char *text)
{
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    return strncmp(text, "flp_", 4) == 0 && !text[n];
}

static enum fl_code open_client(struct fl_cli *cli, struct fl_client *c, struct fl_err *err)
{
    const char *url = fl_cli_flag(cli, "url");
    char path[600];
    struct fl_fetcher_config config = { .timeout_ms = TIMEOUT_MS,
                                        .ca_file = fl_cli_flag(cli, "ca") };
    url = url ? url : environment("FLOPINIO_URL");
    c->as = fl_cli_flag(cli, "as");
    c->read_token = environment("FLOPINIO_TOKEN");
    c->token = c->as ? NULL : c->read_token;
    c->is_control = !url;
    enum fl_code code = read_secret_fd(cli, c, err);
    if (code == FL_OK && c->read_token && !is_token(c->read_token))
        code = fl_err_set(
            err, FL_BAD_PARAMS, "FLOPINIO_TOKEN is no personal token, which starts with flp_%s",
            strncmp(c->read_token, "fla_", 4) == 0 ? "; an agent's credential cannot be used here"
                                                   : "");
    if (code == FL_OK && !url) {
        code = control_socket(cli, path, sizeof path, err);
        config.unix_socket = path;
    }
    if (code)
        return code;
    size_t n = url ? strlen(url) : 0;
    while (n && url[n - 1] == '/')
        n--;
    c->base = url ? fl_strndup(url, n) : fl_strdup("http://localhost");
    return c->base ? fl_fetcher_new(&config, &c->fetcher, err) : fl_err_code(err, FL_NOMEM);
}

static enum fl_code get_client(struct fl_cli *cli, struct fl_client **ret, struct fl_err *err)
{
    if (!cli->client) {
        struct fl_client *c = fl_calloc(1, sizeof *c);
        enum fl_code code = c ? open_client(cli, c, err) : fl_err_code(err, FL_NOMEM);
        if (code) {
            fl_client_free(&c);
            return code;
        }
        FL_ASSERT(c); /* no client is FL_NOMEM */
        cli->client = c;
    }
    *ret = cli->client;
    return FL_OK;
}

bool fl_cli_signs_in(struct fl_cli *cli)
{
    return fl_cli_flag(cli, "as") || fl_cli_has_token(cli);
}

bool fl_cli_has_token(struct fl_cli *cli)
{
    return !fl_cli_flag(cli, "as") && environment("FLOPINIO_TOKEN");
}

/* ---------------------------------------------------------------- paths */
static void put_encoded(struct fl_buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    for (; text && *text; text++) {
        if (strchr(plain, *text))
            fl_buf_putc(out, *text);
        else
            fl_buf_printf(out, "%%%02X", (unsigned char)*text);
    }
}

const char *fl_cli_path(struct fl_cli *cli, const char *pattern, ...)
{
    struct fl_buf out = FL_BUF_INIT;
    va_list ap;
    va_start(ap, pattern);
    for (const char *p = pattern; *p;) {
        if (strncmp(p, "{org}", 5) == 0) {
            put_encoded(&out, cli->org);
            p += 5;
        } else if (strncmp(p, "{}", 2) == 0) {
            put_encoded(&out, va_arg(ap, const char *));
            p += 2;
        } else {
            fl_buf_putc(&out, *p++);
        }
    }
    va_end(ap);
    const char *path = out.is_failed ? NULL : fl_arena_strdup(cli->arena, out.p);
    fl_buf_fini(&out);
    return path;
}

/* ---------------------------------------------------------------- signing in */
static enum fl_code ask_passphrase(struct fl_client *c, struct fl_err *err)
{
    char prompt[160];
    if (c->has_passphrase)
        return FL_OK;
    snprintf(prompt, sizeof prompt, "Passphrase of %.100s: ", c->as);
    enum fl_code code = fl_secret_ask(prompt, c->secret_fd, c->passphrase, err);
    c->has_passphrase = code == FL_OK;
    return code;
}

/* "Authorization: ..." into `header`; empty: the operator. */
static enum fl_code authorization(struct fl_client *c, bool is_reading, char header[HEADER_MAX],
                                  struct fl_err *err)
{
    struct fl_buf pair = FL_BUF_INIT, text = FL_BUF_INIT;
    const char *token = is_reading ? c->read_token : c->token;
    header[0] = 0;
    if (token) {
        snprintf(header, HEADER_MAX, "Authorization: Bearer %.500s", token);
        return FL_OK;
    }
    if (is_reading && c->is_control)
        return FL_OK;
    if (!c->as)
        return c->is_control ? FL_OK
                             : fl_err_set(err, FL_UNAUTHENTICATED,
                                          "sign in: set FLOPINIO_TOKEN, or say who with --as NAME");
    enum fl_code code = ask_passphrase(c, err);
    if (code)
        return code;
    fl_buf_printf(&pair, "%s:%s", c->as, c->passphrase);
    if (!pair.is_failed)
        fl_b64(&text, pair.p, pair.n);
    if (pair.is_failed || text.is_failed || text.n > HEADER_MAX - 40)
        code = fl_err_code(err, pair.is_failed || text.is_failed ? FL_NOMEM : FL_TOO_LARGE);
    else
        snprintf(header, HEADER_MAX, "Authorization: Basic %s", text.p);
    if (pair.p)
        fl_cleanse(pair.p, pair.n);
    if (text.p)
        fl_cleanse(text.p, text.n);
    fl_buf_fini(&pair);
    fl_buf_fini(&text);
    return code;
}

/* ---------------------------------------------------------------- one exchange */
struct exchange {
    const char *method, *path;
    struct fl_str body;
    bool is_reading; /* with FLOPINIO_TOKEN, or as the operator of the control socket */
    FILE *file;      /* NULL: into cli->body */
};

static bool on_piece(void *ctx, struct fl_str piece)
{
    FILE *file = ctx;
    if (!isatty(fileno(file)))
        return fwrite(piece.p, 1, piece.n, file) == piece.n;
    struct fl_buf text = FL_BUF_INIT; /* a code point cut in two shows as two escapes: no harm */
    fl_print_json_ascii(&text, piece);
    bool is_fine = !text.is_failed && fwrite(text.p ? text.p : "", 1, text.n, file) == text.n;
    fl_buf_fini(&text);
    return is_fine;
}

static enum fl_code send_once(struct fl_cli *cli, struct fl_client *c, const struct exchange *x,
                              struct fl_err *err)
{
    char header[HEADER_MAX] = "", code_header[80];
    const char *headers[5];
    size_t n = 0;
    enum fl_code code = authorization(c, x->is_reading, header, err);
    const char *url = fl_arena_printf(cli->arena, "%s/api/v1%s", c->base, x->path ? x->path : "");
    if (code || !url || !x->path)
        return code ? code : fl_err_code(err, FL_NOMEM);
    if (header[0])
        headers[n++] = header;
    if (c->code[0]) {
        snprintf(code_header, sizeof code_header, "Flopinio-Code: %.32s", c->code);
        headers[n++] = code_header;
    }
    if (x->body.p)
        headers[n++] = "Content-Type: application/json";
    headers[n] = NULL;
    struct fl_fetch fetch = { .method = x->method,
                              .url = url,
                              .headers = headers,
                              .body = x->body,
                              .sink = x->file ? on_piece : NULL,
                              .ctx = x->file };
    fl_buf_reset(&cli->body);
    cli->status = 0;
    code = fl_fetch(c->fetcher, &fetch, &cli->status, &cli->body, err);
    fl_cleanse(header, sizeof header);
    fl_cleanse(code_header, sizeof code_header);
    return code;
}

static int exit_of(int status)
{
    switch (status) {
    case 401:
    case 403: return FL_EXIT_FORBIDDEN;
    case 404: return FL_EXIT_NOT_FOUND;
    case 409: return FL_EXIT_CONFLICT;
    case 502:
    case 503:
    case 504: return FL_EXIT_UNAVAILABLE;
    default: return status >= 200 && status < 300 ? FL_EXIT_DONE : FL_EXIT_FAILED;
    }
}

/* What the answer says went wrong. */
static struct fl_str error_text(const json_t *answer)
{
    return fl_json_get_str(json_object_get(answer, "error"), "text");
}

static int say_error(struct fl_cli *cli, const struct fl_client *c, const json_t *answer)
{
    struct fl_str text = error_text(answer);
    const char *hint = "";
    if (!text.n)
        return fl_cli_fail(cli, FL_EXIT_FAILED,
                           "the answer (status %d) is not the REST API's: is this the address of "
                           "flopinio?",
                           cli->status);
    if (cli->status == 403 && strstr(text.p, NEEDS_ADMIN))
        hint = ": --as NAME, or FLOPINIO_TOKEN";
    else if (cli->status == 401 && c->token)
        hint = " (FLOPINIO_TOKEN was used)";
    return fl_cli_fail(cli, exit_of(cli->status), "%s%s", fl_cli_text(cli, text.p), hint);
}

/* Sends it; asks for the authenticator's code and sends it again when that is what is missing. */
static int exchange(struct fl_cli *cli, const struct exchange *x, json_t **ret)
{
    struct fl_client *c;
    struct fl_err err;
    json_t *answer = NULL;
    enum fl_code code = get_client(cli, &c, &err);
    for (int tries = 0; code == FL_OK; tries++) {
        code = send_once(cli, c, x, &err);
        json_decref(answer);
        answer = NULL;
        if (code == FL_OK && !(x->file && cli->status == 200) && cli->body.n)
            answer = json_loadb(cli->body.p, cli->body.n, JSON_REJECT_DUPLICATES, NULL);
        bool wants_code = code == FL_OK && cli->status == 401 && tries == 0 && c->as &&
                          !c->code[0] && error_text(answer).n &&
                          strstr(error_text(answer).p, NEEDS_CODE);
        if (!wants_code)
            break;
        code = fl_secret_ask("Code of your authenticator: ", c->secret_fd, c->code, &err);
        if (code == FL_OK && (!c->code[0] || c->code[strspn(c->code, "0123456789")]))
            code = fl_err_set(&err, FL_UNAUTHENTICATED, "a code has digits only");
    }
    c = cli->client;
    int status = FL_EXIT_DONE;
    if (code)
        status = fl_cli_error(cli, &err);
    else if (exit_of(cli->status) || (!answer && !x->file))
        status = say_error(cli, c, answer);
    if (c)
        fl_cleanse(c->code, sizeof c->code); /* it is good for once only */
    if (status && code == FL_OK)
        (void)fl_cli_printed_json(cli);
    if (status == FL_EXIT_DONE && ret)
        *ret = answer;
    else
        json_decref(answer);
    return status;
}

int fl_cli_ask(struct fl_cli *cli, const char *method, const char *path, json_t *body, json_t **ret)
{
    struct fl_buf text = FL_BUF_INIT;
    struct exchange x = { .method = method, .path = path };
    if (body) {
        fl_json_put(&text, body);
        x.body = fl_buf_view(&text);
    }
    json_decref(body);
    if (text.is_failed)
        return fl_cli_fail(cli, FL_EXIT_FAILED, "out of memory");
    int status = exchange(cli, &x, ret);
    if (text.p)
        fl_cleanse(text.p, text.n);
    fl_buf_fini(&text);
    return status;
}

int fl_cli_look(struct fl_cli *cli, const char *path, json_t **ret)
{
    struct exchange x = { .method = "GET", .path = path, .is_reading = true };
    return exchange(cli, &x, ret);
}

int fl_cli_download(struct fl_cli *cli, const char *path, FILE *file)
{
    struct exchange x = { .method = "GET", .path = path, .file = file };
    return exchange(cli, &x, NULL);
}

/* ---------------------------------------------------------------- other secrets */
int fl_cli_sign_in(struct fl_cli *cli, const char **ret)
{
    struct fl_client *c;
    struct fl_err err;
    enum fl_code code = get_client(cli, &c, &err);
    if (code == FL_OK && c->as)
        code = ask_passphrase(c, &err);
    if (code)
        return fl_cli_error(cli, &err);
    *ret = c->as ? c->passphrase : NULL;
    return FL_EXIT_DONE;
}

int fl_cli_secret(struct fl_cli *cli, const char *prompt, char out[FL_SECRET_LINE_MAX])
{
    struct fl_client *c;
    struct fl_err err;
    enum fl_code code = get_client(cli, &c, &err);
    fl_cli_flush(cli); /* what the question is about */
    if (code == FL_OK)
        code = fl_secret_ask(prompt, c->secret_fd, out, &err);
    return code ? fl_cli_error(cli, &err) : FL_EXIT_DONE;
}

int fl_cli_new_passphrase(struct fl_cli *cli, const char *whose, char out[FL_SECRET_LINE_MAX])
{
    char again[FL_SECRET_LINE_MAX], prompt[160];
    snprintf(prompt, sizeof prompt, "New passphrase of %.100s: ", whose);
    int status = fl_cli_secret(cli, prompt, out);
    if (status == FL_EXIT_DONE && !fl_utf8_is_valid(fl_str_of(out)))
        status = fl_cli_fail(cli, FL_EXIT_FAILED, "a passphrase is UTF-8 text");
    if (status || cli->client->secret_fd >= 0)
        return status;
    status = fl_cli_secret(cli, "The same again: ", again);
    if (status == FL_EXIT_DONE && strcmp(out, again) != 0)
        status = fl_cli_fail(cli, FL_EXIT_FAILED, "the two differ; nothing was changed");
    fl_cleanse(again, sizeof again);
    return status;
}

bool fl_cli_may_confirm(const struct fl_cli *cli)
{
    return !cli->is_json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}
