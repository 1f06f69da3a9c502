/* What `motley doctor` looks at, and what it found.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CLI_DOCTOR_H
#define MOTLEY_CLI_DOCTOR_H

enum motley__health { MOTLEY__FINE, MOTLEY__ADVICE, MOTLEY__BROKEN };

/* One finding; travels between ranks as it is. */
struct motley__finding {
    enum motley__health health;
    char host[64], check[32];
    char found[384];
    char mend[384];         /* empty when there is nothing to mend */
};

struct motley__findings {
    struct motley__finding *list;   /* owned */
    int count;
    int lost;                       /* 1: memory ran out, some are missing */
};

/* Add one; format makes `found`.  mend may be NULL. */
void motley__find(struct motley__findings *findings, enum motley__health health, const char *check, const char *mend,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The checks of one machine.  None makes an OpenCL call in this process. */
void motley__doctor_icds(struct motley__findings *findings);       /* doctor_devices.c */
void motley__doctor_devices(struct motley__findings *findings);
void motley__doctor_permissions(struct motley__findings *findings);
void motley__doctor_machine(struct motley__findings *findings);    /* doctor_machine.c */
void motley__doctor_caches(struct motley__findings *findings);
void motley__doctor_environment(struct motley__findings *findings);

#endif
