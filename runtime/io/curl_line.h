/* The connection of one of curl's mail commands, so that it can be cut: curl's own goodbye (QUIT,
 * LOGOUT) waits for the server's answer inside the loop, for as long as the server likes. Loop
 * thread only. */
#ifndef FLOPINIO_IO_CURL_LINE_H
#define FLOPINIO_IO_CURL_LINE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

struct fl_curl_line {
    struct {
        int fd;
        uint64_t inode;
    } sockets[4]; /* that were opened for it */
    int count;
};

/* What both of curl's mail protocols are told: these protocols and no other (by which a redirect
 * could lead elsewhere), TLS from the first command or by STARTTLS and never without, a connection
 * of its own, and 20 s for each of the server's answers. on_answer(line, ctx) has them. */
bool fl_curl_line_begin(struct fl_curl_line *line, CURL *easy, const char *protocols,
                        curl_write_callback on_answer, void *ctx);
void fl_curl_line_opened(struct fl_curl_line *line, int fd);
void fl_curl_line_cut(struct fl_curl_line *line);

#endif
