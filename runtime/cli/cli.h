/* The command line. */
#ifndef FLOPINIO_CLI_CLI_H
#define FLOPINIO_CLI_CLI_H

/* Exit statuses: 0 done; 1 could not be done (one sentence on stderr); 2 wrong use; 3 not allowed;
 * 4 not found; 5 decided otherwise or changed meanwhile; 6 the installation does not answer. */
int fl_cli_main(int argc, char **argv);

#endif
