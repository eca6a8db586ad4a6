/* Floors of the database: one-row commits one after the other (latency), rows in batches of one
 * statement (throughput), and a pending approval with its audit row in one statement, by plain
 * libpq.
 *   floor_pq CONNINFO commits SECONDS
 *   floor_pq CONNINFO batch SECONDS ROWS
 *   floor_pq CONNINFO intake SECONDS ORGANIZATION AGENT
 * prints {"rows":..,"seconds":..,"p50_us":..,"p99_us":..}. The first two make and drop a table of
 * their own; the third writes to ours, as a row security that binds nobody (a superuser) lets it.
 */
#define _GNU_SOURCE
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(PGconn *pg, const char *sql, int n, const char *const *values)
{
    PGresult *res = PQexecParams(pg, sql, n, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        fprintf(stderr, "floor_pq: %s", PQresultErrorMessage(res));
        exit(1);
    }
    PQclear(res);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The columns that an intake of ours fills, with values of their usual length. */
static const char intake_sql[] =
    "WITH made AS (INSERT INTO flopinio.approval (organization_id, approval_id, agent_id, "
    "credential_id, owner_id, state, kind, tool, tool_name, definition_digest, server_id, "
    "arguments, arguments_bytes, binding_salt, binding_digest, fingerprint, policy_version, rule, "
    "ask, card, wait_mode, task_id, expires_at) VALUES ($1::uuid, gen_random_uuid(), $2::uuid, "
    "gen_random_uuid(), gen_random_uuid(), 'pending', 'tool_call', 'b__put', 'put', $3::bytea, "
    "gen_random_uuid(), $4::bytea, 190, $5::bytea, $3::bytea, decode(md5(random()::text), 'hex'), "
    "1, 'writes', '{\"notify\": [\"inbox\"], \"thresholds\": [{\"approve\": 1}]}', "
    "'{\"title\": \"Run b__put\"}', 'task', gen_random_uuid()::text, now() + interval '1 day') "
    "RETURNING organization_id, approval_id) INSERT INTO flopinio.audit_event (organization_id, "
    "event_id, kind, actor_kind, actor_id, subject_kind, subject_id, leaf) SELECT organization_id, "
    "gen_random_uuid(), 'approval.created', 'agent', $2::uuid, 'approval', approval_id, $6::bytea "
    "FROM made";

static void prepare_intake(PGconn *pg)
{
    PGresult *res = PQprepare(pg, "intake", intake_sql, 0, NULL);
    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        fprintf(stderr, "floor_pq: %s", PQresultErrorMessage(res));
        exit(1);
    }
    PQclear(res);
}

static void run_intake(PGconn *pg, const char *organization, const char *agent, char *leaf)
{
    static char arguments[2 * 240 + 3], digest[2 * 32 + 3], salt[2 * 16 + 3];
    if (!arguments[0]) {
        memset(arguments, 'a', sizeof arguments - 1);
        memset(digest, 'b', sizeof digest - 1);
        memset(salt, 'c', sizeof salt - 1);
        memcpy(arguments, "\\x", 2);
        memcpy(digest, "\\x", 2);
        memcpy(salt, "\\x", 2);
    }
    const char *values[] = { organization, agent, digest, arguments, salt, leaf };
    PGresult *res = PQexecPrepared(pg, "intake", 6, values, NULL, NULL, 0);
    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        fprintf(stderr, "floor_pq: %s", PQresultErrorMessage(res));
        exit(1);
    }
    PQclear(res);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    bool is_intake = strcmp(argv[2], "intake") == 0 && argc > 5;
    PGconn *pg = PQconnectdb(argv[1]);
    int rows = strcmp(argv[2], "batch") == 0 && argc > 4 ? atoi(argv[4]) : 1;
    double seconds = atof(argv[3]);
    if (PQstatus(pg) != CONNECTION_OK) {
        fprintf(stderr, "floor_pq: %s", PQerrorMessage(pg));
        return 1;
    }
    run(pg, "DROP TABLE IF EXISTS bench_floor", 0, NULL);
    run(pg,
        "CREATE TABLE bench_floor (id uuid, at timestamptz DEFAULT now(), kind text, leaf bytea)",
        0, NULL);
    char leaf[660], *list = malloc((size_t)rows * 700 + 100);
    memset(leaf, 'a', sizeof leaf);
    memcpy(leaf, "\\x", 2);
    leaf[658] = 0;
    size_t n = 0;
    list[n++] = '{';
    for (int i = 0; i < rows; i++)
        n += (size_t)sprintf(list + n, "%s\"\\\\x%s\"", i ? "," : "", leaf + 2);
    strcpy(list + n, "}");
    const char *one[] = { leaf }, *many[] = { list };
    static double took[2000000];
    size_t count = 0;
    if (is_intake)
        prepare_intake(pg);
    double from = now(), at = from;
    while (at - from < seconds && count < 2000000) {
        if (is_intake)
            run_intake(pg, argv[4], argv[5], leaf);
        else if (rows == 1)
            run(pg,
                "INSERT INTO bench_floor (id, kind, leaf) VALUES (gen_random_uuid(), 'x', $1::bytea)",
                1, one);
        else
            run(pg,
                "INSERT INTO bench_floor (id, kind, leaf) SELECT gen_random_uuid(), 'x', l FROM "
                "unnest($1::bytea[]) l",
                1, many);
        double end = now();
        took[count++] = end - at;
        at = end;
    }
    qsort(took, count, sizeof *took, compare);
    printf("{\"rows\":%zu,\"seconds\":%.4f,\"rows_per_s\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
           count * (size_t)rows, at - from, (double)count * rows / (at - from),
           took[count / 2] * 1e6, took[count * 99 / 100] * 1e6);
    run(pg, "DROP TABLE bench_floor", 0, NULL);
    PQfinish(pg);
    return 0;
}
