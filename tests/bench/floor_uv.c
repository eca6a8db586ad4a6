/* Floor: what libuv and the kernel cost without any protocol. Sends back what it reads.
 * floor_uv PORT */
#include <stdlib.h>
#include <uv.h>

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    static char shared[1 << 20]; /* written back before the next read */
    (void)handle;
    (void)suggested;
    *ret = uv_buf_init(shared, sizeof shared);
}

struct rest {
    uv_write_t request;
    char bytes[];
};

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    free(request);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *in)
{
    if (n < 0) {
        uv_close((uv_handle_t *)stream, on_closed);
        return;
    }
    uv_buf_t out = uv_buf_init(in->base, (unsigned)n);
    int wrote = n ? uv_try_write(stream, &out, 1) : 0;
    if (wrote < 0)
        wrote = 0;
    if (wrote == n)
        return;
    struct rest *rest = malloc(sizeof *rest + (size_t)(n - wrote));
    out = uv_buf_init(rest->bytes, (unsigned)(n - wrote));
    for (unsigned i = 0; i < out.len; i++)
        rest->bytes[i] = in->base[wrote + (int)i];
    uv_write(&rest->request, stream, &out, 1, on_written);
}

static void on_connection(uv_stream_t *server, int status)
{
    uv_tcp_t *client = status == 0 ? malloc(sizeof *client) : NULL;
    if (!client)
        return;
    uv_tcp_init(server->loop, client);
    if (uv_accept(server, (uv_stream_t *)client) != 0) {
        uv_close((uv_handle_t *)client, on_closed);
        return;
    }
    uv_tcp_nodelay(client, 1);
    uv_read_start((uv_stream_t *)client, on_alloc, on_read);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t server;
    struct sockaddr_in at;
    uv_ip4_addr("127.0.0.1", argc > 1 ? atoi(argv[1]) : 0, &at);
    uv_tcp_init(loop, &server);
    if (uv_tcp_bind(&server, (struct sockaddr *)&at, 0) != 0 ||
        uv_listen((uv_stream_t *)&server, 4096, on_connection) != 0)
        return 1;
    return uv_run(loop, UV_RUN_DEFAULT);
}
