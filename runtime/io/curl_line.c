#include "runtime/io/curl_line.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include "flopinio/base/assert.h"
#include "flopinio/base/str.h"

#define ANSWER_S 20L

/* A number of a descriptor may be another's by now; an inode is this socket's alone. */
static uint64_t inode_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? (uint64_t)st.st_ino : 0;
}

bool fl_curl_line_begin(struct fl_curl_line *line, CURL *easy, const char *protocols,
                        curl_write_callback on_answer, void *ctx)
{
    bool is_fine = true;
#define SET(option, value) is_fine = curl_easy_setopt(easy, option, value) == CURLE_OK && is_fine
    *line = (struct fl_curl_line){ .count = 0 };
    SET(CURLOPT_PROTOCOLS_STR, protocols);
    SET(CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_SERVER_RESPONSE_TIMEOUT, ANSWER_S);
    SET(CURLOPT_HEADERFUNCTION, on_answer);
    SET(CURLOPT_HEADERDATA, ctx);
#undef SET
    return is_fine;
}

void fl_curl_line_opened(struct fl_curl_line *line, int fd)
{
    size_t at = (size_t)line->count++ % FL_COUNTOF(line->sockets);
    line->sockets[at].fd = fd;
    line->sockets[at].inode = inode_of(fd);
}

void fl_curl_line_cut(struct fl_curl_line *line)
{
    for (int i = 0; i < line->count && i < (int)FL_COUNTOF(line->sockets); i++) {
        if (line->sockets[i].inode && inode_of(line->sockets[i].fd) == line->sockets[i].inode)
            shutdown(line->sockets[i].fd, SHUT_RDWR);
    }
}
