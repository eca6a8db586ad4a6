/* Floors of the database: one-row commits one after the other (latency), and rows in batches of one
 * statement (throughput), by plain libpq. floor_pq CONNINFO commits|batch SECONDS [rows] prints
 * {"rows":..,"seconds":..,"p50_us":..,"p99_us":..}. Makes and drops a table of its own. */
#define _GNU_SOURCE
#include <libpq-fe.h>
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

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
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
    double from = now(), at = from;
    while (at - from < seconds && count < 2000000) {
        if (rows == 1)
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
