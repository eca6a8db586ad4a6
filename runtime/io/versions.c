/* The libraries' own words about themselves. */
#include "runtime/io/versions.h"

#include <curl/curl.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <libwebsockets.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <uv.h>

void fl_io_versions(struct fl_buf *out)
{
    const char *lws = lws_get_library_version();
    int pq = PQlibVersion();
    fl_buf_printf(out, "libuv %s, libwebsockets %.*s, jansson %s, OpenSSL %s, libpq %d.%d, ",
                  uv_version_string(), (int)strcspn(lws, "- "), lws, jansson_version_str(),
                  OpenSSL_version(OPENSSL_VERSION_STRING), pq / 10000, pq % 10000);
    fl_buf_printf(out, "libcurl %s", curl_version_info(CURLVERSION_NOW)->version);
}

const char *fl_io_outdated(void)
{
    /* What CMake asked for at build time may have been replaced by something older since. */
    if (uv_version() < ((1 << 16) | (44 << 8)))
        return "libuv is older than 1.44";
    if (jansson_version_cmp(2, 14, 0) < 0)
        return "jansson is older than 2.14";
    if (OPENSSL_version_major() < 3)
        return "OpenSSL is older than 3.0";
    if (PQlibVersion() < 150000)
        return "libpq is older than 15";
    if (curl_version_info(CURLVERSION_NOW)->version_num < 0x075800)
        return "libcurl is older than 7.88";
    return NULL;
}
