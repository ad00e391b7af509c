/* LD_PRELOAD: the wall clock of a process jumps a day back, FAULTS_JUMP_AFTER seconds after its start. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

typedef int (*clock_function)(clockid_t, struct timespec *);

static time_t shift(void) {
    static clock_function real;
    static double began = -1;
    struct timespec now;
    const char *after = getenv("FAULTS_JUMP_AFTER");
    if (!real) real = (clock_function)dlsym(RTLD_NEXT, "clock_gettime");
    real(CLOCK_MONOTONIC, &now);
    double seconds = now.tv_sec + now.tv_nsec / 1e9;
    if (began < 0) began = seconds;
    return after && seconds - began > atof(after) ? -86400 : 0;
}

int clock_gettime(clockid_t id, struct timespec *result) {
    static clock_function real;
    if (!real) real = (clock_function)dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(id, result);
    if (!status && id == CLOCK_REALTIME) result->tv_sec += shift();
    return status;
}

int gettimeofday(struct timeval *restrict result, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    result->tv_sec = now.tv_sec;
    result->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
