/* The connection of one of curl's mail commands, so that it can be cut: curl's own goodbye (QUIT,
 * LOGOUT) waits for the server's answer inside the loop, for as long as the server likes. Loop
 * thread only. */
#ifndef FLOPINIO_IO_CURL_LINE_H
#define FLOPINIO_IO_CURL_LINE_H

#include <stdint.h>

struct fl_curl_line {
    struct {
        int fd;
        uint64_t inode;
    } sockets[4]; /* that were opened for it */
    int count;
};

void fl_curl_line_opened(struct fl_curl_line *line, int fd);
void fl_curl_line_cut(struct fl_curl_line *line);

#endif
