/* Text files that the build puts into the program (migrations). */
#ifndef FLOPINIO_STORE_EMBEDDED_H
#define FLOPINIO_STORE_EMBEDDED_H

struct fl_embedded {
    const char *name; /* "001_initial.sql"; NULL ends the table */
    const char *text;
};

extern const struct fl_embedded fl_migrations[];

#endif
